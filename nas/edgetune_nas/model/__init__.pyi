from .arena import (
    ARENA_RULE as ARENA_RULE,
    Tensor as Tensor,
    Way as Way,
    arena_bytes as arena_bytes,
    lifetimes as lifetimes,
    place as place,
    position_gap as position_gap,
    smallest_way as smallest_way,
    sums_first as sums_first,
)
from .closed_form import (
    ExpectedDrift as ExpectedDrift,
    discriminant as discriminant,
    expected_drift as expected_drift,
    fill_absent as fill_absent,
    is_closed_form as is_closed_form,
    origins as origins,
    recordings as recordings,
)
from .cost import plan as plan
from .ensemble import merge as merge, widened as widened
from .frontend import (
    Floats as Floats,
    Labels as Labels,
    fit_frontend as fit_frontend,
    frontend_features as frontend_features,
    frontend_weights as frontend_weights,
    split_frontend as split_frontend,
)
from .hum import hum_taps as hum_taps
from .layers import (
    GRAM_SHARE as GRAM_SHARE,
    ClassMax as ClassMax,
    Conv as Conv,
    Dense as Dense,
    Distances as Distances,
    Flatten as Flatten,
    GlobalPool as GlobalPool,
    Gram as Gram,
    Layer as Layer,
    Log as Log,
    LpPool as LpPool,
    MaxPool as MaxPool,
    Network as Network,
    Norm as Norm,
    Shape as Shape,
    Softmax as Softmax,
    describe as describe,
    output_shape as output_shape,
    shapes as shapes,
)
from .mcu_cost import card_cost as card_cost, estimate as estimate
from .search_space import Genotype as Genotype, Prior as Prior, expand as expand
from .seed_architectures import (
    emg_networks as emg_networks,
    gesture_closed_forms as gesture_closed_forms,
    kind_frontend as kind_frontend,
    vibration_closed_forms as vibration_closed_forms,
    vibration_networks as vibration_networks,
    with_mains as with_mains,
)
from .temperature import (
    best_temperature as best_temperature,
    true_probability as true_probability,
    with_temperature as with_temperature,
)
from .torch_net import LayerNet as LayerNet, from_network as from_network, to_network as to_network
