"""Accelerometers (and other sensors) of Linux' industrial I/O, read from sysfs and ``/dev/iio:deviceN`` directly."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import SourceError
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.iio_format import ScanDecoder, ScanFormat
from edgetune_signal.sources.iio_tree import (
    TIMESTAMP,
    Attributes,
    choose_trigger,
    enable_elements,
    find_device,
    scan_elements,
    set_rate,
)
from edgetune_signal.sources.live import BLOCK_S, LiveSource, Piece, Waiter, cut_at_gaps
from edgetune_signal.stream import unit_factor, units_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import StreamSpec

BASE_UNITS = {"accel": "m/s2", "voltage": "mV"}
"""What a raw value is in after offset and scale, by the kernel's ABI."""
AXES = ("accel_x", "accel_y", "accel_z")
BUFFER_S = 2.0
"""Signal that the kernel keeps while nobody reads."""
READ_BYTES = 1 << 16
FULL_SCALE_SLACK = 0.02
"""Sensors called +-16 g reach 15.99."""


class IioDevice:
    """A device of the industrial I/O subsystem, with its buffer.

    Parameters
    ----------
    spec
        What it has to deliver; ``counts`` for raw values.
    root
        Where ``sys`` and ``dev`` are.
    device
        Its name or ``iio:deviceN``; None for the only one.
    elements
        Scan elements to read, one per channel.
    trigger
        Trigger to set; None for the one that is set, or the device's own.
    full_scale
        Largest magnitude to measure, in the stream's unit, where the device has several ranges.
    """

    def __init__(
        self,
        spec: StreamSpec,
        *,
        root: Path,
        device: str | None,
        elements: tuple[str, ...],
        trigger: str | None,
        full_scale: float | None,
    ) -> None:
        self._spec = spec
        self._devices = root / "sys/bus/iio/devices"
        self._dev = root / "dev"
        self._wanted = device
        self._elements = elements
        self._trigger = trigger
        self._full_scale = full_scale
        self._waiter = Waiter()
        self._descriptor: int | None = None
        self._buffer: Attributes | None = None
        self._layout: _Layout | None = None
        self._rest = b""
        self._steps = TimeSteps(spec.rate_hz)

    def open(self) -> None:
        """Set rate, range, trigger, elements and buffer, and let it run."""
        folder = find_device(self._devices, self._wanted)
        device = Attributes(folder)
        switch = device.first("buffer/enable", "buffer0/enable")
        if switch is None:
            raise SourceError(f"{folder} cannot stream: its driver has no buffer (is the interrupt line wired?)")
        self._buffer = buffer = Attributes((folder / switch).parent)
        buffer.write("enable", "0")  # it may run on after a process that was killed
        if device.has("current_timestamp_clock"):
            device.write("current_timestamp_clock", "monotonic")  # setting the time is no gap
        choose_trigger(self._devices, folder, self._trigger)
        set_rate(self._devices, folder, _kind(self._elements[0]), self._spec.rate_hz)
        elements = Attributes(folder / ("scan_elements" if device.has("scan_elements") else "buffer0"))
        enable_elements(elements, self._elements)
        self._set_range(device, elements)
        buffer.write("length", str(max(16, round(BUFFER_S * self._spec.rate_hz))))
        if buffer.has("watermark"):
            buffer.write("watermark", str(max(1, round(BLOCK_S * self._spec.rate_hz))))
        self._layout = self._read_layout(device, elements)
        self._rest, self._steps = b"", TimeSteps(self._spec.rate_hz)
        path = self._dev / folder.name
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(_cannot_open(path, error)) from error
        buffer.write("enable", "1")

    def receive(self, timeout_s: float) -> list[Piece]:
        """Return what the buffer holds."""
        if self._descriptor is None or self._layout is None:
            raise SourceError("the device is not open")
        if not self._waiter.readable(self._descriptor, timeout_s):
            return []
        try:
            fresh = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return []
        if not fresh:
            raise SourceError("the IIO device has gone: is it still wired, and its driver loaded?")
        held = self._rest + fresh
        whole = len(held) - len(held) % self._layout.decoder.record_bytes
        self._rest = held[whole:]
        return self._pieces(self._layout, held[:whole]) if whole else []

    def wake(self) -> None:
        """Let a waiting `receive` return."""
        self._waiter.wake()

    def close(self) -> None:
        """Stop the buffer and let the device go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._buffer is not None:
            with suppress(SourceError):  # a device that was unplugged has nothing to stop
                self._buffer.write("enable", "0")
            self._buffer = None

    def _pieces(self, layout: _Layout, records: bytes) -> list[Piece]:
        values = layout.decoder.decode(records)
        raw = np.stack([values[at] for at in layout.channels]).astype(np.float64)
        samples = ((raw + layout.offset) * layout.scale).astype(np.float32)
        gaps = [] if layout.timestamp is None else self._steps.gaps(values[layout.timestamp].astype(np.int64))
        return cut_at_gaps(samples, gaps)

    def _set_range(self, device: Attributes, elements: Attributes) -> None:
        if self._full_scale is None:
            return
        first = self._elements[0]
        name = device.first(f"in_{first}_scale", f"in_{_kind(first)}_scale")
        if name is None or not device.has(f"{name}_available"):
            raise SourceError(f"{device.folder} has one range only: remove full_scale")
        scan = _scan_format(elements, first)
        top = 2 ** (scan.bits - 1 if scan.signed else scan.bits) * self._factor(first)
        offered = {float(word) * top: word for word in device.read(f"{name}_available").split()}
        fitting = [most for most in sorted(offered) if most >= self._full_scale * (1 - FULL_SCALE_SLACK)]
        if not fitting:
            ranges = ", ".join(f"{most:.3g}" for most in sorted(offered))
            raise SourceError(
                f"{device.folder} measures up to {ranges} {self._spec.unit}, not full_scale = {self._full_scale:g}"
            )
        device.write(name, offered[fitting[0]])

    def _read_layout(self, device: Attributes, elements: Attributes) -> _Layout:
        enabled = [name for name in scan_elements(elements) if name in self._elements or name == TIMESTAMP]
        offsets, scales = [], []
        for name in self._elements:
            raw = self._spec.unit == "counts"
            offset = None if raw else device.first(f"in_{name}_offset", f"in_{_kind(name)}_offset")
            scale = None if raw else device.first(f"in_{name}_scale", f"in_{_kind(name)}_scale")
            offsets.append(0.0 if offset is None else device.number(offset))
            scales.append((1.0 if scale is None else device.number(scale)) * self._factor(name))
        return _Layout(
            decoder=ScanDecoder([_scan_format(elements, name) for name in enabled]),
            channels=tuple(enabled.index(name) for name in self._elements),
            timestamp=enabled.index(TIMESTAMP) if TIMESTAMP in enabled else None,
            offset=np.array(offsets)[:, None],
            scale=np.array(scales)[:, None],
        )

    def _factor(self, element: str) -> float:
        return unit_factor(BASE_UNITS.get(_kind(element), ""), self._spec.unit) or 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where channels and time stamp lie among the enabled elements, and how raw values become physical ones."""

    decoder: ScanDecoder
    channels: tuple[int, ...]
    timestamp: int | None
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]


class TimeSteps:
    """Find lost samples in the time stamps of a buffer.

    Some drivers stamp every sample, others all samples of a hardware FIFO alike; the longest run of equal stamps says
    by how much they may advance at once.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._last: int | None = None
        self._run = self._longest = 1

    def gaps(self, stamps: NDArray[np.int64]) -> list[int]:
        """Return the indices of the samples before which others are missing."""
        steps = np.diff(stamps, prepend=stamps[0] - 1 if self._last is None else self._last)
        self._last = int(stamps[-1])
        if self._longest == 1 and steps.all():  # every sample has its own
            return [int(at) for at in np.flatnonzero(steps > self._allowed_ns)]
        found = []
        for at, step in enumerate(steps.tolist()):
            if step == 0:
                self._run += 1
                self._longest = max(self._longest, self._run)
                continue
            if step > self._allowed_ns:
                found.append(at)
            self._run = 1
        return found

    @property
    def _allowed_ns(self) -> float:
        most = 1.0 if self._longest == 1 else 1.25 * self._longest  # a FIFO that is read late holds more
        return (most + 0.75) * self._period_ns


def _kind(element: str) -> str:
    """``accel`` of ``accel_x``, ``voltage`` of ``voltage0``."""
    return re.split(r"[^a-z]", element, maxsplit=1)[0]


def _scan_format(elements: Attributes, name: str) -> ScanFormat:
    try:
        return ScanFormat.parse(elements.read(f"in_{name}_type"))
    except SourceError as error:
        raise SourceError(f"{elements.folder}/in_{name}_type: {error}") from error


def _cannot_open(path: Path, error: OSError) -> str:
    advice = {
        errno.EACCES: "let the node's user read it: docs/reference/sources.md has the udev rule",
        errno.EPERM: "let the node's user read it: docs/reference/sources.md has the udev rule",
        errno.EBUSY: "another program reads it: stop it",
        errno.ENOENT: "in a container, hand it in (devices:)",
    }.get(error.errno or 0, "is the device still there?")
    return f"{path} cannot be opened: {error.strerror}; {advice}"


def open_iio(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Stream from a device of Linux' industrial I/O.

    Parameters
    ----------
    spec
        What it has to deliver; its rate must be one that the device offers.
    options
        ``device`` (name or ``iio:deviceN``, by default the only one), ``elements`` (list of scan elements, by default
        ``accel_x``, ``accel_y``, ``accel_z`` for as many as there are channels), ``trigger``, ``full_scale`` (range, in
        the stream's unit), ``root`` (where ``sys`` and ``dev`` are, by default ``/``).

    Raises
    ------
    SourceOptionsError
        Options are wrong; every problem is named.
    """
    reader = OptionReader("iio", options)
    device = reader.text("device", None)
    trigger = reader.text("trigger", None)
    root = reader.text("root", "/") or "/"
    elements = reader.texts("elements", AXES[: spec.channels])
    full_scale = reader.optional_number("full_scale", minimum=1e-9, maximum=1e9)
    if len(elements) != spec.channels or len(set(elements)) != len(elements):
        reader.problem("elements", f"must name {spec.channels} different scan elements, one per channel")
    for kind in sorted({_kind(name) for name in elements}):
        units = ("counts", *(units_like(BASE_UNITS[kind]) if kind in BASE_UNITS else ()))
        if spec.unit not in units:
            reader.problem("unit", f"of {kind} must be one of {', '.join(units)}, not {spec.unit!r}")
    reader.finish()
    made = IioDevice(spec, root=Path(root), device=device, elements=elements, trigger=trigger, full_scale=full_scale)
    return LiveSource(made, spec, f"iio {device or root}")
