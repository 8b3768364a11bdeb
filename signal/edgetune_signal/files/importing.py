"""Turns files of other programs into recordings; a file is imported whole or not at all, and so are all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.import_plan import SHOWN
from edgetune_signal.files.pieces import pieces
from edgetune_signal.files.registry import open_file
from edgetune_signal.recordings import Recording, held_out_start, write_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edgetune_signal.files.import_plan import ImportOptions, Labels
    from edgetune_signal.files.pieces import FilePiece
    from edgetune_signal.files.signal_file import ColumnUse
    from edgetune_signal.files.staging import StagedFolder

SECOND_NS: Final = 10**9
MIN_SAMPLES: Final = 16
"""Samples of a piece at least; a shorter one between two gaps is left out, and its samples are counted as missing."""
_LINE: Final = re.compile(r"\bline (\d+)")


@dataclass(frozen=True, slots=True)
class Imported:
    """A recording that was made, or would be.

    Attributes
    ----------
    name
        Stem of its file; where the signal has gaps or is long, of its files without their number.
    source
        The file that it is from.
    samples
        Instants from the first to the last, missing ones included.
    gaps
        Places where samples are missing.
    files
        Names of the files; empty in a dry run.
    columns
        What was made of each column.
    """

    name: str
    source: Path
    rate_hz: float
    rate_from: str
    channel_names: tuple[str, ...]
    samples: int
    unit: str
    label: str
    condition: str
    gaps: int
    jitter_s: float | None
    files: tuple[str, ...]
    columns: tuple[ColumnUse, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was not imported, and why."""

    file: Path
    line: int | None
    reason: str
    advice: str

    @classmethod
    def of(cls, path: Path, error: RecordingError) -> Refusal:
        """Return what an error says: all before its last colon is the reason, the rest what to do."""
        text = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
        reason, _, advice = text.rpartition(": ")
        found = _LINE.search(text)
        return cls(path, int(found[1]) if found else None, reason or text, advice if reason else "")


def import_file(
    path: Path,
    labels: Labels,
    out: StagedFolder | None,
    options: ImportOptions,
    *,
    name: str,
    take: int = 0,
    takes: int = 1,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Imported]:
    """Import a file.

    Parameters
    ----------
    path
        The file.
    labels
        What is known of it, as `plan_labels` returns it.
    out
        Folder for the recordings, to be committed when all files are imported; None makes none.
    options
        How it is read.
    name
        Stem of the recordings' files.
    take, takes
        Which take of its class this is, from 0, and how many there are; `held_out_start` takes them.
    on_progress
        Called with the share of the file that has been read, where that is known.

    Returns
    -------
    list of Imported
        One, or one for each stretch of a label where a column labels the rows.

    Raises
    ------
    RecordingError
        It cannot be read or written, says no rate, has no label, or a recording of that name is there already. Nothing
        of it is left in ``out``.
    """
    file = open_file(path, options.read)
    info = file.info
    if info.rate_hz is None:
        raise RecordingError(f"{path}: does not say its rate: give it (--rate-hz)")
    by_column = options.read.label_column is not None and options.label is None
    fixed = options.label or labels.label or info.label
    if fixed is None and not by_column:
        raise RecordingError(f"{path}: nothing says its class: give --label, --label-from or --table")
    made: list[Imported] = []
    stretches = 0
    writer = _Writer(path, out, (take, takes), info.time_ns)
    try:
        for label, parts in _by_label(pieces(file), fixed):
            if not label:  # rows that nobody labelled
                for _ in parts:
                    on_progress(float(getattr(file, "fraction", 0.0)))
                continue
            _check_class(path, label)
            stem = f"{name}-{stretches:03d}" if by_column else name
            stretches += 1
            base = Recording(
                np.zeros((1, 1), np.float32),
                info.rate_hz,
                label,
                unit=info.unit,
                sensor=options.sensor or info.sensor,
                subject=options.subject or labels.subject,
                condition=labels.condition or (f"{info.shaft_rpm:g}rpm" if info.shaft_rpm is not None else ""),
                group=stem,
                shaft_rpm=info.shaft_rpm,
            )
            first = last = gaps = count = longest = 0
            for count, piece in enumerate(parts):
                first = piece.start if count == 0 else first
                last = piece.start + piece.samples.shape[1]
                longest = max(longest, piece.samples.shape[1])
                gaps += count > 0 and piece.gap
                on_progress(float(getattr(file, "fraction", 0.0)))
                writer.add(piece, base, stem)
            files = writer.finish()
            if longest < MIN_SAMPLES:
                continue
            made.append(
                Imported(
                    name=stem,
                    source=path,
                    rate_hz=info.rate_hz,
                    rate_from=info.rate_from,
                    channel_names=info.names,
                    samples=last - first,
                    unit=info.unit,
                    label=label,
                    condition=base.condition,
                    gaps=gaps,
                    jitter_s=info.jitter_s,
                    files=files,
                    columns=info.columns,
                )
            )
    except BaseException:
        writer.undo()
        raise
    if not made:
        raise RecordingError(
            f"{path}: no {MIN_SAMPLES} samples of a class follow one another, which is no signal: is it the right file?"
        )
    return made


def recording_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a stem for each file's recordings: its own, with as many folders before it as make it unique."""
    names: dict[Path, str] = {}
    depth = dict.fromkeys(paths, 1)
    while True:
        names = {path: _name(path, depth[path]) for path in paths}
        twice = {name for name in names.values() if sum(name == other for other in names.values()) > 1}
        deeper = [path for path in paths if names[path] in twice and depth[path] < len(path.parts)]
        if not twice or not deeper:
            break
        for path in deeper:
            depth[path] += 1
    seen: dict[str, int] = {}
    for path, name in names.items():  # two suffixes of one stem
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[path] = f"{name}-{seen[name]}"
    return names


def _name(path: Path, depth: int) -> str:
    stem = path.name if path.suffix[1:].isdecimal() else path.name.split(".")[0] or path.name
    parts = [*path.parts[-depth:-1], stem]
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", "-".join(parts)).lstrip(".-_") or "recording"


def _check_class(path: Path, label: str) -> None:
    if not label.isprintable() or len(label) > SHOWN:
        raise RecordingError(
            f"{path}: {label[:SHOWN]!r} is no class, which has at most {SHOWN} printable characters: give another"
        )


def _by_label(found: Iterator[FilePiece], fixed: str | None) -> Iterator[tuple[str, Iterator[FilePiece]]]:
    """Return pieces by stretches of one label, empty without one; each must be used up before the next."""
    pending: list[FilePiece] = []

    def stretch(first: FilePiece) -> Iterator[FilePiece]:
        yield first
        for piece in found:
            if fixed is None and piece.label != first.label:
                pending.append(piece)
                return
            yield piece

    start = next(found, None)
    while start is not None:
        yield fixed or start.label or "", stretch(start)
        start = pending.pop() if pending else next(found, None)


class _Writer:
    """Write the pieces of a file's stretches; the first waits for a second, which decides on its name."""

    def __init__(self, source: Path, out: StagedFolder | None, take: tuple[int, int], time_ns: int) -> None:
        self._source = source
        self._out = out
        self._take = take
        self._time_ns = time_ns
        self._all: list[Path] = []
        self._stretch: list[Path] = []
        self._waiting: tuple[Recording, str] | None = None

    def add(self, piece: FilePiece, base: Recording, stem: str) -> None:
        """Take a piece of the present stretch."""
        n = piece.samples.shape[1]
        if self._out is None or n < MIN_SAMPLES:
            return
        time_ns = self._time_ns + round(piece.start / base.rate_hz * SECOND_NS) if self._time_ns else 0
        held_out_from = held_out_start(n, *self._take)
        recording = replace(base, samples=piece.samples, time_ns=time_ns, held_out_from=held_out_from)
        if self._waiting is not None:
            self._put(self._waiting[0], f"{stem}.part{len(self._stretch):04d}")
        self._waiting = recording, stem

    def finish(self) -> tuple[str, ...]:
        """Write what waits; return the names of the stretch's files."""
        if self._waiting is not None:
            recording, stem = self._waiting
            self._put(recording, f"{stem}.part{len(self._stretch):04d}" if self._stretch else stem)
        names = tuple(path.name for path in self._stretch)
        self._stretch, self._waiting = [], None
        return names

    def undo(self) -> None:
        """Remove everything that was written."""
        for path in self._all:
            path.unlink(missing_ok=True)

    def _put(self, recording: Recording, stem: str) -> None:
        if self._out is None:
            return
        try:
            path = self._out.path(f"{stem}.npz")
        except RecordingError as error:
            raise RecordingError(f"{self._source}: {error}") from None
        write_recording(path, recording)
        self._all.append(path)
        self._stretch.append(path)
