"""Writes log lines in a thread of its own, so that a log which nobody takes neither fails nor delays the node."""

from __future__ import annotations

import errno
import io
import os
import select
import threading
import time
from collections import deque

import structlog

STDERR = 2
MAX_LINES = 1000
MAX_BYTES = 2**20
"""Lines, and their bytes, that may wait to be written. The memory of a node must not grow with its log."""
SLOW_S = 5.0
"""A write that has taken longer is told: nobody reads the pipe."""
RETRY_S = 1.0
FULL = {errno.ENOSPC, errno.EDQUOT}

log = structlog.get_logger()


class LogWriter:
    """A bounded queue of lines and the thread that writes them; usable from any thread.

    Lines that do not fit are dropped, oldest first, and counted. A full disk is tried again every second. A line that
    can never be written, as into a closed pipe, is lost at once. When lines can be written again, one says how many
    were lost.

    Parameters
    ----------
    descriptor
        Where the lines go.
    """

    def __init__(self, descriptor: int = STDERR) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()  # re-entrant: a finaliser may print while its thread puts a line
        self._closing = threading.Event()
        self._since_s: float | None = None
        self._failure: str | None = None
        self._torn = False
        self._lost = 0
        self._told = 0
        self._thread = threading.Thread(target=self._write_for_ever, name="log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were never written."""
        return self._lost

    @property
    def problem(self) -> str | None:
        """Why lines are not written now, and what to do; None where they are."""
        return self.told[0]

    @property
    def told(self) -> tuple[str | None, int]:
        """The problem, and the lines that were never written at the moment that it tells of."""
        lost, since_s, failure = self._lost, self._since_s, self._failure
        if failure is None and since_s is not None and time.monotonic() - since_s > SLOW_S:
            failure = "nobody reads the pipe"
        if failure is None:
            return None, lost
        problem = (
            f"log: stderr cannot be written: {failure}; {lost} lines were lost, {len(self._lines)} wait;"
            " free some space, or restart the node with a log that is read"
        )
        return problem, lost

    def write(self, line: str) -> None:
        """Put a line into the queue; never waits and never fails."""
        data = line.encode("utf-8", "backslashreplace")
        with self._changed:
            self._lines.append(data)
            self._bytes += len(data)
            while len(self._lines) > MAX_LINES or self._bytes > MAX_BYTES:
                self._bytes -= len(self._lines.popleft())
                self._lost += 1
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Write what waits, within ``timeout_s`` seconds."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join(timeout_s)

    # ---- in the writer's thread ----------------------------------------------------------------------------------

    def _write_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closing.is_set())
                if not self._lines:
                    return
                line = self._lines.popleft()
                self._bytes -= len(line)
            self._since_s = time.monotonic()
            written = self._write(b"\n" + line if self._torn else line)
            self._since_s = None
            if not written:
                with self._changed:
                    self._lost += 1
            elif self._lost > self._told and len(self._lines) < MAX_LINES // 2:  # else the line of this pushes one out
                lost, self._told = self._lost - self._told, self._lost
                log.warning("log lines were lost", lines=lost)

    def _write(self, line: bytes) -> bool:
        """Write all of a line; False where it is lost, perhaps with a part of it written."""
        rest = line
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else who has this pipe made it so
                select.select([], [self._descriptor], [], RETRY_S)
            except OSError as error:
                self._failure = error.strerror or repr(error)
                if error.errno not in FULL or self._closing.wait(RETRY_S):
                    self._torn = self._torn or rest is not line
                    return False
        self._torn = False
        self._failure = None
        return True


class LogStream(io.TextIOBase):
    """A text stream, to stand in for `sys.stderr`, whose lines a `LogWriter` writes."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._begun = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def write(self, text: str, /) -> int:
        """Hand over the lines that are whole; keep the rest until its end comes."""
        with self._lock:
            whole, newline, rest = (self._begun + text).rpartition("\n")
            self._begun = rest[-MAX_BYTES:]
        if newline:
            self._writer.write(whole + newline)
        return len(text)
