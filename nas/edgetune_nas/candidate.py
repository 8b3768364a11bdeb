"""What a search engine asks and is told: candidates, results, and both together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_nas.card import Cost
    from edgetune_nas.space import Genotype


class Interrupted(Exception):  # noqa: N818 - the caller asked for it, nothing went wrong
    """An evaluation stopped because its caller said so; there is no result."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to evaluate; ``steps`` of training (0 for a closed form), ``seed`` for its weights and batches.

    More than one of ``members`` asks for a committee of so many trainings of it.
    """

    number: int
    genotype: Genotype
    cost: Cost
    steps: int
    seed: int
    members: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """How a candidate did on the validation windows, in their worst condition.

    Attributes
    ----------
    accuracy
        Share of windows that are right.
    score
        What candidates are compared by: the mean of ``accuracy`` and of the calibrated probability of the true class.
        Where few windows are wrong, or none, the second half still tells who was sure and who was lucky.
    temperature
        Found on the same windows.
    seconds
        What the evaluation took; of a cross-validated training or a committee, one of its fits.
    steadiness
        Share of windows that are right when another condition is imitated (`edgetune_nas.shift`); 0 where none is.
    """

    number: int
    accuracy: float
    score: float
    temperature: float
    seconds: float
    steadiness: float = 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its result."""

    candidate: Candidate
    result: Result
