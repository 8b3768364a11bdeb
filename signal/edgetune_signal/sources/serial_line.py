"""Microcontrollers on a serial line (USB or UART), with pyserial."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from edgetune_signal.errors import SourceError
from edgetune_signal.hints import install_hint
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.live import LiveSource, Waiter
from edgetune_signal.sources.serial_formats import BlockParser, LineParser
from edgetune_signal.stream import SourceClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_signal.sources.base import Source
    from edgetune_signal.sources.live import Piece
    from edgetune_signal.sources.serial_formats import Parser
    from edgetune_signal.stream import StreamSpec

FORMATS = ("block", "lines")
READ_BYTES = 1 << 16
REPORT_S = 10.0
"""A noisy line is reported so often at most."""
SILENT_BYTES = 4096
"""After so much without anything that can be used, the settings are suspected."""


class SerialDevice:
    """A serial port.

    Parameters
    ----------
    port
        Its path.
    baud
        Bits per second; a USB port does not care.
    make_parser
        Makes what takes the bytes apart, anew each time the port is opened.
    clock
        Where the time comes from.

    Attributes
    ----------
    damaged, lost
        Frames or lines that could not be used, and that never came, since the start.
    """

    def __init__(self, port: str, baud: int, make_parser: Callable[[], Parser], clock: SourceClock) -> None:
        self._path = port
        self._baud = baud
        self._make_parser = make_parser
        self._clock = clock
        self._waiter = Waiter()
        self._port: Any = None
        self._parser = make_parser()
        self._before = (0, 0)  # damaged and lost until the port was opened last
        self._unused = 0
        self._reported = ((0, 0), float("-inf"))
        self._report: str | None = None

    @property
    def damaged(self) -> int:
        """Frames or lines that could not be used."""
        return self._before[0] + self._parser.damaged

    @property
    def lost(self) -> int:
        """Frames or lines that never came."""
        return self._before[1] + self._parser.lost

    @property
    def last_error(self) -> str | None:
        """How much was damaged or lost so far and why, every 10 s at most; None where nothing was."""
        counts = (self.damaged, self.lost)
        now = self._clock.monotonic()
        if self._unused > SILENT_BYTES:
            refusal = self._parser.refusal or f"nothing in {SILENT_BYTES} bytes is a frame or line"
            return f"serial {self._path}: {refusal}; are baud = {self._baud} and format what the sender uses?"
        if counts != self._reported[0] and now - self._reported[1] >= REPORT_S:
            self._reported = (counts, now)
            reason = f" ({self._parser.refusal})" if self._parser.refusal else ""
            self._report = f"serial {self._path}: {counts[0]} frames or lines damaged, {counts[1]} lost{reason}"
        return self._report

    def open(self) -> None:
        """Open the port."""
        from serial import Serial, SerialException  # an extra

        self._before, self._parser, self._unused = (self.damaged, self.lost), self._make_parser(), 0
        try:
            self._port = Serial(self._path, self._baud, timeout=0, exclusive=True)
        except (SerialException, ValueError) as error:
            raise SourceError(f"serial port {self._path} cannot be opened: {_reason(error)}") from error

    def receive(self, timeout_s: float) -> list[Piece]:
        """Return the samples that have come."""
        if self._port is None:
            raise SourceError("the port is not open")
        if not self._waiter.readable(self._port.fileno(), timeout_s):
            return []
        try:
            data = os.read(self._port.fileno(), READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise SourceError(f"serial port {self._path} was unplugged ({error.strerror})") from error
        if not data:
            raise SourceError(f"serial port {self._path} was unplugged")
        pieces = self._parser.push(data)
        self._unused = 0 if pieces else self._unused + len(data)
        return pieces

    def wake(self) -> None:
        """Let a waiting `receive` return."""
        self._waiter.wake()

    def close(self) -> None:
        """Release the port."""
        port, self._port = self._port, None
        if port is not None:
            port.close()


def _reason(error: Exception) -> str:
    from serial.tools.list_ports import comports

    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        present = ", ".join(sorted(port.device for port in comports())) or "none"
        return f"there is none of that name; there are {present}"
    if number in (errno.EACCES, errno.EPERM):
        return "no permission; let the node's user into the group dialout"
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it; stop that one"
    return str(error)


def open_serial(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Read a microcontroller on a serial line.

    Parameters
    ----------
    spec
        What it sends.
    options
        ``port`` (path, best below ``/dev/serial/by-id``), ``baud`` (115200), ``format`` (``block``: framed sample
        blocks, ``lines``: text); for ``lines``: ``scale`` (1) and ``counter`` (false).

    Raises
    ------
    SourceOptionsError
        Options are wrong; every problem is named.
    SourceError
        pyserial is not installed.
    """
    reader = OptionReader("serial", options)
    port = reader.text("port", None)
    baud = reader.integer("baud", 115_200)
    kind = reader.choice("format", "block", FORMATS)
    scale = reader.number("scale", 1.0, minimum=-1e12, maximum=1e12)
    counter = reader.flag("counter", default=False)
    if port is None and not reader.given("port"):
        reader.problem("port", "is missing: give its path, best one below /dev/serial/by-id")
    if baud == 0:
        reader.problem("baud", "must be at least 1")
    for name in ("scale", "counter"):
        if kind == "block" and reader.given(name):
            reader.problem(name, 'is for format = "lines": a block carries its own')
    reader.finish()
    try:
        import serial  # noqa: F401
    except ImportError as error:
        raise SourceError(f"source serial needs pyserial: {install_hint('serial')}") from error

    def make_parser() -> Parser:
        return BlockParser(spec) if kind == "block" else LineParser(spec, scale=scale, counter=counter)

    clock = SourceClock()
    return LiveSource(SerialDevice(port or "", baud, make_parser, clock), spec, f"serial {port}", clock=clock)
