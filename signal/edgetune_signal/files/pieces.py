"""From what a reader returns to recordings: cut where samples are missing, where the label changes, and by size."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.times import NEAR, gaps
from edgetune_signal.recordings import Recording, check_recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_signal.files.signal_file import SignalBlock, SignalFile
    from edgetune_signal.stream import Samples

PIECE_SAMPLES: Final = 1 << 23
"""Samples of all channels that a recording holds at most: 32 MiB. A longer signal becomes several of one group."""


@dataclass(slots=True)
class FilePiece:
    """Consecutive samples of one label.

    Attributes
    ----------
    samples
        ``float32 (channels, n)``.
    start
        Row of the file that it begins with, counted from 0.
    label
        What a column of labels says; None without one.
    gap
        Whether samples are missing right before it.
    """

    samples: Samples
    start: int
    label: str | None
    gap: bool


@dataclass(slots=True)
class _Open:
    parts: list[Samples] = field(default_factory=list)
    start: int = 0
    label: str | None = None
    gap: bool = False

    @property
    def count(self) -> int:
        return sum(part.shape[1] for part in self.parts)


def pieces(file: SignalFile, piece_samples: int = PIECE_SAMPLES) -> Iterator[FilePiece]:
    """Cut a file into pieces without gaps, each of one label.

    A row of which a value is missing is a gap; so is a time that goes on too far; see `times.gaps`.
    """
    row = 0
    open_ = _Open()
    breaks = _Breaks(file)
    for block in file.blocks():
        channels, n = block.samples.shape
        if np.isinf(block.samples).any():
            raise RecordingError(f"a value after row {row} is infinite: cut that part out")
        missing = np.atleast_1d(np.isnan(block.samples).any(axis=0))
        lost = breaks(block, missing)
        changes = _changes(block.labels, open_.label if open_.parts else None)
        step = max(1, piece_samples // channels)
        for start, end in pairwise(sorted({0, n} | lost | changes)):
            if (start in lost or start in changes) and open_.parts:
                yield _closed(open_)
                open_ = _Open()
            if missing[start]:
                open_ = _Open(gap=True)
                continue
            if not open_.parts:
                label = None if block.labels is None else block.labels[start]
                open_ = _Open(start=row + start, label=label, gap=(open_.gap or start in lost) and row + start > 0)
            for at in range(start, end, step):
                open_.parts.append(block.samples[:, at : min(end, at + step)])
                if open_.count >= step:
                    yield _closed(open_)
                    open_ = _Open(start=row + min(end, at + step), label=open_.label)
        row += n
    if open_.parts:
        yield _closed(open_)


class _Breaks:
    """Find the rows of a block at which something is missing, or begins again after that."""

    def __init__(self, file: SignalFile) -> None:
        self._rate_hz = file.info.rate_hz
        self._resolution_s = file.resolution_s
        self._before = np.empty(0)

    def __call__(self, block: SignalBlock, missing: NDArray[np.bool_]) -> set[int]:
        rows = {int(index) for index in np.flatnonzero(missing)}
        rows |= {index + 1 for index in rows if index + 1 < len(missing)}
        if block.seconds is not None and self._rate_hz is not None:
            rows |= set(gaps(block.seconds, self._before, self._rate_hz, self._resolution_s))
            self._before = block.seconds[-NEAR:]
        return rows


def _changes(labels: list[str] | None, last: str | None) -> set[int]:
    """Return the rows of a block whose label is another than the row's before."""
    if labels is None:
        return set()
    before = [labels[0] if last is None else last, *labels[:-1]]
    return {index for index, (old, new) in enumerate(zip(before, labels, strict=True)) if old != new}


def _closed(open_: _Open) -> FilePiece:
    return FilePiece(np.concatenate(open_.parts, axis=1), open_.start, open_.label, open_.gap)


def whole_recording(path: Path, file: SignalFile, *, label: str | None = None) -> Recording:
    """Return a file as one recording.

    Raises
    ------
    RecordingError
        Nobody says the rate, samples are missing in the middle, or there are none.
    """
    info = file.info
    if info.rate_hz is None:
        raise RecordingError(f"{path}: does not say its rate: give it (--rate-hz, or rate_hz of a source)")
    try:
        found = list(pieces(file, piece_samples=1 << 62))
    except RecordingError as error:
        raise error if str(path) in str(error) else RecordingError(f"{path}: {error}") from None
    if not found:
        raise RecordingError(f"{path}: holds no samples")
    if len(found) > 1 and found[1].gap:
        raise RecordingError(
            f"{path}: samples are missing before row {found[1].start + 1}: edgetune import cuts it there"
        )
    recording = Recording(
        np.ascontiguousarray(np.concatenate([piece.samples for piece in found], axis=1)),
        info.rate_hz,
        label or info.label or path.stem,
        unit=info.unit,
        time_ns=info.time_ns,
        sensor=info.sensor,
        condition=f"{info.shaft_rpm:g}rpm" if info.shaft_rpm is not None else "",
        group=path.stem,
        shaft_rpm=info.shaft_rpm,
    )
    check_recording(str(path), recording)
    return recording
