from .choice import (
    FittedHealth as FittedHealth,
    HealthCandidate as HealthCandidate,
    candidates as candidates,
    choose as choose,
    held_out as held_out,
    imitated as imitated,
)
from .detector import Whitening as Whitening, crossed as crossed, health_network as health_network
from .folds import APART as APART, blocks as blocks
from .limit import (
    MONTH_S as MONTH_S,
    LimitRule as LimitRule,
    supported_per_month as supported_per_month,
)
from .shapes import HealthShape as HealthShape, health_shapes as health_shapes
