from .clock import (
    NS_PER_S as NS_PER_S,
    SourceClock as SourceClock,
    of_one_moment as of_one_moment,
    offset_ns as offset_ns,
)
from .decimation import MAX_PHASES as MAX_PHASES, Decimator as Decimator, rate_ratio as rate_ratio
from .hum import HUM as HUM, HUM_HEARD as HUM_HEARD, hum_share as hum_share
from .quality import window_quality as window_quality
from .rate import RATE_OFF as RATE_OFF
from .ring import Continuity as Continuity, Ring as Ring
from .timeline import Timeline as Timeline
from .types import Chunk as Chunk, Samples as Samples, StreamSpec as StreamSpec, Window as Window
from .units import STANDARD_GRAVITY as STANDARD_GRAVITY, unit_factor as unit_factor, units_like as units_like
from .windowing import Windower as Windower
