from .asset import Asset as Asset
from .effort import power as power
from .gestures import SignDetector as SignDetector, SignEvent as SignEvent, SignStart as SignStart
from .inference import judge as judge
from .labelling import labelled as labelled
from .messages import info_message as info_message
from .restoring import Restored as Restored, restored as restored
from .zone_check import zone_warning as zone_warning
