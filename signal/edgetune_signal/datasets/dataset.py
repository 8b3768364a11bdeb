"""Labelled windows with everything a fair split needs: groups, positions, conditions, what is held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgetune_signal.recordings import Recording

INDEPENDENT = -1
"""`Dataset.start` of a window that shares samples with no other."""
MIN_CLASSES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled windows.

    Attributes
    ----------
    x
        ``float32 (windows, channels, length)`` in ``unit``.
    label
        ``int64 (windows,)``, index into ``classes``.
    classes
        Names of the classes; every one has windows.
    rate_hz
        Samples per second and channel.
    unit
        Physical unit of the samples; empty where it is not known.
    group
        ``int64 (windows,)``, index of what is never split between training and test.
    start
        ``int64 (windows,)``, offset of a window's first sample in its group; -1 where windows are independent.
    condition
        ``int64 (windows,)``, index into ``conditions``: load, speed, day, person.
    conditions
        Names of the conditions.
    held_out
        ``bool (windows,)``: decided at capture to be for testing only; None where nothing was decided.
    library
        ``bool (windows,)``: came from a library of other conditions and is never tested on; None without one.
    groups
        Names of the groups, or empty where they have none.
    """

    x: NDArray[np.float32]
    label: NDArray[np.int64]
    classes: tuple[str, ...]
    rate_hz: float
    unit: str
    group: NDArray[np.int64]
    start: NDArray[np.int64]
    condition: NDArray[np.int64]
    conditions: tuple[str, ...]
    held_out: NDArray[np.bool_] | None = None
    library: NDArray[np.bool_] | None = None
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def channels(self) -> int:
        """Channels of a window."""
        return int(self.x.shape[1])

    @property
    def length(self) -> int:
        """Samples of a window per channel."""
        return int(self.x.shape[2])

    def select(self, indices: NDArray[np.int64] | slice) -> Dataset:
        """Return the windows at ``indices``, in that order; classes, groups and conditions keep their numbers.

        Windows of a slice are views.
        """
        return replace(
            self,
            x=self.x[indices],
            label=self.label[indices],
            group=self.group[indices],
            start=self.start[indices],
            condition=self.condition[indices],
            held_out=None if self.held_out is None else self.held_out[indices],
            library=None if self.library is None else self.library[indices],
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 over every value, as hexadecimal digits: equal data, equal fingerprint."""
        digest = hashlib.sha256()
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                digest.update(f"{field.name} {value.dtype.str} {value.shape} ".encode())
                digest.update(np.ascontiguousarray(value).data)
            else:
                digest.update(f"{field.name} {value!r} ".encode())
        return digest.hexdigest()


def recordings_dataset(recordings: Iterable[Recording], window: int, hop: int, *, one_class: bool = False) -> Dataset:
    """Cut recordings into windows.

    Parameters
    ----------
    recordings
        All of one rate, unit and number of channels; classes are their labels, sorted.
    window, hop
        Length of a window and step to the next, in samples.
    one_class
        Whether windows of one class alone will do, as for a health model.

    Returns
    -------
    Dataset
        Recordings of the same ``group`` share one. A window that would hold samples from both sides of
        ``held_out_from`` is dropped.

    Raises
    ------
    RecordingError
        Recordings differ in rate, unit or channels, one is shorter than a window, fewer than two classes are left, or
        there are none; the message names the recordings by group.
    """
    named = ((one.group or one.label, one) for one in recordings)
    dataset = named_recordings_dataset(named, window, hop)
    return dataset if one_class else require_classes(dataset, "the recordings")


def named_recordings_dataset(recordings: Iterable[tuple[str, Recording]], window: int, hop: int) -> Dataset:
    """Cut recordings into windows, as `recordings_dataset`; messages use the given names, such as paths.

    One class alone is enough.
    """
    if window < 1 or hop < 1:
        raise RecordingError(f"window and hop must be at least 1 sample, not {window} and {hop}")
    named = list(recordings)
    if not named:
        raise RecordingError("there are no recordings")
    _check_alike(named)
    units = {one.unit for _, one in named if one.unit}
    groups: dict[str, int] = {}
    next_start: dict[str, int] = {}
    conditions: dict[str, int] = {}
    classes = sorted({one.label for _, one in named})
    pieces: list[NDArray[np.float32]] = []
    columns: list[NDArray[np.int64]] = []
    for name, one in named:
        length = one.samples.shape[1]
        if length < window:
            raise RecordingError(f"{name}: {length} samples are shorter than a window of {window}: record longer")
        starts = np.arange(0, length - window + 1, hop)
        starts = starts[(starts + window <= one.held_out_from) | (starts >= one.held_out_from)]
        group = one.group or name
        number = groups.setdefault(group, len(groups))
        offset = next_start.get(group, 0)
        next_start[group] = offset + length + 2 * window  # recordings of one group never seem to touch
        rows = np.empty((6, len(starts)), dtype=np.int64)
        rows[0] = classes.index(one.label)
        rows[1] = number
        rows[2] = offset + starts
        rows[3] = conditions.setdefault(one.condition, len(conditions))
        rows[4] = starts >= one.held_out_from
        rows[5] = one.held_out_from < length
        columns.append(rows)
        views = np.lib.stride_tricks.sliding_window_view(one.samples, window, axis=1)
        pieces.append(np.ascontiguousarray(views[:, starts].transpose(1, 0, 2), dtype=np.float32))
    label, group_number, start, condition, held_out, decided = np.concatenate(columns, axis=1)
    return finished(
        Dataset(
            x=np.concatenate(pieces),
            label=label,
            classes=tuple(classes),
            rate_hz=float(named[0][1].rate_hz),
            unit=units.pop() if units else "",
            group=group_number,
            start=start,
            condition=condition,
            conditions=tuple(conditions),
            held_out=held_out.astype(np.bool_) if decided.any() else None,
            groups=tuple(groups),
        ),
        "the recordings",
    )


def finished(dataset: Dataset, where: str) -> Dataset:
    """Drop classes without windows; `RecordingError` where there is no window or a sample is not finite."""
    if not len(dataset):
        raise RecordingError(f"{where}: there is not a single window")
    if not np.isfinite(dataset.x).all():
        window, channel, index = (int(i) for i in np.argwhere(~np.isfinite(dataset.x))[0])
        raise RecordingError(f"{where}: sample {index} of channel {channel} in window {window} is not a finite number")
    present = np.unique(dataset.label)
    classes = tuple(dataset.classes[int(index)] for index in present)
    return replace(dataset, label=np.searchsorted(present, dataset.label).astype(np.int64), classes=classes)


def require_classes(dataset: Dataset, where: str) -> Dataset:
    """Return ``dataset``; `RecordingError` where it has one class alone, of which nothing can learn to tell apart."""
    if len(dataset.classes) < MIN_CLASSES:
        raise RecordingError(
            f"{where}: only class {dataset.classes[0]!r} has windows, and telling apart takes two: "
            f"add recordings of another class"
        )
    return dataset


def merge_library(dataset: Dataset, library: Dataset) -> Dataset:
    """Add a library of other conditions to a data set; the library's windows never are test windows.

    Parameters
    ----------
    dataset
        The new data, of the condition that counts.
    library
        Older data, with windows of the same shape. Its classes are matched by name and those the new data lack are
        added. Left out are: windows held out when they were captured, and groups that stand in ``dataset`` too.

    Raises
    ------
    RecordingError
        The two differ in channels, window, rate or unit.
    """
    problems = [
        f"{name} {theirs} where the data have {ours}"
        for name, ours, theirs in (
            ("channels", dataset.channels, library.channels),
            ("window", dataset.length, library.length),
            ("rate", dataset.rate_hz, library.rate_hz),
            ("unit", dataset.unit or library.unit, library.unit or dataset.unit),
        )
        if ours != theirs
    ]
    if problems:
        raise RecordingError(f"the library does not fit the data: it has {', '.join(problems)}")
    usable = _usable_of(library, dataset)
    added = library.select(np.flatnonzero(usable))
    classes = dataset.classes + tuple(name for name in library.classes if name not in dataset.classes)
    conditions = dataset.conditions + tuple(name for name in library.conditions if name not in dataset.conditions)
    class_of = np.array([classes.index(name) for name in library.classes], dtype=np.int64)
    condition_of = np.array([conditions.index(name) for name in library.conditions], dtype=np.int64)
    first_group = int(dataset.group.max()) + 1
    named = len(dataset.groups) == first_group and bool(library.groups)
    earlier = np.zeros(len(dataset), np.bool_) if dataset.library is None else dataset.library
    merged = Dataset(
        x=np.concatenate([dataset.x, added.x]),
        label=np.concatenate([dataset.label, class_of[added.label]]),
        classes=classes,
        rate_hz=dataset.rate_hz,
        unit=dataset.unit or library.unit,
        group=np.concatenate([dataset.group, first_group + added.group]),
        start=np.concatenate([dataset.start, added.start]),
        condition=np.concatenate([dataset.condition, condition_of[added.condition]]),
        conditions=conditions,
        held_out=None
        if dataset.held_out is None
        else np.concatenate([dataset.held_out, np.zeros(len(added), np.bool_)]),
        library=np.concatenate([earlier, np.ones(len(added), np.bool_)]),
        groups=dataset.groups + library.groups if named else (),
    )
    return require_classes(finished(merged, "the data and the library"), "the data and the library")


def _usable_of(library: Dataset, dataset: Dataset) -> NDArray[np.bool_]:
    """Windows of the library that were not held out and whose group has no window in ``dataset``."""
    known = {hash(window.tobytes()) for window in dataset.x}
    twice = np.array([hash(window.tobytes()) in known for window in library.x], dtype=np.bool_)
    usable: NDArray[np.bool_] = ~np.isin(library.group, library.group[twice])
    return usable if library.held_out is None else usable & ~library.held_out


def _check_alike(named: Sequence[tuple[str, Recording]]) -> None:
    """Refuse recordings of different rates, units or channels; no unit goes with any."""
    first_name, first = named[0]
    for what, values in (
        ("rate_hz", [one.rate_hz for _, one in named]),
        ("channels", [one.samples.shape[0] for _, one in named]),
    ):
        for (name, _), value in zip(named, values, strict=True):
            if value != values[0]:
                raise RecordingError(
                    f"{name} has {what} {value:g} and {first_name} has {values[0]:g}: use recordings of one stream"
                )
    with_unit = [(name, one.unit) for name, one in named if one.unit] or [(first_name, first.unit)]
    for name, unit in with_unit:
        if unit != with_unit[0][1]:
            raise RecordingError(
                f"{name} has unit {unit!r} and {with_unit[0][0]} has {with_unit[0][1]!r}: use recordings of one unit"
            )
