"""Finalists of a search: measured on this device where latency counts, and kept in the bundle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.bundle import KeptPoint
    from edgetune_nas.model import Network
    from edgetune_nas.training import EvaluatedCandidate, Problem, Scored

MAX_KEPT = 6
"""Networks of the Pareto front that a bundle keeps; each takes export time and bytes of the bundle."""


def latency_of(network: Network, windows: NDArray[np.float32]) -> float:
    """Measure the median microseconds that onnxruntime takes for one window in float.

    int8 is deployed only where it is no slower, so this bounds what is deployed.
    """
    from edgetune_nas.onnx_io import Classifier, latency_us, open_session, write_onnx

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
    winner: EvaluatedCandidate,
    measured: EvaluatedCandidate,
    found: Mapping[int, EvaluatedCandidate],
    problem: Problem,
) -> Iterator[KeptPoint]:
    """Yield the chosen point, then others spread over the Pareto front, each with its network.

    Parameters
    ----------
    best, winner, measured
        The chosen point, its network as last trained, and the one of which its test score is.
    found
        Evaluations of this process by candidate number; a point that a journal brought back is evaluated again.
    """
    from edgetune_nas.bundle import KeptPoint
    from edgetune_nas.training import evaluate_candidate

    others = [scored for scored in front if scored.candidate.genotype != best.candidate.genotype]
    places = np.linspace(0, len(others) - 1, min(len(others), MAX_KEPT - 1)).round().astype(int)
    for scored in (best, *(others[place] for place in places)):
        evaluation = winner if scored is best else found.get(scored.candidate.number)
        if evaluation is None:
            evaluation = evaluate_candidate(problem, scored.candidate)
        before = measured.network if scored is best and measured is not winner else None
        yield KeptPoint(evaluation.network, scored.result.accuracy, bool(scored.candidate.steps), measured=before)
