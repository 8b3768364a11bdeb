"""Everything in which a search on vibration (``fault``) differs from a search on gestures (``sign``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_nas.model import (
    Prior,
    emg_networks,
    gesture_closed_forms,
    origins,
    vibration_closed_forms,
    vibration_networks,
)
from edgetune_nas.novelty import fit_novelty, fit_sign_novelty
from edgetune_nas.training.augmentation import augment_emg, augment_vibration
from edgetune_nas.training.kinds import find_kinds, one_kind_each

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_nas.novelty import Novelty
    from edgetune_nas.training.dataset_parts import Parts
    from edgetune_nas.training.kinds import Kinds
    from edgetune_signal.datasets import Dataset

BRACKET_SIZE = 8
"""Candidates of a bracket. Fixed whatever the number of workers, so that the winner does not depend on it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recipe by which networks are trained.

    Attributes
    ----------
    learning_rate
        Peak of the one-cycle schedule.
    batch
        Windows of an optimiser step.
    shift
        Whether windows are rotated in time at random: their order of samples has no beginning.
    """

    learning_rate: float
    weight_decay: float
    batch: int
    shift: bool


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """A task as the search sees it.

    Attributes
    ----------
    prior
        Seed architectures, and how other networks are drawn.
    recipe
        How candidates are trained.
    rungs
        ``(candidates, training steps)`` of each rung of a bracket (successive halving).
    final_steps
        Training steps of the winner's last training, on training and validation windows together, if time allows.
    selection_margin
        Score by which a drawn architecture must beat a seed architecture, and a bracket those before it. The best of
        several architectures leads by about that much by chance.
    ensemble_gain
        Score that an ensemble of very many has over one of its networks; one of ``n`` has ``1 - 1/n`` of it.
    takes_to_train
        Takes of each class that it needs before networks are trained; 0 if takes are not counted. From as many on,
        takes show their differences by themselves, and no window is augmented.
    takes_to_validate
        Takes of each class that make the validation part large enough; with fewer (but several) candidates are
        cross-validated. 0 if takes are not counted.
    across_conditions
        Whether a further recording is expected to differ as those of a class do (`closed_form.predicted_covariance`),
        and candidates are compared in conditions left out of their fit, where all classes have several. Of armbands
        (Myo, 3DC) the first brought 0.5 points and took 0.5 to 1.7.
    augment
        Changes validation windows ``(windows, channels, length)`` at random as another condition would. The share of
        them that a candidate gets right is its steadiness.
    fit_novelty
        Fits the novelty detector of a bundle; None if there is too little data for one.
    find_kinds
        Finds the kinds of each class (`edgetune_nas.training.kinds`).
    distance_in_graph
        Whether single windows are held against the distance, so that the network may compute it.
    """

    task: Task
    prior: Prior
    recipe: Recipe
    rungs: tuple[tuple[int, int], ...]
    final_steps: int
    selection_margin: float
    ensemble_gain: float
    takes_to_train: int
    takes_to_validate: int
    across_conditions: bool
    augment: Callable[[NDArray[np.float32], Generator], NDArray[np.float32]]
    fit_novelty: Callable[[Parts], Novelty | None]
    find_kinds: Callable[[Dataset], Kinds]
    distance_in_graph: bool = False


def standard_error(recordings: int) -> float:
    """Return the standard error of an accuracy whose ``recordings`` were all right.

    Two right and two wrong ones are added (Agresti and Coull, Am. Stat. 52 (1998) 119): 0.15 of 4
    recordings, 0.09 of 10, 0.01 of 130.
    """
    share = (recordings + 2) / (recordings + 4)
    return math.sqrt(share * (1 - share) / (recordings + 4))


def _vibration_novelty(parts: Parts) -> Novelty:
    train = parts.train
    kind = parts.kind[: parts.trained]
    return fit_novelty(train.x, train.label, parts.validation.x, kind, origins(train))


def _gesture_novelty(parts: Parts) -> Novelty | None:
    learned = parts.learned
    return fit_sign_novelty(learned.x, learned.label, learned.group, origins(learned))


FAULT = TaskProfile(
    task="fault",
    prior=Prior(vibration_closed_forms, vibration_networks, first_layer_odds=(0.75, 0.2, 0.05)),
    recipe=Recipe(learning_rate=4e-2, weight_decay=1e-2, batch=64, shift=True),
    rungs=((BRACKET_SIZE, 90), (3, 270)),
    final_steps=1500,
    selection_margin=0.0,
    ensemble_gain=0.0,
    takes_to_train=0,
    takes_to_validate=0,
    across_conditions=True,
    augment=augment_vibration,
    fit_novelty=_vibration_novelty,
    find_kinds=find_kinds,
    distance_in_graph=True,
)
"""Conditions of a machine. Ensembles of networks brought nothing on vibration."""

SIGN = TaskProfile(
    task="sign",
    prior=Prior(gesture_closed_forms, emg_networks, first_layer_odds=(0.15, 0.05, 0.8)),
    recipe=Recipe(learning_rate=3e-2, weight_decay=1e-1, batch=128, shift=False),
    rungs=((BRACKET_SIZE, 30), (1, 120)),
    final_steps=240,
    selection_margin=0.01,
    ensemble_gain=0.013,
    takes_to_train=4,
    takes_to_validate=10,
    across_conditions=False,
    augment=augment_emg,
    fit_novelty=_gesture_novelty,
    find_kinds=one_kind_each,
)
"""Gestures, from muscle signals.

``ensemble_gain`` was measured on Italian Sign Language, where ensembles of four are right in 1.0 % more. With fewer
takes than ``takes_to_train``, validation cannot tell a network that has learned the take from one that has learned the
gesture: of six people's three cycles (Myo), networks that it preferred did worse on the fourth for two. Closed forms
have too few parameters to learn the take.
"""

PROFILES: dict[Task, TaskProfile] = {profile.task: profile for profile in (FAULT, SIGN)}
