"""A source that plays something, at the pace of the real signal, faster, or as fast as it is consumed."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetune_signal.errors import SourceEnded, SourceError
from edgetune_signal.stream import Chunk, SourceClock, offset_ns

if TYPE_CHECKING:
    from edgetune_signal.stream import Samples, StreamSpec

DEFAULT_BLOCK_S = 0.02
SELECT_INTERVAL_S = 0.1
LATE_S = 10.0
MAX_NAME_BYTES = 256


class Player(Protocol):
    """What a `PacedSource` plays."""

    def play(self, n: int) -> tuple[Samples, bool]:
        """Return the next 1 to ``n`` samples and whether samples are missing before them; `SourceEnded` at the end."""
        ...

    def pause_s(self) -> float:
        """Return the seconds of signal between the samples played last and the next; 0 without a pause."""
        ...

    def select(self, name: str) -> None:
        """Play ``name`` from here on; `SourceError` where there is none of that name."""
        ...


class SelectFile:
    """A text file whose content names what to play now.

    Parameters
    ----------
    path
        The file; it may be absent or empty, which changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> str | None:
        """Return the name in the file if the file was written since the last call and is not empty.

        Raises
        ------
        SourceError
            The file cannot be read.
        """
        try:
            found = self._path.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
                raise SourceError(f"select_file {self._path} is no file; write the name into one")
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return None
            self._seen = seen
            with self._path.open("rb") as file:
                content = file.read(MAX_NAME_BYTES)
        except FileNotFoundError:
            self._seen = None
            return None
        except OSError as error:
            raise SourceError(f"select_file {self._path} cannot be read: {error.strerror}") from error
        return content.decode("utf-8-sig", errors="replace").strip() or None


class PacedSource:
    """Play a `Player` as a `Source`.

    Parameters
    ----------
    player
        Where the samples come from.
    spec
        What they are.
    speed
        1 for the signal's own pace, 10 for ten times that, 0 for as fast as it is consumed.
    block_s
        Duration of a chunk in seconds of signal.
    select_file
        Text file that names what to play now; looked at every 0.1 s at most.
    clock
        Where the time comes from.

    Attributes
    ----------
    last_error
        Why the last name in ``select_file`` was not played, or None; the stream goes on.

    Notes
    -----
    Time stamps run in signal time from the moment of the first read: at another speed than 1 they part from UTC. A
    reader more than 10 s late gets a chunk with ``gap`` and the present time, not a flood.
    """

    def __init__(
        self,
        player: Player,
        spec: StreamSpec,
        *,
        speed: float,
        block_s: float,
        select_file: str | None = None,
        clock: SourceClock | None = None,
    ) -> None:
        self.spec = spec
        self.last_error: str | None = None
        self._player = player
        self._speed = speed
        self._block = max(1, round(block_s * spec.rate_hz))
        self._select_file = SelectFile(Path(select_file)) if select_file else None
        self._select_due = float("-inf")
        self._clock = clock or SourceClock()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._sequence = 0
        self._start: tuple[float, int] | None = None
        self._played = 0  # samples since the start

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next chunk once its last sample is due, or None when that is later than ``timeout_s``.

        Raises
        ------
        SourceEnded
            The player is at its end, or the source was closed.
        """
        self._wait(0.0)
        now = self._clock.monotonic()
        self._follow_select_file(now)
        late = False
        if self._start is None or (late := self._due_in(now) < -LATE_S):
            self._start = (now, self._clock.utc_ns())
            self._played = 0
        with self._lock:
            pause = round(self._player.pause_s() * self.spec.rate_hz)
        due_in = self._due_in(now, pause)
        if due_in > timeout_s:
            self._wait(timeout_s)
            return None
        if due_in > 0:
            self._wait(due_in)
        with self._lock:
            samples, gap = self._player.play(self._block)
        self._played += pause
        time_ns = self._start[1] + offset_ns(self._played, self.spec.rate_hz)
        chunk = Chunk(samples, time_ns, self.spec.rate_hz, self._sequence, gap=gap or late)
        self._played += samples.shape[1]
        self._sequence += 1
        return chunk

    def select(self, name: str) -> None:
        """Play ``name`` from the next chunk on.

        Raises
        ------
        SourceError
            There is none of that name, or it does not fit the stream; what was playing goes on.
        """
        with self._lock:
            self._player.select(name)

    def close(self) -> None:
        """End the stream and wake a waiting reader."""
        self._closed.set()

    def _due_in(self, now: float, pause: int = 0) -> float:
        if self._start is None or self._speed == 0:
            return 0.0
        return self._start[0] + (self._played + pause + self._block) / (self.spec.rate_hz * self._speed) - now

    def _wait(self, seconds: float) -> None:
        if self._clock.wait(self._closed, seconds):
            raise SourceEnded("the source was closed")

    def _follow_select_file(self, now: float) -> None:
        if self._select_file is None or now < self._select_due:
            return
        self._select_due = now + SELECT_INTERVAL_S
        try:
            name = self._select_file.changed()
            if name is not None:
                self.select(name)
                self.last_error = None
        except SourceError as error:  # a wrong name must not stop a running machine
            self.last_error = str(error)
