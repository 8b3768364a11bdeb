"""Static int8 quantisation of a written graph, with the variant that agrees best with float on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgetune_nas.onnx_io.int8_gram import with_exact_sums
from edgetune_nas.onnx_io.runtime import INPUT, Classifier, HealthDistance, open_session
from edgetune_nas.usage import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Adapt: TypeAlias = "Callable[[onnx.ModelProto], onnx.ModelProto]"
"""Returns a float model to quantise in the place of a quantised one."""

FLOAT_OPERATIONS: Final = frozenset(
    {"Add", "Gather", "GlobalLpPool", "Log", "LpPool", "Mul", "ReduceL2", "Softmax"}
) | {
    *("Atanh", "Div", "MatMul", "ReduceMean", "Sub", "Transpose"),
}
"""Operations that stay float: int8 kernels do not exist for it, or eight bits would cost the result its meaning.

The second set are those of a Gram layer: its sums have 32 bits on a microcontroller, and correlations near 1 need them.
Where it takes int8 values, `edgetune_nas.onnx_io.int8_gram` writes them as integers.
"""

VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "per channel": {"per_channel": True, "weight_type": QuantType.QInt8},
    "per channel, reduced range": {"per_channel": True, "weight_type": QuantType.QInt8, "reduce_range": True},
    "per tensor, unsigned": {"per_channel": False, "weight_type": QuantType.QUInt8},
}
"""In order of preference. The first may saturate the 16-bit sums of processors without VNNI; the others do not."""

CLIP: Final = 0.002
"""Share of a filter bank's input and output values that int8 clips, before it is tried without.

Impacts are many times louder than what tells most classes apart, and a range that holds them leaves the rest few steps.
Over seven tests on four bearing rigs, 95.3 % of windows were right in int8 with 0.2 %, 95.4 with 1 %, 91.8 with none,
and 95.7 in float.
"""

MAGNITUDES_A_WINDOW: Final = 1000
INT8_LARGEST: Final = 127

PRE_PROCESSED: Final = ("onnx.quant.pre_process", "onnxruntime.quant")


@dataclass(frozen=True, slots=True)
class QuantisationNote:
    """Variant that was chosen, and how often its label is float's on the calibration windows (0 to 1).

    ``adapted``: its last layer was solved for again. ``clipped``: the loudest values are clipped (`CLIP`).
    ``window_scale``: a step of int8 samples on a microcontroller, where the network takes the window in float.
    """

    variant: str
    agreement: float
    adapted: bool = False
    clipped: bool = False
    window_scale: float | None = None


def quantise(
    model: onnx.ModelProto,
    calibration: NDArray[np.float32],
    adapt: Adapt | None = None,
    *,
    limit: float | None = None,
) -> tuple[onnx.ModelProto, QuantisationNote]:
    """Quantise weights and activations to eight bits, as QDQ pairs that onnxruntime fuses when it loads the model.

    The variants of `VARIANTS` are tried in order until one gives float's label on every calibration window; else the
    one that agrees most often wins, the earlier one of equals. Behind a filter bank each is first tried with `CLIP`.

    Parameters
    ----------
    model
        From `edgetune_nas.onnx_io.writer.write_onnx`; it is not changed.
    calibration
        ``float32 (windows, channels, length)`` that ranges are taken from (smallest and largest value).
    adapt
        Gives, for a quantised model whose labels differ from float's, a float model to quantise in its place; see
        `edgetune_nas.onnx_io.int8_head`.
    limit
        Of a health model: its label is whether a window is farther away than that. None for one of classes.
    """
    labels = _labels(model, calibration, limit)
    ranges = _clipped_ranges(model, calibration) if limit is None else {}  # how far a fault is shall stay told
    best: tuple[onnx.ModelProto, QuantisationNote] | None = None
    for (variant, options), clipped in product(VARIANTS.items(), (True, False) if ranges else (False,)):
        known = ranges if clipped else {}
        quantised = _quantise(model, calibration, options, known)
        note = QuantisationNote(variant, _share(quantised, calibration, labels, limit), clipped=clipped)
        tried = [(quantised, note)]
        if adapt is not None and (clipped or note.agreement < 1):
            again = _quantise(adapt(quantised), calibration, options, known)
            tried.insert(0, (again, replace(note, agreement=_share(again, calibration, labels, limit), adapted=True)))
        for each in tried:
            if best is None or each[1].agreement > best[1].agreement:
                best = each
        if best is not None and best[1].agreement == 1:
            break
    if best is None:
        raise AssertionError("there is no variant to try")
    if model.graph.node[0].op_type == "Conv":
        return best
    return best[0], replace(best[1], window_scale=window_scale(calibration))


def window_scale(x: NDArray[np.float32]) -> float:
    """Return the step of int8 samples that holds the loudest of ``x``; 1 of a sensor's integers of eight bits."""
    largest = float(np.abs(x).max(initial=0.0))
    if largest <= INT8_LARGEST and not np.any(x != np.rint(x)):
        return 1.0
    return largest / INT8_LARGEST


def _range(largest: float) -> dict[str, NDArray[np.float32]]:
    return {"rmin": np.array(-largest, np.float32), "rmax": np.array(largest, np.float32)}


def _clipped_ranges(model: onnx.ModelProto, calibration: NDArray[np.float32]) -> dict[str, float]:
    """Return the largest magnitude to keep of a filter bank's input and output; empty where there is no bank."""
    first, *rest = model.graph.node
    if first.op_type != "Conv" or rest[0].op_type not in {"LpPool", "GlobalLpPool"}:
        return {}
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(onnx.helper.make_tensor_value_info(first.output[0], onnx.TensorProto.FLOAT, None))
    session = open_session(opened.SerializeToString())
    outputs = [_some_magnitudes(session.run(first.output[:1], {INPUT: batch})[0]) for batch in batches(calibration)]
    values = {INPUT: _some_magnitudes(calibration), first.output[0]: np.concatenate(outputs)}
    return {name: float(np.quantile(each, 1 - CLIP)) for name, each in values.items()}


def _some_magnitudes(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return about `MAGNITUDES_A_WINDOW` magnitudes of each window, evenly spaced: all would fill the memory."""
    step = max(1, x[0].size // MAGNITUDES_A_WINDOW) | 1  # odd, so that it is no multiple of a row's length
    return np.abs(x.reshape(len(x), -1)[:, ::step]).reshape(-1)


def _quantise(
    model: onnx.ModelProto,
    calibration: NDArray[np.float32],
    options: dict[str, Any],
    largest: Mapping[str, float] = MappingProxyType({}),
) -> onnx.ModelProto:
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    onnx.helper.set_model_props(marked, dict([PRE_PROCESSED]))  # our graph needs no clean-up; said so, it is not asked
    with tempfile.TemporaryDirectory(prefix="edgetune-quantise-") as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(marked, source)  # a ModelProto would be changed by quantize_static
        quantize_static(
            source,
            target,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type in FLOAT_OPERATIONS],
            extra_options={"TensorQuantOverrides": {name: [_range(at)] for name, at in largest.items()}},
            **options,
        )
        quantised = onnx.load(target)
    del quantised.metadata_props[:]
    quantised.producer_name = model.producer_name
    quantised.producer_version = model.producer_version
    onnx.checker.check_model(quantised, full_check=True)
    return with_exact_sums(quantised)


def _share(model: onnx.ModelProto, x: NDArray[np.float32], labels: NDArray[np.intp], limit: float | None) -> float:
    return float((_labels(model, x, limit) == labels).mean())


def _labels(model: onnx.ModelProto, x: NDArray[np.float32], limit: float | None = None) -> NDArray[np.intp]:
    session = open_session(model.SerializeToString())
    if limit is not None:
        return HealthDistance(session, limit).unknown(x).astype(np.intp)
    labels: NDArray[np.intp] = Classifier(session).probabilities(x).argmax(axis=1)
    return labels


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """All calibration windows, a batch at a time."""

    def __init__(self, windows: NDArray[np.float32]) -> None:
        self._batches = ({INPUT: batch} for batch in batches(windows))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, nothing after the last."""
        return next(self._batches, None)
