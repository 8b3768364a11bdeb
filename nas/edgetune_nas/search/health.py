"""A search where healthy windows are all there is: the shape of a health model, its limit, and its bundle."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.card import InputSpec, SearchSummary
from edgetune_nas.errors import BudgetError, DataError, NasError
from edgetune_nas.health import (
    APART,
    LimitRule,
    Whitening,
    blocks,
    candidates,
    choose,
    crossed,
    health_network,
    health_shapes,
    held_out,
    imitated,
    supported_per_month,
)
from edgetune_nas.model import plan
from edgetune_nas.usage import peak_rss_bytes
from edgetune_signal.datasets import require_classes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

    from edgetune_nas.card import Budget, Cost, ModelCard, Task
    from edgetune_nas.health import FittedHealth, HealthCandidate, HealthShape
    from edgetune_nas.model import Network
    from edgetune_nas.onnx_io import Adapt
    from edgetune_nas.search.progress import Monitor
    from edgetune_signal.datasets import Dataset

SHORTEST = 32
"""Samples of a window from which on its bands can be told apart."""
LIMITS = (("ram_bytes", "arena_bytes"), ("flash_bytes", "flash_bytes"), ("macs", "macs"))
"""Fields of a budget, and of the cost that they limit."""


def is_health(dataset: Dataset, library: Dataset | None, task: Task) -> bool:
    """Return whether there is nothing but one class, of which a health model is made.

    Raises
    ------
    RecordingError
        When there is one class of signs: one sign alone is told from nothing.
    """
    if len({*dataset.classes, *(() if library is None else library.classes)}) > 1:
        return False
    if task != "fault":
        require_classes(dataset, "the recordings")
    return True


def search_health(
    dataset: Dataset,
    budget: Budget,
    out: Path,
    *,
    seed: int,
    monitor: Monitor,
    cancelled: Callable[[], bool],
    false_alarms_per_month: float,
) -> tuple[Path, ModelCard]:
    """Make a health model of ``dataset``, whose windows are all of one class, and write it as a bundle into ``out``.

    Returns
    -------
    folder, card
        Of the bundle.

    Raises
    ------
    BudgetError
        When no shape fits the budget.
    DataError
        When there are too few windows, or they are too short, all alike, or not finite.
    BundleError
        When the bundle cannot be written.
    NasError
        When it was cancelled.
    """
    from edgetune_nas.bundle import health_metrics, recordings_of, write_health_bundle

    began_cpu = time.process_time()
    monitor.enter("closed_form")
    if not np.isfinite(dataset.x).all():
        raise DataError("the windows hold values that are no finite numbers; record those parts again")
    if dataset.length < SHORTEST:
        raise DataError(
            f"a window has {dataset.length} samples, too few to know health by; cut windows of {SHORTEST} or more"
        )
    block = blocks(dataset)
    shape = dataset.channels, dataset.length
    every = health_shapes(shape)
    fitting, costs = _affordable(every, shape, budget)
    tried = candidates(fitting, dataset.x, seed)
    rule = LimitRule.of(dataset, block, false_alarms_per_month)
    best = choose(tried, block, rule)
    ratios, index = held_out(tried, block, rule)
    if cancelled():
        raise NasError("the search was stopped before the health model was done; what was recorded stays")
    monitor.enter("exporting")
    recording = recordings_of(dataset)
    metrics = health_metrics(
        ratios > 1,
        None if recording is None else recording[index],
        rule.seconds,
        supported_per_month(rule.alarms(ratios, index), rule.seconds),
    )
    summary = SearchSummary(
        seed=seed,
        candidates=len(every),
        rejected=len(every) - len(fitting),
        trained=0,
        seconds=round(monitor.elapsed, 3),
        cpu_seconds=round(time.process_time() - began_cpu, 3),
        peak_rss_bytes=peak_rss_bytes(),
        stopped_by="converged",
        validation_accuracy=None,
    )
    card = write_health_bundle(
        out,
        network=_network(best, best.whitening, shape),
        adapt=_adapt(best, dataset, block, rule),
        changed=imitated(dataset.x, seed),
        limit=best.limit,
        known=dataset,
        recording=recording,
        input_spec=InputSpec(
            channels=dataset.channels, length=dataset.length, rate_hz=dataset.rate_hz, unit=dataset.unit
        ),
        metrics=metrics,
        tested_on="other_recordings" if _whole(dataset, block) else "later_in_the_same_recordings",
        budget=budget,
        search=summary,
        data_fingerprint=dataset.fingerprint(),
        created=datetime.now(UTC),
        notes=_notes(best, tried, costs, rule),
    )
    monitor.enter("done")
    return out / f"model-{card.id}", card


def _network(best: FittedHealth, whitening: Whitening, input_shape: tuple[int, int]) -> Network:
    return health_network(input_shape, best.candidate.shape, best.candidate.frontend, whitening)


def _adapt(best: FittedHealth, dataset: Dataset, block: NDArray[np.int64], rule: LimitRule) -> Adapt:
    """Return how a quantised model is fitted again to its own levels, so that the limit stays the same number.

    Eight bits of a loud band leave a quiet one little but rounding noise, which has another spread.
    """
    from edgetune_nas.onnx_io import dense_input, write_onnx

    rank = best.candidate.shape.rank

    def adapt(quantised: onnx.ModelProto) -> onnx.ModelProto:
        levels = dense_input(quantised, dataset.x).astype(np.float64)
        try:
            factor = best.limit / rule.limit(*crossed(levels, block, rank))
        except DataError:  # rounding has made all windows alike: nothing can be learned from them
            whitening = best.whitening
        else:
            whitening = Whitening.fit(levels[block != APART], rank).times(factor)
        return write_onnx(_network(best, whitening, (dataset.channels, dataset.length)))

    return adapt


def _affordable(
    shapes: tuple[HealthShape, ...], input_shape: tuple[int, int], budget: Budget
) -> tuple[list[HealthShape], dict[str, Cost]]:
    """Return the shapes within the budget, and what each costs."""
    costs = {each.name: plan(input_shape, each.layers(input_shape)) for each in shapes}
    fitting = list(shapes)
    for limit, field in LIMITS:
        asked = getattr(budget, limit)
        if asked is None:
            continue
        smallest = min(getattr(costs[each.name], field) for each in fitting)
        fitting = [each for each in fitting if getattr(costs[each.name], field) <= asked]
        if not fitting:
            raise BudgetError(limit, asked, smallest)
    return fitting, costs


def _whole(dataset: Dataset, block: NDArray[np.int64]) -> bool:
    """Whether whole recordings judge one another."""
    return all(len(np.unique(block[(dataset.group == group)])) == 1 for group in np.unique(dataset.group))


def _notes(best: FittedHealth, tried: list[HealthCandidate], costs: dict[str, Cost], rule: LimitRule) -> dict[str, Any]:
    return {
        "health": {
            "false_alarms_per_month": rule.per_month,
            "limit": rule.how,
            "shape": best.candidate.shape.name,
            "imitated_changes_found": round(best.heard, 4),
            "tried": {each.shape.name: {"arena_bytes": costs[each.shape.name].arena_bytes} for each in tried},
        }
    }
