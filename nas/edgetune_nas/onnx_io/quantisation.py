"""Static int8 quantisation of a written graph, with the variant that agrees best with float on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgetune_nas.onnx_io.runtime import INPUT, Classifier, HealthDistance, open_session
from edgetune_nas.usage import batches

if TYPE_CHECKING:
    from collections.abc import Callable

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
"""

VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "per channel": {"per_channel": True, "weight_type": QuantType.QInt8},
    "per channel, reduced range": {"per_channel": True, "weight_type": QuantType.QInt8, "reduce_range": True},
    "per tensor, unsigned": {"per_channel": False, "weight_type": QuantType.QUInt8},
}
"""In order of preference. The first may saturate the 16-bit sums of processors without VNNI; the others do not."""

PRE_PROCESSED: Final = ("onnx.quant.pre_process", "onnxruntime.quant")


@dataclass(frozen=True, slots=True)
class QuantisationNote:
    """Variant that was chosen, and how often its label is float's on the calibration windows (0 to 1).

    ``adapted``: its last layer was solved for again.
    """

    variant: str
    agreement: float
    adapted: bool = False


def quantise(
    model: onnx.ModelProto,
    calibration: NDArray[np.float32],
    adapt: Adapt | None = None,
    *,
    limit: float | None = None,
) -> tuple[onnx.ModelProto, QuantisationNote]:
    """Quantise weights and activations to eight bits, as QDQ pairs that onnxruntime fuses when it loads the model.

    The variants of `VARIANTS` are tried in order until one gives float's label on every calibration window; else the
    one that agrees most often wins, the earlier one of equals.

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
    best: tuple[onnx.ModelProto, QuantisationNote] | None = None
    for variant, options in VARIANTS.items():
        quantised = _quantise(model, calibration, options)
        tried = [(quantised, QuantisationNote(variant, _share(quantised, calibration, labels, limit)))]
        if adapt is not None and tried[0][1].agreement < 1:
            again = _quantise(adapt(quantised), calibration, options)
            tried.append((again, QuantisationNote(variant, _share(again, calibration, labels, limit), adapted=True)))
        for each in tried:
            if best is None or each[1].agreement > best[1].agreement:
                best = each
        if best is not None and best[1].agreement == 1:
            break
    if best is None:
        raise AssertionError("there is no variant to try")
    return best


def _quantise(model: onnx.ModelProto, calibration: NDArray[np.float32], options: dict[str, Any]) -> onnx.ModelProto:
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
            **options,
        )
        quantised = onnx.load(target)
    del quantised.metadata_props[:]
    quantised.producer_name = model.producer_name
    quantised.producer_version = model.producer_version
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


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
