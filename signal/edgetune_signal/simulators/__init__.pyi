from .armband import (
    ARMBAND_CHANNELS as ARMBAND_CHANNELS,
    ARMBAND_GESTURES as ARMBAND_GESTURES,
    ARMBAND_RATE_HZ as ARMBAND_RATE_HZ,
    ARMBAND_UNIT as ARMBAND_UNIT,
    ArmbandSimulator as ArmbandSimulator,
)
from .bearing import BEARING_CONDITIONS as BEARING_CONDITIONS, BearingSimulator as BearingSimulator
