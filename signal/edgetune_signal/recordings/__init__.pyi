from .npz import Npz as Npz, open_npz as open_npz
from .recording import (
    Recording as Recording,
    check_recording as check_recording,
    read_recording as read_recording,
    write_recording as write_recording,
)
from .snapshots import (
    SnapshotSeries as SnapshotSeries,
    is_snapshots as is_snapshots,
    read_snapshots as read_snapshots,
)
from .store import (
    FILE_OVERHEAD_BYTES as FILE_OVERHEAD_BYTES,
    BrokenRecording as BrokenRecording,
    RecordingInfo as RecordingInfo,
    RecordingStore as RecordingStore,
    held_out_start as held_out_start,
)
