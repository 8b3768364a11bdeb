from .asset import Asset as Asset
from .labelling import labelled as labelled
from .messages import info_message as info_message
from .restoring import Restored as Restored, restored as restored
from .zone_check import zone_warning as zone_warning
