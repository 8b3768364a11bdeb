from .int8_head import dense_input as dense_input, head_for_int8 as head_for_int8
from .quantisation import Adapt as Adapt, quantise as quantise, window_scale as window_scale
from .runtime import (
    DISTANCE as DISTANCE,
    OUTPUT as OUTPUT,
    ClassDistance as ClassDistance,
    Classifier as Classifier,
    HealthDistance as HealthDistance,
    latency_us as latency_us,
    measure as measure,
    open_session as open_session,
    outputs as outputs,
)
from .validate import check_network as check_network
from .writer import write_onnx as write_onnx
