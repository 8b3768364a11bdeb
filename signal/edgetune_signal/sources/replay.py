"""Plays recordings as a source: real time, faster, or as fast as consumed; switchable while running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetune_signal.errors import RecordingError, SourceEnded, SourceError, SourceOptionsError
from edgetune_signal.files import (
    CHANNEL_KEYS,
    SUFFIXES,
    ReadOptions,
    file_suffix,
    open_file,
    read_series,
    whole_recording,
)
from edgetune_signal.options import OptionReader
from edgetune_signal.recordings import is_snapshots
from edgetune_signal.sources.paced import DEFAULT_BLOCK_S, PacedSource
from edgetune_signal.stream import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_signal.recordings import Recording, SnapshotSeries
    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import Samples

FRACTIONS = (".wav", ".flac")
NOTES = (".txt", ".dat")
"""Kinds of files that are recordings only where they are named: in a folder they may be anything."""


class _MisfitError(SourceError):
    """A recording is not what the stream is."""


class _LackError(SourceError):
    """A file does not say what it has to, and no option does."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What files do not say of themselves.

    Attributes
    ----------
    rate_hz
        Rate, for files that do not say it.
    channel_key, variable
        Which accelerometer of the CWRU data; which of the things that a file holds.
    columns
        Which channels; empty for all.
    full_scale
        For files whose samples are fractions of it, in the stream's unit; None where it was not given.
    unit
        Unit, for files that do not say it; by default the stream's.
    """

    spec: StreamSpec
    rate_hz: float | None
    channel_key: str
    variable: str | None
    columns: tuple[str, ...]
    full_scale: float | None
    unit: str | None

    def lack(self, file: Path) -> tuple[str, str] | None:
        """Return the option that has to be given before ``file`` can be read, and why; None where none is missing."""
        if self.full_scale is None and file_suffix(file) in FRACTIONS:
            return "full_scale", f"is missing: how many {self.spec.unit} is the largest value of {file}?"
        return None

    def read(self, path: Path) -> _Track:
        """Read a file; `RecordingError` where that fails."""
        lack = self.lack(path)
        if lack is not None:
            raise RecordingError(" ".join(lack))
        options = ReadOptions(
            columns=self.columns,
            rate_hz=self.rate_hz,
            unit=self.unit or (self.spec.unit if file_suffix(path) in FRACTIONS else None),
            variable=self.variable,
            full_scale=self.full_scale,
            channel_key=self.channel_key,
        )
        if file_suffix(path) == ".npz" and is_snapshots(path):
            return _Track.of_snapshots(read_series(path, options))
        file = open_file(path, options)
        if file.info.rate_hz is None:
            raise _LackError(f"rate_hz is missing: {path} does not say its own")
        return _Track.of_recording(whole_recording(path, file))


@dataclass(frozen=True, slots=True)
class _Track:
    """What is played: a recording, or a series of snapshots of ``length`` samples with pauses between."""

    rate_hz: float
    channels: int
    unit: str
    length: int
    count: int
    samples: Callable[[int], Samples]
    begins_s: Callable[[int], float]

    @classmethod
    def of_recording(cls, recording: Recording) -> _Track:
        channels, length = recording.samples.shape
        return cls(recording.rate_hz, channels, recording.unit, length, 1, lambda _: recording.samples, lambda _: 0.0)

    @classmethod
    def of_snapshots(cls, series: SnapshotSeries) -> _Track:
        count, channels, length = series.samples.shape
        return cls(
            series.rate_hz,
            channels,
            series.unit,
            length,
            count,
            series.snapshot,
            lambda number: float(series.time_s[number]),
        )

    def pause_s(self, number: int) -> float:
        """Return the seconds before a snapshot, after the one before."""
        if number == 0:
            return 0.0
        return max(0.0, self.begins_s(number) - self.begins_s(number - 1) - self.length / self.rate_hz)


class _RecordingPlayer:
    """Play the recordings of a folder, one at a time."""

    def __init__(self, files: Mapping[str, Path], reading: _Reading, *, loop: bool) -> None:
        self._files = files
        self._reading = reading
        self._loop = loop
        self._track: _Track | None = None
        self._samples: Samples | None = None
        self._playing = ""
        self._number = 0
        self._position = 0
        self._seam = False
        self._started = False

    def play(self, n: int) -> tuple[Samples, bool]:
        track = self._track
        if track is None:
            raise SourceEnded("no recording is selected")
        if self._number >= track.count:
            if not self._loop:
                raise SourceEnded("the recording is at its end (loop = true plays it again)")
            self._number, self._seam = 0, True
        if self._samples is None:
            self._samples = track.samples(self._number)
            self._seam = self._seam or self._number > 0
        samples = self._samples[:, self._position : self._position + n].copy()
        self._position += samples.shape[1]
        if self._position >= track.length:
            self._number, self._position, self._samples = self._number + 1, 0, None
        gap = self._seam and self._started
        self._seam, self._started = False, True
        return samples, gap

    def pause_s(self) -> float:
        track = self._track
        begins = track is not None and self._position == 0 and self._number < track.count
        return track.pause_s(self._number) if track is not None and begins else 0.0

    def select(self, name: str) -> None:
        path = self._files.get(name)
        if path is None:
            raise SourceError(f"there is no recording {name!r}; there are {', '.join(self._files)}")
        if name == self._playing and not self._ended:
            return  # a restart would be a gap in what goes on
        try:
            track = self._reading.read(path)
        except RecordingError as error:
            raise SourceError(f"recording {name!r} cannot be played: {error}") from error
        self._check_fit(name, track)
        self._track, self._samples = track, None
        self._number, self._position, self._seam = 0, 0, True
        self._playing = name

    @property
    def _ended(self) -> bool:
        return not self._loop and self._track is not None and self._number >= self._track.count

    def _check_fit(self, name: str, recording: _Track) -> None:
        spec = self._reading.spec
        differences: list[str] = []
        if recording.rate_hz != spec.rate_hz:
            differences.append(f"{recording.rate_hz:g} Hz where the stream has {spec.rate_hz:g}")
        if recording.channels != spec.channels:
            differences.append(
                f"{recording.channels} channels where the stream has {spec.channels} (columns chooses some)"
            )
        if recording.unit and recording.unit != spec.unit:
            differences.append(f"unit {recording.unit!r} where the stream has {spec.unit!r}")
        if differences:
            raise _MisfitError(
                f"recording {name!r} has {' and '.join(differences)}: "
                f"set the stream to the recording's values, or choose another recording"
            )


def open_replay(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Open a recording, or a folder of them.

    Parameters
    ----------
    spec
        What every played recording must have; a recording without a unit is taken to be in the stream's.
    options
        ``path`` (a file of a kind in `SUFFIXES`, or a folder of them), ``select`` (stem of the one
        to begin with; by default the first by name), ``loop``, ``speed`` (1 = real time, 0 = as fast as consumed),
        ``block_s`` (duration of a chunk), ``select_file``; and what files do not say: ``rate_hz``, ``unit``,
        ``columns``, ``variable``, ``full_scale`` (WAV and FLAC), ``channel_key`` (``DE``, ``FE`` or ``BA``,
        of the CWRU data).

    Returns
    -------
    Source
        After a switch and at a loop's seam a chunk carries ``gap``. So does each snapshot of a series, which is an
        ``.npz`` with ``samples (snapshots, channels, n)`` and ``interval_s`` or ``time_ns``. Selecting what is playing
        changes nothing, unless it has ended: then it plays again.

    Raises
    ------
    SourceOptionsError
        Options are wrong, every problem is named; or the first recording does not fit the stream.
    SourceError
        The first recording cannot be read.
    """
    reader = OptionReader("replay", options)
    path = reader.text("path", None)
    select = reader.text("select", None)
    loop = reader.flag("loop", default=False)
    speed = reader.number("speed", 1.0, minimum=0.0, maximum=1e4)
    block_s = reader.number("block_s", DEFAULT_BLOCK_S, minimum=1e-4, maximum=10.0)
    select_file = reader.text("select_file", None)
    reading = _Reading(
        spec=spec,
        rate_hz=reader.optional_number("rate_hz", minimum=1e-3, maximum=1e7),
        channel_key=reader.choice("channel_key", "DE", CHANNEL_KEYS),
        variable=reader.text("variable", None),
        columns=reader.texts("columns", ()),
        full_scale=reader.optional_number("full_scale", minimum=1e-12, maximum=1e12),
        unit=reader.text("unit", None),
    )
    found = played_files(path) if path else []
    files = {file.stem: file for file in found}
    if path is None and not reader.given("path"):
        reader.problem("path", "is missing: name a recording or a folder of recordings")
    elif path is not None and not files:
        reader.problem("path", f"{path} is neither a recording ({' '.join(SUFFIXES)}) nor a folder that holds one")
    for file in found:
        if files[file.stem] != file:
            reader.problem(
                "path", f"{path} holds two recordings {file.stem!r}: rename {file.name} or {files[file.stem].name}"
            )
    if select is not None and files and select not in files:
        reader.problem("select", f"must be one of {', '.join(files)}, not {select!r}")
    first = select or next(iter(files), "")
    lack = reading.lack(files[first]) if first in files else None
    if lack is not None:
        reader.problem(*lack)
    reader.finish()
    player = _RecordingPlayer(files, reading, loop=loop)
    try:
        player.select(first)
    except _MisfitError as error:
        raise SourceOptionsError("replay", [f"path: {error}"]) from None
    except _LackError as error:
        raise SourceOptionsError("replay", [str(error)]) from None
    return PacedSource(player, spec, speed=speed, block_s=block_s, select_file=select_file)


def played_files(path: str) -> list[Path]:
    """Return the recordings at ``path``, sorted by name."""
    place = Path(path).expanduser()
    if place.is_file():
        return [place] if file_suffix(place) in {*SUFFIXES, ""} else []
    candidates = sorted(place.iterdir()) if place.is_dir() else []
    return [file for file in candidates if file_suffix(file) in SUFFIXES and file_suffix(file) not in NOTES]


def recorded_spec(path: str, default: StreamSpec, options: ReadOptions | None = None) -> StreamSpec:
    """Return what the first recording at ``path`` and a person say of it; ``default`` where neither does."""
    for file in played_files(path):
        try:
            info = open_file(file, options).info
        except RecordingError:
            continue
        return StreamSpec(len(info.names), info.rate_hz or default.rate_hz, info.unit or default.unit)
    return default
