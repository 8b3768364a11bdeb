"""What each source costs, per second of signal: three channels at 25.6 kHz, one core. Run by ``make bench``.

Counted is the processor time of the thread that reads, not that of whoever sends. A source whose extra is not installed
is left out, and named.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
import tty
import zlib
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.io import savemat, wavfile

from edgetune_signal import Block, Recording, SourceEnded, SourceError, StreamSpec, encode_block, open_source
from edgetune_signal.recordings.recording import write_recording
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_signal import Source

RATE, CHANNELS = 25_600, 3
SPEC = StreamSpec(CHANNELS, float(RATE), "g")
N = 512
"""Samples that come at once: 20 ms."""
SECONDS = 4.0
"""Signal that is measured."""
SAMPLES = BearingSimulator(rate_hz=RATE, channels=CHANNELS, condition="inner_moderate").generate(10 * RATE)
RAW = (SAMPLES[:, :N] * 1000).astype(np.int16)

Cost = tuple[float, float]
"""Processor seconds, and seconds of signal they were for."""


def cost(source: Source, feed: Callable[[int], object], *, timeout_s: float = 0.2) -> Cost:
    """Feed and read by turns; only reading counts."""
    took = signal_s = 0.0
    for number in count():
        feed(number)
        started = time.thread_time()
        chunk = source.read(timeout_s)
        took += time.thread_time() - started
        if chunk is not None and number > 5:  # what is set up at the start is paid once
            signal_s += chunk.samples.shape[1] / chunk.rate_hz
        elif number <= 5:
            took = 0.0
        if signal_s > SECONDS:
            return took, signal_s
    raise AssertionError


def block(number: int) -> bytes:
    """Encode 20 ms of signal."""
    return encode_block(Block(RAW, number, 0, float(RATE), "g", 0.001))


def simulated() -> Cost:
    """Include making the signal."""
    return cost(open_source("simulated", SPEC, {"speed": 0}), lambda _: None)


def file_cost(path: Path, **options: Any) -> Cost:
    """Include opening and reading the file; once before, since the first file of a process pays for all imports."""
    played(path, **options)
    return played(path, **options)


def played(path: Path, **options: Any) -> Cost:
    """Play a file once."""
    started = time.thread_time()
    samples = 0
    with closing(open_source("replay", SPEC, {"path": str(path), "speed": 0, **options})) as source:
        try:
            while (chunk := source.read(1.0)) is not None:
                samples += chunk.samples.shape[1]
        except SourceEnded:
            pass
    return time.thread_time() - started, samples / RATE


def files(folder: Path) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """Write ten seconds in every format."""
    write_recording(folder / "a.npz", Recording(SAMPLES, float(RATE), "normal", unit="g"))
    savemat(folder / "b.mat", {"v": SAMPLES})
    wavfile.write(folder / "c.wav", RATE, SAMPLES.T)
    np.savetxt(folder / "d.csv", SAMPLES.T, "%.5f", delimiter=",")
    yield "replay .npz, read once", lambda: file_cost(folder / "a.npz")
    yield "replay .mat", lambda: file_cost(folder / "b.mat", variable="v", rate_hz=RATE)
    yield "replay .wav", lambda: file_cost(folder / "c.wav", full_scale=1.0)
    yield "replay .csv", lambda: file_cost(folder / "d.csv", rate_hz=RATE)


def mqtt() -> Cost:
    """Decode blocks; the broker's connection is not counted."""
    source: Any = open_source("mqtt", SPEC, {})
    return cost(source, lambda number: source.feed(block(number)))


def udp() -> Cost:
    """Over the loopback."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        with closing(open_source("udp", SPEC, {"port": port, "host": "127.0.0.1"})) as source:
            source.read(0.0)
            return cost(source, lambda number: sender.sendto(block(number), ("127.0.0.1", port)))


def iio(folder: Path) -> Cost:
    """Read a FIFO in the place of ``/dev/iio:device0``, 16 bytes a record."""
    device = folder / "sys/bus/iio/devices/iio:device0"
    formats = {f"accel_{axis}": "le:s16/16>>0" for axis in "xyz"} | {"timestamp": "le:s64/64>>0"}
    contents = {"name": "bench", "in_accel_scale": "0.01", "buffer/enable": "0", "buffer/length": "0"}
    for index, (name, layout) in enumerate(formats.items()):
        place = f"scan_elements/in_{name}"
        contents |= {f"{place}_en": "0", f"{place}_index": str(index), f"{place}_type": layout}
    for name, content in contents.items():
        (device / name).parent.mkdir(parents=True, exist_ok=True)
        (device / name).write_text(content)
    (folder / "dev").mkdir()
    os.mkfifo(folder / "dev/iio:device0")
    writer = os.open(folder / "dev/iio:device0", os.O_RDWR)
    records = np.zeros(N, np.dtype([("x", "<i2", 3), ("_", "<i2"), ("ns", "<i8")]))
    records["x"] = RAW.T

    def measure(number: int) -> None:
        records["ns"] = (np.arange(N) + number * N) * 10**9 // RATE
        os.write(writer, records.tobytes())

    with ExitStack() as stack:
        stack.callback(os.close, writer)
        source = stack.enter_context(closing(open_source("iio", SPEC, {"root": str(folder)})))
        source.read(0.0)
        return cost(source, measure)


def serial(kind: str) -> Cost:
    """Over a pty."""
    end, other = os.openpty()
    tty.setraw(other)
    per_write = N if kind == "block" else N // 8  # a pty holds 4 KiB
    text = b"".join(b"%d,%d,%d\n" % tuple(row) for row in RAW.T[:per_write].tolist())

    def send(number: int) -> None:
        frame = block(number) if kind == "block" else b""
        os.write(end, frame + zlib.crc32(frame).to_bytes(4, "little") if frame else text)

    with ExitStack() as stack:
        stack.callback(os.close, end)
        options = {"port": os.ttyname(other), "format": kind}
        source = stack.enter_context(closing(open_source("serial", SPEC, options)))
        source.read(0.0)
        os.close(other)
        return cost(source, send, timeout_s=0.0)


def lsl(folder: Path) -> Cost:
    """Over the loopback, through liblsl."""
    config = folder / "lsl.cfg"
    config.write_text("[multicast]\nResolveScope = machine\nAddressesOverride = {127.0.0.1}\n[log]\nlevel = -3\n")
    os.environ["LSLAPICFG"] = str(config)
    with closing(open_source("lsl", SPEC, {"stream": "edgetune-bench"})) as source:
        import pylsl

        outlet = pylsl.StreamOutlet(pylsl.StreamInfo("edgetune-bench", "accel", CHANNELS, RATE, "float32", "bench"))
        source.read(0.0)
        rows = np.ascontiguousarray(SAMPLES[:, :N].T)
        return cost(source, lambda _: outlet.push_chunk(rows))


def brainflow() -> Cost:
    """The synthetic board has its own rate, and keeps to real time."""
    spec = StreamSpec(16, 250.0, "uV")
    with closing(open_source("brainflow", spec, {"board": "SYNTHETIC_BOARD"})) as source:
        return cost(source, lambda _: None)


def lowered(rate_hz: float) -> Cost:
    """Take what lowering the rate costs alone: samples are fed at hand."""
    options = {"sensor_rate_hz": RATE}
    source: Any = open_source("mqtt", StreamSpec(CHANNELS, rate_hz, "g"), options)
    return cost(source, lambda number: source.feed(block(number)))


def main() -> None:
    """Print the table."""
    table = Table(title=f"cost of one second of {CHANNELS} channels at {RATE / 1000:g} kHz, one core")
    for name in ("source", "ms", "times real time"):
        table.add_column(name, justify="left" if name == "source" else "right")
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works: dict[str, Callable[[], Cost]] = {
            "simulated, with making it": simulated,
            **dict(files(folder)),
            "mqtt": mqtt,
            "udp": udp,
            "iio": lambda: iio(folder),
            "serial, frames": lambda: serial("block"),
            "serial, lines": lambda: serial("lines"),
            "lsl": lambda: lsl(folder),
            "brainflow (16 channels at 250 Hz)": brainflow,
            "mqtt, lowered to 12.8 kHz": lambda: lowered(12_800.0),
            "mqtt, lowered to 12 kHz": lambda: lowered(12_000.0),
        }
        for work_name, work in works.items():
            try:
                took, signal_s = work()
            except SourceError as error:
                missing.append(str(error))
                continue
            table.add_row(work_name, f"{1e3 * took / signal_s:.2f}", f"{signal_s / took:,.0f}")
    console = Console(width=100)
    console.print(table)
    for reason in missing:
        console.print(f"left out: {reason}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
