"""The whole search: from labelled windows to a bundle, under a budget of memory and time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.card import FALSE_ALARMS_PER_MONTH, FrontPoint, SearchSummary
from edgetune_nas.errors import NasError
from edgetune_nas.model import origins, recordings, search_space as space, with_mains
from edgetune_nas.search.engine import MOST_MEMBERS, Engine
from edgetune_nas.search.finalists import first_quick_enough, kept_points, latency_of
from edgetune_nas.search.goal import Goal
from edgetune_nas.search.health import is_health, search_health
from edgetune_nas.search.journal import Journal
from edgetune_nas.search.loop import Exploration
from edgetune_nas.search.progress import Monitor, SearchProgress
from edgetune_nas.search.refit import fit_winner
from edgetune_nas.search.winner import export, pareto_points
from edgetune_nas.training import (
    FEW_WINDOWS,
    PROFILES,
    EvaluatedCandidate,
    Parts,
    Problem,
    Scored,
    TaskProfile,
    divide,
    evaluate_candidate,
    fewest_takes,
    folds,
    folds_by_condition,
    held_out_pieces,
)
from edgetune_nas.usage import give_back, peak_rss_bytes
from edgetune_signal.stream import HUM_HEARD, hum_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from edgetune_nas.card import Budget, ModelCard, Task
    from edgetune_signal.datasets import Dataset

JOURNAL = "journal.jsonl"
SHIFTED_WINDOWS, SHIFTED_BYTES = 1000, 8_000_000
"""Most augmented validation windows, and the most bytes of them."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Folder of the bundle, its card, and the Pareto front of accuracy and RAM (smallest first)."""

    bundle: Path
    card: ModelCard
    front: tuple[FrontPoint, ...]


def search(
    dataset: Dataset,
    *,
    task: Task,
    budget: Budget,
    out: Path,
    seed: int = 0,
    library: Dataset | None = None,
    replaced: Path | None = None,
    on_event: Callable[[SearchProgress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    candidates: int | None = None,
    executor: Executor | None = None,
    goal: Goal | None = None,
    mains_hz: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    spent_seconds: float = 0.0,
    spent_cpu_seconds: float = 0.0,
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH,
) -> SearchResult:
    """Search a network for ``dataset`` and write it as a bundle into ``out``.

    Of one class alone it makes a health model (`edgetune_nas.search.health`); a library of other machines' health is
    not used for it.

    Closed forms are asked first, so that something can be deployed after a second or two; then networks are trained
    until the time budget is nearly used, nothing better is found, or ``cancelled()``. The winner (most accurate on
    validation windows, the worst condition counting; the smaller of equal ones) is trained again on training and
    validation windows, and measured on the test windows for the card. What is deployed has then learned these, too.

    A journal in ``out`` continues an interrupted search of the same data, budget and seed.

    Parameters
    ----------
    dataset
        Labelled windows of the machine or person as it is now.
    library
        Older data of other conditions, for training and validation only.
    replaced
        Bundle in use, to be compared on the same test windows.
    cancelled
        Asked often; when true, the best network so far becomes the bundle, without further training.
    candidates
        Evaluate at most so many different networks.
    executor
        Where candidates are evaluated; this process if None.
    goal
        The most accurate network if None; see `edgetune_nas.search.goal.Goal`.
    mains_hz
        Frequency of the mains, whose hum networks may take off; None where none need.
    spent_seconds, spent_cpu_seconds
        What the caller used of the time budget before (reading data), and of the processor.
    false_alarms_per_month
        False alarms that a health model may raise in a month; counts where there is one class alone.

    Raises
    ------
    BudgetError
        When no network fits the budget.
    DataError
        When the data cannot be searched on.
    JournalError
        When the journal in ``out`` belongs to another search.
    BundleError
        When the bundle cannot be written.
    NasError
        When the search was stopped before its first network was done.
    OSError
        When ``out`` or its journal cannot be written.
    """
    began_cpu = time.process_time() - spent_cpu_seconds
    goal = goal or Goal()
    monitor = Monitor(budget.search_seconds, spent=spent_seconds, on_event=on_event, cancelled=cancelled, clock=clock)
    monitor.enter("loading")
    if is_health(dataset, library, task):
        return SearchResult(
            *search_health(
                dataset,
                budget,
                out,
                seed=seed,
                monitor=monitor,
                cancelled=cancelled,
                false_alarms_per_month=false_alarms_per_month,
            ),
            (),
        )
    profile = PROFILES[task]
    parts = divide(dataset, library, seed, profile.find_kinds)
    del dataset, library  # the parts are copies: if the caller keeps no reference, nothing stands in memory twice
    problem = _problem(parts, profile, seed, across=goal.floor is None)
    profile, hum = _with_hum(profile, parts.learned, mains_hz)
    torch = find_spec("torch") is not None
    trains = torch and fewest_takes(parts.learned) >= profile.takes_to_train
    engine = Engine(
        problem.input_shape,
        problem.classes,
        budget,
        profile=profile,
        seed=seed,
        trains=trains,
        limit=candidates,
        tolerance=0.25 / len(parts.validation),
        floor=goal.floor,
        most_members=MOST_MEMBERS if goal.latency_us is None else 1,
        kinds=problem.kinds,
        recordings=_count_recordings(parts.learned if problem.crossed else parts.validation),
    )
    monitor.follow(engine)
    out.mkdir(parents=True, exist_ok=True)
    header = {
        "space": space.VERSION,
        "fingerprint": parts.fingerprint,
        "task": task,
        "budget": budget.model_dump(),
        "seed": seed,
        "candidates": candidates,
        "trains": trains,
        **({"goal": goal.to_json()} if goal.to_json() else {}),
        **({} if mains_hz is None else {"mains_hz": mains_hz}),
    }
    with Journal(out / JOURNAL, header) as journal:
        exploration = Exploration(engine, problem, journal, monitor, executor)
        stopped_by = exploration.run()
    too_short = exploration.too_short()  # told if it was: the last training and the export are yet to come
    best = engine.best
    if best is None:
        raise NasError(f"the search was stopped ({stopped_by}) before its first network was done; allow it more time")

    def evaluated(scored: Scored) -> EvaluatedCandidate:
        return exploration.found.get(scored.candidate.number) or evaluate_candidate(problem, scored.candidate)

    if goal.latency_us is not None:
        best, _ = first_quick_enough(
            engine.finalists,
            lambda scored: latency_of(evaluated(scored).network, problem.x_validation),
            goal.latency_us,
        )
    found = deployed = evaluated(best)
    left_out = dict(zip(_folded_conditions(parts), found.left_out, strict=False))
    if stopped_by != "cancelled":
        monitor.reserve = exploration.export_seconds
        monitor.enter("retraining")
        found, deployed = fit_winner(
            found, best, problem, parts, monitor, members=engine.members(best.candidate.genotype)
        )
        if cancelled():
            stopped_by = "cancelled"
    monitor.enter("exporting")
    give_back()
    summary = SearchSummary(
        seed=seed,
        candidates=engine.considered,
        rejected=engine.rejected,
        trained=engine.trained,
        seconds=round(monitor.elapsed, 3),
        cpu_seconds=round(time.process_time() - began_cpu, 3),
        peak_rss_bytes=peak_rss_bytes(),
        stopped_by=stopped_by,
        validation_accuracy=best.result.accuracy,
    )
    front = pareto_points(engine, problem)
    notes: dict[str, Any] = {
        **({} if deployed is found else {"measured_before_refit": True}),
        **({"hum": {**hum, "taken_off": best.candidate.genotype.mains > 0}} if hum else {}),
        **({"goal": {**told, "held": best.result.accuracy >= (goal.floor or 0.0)}} if (told := goal.to_json()) else {}),
    }
    if not trains:
        notes["training"] = _why_closed_forms(profile, torch=torch)
    elif stopped_by == "time" and not engine.trained:
        notes["training"] = too_short
    kept = kept_points(engine.pareto_front, best, deployed, found, exploration.found, problem)
    card = export(
        found,
        deployed,
        parts,
        profile=profile,
        budget=budget,
        out=out,
        summary=summary,
        front=front,
        shifted=problem.x_shifted,
        replaced=replaced,
        notes=notes,
        left_out=left_out,
        kept=() if stopped_by == "cancelled" else kept,
        spare=lambda: monitor.left - exploration.export_seconds / 2,
        in_graph=goal.latency_us is None,
    )
    monitor.enter("done")
    return SearchResult(out / f"model-{card.id}", card, front)


def _with_hum(
    profile: TaskProfile, learned: Dataset, mains_hz: float | None
) -> tuple[TaskProfile, dict[str, float | bool]]:
    """Let networks take off the hum of the mains; return what the card notes of it, too."""
    if mains_hz is None:
        return profile, {}
    mains = mains_hz / learned.rate_hz
    share = hum_share(learned.x, mains)
    prior = with_mains(profile.prior, mains, (learned.channels, learned.length), heard=share >= HUM_HEARD)
    return replace(profile, prior=prior), {"mains_hz": mains_hz, "share": round(share, 4), "heard": share >= HUM_HEARD}


def _why_closed_forms(profile: TaskProfile, *, torch: bool) -> str:
    if not torch:
        return "torch is not installed: only closed forms were searched (edgetune[train])"
    fewer = f"a class has fewer than {profile.takes_to_train} takes to learn from"
    return f"only closed forms were searched: {fewer}"


def _count_recordings(validated: Dataset) -> int:
    from edgetune_nas.bundle import recordings_of

    recording = recordings_of(validated)
    return len(validated) if recording is None else len(np.unique(recording))


def _folded_conditions(parts: Parts) -> list[str]:
    """Return the names of the conditions in each fold that `folds_by_condition` makes."""
    learned = parts.learned
    fold = folds_by_condition(learned)
    if fold is None:
        return []
    of_fold = [np.unique(learned.condition[fold == each]) for each in np.unique(fold)]
    return [", ".join(learned.conditions[at] for at in own) for own in of_fold]


def _problem(parts: Parts, profile: TaskProfile, seed: int, *, across: bool) -> Problem:
    learned, validation = parts.learned, parts.validation
    problem = Problem(
        profile,
        len(learned.classes),
        learned.x,
        learned.label,
        parts.trained,
        validation.condition,
        origins(parts.train),
        kind=parts.kind[: len(learned)] if parts.several_kinds else None,
        kinds=parts.kinds if parts.several_kinds else (),
        recording=recordings(learned) if profile.across_conditions else None,
    )
    takes = fewest_takes(learned)
    few = len(validation) < FEW_WINDOWS or 1 < takes < profile.takes_to_validate
    conditions = folds_by_condition(learned) if across and profile.across_conditions else None
    if conditions is not None:
        problem = replace(problem, fold=conditions, crossed=True)
    elif few and len(np.unique(validation.condition)) == 1:
        problem = replace(problem, fold=folds(learned, seed=seed))
    problem = replace(problem, piece=held_out_pieces(learned, parts.trained, problem.fold))
    if profile.takes_to_train and takes >= profile.takes_to_train:  # they show how one take differs from the next
        return problem
    wanted = max(1, min(SHIFTED_WINDOWS, SHIFTED_BYTES // validation.x[0].nbytes))
    copies = np.arange(len(validation) * -(-wanted // len(validation))) % len(validation)
    rng = np.random.default_rng(seed)
    copies = np.sort(rng.permutation(copies)[:wanted])
    shifted = profile.augment(validation.x[copies], rng)
    return replace(problem, x_shifted=shifted, y_shifted=validation.label[copies])
