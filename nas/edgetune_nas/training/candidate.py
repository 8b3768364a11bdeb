"""Candidates of a search, their results, and both together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_nas.card import Cost
    from edgetune_nas.model import Genotype


class Interrupted(Exception):  # noqa: N818 - the caller asked for it, nothing went wrong
    """An evaluation stopped because its caller said so; there is no result."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to evaluate; ``steps`` of training (0 for a closed form), ``seed`` for its weights and batches.

    More than one of ``members`` asks for an ensemble of that many trainings.
    """

    number: int
    genotype: Genotype
    cost: Cost
    steps: int
    seed: int
    members: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a candidate on the validation windows, in their worst condition.

    Attributes
    ----------
    accuracy
        Share of windows that are right.
    score
        What candidates are compared by: the mean of ``accuracy`` and of the calibrated probability of the true class.
        Where hardly a window is wrong, the second half still tells good candidates from lucky ones.
    temperature
        Found on the same windows.
    seconds
        Seconds of the evaluation; of a cross-validated training or an ensemble, of one fit.
    steadiness
        Share of augmented windows that are right (`edgetune_nas.training.augmentation`); 0 where none are.
    crossed
        Whether accuracy and score are of conditions left out of the fit. They are then lower than others, and not
        compared with them.
    right
        Share of windows that are right in each piece of a recording (`cross_validation.held_out_pieces`), None in one
        that was not asked about. Two candidates are compared piece by piece.
    """

    number: int
    accuracy: float
    score: float
    temperature: float
    seconds: float
    steadiness: float = 0.0
    crossed: bool = False
    right: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its result."""

    candidate: Candidate
    result: Result
