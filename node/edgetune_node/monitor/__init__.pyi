from .asset import Asset as Asset
from .labelling import labelled as labelled
from .message_fields import info_fields as info_fields
from .restoring import Restored as Restored, restored as restored
from .zone_check import zone_doubt as zone_doubt
