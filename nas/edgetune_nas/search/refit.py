"""Last trainings of a search's winner: once to be measured, once on everything to be deployed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model import recordings, with_temperature
from edgetune_nas.training import Interrupted, TrainingSet, refit

if TYPE_CHECKING:
    from edgetune_nas.search.progress import Monitor
    from edgetune_nas.training import EvaluatedCandidate, Parts, Problem, Scored

PLANNED_SHARE = 0.85
"""Share of the time left that the last trainings plan to use: other load takes some, and they have more windows."""
WORSE = 0.02
"""Accuracy lost on windows it has now seen from which on a last training went wrong; the network before it is kept."""


def fit_winner(
    found: EvaluatedCandidate, best: Scored, problem: Problem, parts: Parts, monitor: Monitor, *, members: int
) -> tuple[EvaluatedCandidate, EvaluatedCandidate]:
    """Return the winner to be measured and the winner to be deployed.

    The first has learned the training and validation windows, the second all windows, the test's included. Both are
    ``found`` where time is too short, and the second is the first if it comes out worse.
    """
    steps = 0
    if best.candidate.steps:
        affordable = _affordable_seconds(monitor) * best.candidate.steps / best.result.seconds
        steps = min(problem.profile.final_steps, int(affordable / 2))
        if steps < best.candidate.steps:  # too short for two trainings, perhaps not for one
            steps = min(problem.profile.final_steps, int(affordable))
        members = max(1, min(members, int(affordable / 2 / max(1, steps))))
        if steps < best.candidate.steps:
            return found, found
    began = monitor.elapsed
    measured = _fitted(found, best, problem, problem.learned, monitor, steps=steps, members=members)
    took = monitor.elapsed - began
    if steps and took * len(parts.everything) / len(parts.learned) > _affordable_seconds(monitor):
        return measured, measured
    everything = _everything(problem, parts)
    return measured, _fitted(measured, best, problem, everything, monitor, steps=steps, members=members)


def _affordable_seconds(monitor: Monitor) -> float:
    return PLANNED_SHARE * (monitor.left - monitor.reserve)


def _everything(problem: Problem, parts: Parts) -> TrainingSet:
    """Return all windows; those tested on are of the condition that counts."""
    data = parts.everything
    origin = problem.learned.origin
    if origin is not None:
        origin = np.concatenate([origin, np.zeros(len(data) - len(origin), np.int64)])
    kind = None if problem.kind is None else parts.kind
    recording = None if problem.recording is None else recordings(data)
    return TrainingSet(data.x, data.label, problem.classes, origin, kind, recording)


def _fitted(
    found: EvaluatedCandidate,
    best: Scored,
    problem: Problem,
    data: TrainingSet,
    monitor: Monitor,
    *,
    steps: int,
    members: int,
) -> EvaluatedCandidate:
    """Return the winner fitted to ``data``, or ``found`` if that is interrupted or comes out worse."""
    try:
        again = refit(problem, best.candidate, data, steps=steps, stop=monitor.pulse, members=members)
    except Interrupted:
        return found
    if again.result.accuracy < found.result.accuracy - WORSE:
        return found
    return replace(again, network=with_temperature(again.network, best.result.temperature))
