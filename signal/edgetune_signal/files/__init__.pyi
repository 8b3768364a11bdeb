from .import_plan import ImportOptions as ImportOptions, Labels as Labels, plan_labels as plan_labels
from .importing import (
    Imported as Imported,
    Refusal as Refusal,
    import_file as import_file,
    recording_names as recording_names,
)
from .matlab import CHANNEL_KEYS as CHANNEL_KEYS, CWRU_RATE_HZ as CWRU_RATE_HZ
from .pieces import FilePiece as FilePiece, pieces as pieces, whole_recording as whole_recording
from .registry import (
    SUFFIXES as SUFFIXES,
    file_suffix as file_suffix,
    find_files as find_files,
    is_readable as is_readable,
    open_file as open_file,
    read_file as read_file,
    read_series as read_series,
)
from .signal_file import (
    ANY_LABEL as ANY_LABEL,
    ColumnUse as ColumnUse,
    ReadOptions as ReadOptions,
    SignalBlock as SignalBlock,
    SignalFile as SignalFile,
    SignalInfo as SignalInfo,
)
from .staging import StagedFolder as StagedFolder
