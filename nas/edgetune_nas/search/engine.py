"""Ask/tell engine: chooses the next candidate from results alone, without clock or files."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgetune_nas.errors import BudgetError
from edgetune_nas.model import plan, search_space as space, seed_architectures, widened
from edgetune_nas.training import BRACKET_SIZE, Candidate, Result, Scored, standard_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_nas.card import Budget, Cost
    from edgetune_nas.model import Genotype, Layer, Shape
    from edgetune_nas.training import TaskProfile

STEADINESS_WEIGHT = 0.05
"""Score that a point of steadiness is worth: accuracy in the recorded condition is traded for it in others, 1 to 20."""
MANY_BANDS = 48
"""Bands of a filter bank from which on its closed form is trusted beyond its score (`_surely_better`)."""
SURE = 1.645
"""Standard errors of the difference by which anything must be right more often than a bank of many bands.

One-sided 5 % of a normal distribution. Chosen among three rules on three simulated machines that were recorded once and
six protocols of the examination. One standard error trusted two of four recordings; two let a bank win that is right in
7 points less of what the same machine does later.
"""
TOGETHER_MARGIN = 0.01
"""Score by which anything else must beat correlations of channels and of their differences in time.

What holds in a person's next session is not in the score. A larger margin gives up accuracy where validation windows
are many, and a smaller one trusts luck: over 24 people of the examination 0, 0.01, 0.02 and 0.04 are right in 86.1 to
87.2 %.
"""
EQUALLY_STEADY = 0.005
"""Difference in steadiness below which two candidates are equally steady."""
PATIENCE = 1
"""Brackets without a better score after which the search stops early. More brackets cost their time."""
MOST_MEMBERS = 4
"""Largest ensemble. Each network of it costs another training, and flash and operations of the bundle."""
CHALLENGER_MEMBERS = 2
"""Networks of an ensemble that is only compared; it may be larger when it wins."""
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
    kinds
        Kinds of each class (`edgetune_nas.training.kinds`); empty where every class is one.
    recordings
        Number of recordings that candidates are compared on; of windows where these are independent.

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
        profile: TaskProfile,
        seed: int,
        trains: bool = True,
        limit: int | None = None,
        tolerance: float = 0.0,
        floor: float | None = None,
        most_members: int = MOST_MEMBERS,
        kinds: tuple[int, ...] = (),
        recordings: int = 1000,
    ) -> None:
        self._input_shape, self._classes, self._budget, self._profile = input_shape, classes, budget, profile
        self._seed, self._trains, self._limit, self._tolerance = seed, trains, limit, tolerance
        self._floor, self._most_members, self._kinds = floor, most_members, kinds
        self._recordings = recordings
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._priced: dict[Genotype, Cost] = {}
        self._members: dict[Genotype, int] = {}
        self._seed_architectures = profile.prior.seed_architectures(input_shape)
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
        """Return the next candidate; None while results are missing, or when the search is over (``stopped_by``)."""
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
        """Record the result of a candidate that was asked for."""
        self.scored.append(Scored(self._open.pop(result.number), result))

    @property
    def best(self) -> Scored | None:
        """The best so far; ``None`` before the first result.

        Candidates are compared by score and `STEADINESS_WEIGHT`. What an ensemble will add counts too, and a drawn
        architecture loses the task's ``selection_margin``. Among those within ``tolerance`` of the best the steadiest
        wins; among equally steady ones, the smallest arena. A trusted closed form that the best does not surely beat
        wins before them all: that with most of many bands, a rectified average before a squared one; then correlations.
        """
        if not self.scored:
            return None
        if sufficient := self._accurate_enough:
            return min(sufficient, key=lambda scored: (scored.candidate.cost.arena_bytes, -scored.result.score))
        compared = self._comparable
        leader = max(compared, key=self._expected_score)
        strong = [each for each in compared if _trust(each) and not self._beats(leader, each)]
        if strong:
            return max(strong, key=lambda scored: (_trust(scored), self._expected_score(scored)))
        enough = self._expected_score(leader) - self._tolerance
        good = [scored for scored in compared if self._expected_score(scored) >= enough]
        steadiest = max(scored.result.steadiness for scored in good) - EQUALLY_STEADY
        good = [scored for scored in good if scored.result.steadiness >= steadiest]
        return min(good, key=lambda scored: (scored.candidate.cost.arena_bytes, -scored.result.score))

    def _beats(self, leader: Scored, trusted: Scored) -> bool:
        """Return whether the leader is so much better than a trusted closed form that it wins all the same."""
        if isinstance(trusted.candidate.genotype.frontend, space.Together):
            return self._expected_score(trusted) < self._expected_score(leader) - TOGETHER_MARGIN
        return _surely_better(leader.result, trusted.result)

    @property
    def finalists(self) -> tuple[Scored, ...]:
        """The best, then the rest of the Pareto front, most accurate first, then the one with the fewest MACs."""
        if self.best is None:
            return ()
        lightest = min(self._comparable, key=lambda scored: (scored.candidate.cost.macs, -scored.result.score))
        return tuple(dict.fromkeys((self.best, *reversed(self.pareto_front), lightest)))

    @property
    def pareto_front(self) -> tuple[Scored, ...]:
        """Candidates that no other beats in both arena and score (Pareto front), smallest first."""
        kept: list[Scored] = []
        for scored in sorted(self._comparable, key=lambda s: (s.candidate.cost.arena_bytes, -s.result.score)):
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
        """Count the networks of the largest ensemble that fits the budget and needs no larger arena than one."""
        if genotype not in self._members:
            self._members[genotype] = self._count_members(genotype)
        return self._members[genotype]

    def _count_members(self, genotype: Genotype) -> int:
        if genotype.closed_form:
            return 1
        layers = self._layers(genotype)
        for members in range(self._most_members, 1, -1):
            wide = widened(layers, members)
            cost = None if wide is None else plan(self._input_shape, wide)
            if cost is None or excess(cost, self._budget):
                continue
            if cost.arena_bytes <= self._cost(genotype).arena_bytes:
                return members
        return 1

    def _expected_score(self, scored: Scored) -> float:
        candidate, result = scored.candidate, scored.result
        profile, genotype = self._profile, candidate.genotype
        members_to_come = 1 / candidate.members - 1 / max(candidate.members, self.members(genotype))
        drawn = not genotype.closed_form and genotype not in self._seed_architectures
        return (
            result.score
            + STEADINESS_WEIGHT * result.steadiness
            + profile.ensemble_gain * members_to_come
            - (profile.selection_margin if drawn else 0.0)
        )

    def rng_state(self) -> dict[str, Any]:
        """Return the state of the random generator as plain JSON; two engines in the same state ask the same."""
        state: dict[str, Any] = dict(self._rng.bit_generator.state)["state"]
        return {name: str(value) for name, value in state.items()}

    def _schedule(self) -> Iterator[list[Candidate]]:
        """Yield batches in order, closed forms first; each waits for all results of the one before."""
        for part in self._profile.prior.closed_forms(self._input_shape):
            solved = [genotype for genotype in part if self._fits(genotype)]
            yield [self._candidate(genotype, 0) for genotype in sorted(solved, key=lambda each: self._cost(each).macs)]
        bracket = idle = 0
        rungs = self._profile.rungs
        while self._trains and idle < PATIENCE and (genotypes := self._bracket(bracket)):
            before = self._progress()
            for size, steps in rungs:
                ranked = self._promoted(genotypes)[:size] if steps > rungs[0][1] else genotypes
                first = len(self.scored)
                yield [self._candidate(genotype, steps) for genotype in ranked]
                genotypes = [scored.candidate.genotype for scored in self.scored[first:]]
            crossed = any(scored.result.crossed for scored in self.scored)
            margin = standard_error(self._recordings) if crossed else self._tolerance
            enough = max(margin, self._profile.selection_margin)
            idle = 0 if self._progress() > before + enough else idle + 1
            bracket += 1
        if (challenger := self._challenger()) is not None:
            yield [challenger]

    def _challenger(self) -> Candidate | None:
        """Return the best trained network as an ensemble, where a closed form leads and the winner would become one.

        An ensemble does better than one network of its architecture, so one network's score does not rule it out.
        """
        if self.best is None or self.best.candidate.steps or self._accurate_enough or not self._profile.ensemble_gain:
            return None
        trained = [scored for scored in self.scored if scored.candidate.steps]
        for scored in sorted(trained, key=lambda scored: (scored.candidate.steps, scored.result.score), reverse=True):
            genotype = scored.candidate.genotype
            if (members := min(CHALLENGER_MEMBERS, self.members(genotype))) > 1:
                return replace(self._candidate(genotype, self._profile.rungs[-1][1]), members=members)
        return None

    def _bracket(self, number: int) -> list[Genotype]:
        """Choose networks that fit, none of them trained before: seed architectures first, then half mutants."""
        chosen: list[Genotype] = []
        if number == 0:
            chosen = [genotype for genotype in self._seed_architectures if self._fits(genotype)][:BRACKET_SIZE]
        evaluated = {scored.candidate.genotype for scored in self.scored}
        trained = (scored for scored in self.scored if scored.candidate.steps)
        ranked = sorted(trained, key=lambda scored: (scored.result.crossed, scored.result.score), reverse=True)
        parents = list(dict.fromkeys(scored.candidate.genotype for scored in ranked))[:_PARENTS] or list(chosen)
        for _ in range(_TRIES):
            if len(chosen) == BRACKET_SIZE:
                break
            if parents and len(chosen) % 2:
                parent = parents[int(self._rng.integers(len(parents)))]
                genotype = space.mutate(parent, self._rng, self._input_shape, self._profile.prior)
            else:
                genotype = space.sample(self._rng, self._input_shape, self._profile.prior)
            if genotype not in evaluated and genotype not in chosen and self._fits(genotype):
                chosen.append(genotype)
        if number == 0 and not chosen:
            chosen = [genotype for genotype in seed_architectures.smallest(self._input_shape) if self._fits(genotype)]
        return chosen

    def _promoted(self, genotypes: list[Genotype]) -> list[Genotype]:
        """Order by expected score, best first."""
        expected = dict.fromkeys(genotypes, 0.0)
        for scored in self.scored:
            genotype = scored.candidate.genotype
            if genotype in expected:
                expected[genotype] = max(expected[genotype], self._expected_score(scored))
        return sorted(genotypes, key=expected.__getitem__, reverse=True)

    def _top_score(self) -> float:
        return max((scored.result.score for scored in self._comparable), default=0.0)

    @property
    def _comparable(self) -> list[Scored]:
        """Results in conditions left out of the fit, where there are any; else all."""
        return [scored for scored in self.scored if scored.result.crossed] or self.scored

    @property
    def _accurate_enough(self) -> list[Scored]:
        """Candidates that are accurate enough; none where that was not asked for."""
        return [scored for scored in self.scored if self._floor is not None and scored.result.accuracy >= self._floor]

    def _progress(self) -> float:
        """Return what must grow for the search to go on: the best score, or smallness once one is accurate enough."""
        arenas = [scored.candidate.cost.arena_bytes for scored in self._accurate_enough]
        return float(_SMALLER_THAN_ANY - min(arenas)) if arenas else self._top_score()

    def _candidate(self, genotype: Genotype, steps: int) -> Candidate:
        self._asked += 1
        return Candidate(self._asked, genotype, self._cost(genotype), steps, self._seed * 100_003 + self._asked)

    def _cost(self, genotype: Genotype) -> Cost:
        if genotype not in self._priced:
            self._priced[genotype] = plan(self._input_shape, self._layers(genotype))
        return self._priced[genotype]

    def _layers(self, genotype: Genotype) -> tuple[Layer, ...]:
        return space.expand(genotype, self._input_shape, self._classes, self._kinds)

    def _fits(self, genotype: Genotype) -> bool:
        known = genotype in self._priced
        arena = self._cost(genotype).arena_bytes
        useful = all(arena < scored.candidate.cost.arena_bytes for scored in self._accurate_enough)
        fits = useful and not excess(self._cost(genotype), self._budget)
        self.rejected += not (known or fits)
        return fits

    def _check_budget(self) -> None:
        """Raise `BudgetError` unless something fits; else the limit that is furthest from being met is named."""
        pool = [each for part in self._profile.prior.closed_forms(self._input_shape) for each in part]
        if self._trains:
            pool += seed_architectures.smallest(self._input_shape) + self._seed_architectures
        costs = [plan(self._input_shape, self._layers(genotype)) for genotype in pool]
        excesses = [excess(cost, self._budget) for cost in costs]
        if any(not excess for excess in excesses):
            return
        only = {name for excess in excesses if len(excess) == 1 for name in excess}
        name = min(only or set.union(*map(set, excesses)), key=lambda each: _shortfall(each, excesses))
        near = [excess[name] for excess in excesses if name in excess and (not only or len(excess) == 1)]
        raise BudgetError(name, _limits(self._budget)[name], min(near))


def _trust(scored: Scored) -> tuple[int, ...]:
    """Return what orders closed forms that are trusted beyond their score; empty for all others.

    It is the number of bands of a bank that has many, and whether it rectifies; 1 for correlations of differences too.
    Over 20 tests on five rigs, 64 rectified bands were right in 0.3 points more than 64 squared ones, and what
    validation said of the two told nothing.
    """
    frontend, closed_form = scored.candidate.genotype.frontend, scored.candidate.genotype.closed_form
    if not closed_form:
        return ()
    if isinstance(frontend, space.Together):
        return (1, 0) if frontend.correlate and frontend.differences > 0 else ()
    if not isinstance(frontend, space.Bank) or frontend.bands < MANY_BANDS:
        return ()
    return frontend.bands, int(frontend.p == 1)


def _surely_better(result: Result, other: Result) -> bool:
    """Return whether a candidate is right more often than another, in `SURE` standard errors of the difference.

    Both are asked about the same pieces of recordings, so their differences count, piece by piece: McNemar's test for
    clustered pairs (Durkalski et al., Stat. Med. 22 (2003) 2417). Where both are right everywhere nothing is sure.
    """
    pairs = zip(result.right, other.right, strict=True)
    leads = [mine - its for mine, its in pairs if mine is not None and its is not None]
    return sum(leads) > SURE * math.sqrt(sum(lead * lead for lead in leads))


def _limits(budget: Budget) -> dict[str, int]:
    limits = {"ram_bytes": budget.ram_bytes, "flash_bytes": budget.flash_bytes, "macs": budget.macs}
    return {name: limit for name, limit in limits.items() if limit is not None}


def excess(cost: Cost, budget: Budget) -> dict[str, int]:
    """Return the need of a network for every limit that it exceeds."""
    needs = {"ram_bytes": cost.arena_bytes, "flash_bytes": cost.flash_bytes, "macs": cost.macs}
    return {name: needs[name] for name, limit in _limits(budget).items() if needs[name] > limit}


def _shortfall(name: str, excesses: list[dict[str, int]]) -> int:
    return min(excess[name] for excess in excesses if name in excess)
