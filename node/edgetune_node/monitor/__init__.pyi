from .asset import Asset as Asset
from .captures import Captured as Captured, CaptureRecorder as CaptureRecorder
from .labelling import labelled as labelled
from .messages import info_message as info_message
from .restoring import Restored as Restored, restored as restored
from .severity import SEVERITIES as SEVERITIES
from .trend_recorder import TREND_FIGURES as TREND_FIGURES, TREND_ROW as TREND_ROW, TrendRecorder as TrendRecorder
from .zone_check import zone_warning as zone_warning
