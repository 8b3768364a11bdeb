"""What every reader of a file returns: what the file says of itself, and its samples block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

ANY_LABEL = "*"
LABEL_NAMES = ("label", "class", "state", "fault", "condition", "activity", "gesture", "target")
BLOCK_SAMPLES = 1 << 18
"""Samples of all channels that a reader returns at once: 1 MiB as float32."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person says of a file; None and empty where the file is to say it.

    Attributes
    ----------
    columns
        Names of the channels, or their numbers from 1; empty for all that are no time, counter or text.
    rate_hz
        Samples per second and channel.
    unit
        Unit of the samples.
    label_column
        Name or number of a column that labels each row; `ANY_LABEL` for the only one that may be meant.
    variable
        What to read of a file that holds several things: a variable, a data set, a group, a stream.
    full_scale
        Value of the largest sample of a file whose samples are fractions of it (WAV, FLAC).
    channel_key
        Accelerometer of the bearing data of Case Western Reserve University: ``DE``, ``FE`` or ``BA``.
    """

    columns: tuple[str, ...] = ()
    rate_hz: float | None = None
    unit: str | None = None
    label_column: str | None = None
    variable: str | None = None
    full_scale: float | None = None
    channel_key: str = "DE"


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """What a reader makes of a column: ``channel``, ``time``, ``counter``, ``label`` or ``unused``, and why."""

    name: str
    use: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """What a file says of itself.

    Attributes
    ----------
    names
        Names of the channels.
    rate_hz
        Samples per second and channel; None where neither file nor options say it.
    rate_from
        What said the rate: ``file``, ``time column`` or ``option``; empty where nothing did.
    unit
        Unit of the samples; empty where neither file nor options say it.
    time_ns
        UTC of the first sample, nanoseconds since the epoch; 0 where it is not known.
    label
        Class that the file names; None where it names none.
    sensor
        What recorded it.
    shaft_rpm
        Speed of the shaft, where the file says it.
    jitter_s
        Standard deviation of the intervals of the file's clock, seconds; None without a clock.
    columns
        What was made of each column.
    """

    names: tuple[str, ...]
    rate_hz: float | None
    rate_from: str = ""
    unit: str = ""
    time_ns: int = 0
    label: str | None = None
    sensor: str = ""
    shaft_rpm: float | None = None
    jitter_s: float | None = None
    columns: tuple[ColumnUse, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SignalBlock:
    """Consecutive rows of a file.

    Attributes
    ----------
    samples
        ``float32 (channels, n)``; a value that is missing is not a number.
    seconds
        ``float64 (n,)`` by the file's clock, or None without one.
    labels
        One label a row, or None without a column of labels.
    """

    samples: Samples
    seconds: NDArray[np.float64] | None = None
    labels: list[str] | None = None


class SignalFile(Protocol):
    """A file that is open for reading."""

    @property
    def info(self) -> SignalInfo:
        """What the file says of itself."""
        ...

    @property
    def resolution_s(self) -> float:
        """Smallest step that the file's clock can show, seconds; 0 without one."""
        ...

    def blocks(self) -> Iterator[SignalBlock]:
        """Return the samples, at most `BLOCK_SAMPLES` of them at once.

        Raises
        ------
        RecordingError
            A part of the file cannot be read; the message names file and place.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WholeFile:
    """A file whose samples are in memory, as libraries return them."""

    info: SignalInfo
    samples: Samples
    resolution_s: float = 0.0
    labels: list[str] | None = None

    def blocks(self) -> Iterator[SignalBlock]:
        """Return the samples block by block."""
        channels, n = self.samples.shape
        step = max(1, BLOCK_SAMPLES // channels)
        for start in range(0, n, step):
            labels = None if self.labels is None else self.labels[start : start + step]
            yield SignalBlock(self.samples[:, start : start + step], None, labels)


def as_samples(values: NDArray[Any]) -> Samples:
    """Return numbers of any kind as ``float32``; one that is too large becomes infinite, which `pieces` refuses."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def agreed_rate(path: Path, found: float | None, given: float | None) -> float | None:
    """Return the rate that file and option agree on.

    Raises
    ------
    RecordingError
        They differ by more than a thousandth.
    """
    if found is None or given is None:
        return given if found is None else found
    if abs(found - given) > 1e-3 * found:
        raise RecordingError(f"{path}: says {found:g} Hz where the option says {given:g} Hz: leave the option out")
    return found


def agreed_unit(path: Path, found: str, given: str | None) -> str:
    """Return the unit that file and option agree on.

    Raises
    ------
    RecordingError
        They differ.
    """
    if found and given and found != given:
        raise RecordingError(f"{path}: is in {found!r} where the option says {given!r}: leave the option out")
    return found or given or ""


def chosen(path: Path, columns: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Return the indices of the columns that were asked for, all where none was.

    Raises
    ------
    RecordingError
        One is not there; the message names those that are.
    """
    indices = []
    for column in columns:
        if column in names:
            indices.append(names.index(column))
        elif column.isdecimal() and 1 <= int(column) <= len(names):
            indices.append(int(column) - 1)
        else:
            there = ", ".join(names)
            raise RecordingError(f"{path}: has no column {column!r}: choose some of {there}, or of 1 to {len(names)}")
    if len(set(indices)) != len(indices):
        raise RecordingError(f"{path}: a column is asked for twice: {', '.join(columns)}")
    return indices or list(range(len(names)))


def label_index(path: Path, wanted: str, names: tuple[str, ...], texts: list[int]) -> int:
    """Return the index of the column of labels: the one that is named, or the only one that may be meant.

    Parameters
    ----------
    path
        The file.
    wanted
        Name or number of the column, or `ANY_LABEL`.
    names
        Of all columns.
    texts
        Columns of text.

    Raises
    ------
    RecordingError
        It is not there, or several may be meant.
    """
    if wanted != ANY_LABEL:
        return chosen(path, (wanted,), names)[0]
    named = [index for index, name in enumerate(names) if name.casefold().strip() in LABEL_NAMES]
    found = named or texts
    if len(found) != 1:
        listed = ", ".join(names[index] for index in found or range(len(names)))
        what = "several columns may be labels" if found else "no column looks like labels"
        raise RecordingError(f"{path}: {what}: name one (--label-from column:NAME) of {listed}")
    return found[0]
