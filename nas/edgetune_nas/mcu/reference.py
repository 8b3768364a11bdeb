"""What onnxruntime gives for windows: the int8 file's last integers, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.mcu.operations import UINT8_ZERO
from edgetune_nas.model import ClassMax
from edgetune_nas.onnx_io import DISTANCE, OUTPUT, Classifier, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard
    from edgetune_nas.mcu.operations import Program, Scale

BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What is said of windows.

    Attributes
    ----------
    output
        The last integers, as int8, ``(windows, rows)``: of several kinds of a class the largest.
    answer
        Index of the class, or whether a window is unlike health, ``(windows,)``.
    distance
        Distance from health, ``(windows,)``; zeros without one.
    """

    output: NDArray[np.int8]
    answer: NDArray[np.int32]
    distance: NDArray[np.float32]


def reference(data: bytes, program: Program, card: ModelCard, x: NDArray[np.float32]) -> Answers:
    """Run the int8 file ``data`` in onnxruntime on windows ``(windows, channels, length)``."""
    import onnx

    last, _ = program.output
    model = onnx.load_model_from_string(data)
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.UINT8, None))
    session = open_session(model.SerializeToString(), exact=True)
    name = DISTANCE if card.kind == "health" else OUTPUT
    outputs, said = [], []
    for start in range(0, len(x), BATCH):
        found: list[Any] = session.run([last, name], {"window": np.ascontiguousarray(x[start : start + BATCH])})
        outputs.append(found[0])
        said.append(found[1])
    output = (np.concatenate(outputs).astype(np.int16) - UINT8_ZERO).astype(np.int8)
    for layer in program.layers:
        if isinstance(layer, ClassMax):
            firsts = np.cumsum((0, *layer.kinds[:-1]))
            output = np.maximum.reduceat(output, firsts, axis=1)
    result = np.concatenate(said)
    if card.kind == "health":
        distance = result[:, 0].astype(np.float32)
        return Answers(output, (distance > (card.distance_limit or 0.0)).astype(np.int32), distance)
    answer = Classifier(session, card.rows).together(result).argmax(axis=1).astype(np.int32)
    return Answers(output, answer, np.zeros(len(x), np.float32))


def as_the_sensor_gives(x: NDArray[np.float32], window: Scale, *, rounded: bool) -> NDArray[np.float32]:
    """Return windows as the library sees them: where the file takes floats (``rounded``), steps of its scale."""
    if not rounded:
        return x
    steps = np.clip(np.rint(x / window.scale) + window.zero, -UINT8_ZERO, UINT8_ZERO - 1) - window.zero
    result: NDArray[np.float32] = (steps * window.scale).astype(np.float32)
    return result
