"""Divides a data set into training, validation and test windows that never share a recording or a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets.dataset import INDEPENDENT, Dataset
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]

WHOLE_GROUPS = 3
"""A class with this many groups is divided by whole groups, one with fewer by time within each."""

_DROPPED, _TRAIN, _VALIDATION, _TEST = -1, 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which windows of a data set serve for what: ``int64`` indices, ascending; some windows may be in no part."""

    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True, slots=True)
class _Shares:
    """What is to be taken off the training part."""

    validation: float
    test: float

    @property
    def parts(self) -> int:
        return 3 if self.test else 2

    def counts(self, total: int) -> dict[int, int]:
        """How many of ``total`` go to validation and test, at least one each."""
        wanted = {_VALIDATION: self.validation, _TEST: self.test}
        return {part: max(1, round(share * total)) for part, share in wanted.items() if share}


def split_dataset(dataset: Dataset, *, seed: int, validation: float = 0.2, test: float = 0.2) -> Split:
    """Divide a data set.

    Parameters
    ----------
    dataset
        The windows.
    seed
        Equal seeds give equal splits.
    validation, test
        Wanted shares of the windows (of the groups, where there are enough); ``test`` may be 0.

    Returns
    -------
    Split
        Windows held out at capture are the test part; a class of which none was held out, and every class where nothing
        was decided, is divided anew. A class with three or more groups is divided by whole groups, conditions taking
        turns; with fewer, each group is cut into contiguous blocks with a window's length between them. Windows of a
        library serve for training and validation only.

    Raises
    ------
    RecordingError
        A class would have no window to train on or none to validate; the message says what to add.
    ValueError
        The shares leave nothing to train on.
    """
    if not (0 < validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(f"validation {validation} and test {test} must be shares that leave some for training")
    rng = np.random.default_rng(seed)
    windows = len(dataset)
    no_window = np.zeros(windows, dtype=np.bool_)
    library = no_window if dataset.library is None else dataset.library
    held_out = no_window if dataset.held_out is None else dataset.held_out & ~library
    decided_classes = np.unique(dataset.label[held_out])
    decided = np.isin(dataset.label, decided_classes) & ~library
    part: Indices = np.full(windows, _DROPPED, dtype=np.int64)
    part[held_out] = _TEST
    without_test = _Shares(validation / (1 - test), 0.0)
    for chosen, shares in (
        (~library & ~decided, _Shares(validation, test)),
        (decided, without_test),
        (library, without_test),
    ):
        _divide(dataset, np.flatnonzero(chosen), np.flatnonzero(chosen & ~held_out), shares, part, rng)
    _drop_overlaps(dataset, part)
    _check_classes(dataset, part, _Shares(validation, test))
    return Split(*(np.flatnonzero(part == which).astype(np.int64) for which in (_TRAIN, _VALIDATION, _TEST)))


def _divide(
    dataset: Dataset, every: Indices, free: Indices, shares: _Shares, part: Indices, rng: np.random.Generator
) -> None:
    """Assign the ``free`` windows; ``every`` counts the groups a class has, those held out whole included."""
    if not len(free):
        return
    pairs = np.unique(np.stack([dataset.group[every], dataset.label[every]]), axis=1)
    free_pairs = np.unique(np.stack([dataset.group[free], dataset.label[free]]), axis=1)
    classes = len(dataset.classes)
    groups_of = np.bincount(pairs[1], minlength=classes)
    free_groups_of = np.bincount(free_pairs[1], minlength=classes)
    whole_class = (groups_of >= WHOLE_GROUPS) & (free_groups_of >= shares.parts)
    cut_groups = np.unique(free_pairs[0][~whole_class[free_pairs[1]]])
    in_cut_group = np.isin(free_pairs[0], cut_groups)
    _assign_groups(dataset, free, free_pairs[:, ~in_cut_group], shares, part, rng)
    for group, label in free_pairs[:, in_cut_group].T:
        members = free[(dataset.group[free] == group) & (dataset.label[free] == label)]
        _cut(dataset, members, shares, part, rng)


def _assign_groups(
    dataset: Dataset, free: Indices, pairs: Indices, shares: _Shares, part: Indices, rng: np.random.Generator
) -> None:
    """Divide whole groups among the parts, the rarest class first; a group with several classes counts for all."""
    assigned: dict[int, int] = {}
    labels_of: dict[int, list[int]] = {}
    for group, label in pairs.T.tolist():
        labels_of.setdefault(group, []).append(label)
    left = np.bincount(pairs[1], minlength=len(dataset.classes))
    condition_of = dict(zip(dataset.group[free].tolist(), dataset.condition[free].tolist(), strict=True))
    for label in np.argsort(left, kind="stable").tolist():
        groups = _conditions_in_turn(pairs[0][pairs[1] == label], condition_of, rng)
        for which, wanted in shares.counts(len(groups)).items():
            missing = wanted - sum(assigned.get(group) == which for group in groups)
            for group in groups:
                if missing <= 0:
                    break
                spare = group not in assigned and all(left[other] > 1 for other in labels_of[group])
                if spare:  # no class may lose its last group to training
                    assigned[group] = which
                    left[labels_of[group]] -= 1
                    missing -= 1
    members = free[np.isin(dataset.group[free], pairs[0])]
    part[members] = [assigned.get(group, _TRAIN) for group in dataset.group[members].tolist()]


def _conditions_in_turn(groups: Indices, condition_of: dict[int, int], rng: np.random.Generator) -> list[int]:
    """Shuffle groups, then order them so that every condition comes once before one comes twice."""
    shuffled: list[int] = rng.permutation(groups).tolist()
    turns: dict[int, int] = {}
    ranked: list[tuple[int, int]] = []
    for group in shuffled:
        condition = condition_of[group]
        turns[condition] = turns.get(condition, -1) + 1
        ranked.append((turns[condition], group))
    return [group for _, group in sorted(ranked, key=lambda pair: pair[0])]


def _cut(dataset: Dataset, members: Indices, shares: _Shares, part: Indices, rng: np.random.Generator) -> None:
    """Cut one class's windows in one group into blocks in random order, a window's length apart."""
    start = dataset.start[members]
    if (start == INDEPENDENT).all():
        order = rng.permutation(members)
        counts = shares.counts(len(members))
        part[order] = _TRAIN
        if len(members) >= shares.parts:
            part[order[: counts[_VALIDATION]]] = _VALIDATION
            part[order[counts[_VALIDATION] : sum(counts.values())]] = _TEST
        return
    order = members[np.argsort(start, kind="stable")]
    start = dataset.start[order]
    apart = 2 * dataset.length  # from the start of a block's last window to the start of the next block's first
    blocks: list[int] = rng.permutation([_TRAIN, *shares.counts(len(order))]).tolist()
    counts = shares.counts(len(order))
    middle = blocks.index(_TRAIN)
    first, last = 0, len(order)
    for which in blocks[:middle]:
        part[order[first : first + counts[which]]] = which
        end = min(first + counts[which], len(order)) - 1
        first = int(np.searchsorted(start, start[end] + apart))
    for which in reversed(blocks[middle + 1 :]):
        begin = max(first, last - counts[which])
        part[order[begin:last]] = which
        last = int(np.searchsorted(start, start[begin] - apart, side="right")) if begin < len(order) else begin
    part[order[first : max(first, last)]] = _TRAIN


def _drop_overlaps(dataset: Dataset, part: Indices) -> None:
    """Drop what shares a sample with a part that counts more: training with any, validation with test."""
    positioned = dataset.start != INDEPENDENT
    reach = dataset.length - 1
    for loser, winners in ((_TRAIN, (_VALIDATION, _TEST)), (_VALIDATION, (_TEST,))):
        losing = np.flatnonzero(positioned & (part == loser))
        winning = np.flatnonzero(positioned & np.isin(part, winners))
        span = int(dataset.start.max()) + 4 * dataset.length  # groups laid end to end, too far apart to touch
        places = np.sort(dataset.group[winning] * span + dataset.start[winning])
        own = dataset.group[losing] * span + dataset.start[losing]
        touches = np.searchsorted(places, own - reach) < np.searchsorted(places, own + reach, side="right")
        part[losing[touches]] = _DROPPED


def _check_classes(dataset: Dataset, part: Indices, shares: _Shares) -> None:
    """Raise where a class has nothing to train on or to validate."""
    problems: list[str] = []
    for label, name in enumerate(dataset.classes):
        own = dataset.label == label
        lacking = [
            what
            for which, what in ((_TRAIN, "training"), (_VALIDATION, "validation"))
            if not (own & (part == which)).any()
        ]
        if lacking:
            problems.append(
                f"class {name!r} has nothing left for {' or '.join(lacking)}: {_need(dataset, own, shares)}"
            )
    if problems:
        raise RecordingError("; ".join(problems))


def _need(dataset: Dataset, own: NDArray[np.bool_], shares: _Shares) -> str:
    """Return how much more of a class would do."""
    parts = shares.parts
    groups = len(np.unique(dataset.group[own]))
    more_groups = max(1, max(parts, WHOLE_GROUPS) - groups)
    if (dataset.start[own] == INDEPENDENT).all():
        return f"it has {groups} windows, add {more_groups} or more"
    per_window = dataset.length / dataset.rate_hz
    seconds = 2 * parts * per_window  # a block of a window or more for each part, and a window between
    return f"add {more_groups} or more recordings, or one of at least {seconds:.3g} s"
