from .bearing import (
    BEARINGS as BEARINGS,
    DEEP_GROOVE_6205 as DEEP_GROOVE_6205,
    BearingGeometry as BearingGeometry,
    DefectOrders as DefectOrders,
)
from .condition_indicators import IndicatorBuffer as IndicatorBuffer, Indicators as Indicators, indicators as indicators
from .defects import (
    HARMONICS as HARMONICS,
    Defect as Defect,
    DefectLine as DefectLine,
    clearer as clearer,
    defect_orders as defect_orders,
)
from .diagnosis import (
    Condition as Condition,
    Machine as Machine,
    ShaftSpeed as ShaftSpeed,
    defect_of_class as defect_of_class,
    diagnose as diagnose,
    estimated_speed as estimated_speed,
)
from .envelope import envelope_spectrum as envelope_spectrum, kurtosis_band as kurtosis_band
from .spectrum import (
    Spectra as Spectra,
    ThinSpectrum as ThinSpectrum,
    amplitude_spectrum as amplitude_spectrum,
    spectra as spectra,
)
from .velocity import (
    VELOCITY_MIN_SECONDS as VELOCITY_MIN_SECONDS,
    ZONE_LIMITS_MM_S as ZONE_LIMITS_MM_S,
    Support as Support,
    Zone as Zone,
    hann as hann,
    velocity_problem as velocity_problem,
    velocity_rms as velocity_rms,
    zone as zone,
)
