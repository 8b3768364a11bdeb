from .converters import CONVERTERS as CONVERTERS
from .dataset import (
    INDEPENDENT as INDEPENDENT,
    Dataset as Dataset,
    merge_library as merge_library,
    recordings_dataset as recordings_dataset,
    require_classes as require_classes,
)
from .load import is_recording as is_recording, load_dataset as load_dataset
from .splits import Split as Split, split_dataset as split_dataset
