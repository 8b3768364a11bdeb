from .datasets import (
    CONVERTERS as CONVERTERS,
    Dataset as Dataset,
    Split as Split,
    load_dataset as load_dataset,
    merge_library as merge_library,
    recordings_dataset as recordings_dataset,
    split_dataset as split_dataset,
)
from .emg import (
    Activity as Activity,
    ElectrodeFault as ElectrodeFault,
    EmgFeatures as EmgFeatures,
    electrode_faults as electrode_faults,
    emg_features as emg_features,
)
from .errors import (
    BlockError as BlockError,
    QuotaExceededError as QuotaExceededError,
    RecordingError as RecordingError,
    SignalError as SignalError,
    SourceEnded as SourceEnded,
    SourceError as SourceError,
    SourceOptionsError as SourceOptionsError,
)
from .hints import did_you_mean as did_you_mean, install_hint as install_hint
from .recordings import (
    BrokenRecording as BrokenRecording,
    Recording as Recording,
    RecordingInfo as RecordingInfo,
    RecordingStore as RecordingStore,
    held_out_start as held_out_start,
    read_recording as read_recording,
    write_recording as write_recording,
)
from .simulators import (
    ARMBAND_GESTURES as ARMBAND_GESTURES,
    BEARING_CONDITIONS as BEARING_CONDITIONS,
    ArmbandSimulator as ArmbandSimulator,
    BearingSimulator as BearingSimulator,
)
from .sources import (
    Block as Block,
    MqttSource as MqttSource,
    Source as Source,
    decode_block as decode_block,
    encode_block as encode_block,
    open_source as open_source,
    source_kinds as source_kinds,
)
from .stream import (
    Chunk as Chunk,
    StreamSpec as StreamSpec,
    Window as Window,
    Windower as Windower,
    window_quality as window_quality,
)
from .vibration import (
    BEARINGS as BEARINGS,
    DEEP_GROOVE_6205 as DEEP_GROOVE_6205,
    BearingGeometry as BearingGeometry,
    Condition as Condition,
    DefectOrders as DefectOrders,
    IndicatorBuffer as IndicatorBuffer,
    Indicators as Indicators,
    Machine as Machine,
    ShaftSpeed as ShaftSpeed,
    diagnose as diagnose,
)
