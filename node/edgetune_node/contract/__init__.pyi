from .access import access_list as access_list
from .commands import (
    COMMANDS as COMMANDS,
    Acknowledge as Acknowledge,
    BackupCommand as BackupCommand,
    Cancel as Cancel,
    CaptureCommand as CaptureCommand,
    Command as Command,
    Continue as Continue,
    Deploy as Deploy,
    Forget as Forget,
    History as History,
    Label as Label,
    LabelCommand as LabelCommand,
    Ping as Ping,
    Profile as Profile,
    Recalibrate as Recalibrate,
    Record as Record,
    Rollback as Rollback,
    Shelve as Shelve,
    parse_command as parse_command,
    read_id as read_id,
)
from .context import Context as Context, parse_context as parse_context
from .erasure import FORGOTTEN as FORGOTTEN, message_without as message_without, without as without
from .fault import Fault as Fault
from .json_input import MAX_PAYLOAD_BYTES as MAX_PAYLOAD_BYTES
from .message import Message as Message
from .messages import (
    MESSAGES as MESSAGES,
    CalibrationPhase as CalibrationPhase,
    CalibrationStatus as CalibrationStatus,
    Classification as Classification,
    Health as Health,
    Info as Info,
    Model as Model,
    Phase as Phase,
    Reply as Reply,
    Response as Response,
    State as State,
    Status as Status,
    Vibration as Vibration,
)
from .parts import (
    NO_CLASSES as NO_CLASSES,
    NOVEL as NOVEL,
    UNKNOWN as UNKNOWN,
    Armband as Armband,
    AssetHealth as AssetHealth,
    AssetInfo as AssetInfo,
    BrokerInfo as BrokerInfo,
    CaptureReason as CaptureReason,
    ClassShare as ClassShare,
    DefectAmplitude as DefectAmplitude,
    Drift as Drift,
    Evidence as Evidence,
    Figure as Figure,
    ModeWord as ModeWord,
    NovelKind as NovelKind,
    OtherDefect as OtherDefect,
    PhysicsWord as PhysicsWord,
    Severity as Severity,
    SeverityWord as SeverityWord,
    Shelf as Shelf,
    SpeedOrigin as SpeedOrigin,
    TimeOrigin as TimeOrigin,
    TrendFigure as TrendFigure,
    TrendStep as TrendStep,
    TrendWord as TrendWord,
    iso as iso,
)
from .schemas import described as described, generate as generate, write_schemas as write_schemas
from .sign_messages import Emg as Emg, Sign as Sign, SignStart as SignStart
from .signatures import (
    PROPERTY as PROPERTY,
    check_signature as check_signature,
    seal as seal,
    sign as sign,
    unseal as unseal,
)
from .spectrum import Spectrum as Spectrum
from .topics import (
    ASSET_COMMANDS as ASSET_COMMANDS,
    ASSET_LEAVES as ASSET_LEAVES,
    MAX_RESPONSE_TOPIC_BYTES as MAX_RESPONSE_TOPIC_BYTES,
    NODE_COMMANDS as NODE_COMMANDS,
    NODE_LEAVES as NODE_LEAVES,
    Topics as Topics,
)
from .validation import problems as problems
