from .asset import Asset as Asset
from .captures import Captured as Captured, CaptureRecorder as CaptureRecorder
from .effort import power as power
from .gestures import SignDetector as SignDetector, SignEvent as SignEvent, SignStart as SignStart
from .heard import KEEP_S as KEEP_S, Heard as Heard
from .inference import judge as judge
from .labelling import labelled as labelled
from .messages import info_message as info_message
from .restoring import Restored as Restored, restored as restored
from .severity import SEVERITIES as SEVERITIES
from .trend_recorder import TREND_FIGURES as TREND_FIGURES, TREND_ROW as TREND_ROW, TrendRecorder as TrendRecorder
from .zone_check import zone_warning as zone_warning
