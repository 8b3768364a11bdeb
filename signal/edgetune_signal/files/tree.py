"""Finds the signal in a file that holds many named arrays: a MATLAB workspace, HDF5, an ``.npz`` of another program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.signal_file import (
    ColumnUse,
    ReadOptions,
    SignalInfo,
    WholeFile,
    agreed_rate,
    agreed_unit,
    as_samples,
    chosen,
    label_index,
)
from edgetune_signal.files.times import clock_of
from edgetune_signal.files.units_written import known_unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MIN_SAMPLES: Final = 16
"""An array of fewer values along its longest side is no signal."""
MAX_CHANNELS: Final = 256
LISTED: Final = 12
_RATE: Final = re.compile(
    r"(^|[._ /])(fs|sr|sampling_?rate|sample_?rate|samplerate|rate_?hz|rate|freq(uency)?|sampling_?freq\w*)$",
    re.IGNORECASE,
)
_TIME: Final = re.compile(r"(^|[._ /])(t|time|times|timestamp|ts|x_values?)$", re.IGNORECASE)
_UNIT: Final = re.compile(r"(^|[._ /])(units?|y_units?)$", re.IGNORECASE)
_SPEED: Final = re.compile(r"(^|[._ /])(rpm|shaft_?rpm)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An array or a text with its name in the file, parts divided by ``.`` or ``/``."""

    name: str
    value: Any


def find_signal(path: Path, leaves: Sequence[Leaf], options: ReadOptions) -> WholeFile:
    """Return the signal among arrays: the one that was asked for, or the only one that may be meant.

    Raises
    ------
    RecordingError
        None, or several, may be meant; the message lists them with their sizes.
    """
    label, column = _labels(path, leaves, options.label_column)
    signals = [leaf for leaf in leaves if leaf is not label and _is_signal(leaf.value)]
    times = [leaf for leaf in signals if _TIME.search(leaf.name) and _clock(leaf.value) is not None]
    candidates = [leaf for leaf in signals if leaf not in times]
    leaf = _asked(path, options.variable, signals) if options.variable is not None else _only(path, candidates)
    rows = _channels_first(leaf.value)
    names = tuple(str(number + 1) for number in range(len(rows))) if len(rows) > 1 else (leaf.name,)
    labels = None if label is None else words_of_labels(label.value)
    uses: tuple[ColumnUse, ...] = () if label is None else (ColumnUse(label.name, "label", "asked for"),)
    if column is not None:
        index = chosen(path, (column,), names)[0]
        labels, uses = words_of_labels(rows[index]), (ColumnUse(column, "label", "asked for"),)
        rows, names = np.delete(rows, index, axis=0), names[:index] + names[index + 1 :]
        if not names:
            raise RecordingError(f"{path}: has no other column than that of labels, {column}")
    if labels is not None and len(labels) != rows.shape[1]:
        where = uses[0].name
        raise RecordingError(
            f"{path}: {where} labels {len(labels)} rows, and {leaf.name} has {rows.shape[1]}: name another"
        )
    indices = chosen(path, options.columns, names)
    near = _near(leaf.name, times)
    clock = _clock(near.value) if near is not None and near.value.size == rows.shape[1] else None
    said = _number(_near(leaf.name, [each for each in leaves if _RATE.search(each.name)]))
    found = said if said is not None and said > 0 else (clock[0] if clock else None)
    rate_hz = agreed_rate(path, found, options.rate_hz)
    unit = _near(leaf.name, [each for each in leaves if _UNIT.search(each.name)])
    written = str(np.ravel(unit.value)[0]) if unit is not None and np.size(unit.value) else ""
    info = SignalInfo(
        names=tuple(names[index] for index in indices),
        rate_hz=rate_hz,
        rate_from="" if rate_hz is None else ("option" if found is None else ("file" if said else "time column")),
        unit=agreed_unit(path, known_unit(written), options.unit),
        jitter_s=clock[1] if clock else None,
        shaft_rpm=_number(_near(leaf.name, [each for each in leaves if _SPEED.search(each.name)])),
        columns=uses,
    )
    return WholeFile(info, as_samples(rows[indices]), labels=labels)


def words_of_labels(values: NDArray[Any]) -> list[str]:
    """Return labels as text, whether they are names or numbers."""
    flat = np.ravel(values)
    return (
        [str(word) for word in flat]
        if flat.dtype.kind == "U"
        else ["" if np.isnan(value) else f"{value:g}" for value in flat]
    )


def _labels(path: Path, leaves: Sequence[Leaf], wanted: str | None) -> tuple[Leaf | None, str | None]:
    """Return the array that labels the rows, or else the number of the signal's column that does."""
    if wanted is None:
        return None, None
    columns = [leaf for leaf in leaves if _is_column(leaf.value)]
    names = tuple(leaf.name for leaf in columns)
    last = tuple(re.split(r"[./]", name)[-1] for name in names)
    if wanted.isdecimal() and wanted not in (*names, *last):
        return None, wanted
    texts = [index for index, leaf in enumerate(columns) if leaf.value.dtype.kind == "U"]
    return columns[label_index(path, wanted, names if wanted in names else last, texts)], None


def _is_column(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "iufU"
        and value.size >= MIN_SAMPLES
        and max(value.shape) == value.size
    )


def _is_signal(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "iuf"
        and value.size > 0
        and sum(side > 1 for side in value.shape) in {1, 2}
        and max(value.shape) >= MIN_SAMPLES
        and sorted(value.shape)[-2] <= MAX_CHANNELS
        if isinstance(value, np.ndarray) and value.ndim > 1
        else isinstance(value, np.ndarray)
        and value.dtype.kind in "iuf"
        and value.ndim == 1
        and value.size >= MIN_SAMPLES
    )


def _channels_first(value: NDArray[Any]) -> NDArray[Any]:
    """Return ``(channels, n)``: the longer side is time."""
    flat = value.reshape([side for side in value.shape if side > 1])
    if flat.ndim == 1:
        return flat.reshape(1, -1)
    return flat if flat.shape[0] <= flat.shape[1] else flat.T


def _clock(value: NDArray[Any]) -> tuple[float, float] | None:
    """Return rate and jitter that times tell; None where they do not rise evenly."""
    seconds = np.ravel(value).astype(np.float64)
    if not np.isfinite(seconds).all():
        return None
    clock = clock_of(seconds, 4 * float(np.spacing(np.abs(seconds).max())) + 1e-12)
    return None if clock is None else (clock.rate_hz, clock.jitter_s)


def _asked(path: Path, name: str, signals: Sequence[Leaf]) -> Leaf:
    exact = [leaf for leaf in signals if leaf.name == name]
    fitting = exact or [leaf for leaf in signals if re.split(r"[./]", leaf.name)[-1] == name]
    if len(fitting) == 1:
        return fitting[0]
    what = "several signals" if fitting else "no signal"
    raise RecordingError(f"{path}: has {what} named {name!r}: set variable to one of {_listed(fitting or signals)}")


def _only(path: Path, candidates: Sequence[Leaf]) -> Leaf:
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise RecordingError(f"{path}: holds no array of at least {MIN_SAMPLES} samples")
    raise RecordingError(f"{path}: holds several signals: choose one (variable) of {_listed(candidates)}")


def _listed(leaves: Sequence[Leaf]) -> str:
    shown = [f"{leaf.name} ({' x '.join(map(str, leaf.value.shape))})" for leaf in leaves[:LISTED]]
    return ", ".join(shown) + (f" and {len(leaves) - LISTED} more" if len(leaves) > LISTED else "")


def _near(name: str, leaves: Sequence[Leaf]) -> Leaf | None:
    """Return the array that shares most of its name's beginning with another."""

    def shared(leaf: Leaf) -> int:
        count = 0
        for ours, theirs in zip(re.split(r"[./]", name), re.split(r"[./]", leaf.name), strict=False):
            if ours != theirs:
                break
            count += 1
        return count

    return max(leaves, key=shared, default=None)


def _number(leaf: Leaf | None) -> float | None:
    if (
        leaf is None
        or not isinstance(leaf.value, np.ndarray)
        or leaf.value.dtype.kind not in "iuf"
        or leaf.value.size != 1
    ):
        return None
    number = float(np.ravel(leaf.value)[0])
    return number if np.isfinite(number) else None
