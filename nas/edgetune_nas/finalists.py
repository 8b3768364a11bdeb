"""What becomes of a search's finalists: measured on this device where latency counts, and kept for later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.candidate import Scored
    from edgetune_nas.evaluation import Evaluation, Problem
    from edgetune_nas.front import Kept
    from edgetune_nas.layers import Network

MIN_KEPT, MAX_KEPT = 3, 6
"""The fewer where the search used up its time; these still fit into what is kept back for the export."""
KEPT_SECONDS = 0.4
"""What exporting and scoring one point of the front may take."""


def latency_of(network: Network, windows: NDArray[np.float32]) -> float:
    """Median microseconds that onnxruntime takes for one window in float.

    int8 is deployed only where it is no slower, so this bounds what is deployed.
    """
    from edgetune_nas.onnx_writer import write_onnx
    from edgetune_nas.runtime import Classifier, latency_us, open_session

    return latency_us(Classifier(open_session(write_onnx(network).SerializeToString())), windows)[0]


def first_quick_enough(
    finalists: Iterable[Scored], latency: Callable[[Scored], float], limit_us: float
) -> tuple[Scored, float]:
    """Return the first finalist that is quick enough, and its latency.

    Parameters
    ----------
    finalists
        Best first, at least one; they are measured until one is quick enough.
    latency
        Microseconds of one of them.

    Raises
    ------
    BudgetError
        When none is; it names the quickest.
    """
    quickest = math.inf
    for scored in finalists:
        took = latency(scored)
        if took <= limit_us:
            return scored, took
        quickest = min(quickest, took)
    raise BudgetError("latency_us", math.floor(limit_us), math.ceil(quickest))


def kept_points(
    front: Sequence[Scored],
    best: Scored,
    winner: Evaluation,
    found: Mapping[int, Evaluation],
    problem: Problem,
    seconds: float,
) -> list[Kept]:
    """Return the front's points with their networks, smallest first, thinned to what fits into ``seconds``.

    Parameters
    ----------
    best, winner
        The chosen point, which is always kept, and its network as last trained.
    found
        Evaluations of this process by candidate number; a point that a journal brought back is evaluated again.
    """
    from edgetune_nas.evaluation import evaluate
    from edgetune_nas.front import Kept

    room = min(MAX_KEPT, max(MIN_KEPT, math.floor(seconds / KEPT_SECONDS)))
    others = [scored for scored in front if scored.candidate.genotype != best.candidate.genotype]
    places = np.linspace(0, len(others) - 1, min(len(others), room - 1)).round().astype(int)
    points = [(scored.candidate.cost.arena_bytes, scored) for scored in (best, *(others[place] for place in places))]
    left = seconds - len(points) * KEPT_SECONDS
    kept = []
    for _, scored in sorted(points, key=lambda point: point[0]):
        evaluation = winner if scored is best else found.get(scored.candidate.number)
        if evaluation is None:
            left -= scored.result.seconds
            if left < 0:
                continue
            evaluation = evaluate(problem, scored.candidate)
        kept.append(Kept(evaluation.network, scored.result.accuracy, bool(scored.candidate.steps)))
    return kept
