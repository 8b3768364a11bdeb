"""Which candidate to evaluate next: an ask/tell engine that decides from results alone, without clock or files."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgetune_nas import space
from edgetune_nas.candidate import Candidate, Result, Scored
from edgetune_nas.committee import widened
from edgetune_nas.cost import plan
from edgetune_nas.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_nas.card import Budget, Cost, Task
    from edgetune_nas.layers import Shape
    from edgetune_nas.space import Genotype

BATCH = 8
"""Candidates of a bracket. Fixed whatever the number of workers, so that the winner does not depend on it."""
RUNGS: dict[Task, tuple[tuple[int, int], ...]] = {
    "fault": ((BATCH, 90), (3, 270)),
    "sign": ((BATCH, 30), (1, 120)),
}
"""``(candidates, training steps)`` of each rung of a bracket (successive halving)."""
PRICE = 0.05
"""Score that a point of steadiness is worth: one point here for twenty under another load."""
EQUALLY_STEADY = 0.005
"""Differences in steadiness that say nothing."""
PATIENCE = 1
"""Brackets without a better score after which the search has converged."""
LUCK: dict[Task, float] = {"fault": 0.0, "sign": 0.01}
"""Score by which a shape that was drawn must be better than one known to be good, and a bracket than those before.

Gestures are few, so the best of several shapes leads by about that much by luck alone.
"""
MOST_MEMBERS = 4
"""Networks of a committee at the most; each one costs another training."""
COMMITTEE: dict[Task, float] = {"fault": 0.0, "sign": 0.013}
"""Score that a committee of very many has over one of its networks; one of ``n`` has ``1 - 1/n`` of it.

Averaging takes the luck of the start off the error, and its variance falls with ``n``. Measured on Italian Sign
Language (committees of four are right in 1.0 % more); of faults nothing was seen.
"""
CHALLENGERS = 2
"""Members of a committee that is only compared; it may be larger when it wins."""
_PARENTS = 4
_TRIES = 400
_SMALLER_THAN_ANY = 2**40


class Engine:
    """Asks for candidates under a budget: closed forms first, then brackets of sampled and mutated networks.

    What it asks depends on ``seed`` and on the results told, never on time or on the order within a batch.

    Parameters
    ----------
    input_shape, classes
        ``(channels, length)`` of a window, and the number of classes.
    trains
        Whether networks can be trained; closed forms only if not.
    limit
        Evaluated networks (not rejected ones) after which it stops; ``None`` for no limit.
    tolerance
        Scores that differ by less are equal, and the smaller arena wins.
    floor
        Accuracy from which on only a smaller arena is better; None where accuracy always counts.
    most_members
        Networks that the winner may be merged from.

    Raises
    ------
    BudgetError
        When no network of the space fits the budget.
    """

    def __init__(
        self,
        input_shape: Shape,
        classes: int,
        budget: Budget,
        *,
        task: Task,
        seed: int,
        trains: bool = True,
        limit: int | None = None,
        tolerance: float = 0.0,
        floor: float | None = None,
        most_members: int = MOST_MEMBERS,
    ) -> None:
        self._input_shape, self._classes, self._budget, self._task = input_shape, classes, budget, task
        self._seed, self._trains, self._limit, self._tolerance = seed, trains, limit, tolerance
        self._floor, self._most_members = floor, most_members
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._priced: dict[Genotype, Cost] = {}
        self._members: dict[Genotype, int] = {}
        self._known = space.anchors(input_shape, task)
        self._asked = 0
        self._genotypes: set[Genotype] = set()
        self._queue: deque[Candidate] = deque()
        self._open: dict[int, Candidate] = {}
        self._batches = self._schedule()
        self.scored: list[Scored] = []
        self.rejected = 0
        self.stopped_by: Literal["converged", "candidates"] | None = None
        self._check_budget()

    def ask(self) -> Candidate | None:
        """Next candidate; ``None`` while results are missing, or when the search is over (``stopped_by``)."""
        while not self._queue and not self._open and self.stopped_by is None:
            batch = next(self._batches, None)
            if batch is None:
                self.stopped_by = self.stopped_by or "converged"
            else:
                self._queue.extend(batch)
        if not self._queue:
            return None
        candidate = self._queue.popleft()
        if self._limit is not None and candidate.genotype not in self._genotypes:
            if len(self._genotypes) >= self._limit:
                self._queue.clear()
                self.stopped_by = "candidates"
                return None
            self._genotypes.add(candidate.genotype)
        self._open[candidate.number] = candidate
        return candidate

    def tell(self, result: Result) -> None:
        """Take the result of a candidate that was asked for."""
        self.scored.append(Scored(self._open.pop(result.number), result))

    @property
    def best(self) -> Scored | None:
        """The best so far; ``None`` before the first result.

        What a `COMMITTEE` will add counts with the score, `LUCK` against it and, where another condition is imitated,
        steadiness at its `PRICE`; of those within ``tolerance`` of the best the steadiest, and of equally steady ones
        the smallest arena.
        """
        if not self.scored:
            return None
        if holding := self._holding:
            return min(holding, key=lambda scored: (scored.candidate.cost.arena_bytes, -scored.result.score))
        enough = max(map(self._worth, self.scored)) - self._tolerance
        good = [scored for scored in self.scored if self._worth(scored) >= enough]
        steadiest = max(scored.result.steadiness for scored in good) - EQUALLY_STEADY
        good = [scored for scored in good if scored.result.steadiness >= steadiest]
        return min(good, key=lambda scored: (scored.candidate.cost.arena_bytes, -scored.result.score))

    @property
    def finalists(self) -> tuple[Scored, ...]:
        """The best, then the rest of the front from the most accurate down, then the one with the least work."""
        if self.best is None:
            return ()
        lightest = min(self.scored, key=lambda scored: (scored.candidate.cost.macs, -scored.result.score))
        return tuple(dict.fromkeys((self.best, *reversed(self.front), lightest)))

    @property
    def front(self) -> tuple[Scored, ...]:
        """Candidates that no other beats in both arena and score, smallest first."""
        kept: list[Scored] = []
        for scored in sorted(self.scored, key=lambda s: (s.candidate.cost.arena_bytes, -s.result.score)):
            if not kept or scored.result.score > kept[-1].result.score:
                kept.append(scored)
        return tuple(kept)

    @property
    def considered(self) -> int:
        """Different networks whose cost was planned, rejected ones included."""
        return len(self._priced)

    @property
    def trained(self) -> int:
        """Different networks that were trained."""
        return len({scored.candidate.genotype for scored in self.scored if scored.candidate.steps})

    def members(self, genotype: Genotype) -> int:
        """Largest committee of a network that fits the budget and needs no larger arena than one of it."""
        if genotype not in self._members:
            self._members[genotype] = self._count_members(genotype)
        return self._members[genotype]

    def _count_members(self, genotype: Genotype) -> int:
        if genotype.closed_form:
            return 1
        layers = space.expand(genotype, self._input_shape, self._classes)
        for members in range(self._most_members, 1, -1):
            wide = widened(layers, members)
            cost = None if wide is None else plan(self._input_shape, wide)
            if cost is None or excess(cost, self._budget):
                continue
            if cost.arena_bytes <= self._cost(genotype).arena_bytes:
                return members
        return 1

    def _worth(self, scored: Scored) -> float:
        candidate, result = scored.candidate, scored.result
        to_come = 1 / candidate.members - 1 / max(candidate.members, self.members(candidate.genotype))
        known = candidate.genotype.closed_form or candidate.genotype in self._known
        luck = 0.0 if known else LUCK[self._task]
        return result.score + PRICE * result.steadiness + COMMITTEE[self._task] * to_come - luck

    def rng_state(self) -> dict[str, Any]:
        """State of the random generator, JSON-able; two engines in the same state ask the same."""
        state: dict[str, Any] = dict(self._rng.bit_generator.state)["state"]
        return {name: str(value) for name, value in state.items()}

    def _schedule(self) -> Iterator[list[Candidate]]:
        """Batches in order, quick closed forms first; each is asked when all results of the one before were told."""
        solved = [genotype for genotype in space.closed_forms(self._input_shape) if self._fits(genotype)]
        yield [self._candidate(genotype, 0) for genotype in sorted(solved, key=lambda each: self._cost(each).macs)]
        bracket = idle = 0
        rungs = RUNGS[self._task]
        while self._trains and idle < PATIENCE and (genotypes := self._bracket(bracket)):
            before = self._standing()
            for size, steps in rungs:
                ranked = self._promoted(genotypes)[:size] if steps > rungs[0][1] else genotypes
                first = len(self.scored)
                yield [self._candidate(genotype, steps) for genotype in ranked]
                genotypes = [scored.candidate.genotype for scored in self.scored[first:]]
            enough = max(self._tolerance, LUCK[self._task])
            idle = 0 if self._standing() > before + enough else idle + 1
            bracket += 1
        if (challenger := self._challenger()) is not None:
            yield [challenger]

    def _challenger(self) -> Candidate | None:
        """Best trained network as a committee, where a closed form leads and the winner would become one.

        A committee does better than one network of its shape, so it is not left out for what one network scored.
        """
        if self.best is None or self.best.candidate.steps or self._holding:
            return None
        trained = [scored for scored in self.scored if scored.candidate.steps]
        for scored in sorted(trained, key=lambda scored: (scored.candidate.steps, scored.result.score), reverse=True):
            genotype = scored.candidate.genotype
            if (members := min(CHALLENGERS, self.members(genotype))) > 1:
                return replace(self._candidate(genotype, RUNGS[self._task][-1][1]), members=members)
        return None

    def _bracket(self, number: int) -> list[Genotype]:
        """Different networks that fit, none of them trained before: known good shapes first, then half mutants."""
        chosen: list[Genotype] = []
        if number == 0:
            chosen = [genotype for genotype in self._known if self._fits(genotype)][:BATCH]
        known = {scored.candidate.genotype for scored in self.scored}
        trained = (scored for scored in self.scored if scored.candidate.steps)
        ranked = sorted(trained, key=lambda scored: scored.result.score, reverse=True)
        parents = list(dict.fromkeys(scored.candidate.genotype for scored in ranked))[:_PARENTS] or list(chosen)
        for _ in range(_TRIES):
            if len(chosen) == BATCH:
                break
            if parents and len(chosen) % 2:
                parent = parents[int(self._rng.integers(len(parents)))]
                genotype = space.mutate(parent, self._rng, self._input_shape, self._task)
            else:
                genotype = space.sample(self._rng, self._input_shape, self._task)
            if genotype not in known and genotype not in chosen and self._fits(genotype):
                chosen.append(genotype)
        if number == 0 and not chosen:
            chosen = [genotype for genotype in space.smallest(self._input_shape) if self._fits(genotype)]
        return chosen

    def _promoted(self, genotypes: list[Genotype]) -> list[Genotype]:
        """Order by what is expected of them in the end, best first."""
        worth = dict.fromkeys(genotypes, 0.0)
        for scored in self.scored:
            genotype = scored.candidate.genotype
            if genotype in worth:
                worth[genotype] = max(worth[genotype], self._worth(scored))
        return sorted(genotypes, key=worth.__getitem__, reverse=True)

    def _top_score(self) -> float:
        return max((scored.result.score for scored in self.scored), default=0.0)

    @property
    def _holding(self) -> list[Scored]:
        """What is accurate enough, where that was asked for."""
        return [scored for scored in self.scored if self._floor is not None and scored.result.accuracy >= self._floor]

    def _standing(self) -> float:
        """Return what must grow for the search to go on: the best score, or smallness once one is accurate enough."""
        arenas = [scored.candidate.cost.arena_bytes for scored in self._holding]
        return float(_SMALLER_THAN_ANY - min(arenas)) if arenas else self._top_score()

    def _candidate(self, genotype: Genotype, steps: int) -> Candidate:
        self._asked += 1
        return Candidate(self._asked, genotype, self._cost(genotype), steps, self._seed * 100_003 + self._asked)

    def _cost(self, genotype: Genotype) -> Cost:
        if genotype not in self._priced:
            layers = space.expand(genotype, self._input_shape, self._classes)
            self._priced[genotype] = plan(self._input_shape, layers)
        return self._priced[genotype]

    def _fits(self, genotype: Genotype) -> bool:
        known = genotype in self._priced
        arena = self._cost(genotype).arena_bytes
        useful = all(arena < scored.candidate.cost.arena_bytes for scored in self._holding)
        fits = useful and not excess(self._cost(genotype), self._budget)
        self.rejected += not (known or fits)
        return fits

    def _check_budget(self) -> None:
        """Raise `BudgetError` unless something fits; else the limit that is furthest from being met is named."""
        pool = list(space.closed_forms(self._input_shape))
        if self._trains:
            pool += space.smallest(self._input_shape) + self._known
        costs = [plan(self._input_shape, space.expand(g, self._input_shape, self._classes)) for g in pool]
        excesses = [excess(cost, self._budget) for cost in costs]
        if any(not excess for excess in excesses):
            return
        only = {name for excess in excesses if len(excess) == 1 for name in excess}
        name = min(only or set.union(*map(set, excesses)), key=lambda each: _shortfall(each, excesses))
        near = [excess[name] for excess in excesses if name in excess and (not only or len(excess) == 1)]
        raise BudgetError(name, _limits(self._budget)[name], min(near))


def _limits(budget: Budget) -> dict[str, int]:
    limits = {"ram_bytes": budget.ram_bytes, "flash_bytes": budget.flash_bytes, "macs": budget.macs}
    return {name: limit for name, limit in limits.items() if limit is not None}


def excess(cost: Cost, budget: Budget) -> dict[str, int]:
    """Return what a network needs of every limit that it breaks."""
    needs = {"ram_bytes": cost.arena_bytes, "flash_bytes": cost.flash_bytes, "macs": cost.macs}
    return {name: needs[name] for name, limit in _limits(budget).items() if needs[name] > limit}


def _shortfall(name: str, excesses: list[dict[str, int]]) -> int:
    return min(excess[name] for excess in excesses if name in excess)
