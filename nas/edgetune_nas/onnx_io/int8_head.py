"""Int8 head: a closed form's discriminant, solved again on the output of its int8 layers.

Eight bits of a loud signal leave quiet bands little but rounding noise. A discriminant solved on exact features relies
on differences that are then not there; one solved on the features as they are relies on what is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgetune_nas.model import (
    ClassMax,
    Dense,
    discriminant,
    expected_drift,
    fill_absent,
    is_closed_form,
    origins,
    plan,
)
from edgetune_nas.onnx_io.runtime import INPUT, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.usage import batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.model import Labels, Network
    from edgetune_nas.onnx_io.quantisation import Adapt
    from edgetune_signal.datasets import Dataset

MACS = 2e9
"""Operations that the features may take; beyond it, fewer windows are used."""
MIN_WINDOWS, MAX_WINDOWS = 256, 2048
"""Fewest and most windows that are used of the new ones, and of a library's."""


def head_for_int8(network: Network, learned: Dataset, kind: Labels | None = None) -> Adapt | None:
    """Return what `quantise` adapts a model of ``network`` with; None unless it is a closed form.

    Parameters
    ----------
    learned
        The windows that the discriminant was solved on.
    kind
        ``int64 (windows,)``, their kinds, where the network has a row for each; others may follow.
    """
    if not is_closed_form(network):
        return None
    head = next(index for index, layer in enumerate(network.layers) if isinstance(layer, Dense))
    affordable = int(MACS / max(1, plan(network.input_shape, network.layers).macs))
    count = min(MAX_WINDOWS, max(MIN_WINDOWS, affordable))
    by_kind = next((layer for layer in network.layers if isinstance(layer, ClassMax)), None)
    rows = learned.label if by_kind is None or kind is None else kind[: len(learned)]
    outputs = len(network.weights[head]["bias"])
    picked = _spread(learned, rows, count)
    known, row = learned.select(picked), rows[picked]

    def adapt(quantised: onnx.ModelProto) -> onnx.ModelProto:
        features = dense_input(quantised, known.x)
        weight, bias = discriminant(
            features,
            row,
            classes=outputs,
            drift=expected_drift(network.layers, origins(known)),
            origin=origins(known),
        )
        if by_kind is not None:
            fill_absent(weight, bias, row, by_kind.kinds)
        weights = list(network.weights)
        weights[head] = {"weight": weight, "bias": bias}
        return write_onnx(replace(network, weights=tuple(weights)))

    return adapt


def dense_input(quantised: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute what the dense layer of a quantised model is given, ``(windows, features)``."""
    dense = next(node for node in quantised.graph.node if node.op_type == "Gemm")
    opened = onnx.ModelProto()
    opened.CopyFrom(quantised)
    opened.graph.output.append(onnx.helper.make_tensor_value_info(dense.input[0], onnx.TensorProto.FLOAT, None))
    session = open_session(opened.SerializeToString())
    return np.concatenate([session.run(dense.input[:1], {INPUT: batch})[0] for batch in batches(x)])


def _spread(learned: Dataset, row: Labels, count: int) -> NDArray[np.int64]:
    """Choose about ``count`` windows of the new ones and of a library, evenly spaced within each class or kind."""
    origin = origins(learned)
    part = 2 * row + (0 if origin is None else origin != 0)
    share = -(-count // len(np.unique(row)))
    of_each = [np.flatnonzero(part == each) for each in np.unique(part)]
    picked = [index[np.linspace(0, len(index) - 1, min(len(index), share)).astype(np.int64)] for index in of_each]
    return np.sort(np.concatenate(picked))
