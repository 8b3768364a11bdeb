from .broker_errors import BrokerError as BrokerError, RefusedError as RefusedError
from .broker_limits import BrokerLimits as BrokerLimits, LastWill as LastWill
from .client import NoReplyError as NoReplyError, OperatorClient as OperatorClient, object_or_none as object_or_none
from .fleet import (
    Fleet as Fleet,
    Row as Row,
    cause_text as cause_text,
    fault_text as fault_text,
    heard_text as heard_text,
    is_stale as is_stale,
    model_accuracy as model_accuracy,
    model_text as model_text,
    phase_text as phase_text,
    sample_age as sample_age,
)
from .hearing import filters as filters
from .job import (
    COLLECTING as COLLECTING,
    SEARCHING as SEARCHING,
    FollowedJob as FollowedJob,
    follow as follow,
    summary as summary,
)
from .parts import (
    PartedAnswer as PartedAnswer,
    readable as readable,
    recording_of as recording_of,
    rows_of as rows_of,
    wait_parts as wait_parts,
)
from .target import Target as Target, choose_asset as choose_asset, takes_target as takes_target
from .topic_trial import TopicTrial as TopicTrial
from .wills import connect_with_will as connect_with_will
