"""Reads what is to be played: recordings in order of time, else of name, and series of snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal import RecordingError
from edgetune_signal.files import ImportOptions, ReadOptions, find_files, plan_labels, read_file, read_series
from edgetune_signal.recordings import is_snapshots, open_npz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_signal import Recording
    from edgetune_signal.recordings import SnapshotSeries
    from edgetune_signal.stream import Samples

BLOCK_S: Final = 0.1
"""Seconds of signal that are handed to the monitor at once."""


@dataclass(frozen=True, slots=True, eq=False)
class PlayedPiece:
    """Samples ``(channels, n)``, how long after the first of their file they begin, and whether some are missing."""

    start_s: float
    samples: Samples
    gap: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """What a person was asked to do at each sample: 0 is rest, k the k-th of ``classes``.

    Of a file that names no ``cue_classes`` everything but rest is the file's label.
    """

    values: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Play:
    """One file; its samples are read when they are played.

    Attributes
    ----------
    name, label
        The file's stem, and the class; empty where nobody says it.
    channels, rate_hz, unit
        Of the samples.
    time_ns
        UTC time of the first sample; 0 where it is not known.
    seconds, span_s
        Of signal, and from the first sample to the last with the pauses between.
    snapshots
        Whether it is a series of them.
    reading
        What a person says of the file.
    """

    path: Path
    name: str
    label: str
    channels: int
    rate_hz: float
    unit: str
    time_ns: int
    shaft_rpm: float | None
    seconds: float
    span_s: float
    snapshots: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)

    def pieces(self) -> Iterator[PlayedPiece]:
        """Return the samples in blocks, or snapshot by snapshot."""
        if self.snapshots:
            series = read_series(self.path, self.reading)
            for number, start_s in enumerate(series.time_s.tolist()):
                yield PlayedPiece(start_s, series.snapshot(number), gap=number > 0)
            return
        recording = read_file(self.path, self.reading, label=self.label)
        block = max(1, round(BLOCK_S * recording.rate_hz))
        for start in range(0, recording.samples.shape[1], block):
            yield PlayedPiece(start / recording.rate_hz, recording.samples[:, start : start + block], gap=False)

    def cue(self) -> Cue | None:
        """Return what the person was asked for; None where the file does not say.

        Raises
        ------
        RecordingError
            It is of a wrong shape, or names a class that there is not.
        """
        if self.snapshots or self.path.suffix != ".npz":
            return None
        with open_npz(self.path) as npz:
            if "cue" not in npz.names:
                return None
            values, samples = npz.array("cue"), npz.shape("samples")[1]
            names: Any = npz.array("cue_classes").tolist() if "cue_classes" in npz.names else None
        if values.shape != (samples,) or values.dtype.kind not in "iu":
            raise RecordingError(f"{self.path}: cue must be a whole number for each of {samples} samples")
        if names is None:
            return Cue((values != 0).astype(np.int64), (self.label,))
        classes = tuple(str(name) for name in names)
        if values.min() < 0 or values.max() > len(classes):
            raise RecordingError(
                f"{self.path}: cue goes from {values.min()} to {values.max()}, and cue_classes has {len(classes)} names"
            )
        return Cue(values.astype(np.int64), classes)


def find_plays(data: Path, reading: ReadOptions | None = None) -> list[Play]:
    """Find what is to be played: a file, or the files of a folder, read as a person says.

    Raises
    ------
    RecordingError
        There are none, one cannot be read, or they are not of one kind of signal.
    """
    if not data.exists():
        raise RecordingError(f"{data}: there is no such file or folder")
    own = sorted(data.glob("*.npz")) if data.is_dir() else [data] if data.suffix == ".npz" else []
    reading = reading or ReadOptions()
    found = [(path, None) for path in own] or _labelled(data)
    plays = [_play(path, label, reading) for path, label in found]
    first = plays[0]
    for play in plays:
        for name in ("channels", "rate_hz", "unit"):
            if getattr(play, name) != getattr(first, name):
                raise RecordingError(
                    f"{play.path}: {name} is {getattr(play, name)}, that of {first.path.name} {getattr(first, name)}; "
                    "play them apart"
                )
    return sorted(plays, key=lambda play: play.time_ns) if all(play.time_ns > 0 for play in plays) else plays


def _play(path: Path, label: str | None, reading: ReadOptions) -> Play:
    if path.suffix == ".npz" and is_snapshots(path):
        return _series(path, read_series(path, reading), reading)
    return _recording(path, read_file(path, reading, label=label), reading)


def _labelled(data: Path) -> list[tuple[Path, str | None]]:
    """Find files of other programs; classes are folders where there are several, else names, as a search has them."""
    if data.is_file():
        return [(data, None)]
    files = find_files([data])
    options = ImportOptions(label_from="folder" if len({file.parent for file in files}) > 1 else "name")
    labels = plan_labels([data], options)
    return [(file, labels[file].label) for file in files]


def _series(path: Path, series: SnapshotSeries, reading: ReadOptions) -> Play:
    count, channels, n = series.samples.shape
    return Play(
        path,
        path.stem,
        series.label,
        channels,
        series.rate_hz,
        series.unit,
        series.time_ns,
        series.shaft_rpm,
        count * n / series.rate_hz,
        float(series.time_s[-1]) + n / series.rate_hz,
        snapshots=True,
        reading=reading,
    )


def _recording(path: Path, recording: Recording, reading: ReadOptions) -> Play:
    return Play(
        path,
        path.stem,
        recording.label,
        int(recording.samples.shape[0]),
        recording.rate_hz,
        recording.unit,
        recording.time_ns,
        recording.shaft_rpm,
        recording.seconds,
        recording.seconds,
        reading=reading,
    )
