"""Engines of the search, and runs of them with scores in place of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_nas.card import Budget
from edgetune_nas.search.engine import MOST_MEMBERS, Engine
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.task_profile import PROFILES

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape


def make_engine(
    shape: Shape = (1, 512),
    *,
    budget: Budget | None = None,
    task: Task = "fault",
    seed: int = 0,
    trains: bool = True,
    limit: int | None = None,
    tolerance: float = 0.0,
    most_members: int = MOST_MEMBERS,
    floor: float | None = None,
    kinds: tuple[int, ...] = (),
    recordings: int = 1000,
) -> Engine:
    return Engine(
        shape,
        10,
        budget or Budget(),
        profile=PROFILES[task],
        seed=seed,
        trains=trains,
        limit=limit,
        tolerance=tolerance,
        most_members=most_members,
        floor=floor,
        kinds=kinds,
        recordings=recordings,
    )


def parameters_matter(candidate: Candidate) -> float:
    """A stand-in for training: better with parameters and steps, the same every time."""
    size = candidate.cost.parameters
    return size / (size + 1000) * (1 - 20 / (20 + candidate.steps) if candidate.steps else 0.6)


def result_of(candidate: Candidate, score: float) -> Result:
    return Result(candidate.number, round(score, 2), score, 1.0, 0.1)


def run_engine(
    engine: Engine,
    score: Callable[[Candidate], float] = parameters_matter,
    order: random.Random | None = None,
) -> list[Candidate]:
    asked: list[Candidate] = []
    while batch := list(iter(engine.ask, None)):
        asked += batch
        told = list(batch)
        if order is not None:
            order.shuffle(told)
        for candidate in told:
            engine.tell(result_of(candidate, score(candidate)))
    return asked
