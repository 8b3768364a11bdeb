"""Samples over MQTT: the little-endian sample block, and the source that is fed with it."""

from __future__ import annotations

import math
import struct
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.clock import Clock
from edgetune_signal.errors import BlockError, SourceEnded, SourceError
from edgetune_signal.options import OptionReader
from edgetune_signal.types import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgetune_signal.types import Samples, StreamSpec

MAGIC = b"ET"
BLOCK_VERSION = 1
MAX_BLOCK_BYTES = 1 << 20
MAX_BLOCK_CHANNELS = 256
MAX_UNIT_BYTES = 255
MAX_QUEUED_BYTES = 8 << 20
MAX_QUEUED_BLOCKS = 1024
RATE_TOLERANCE = 1e-6

_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4"), 4: np.dtype("<f4")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_NAMES = ", ".join(f"{code} ({dtype.name})" for code, dtype in _DTYPES.items())
# magic, version, dtype, channels, length of the unit, reserved, sequence, time_ns, rate_hz, scale, samples per channel
_HEADER = struct.Struct("<2sBBHBBQqddI")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples on their way through MQTT.

    Attributes
    ----------
    samples
        ``(channels, n)`` of int8, int16, int32 or float32, as the converter delivered them.
    sequence
        Counts the sender's blocks from 0; a jump means blocks were lost.
    time_ns
        UTC time of the first sample, nanoseconds since the epoch.
    rate_hz
        Samples per second and channel.
    unit
        Unit of the physical values, UTF-8, at most 255 bytes.
    scale
        Physical value = sample times scale.
    """

    samples: NDArray[Any]
    sequence: int
    time_ns: int
    rate_hz: float
    unit: str
    scale: float = 1.0

    @property
    def dtype(self) -> str:
        """``int8``, ``int16``, ``int32`` or ``float32``."""
        return str(self.samples.dtype.name)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    def physical(self) -> Samples:
        """Return the samples in ``unit``, ``float32 (channels, n)``; values too large for it become infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (self.samples * np.float64(self.scale)).astype(np.float32)


def encode_block(block: Block) -> bytes:
    """Write a block as ``signal/README.md`` lays it out.

    Raises
    ------
    BlockError
        A value cannot be expressed; the message names it.
    """
    samples = np.asarray(block.samples)
    code = _CODES.get(samples.dtype.newbyteorder("<"))
    unit = block.unit.encode()
    checks = {
        f"samples must be of dtype {_NAMES}, not {samples.dtype}": code is not None,
        f"samples must be (channels, n) and not empty, not {samples.shape}": samples.ndim == len("cn") and samples.size,
        f"unit must be at most {MAX_UNIT_BYTES} bytes, not {len(unit)}": len(unit) <= MAX_UNIT_BYTES,
        f"sequence must be from 0 to 2**64 - 1, not {block.sequence}": 0 <= block.sequence < 1 << 64,
        f"time_ns must fit 64 bits, not {block.time_ns}": -(1 << 63) <= block.time_ns < 1 << 63,
        f"rate_hz must be finite and positive, not {block.rate_hz}": _is_positive(block.rate_hz),
        f"scale must be finite and not 0, not {block.scale}": math.isfinite(block.scale) and block.scale,
    }
    for problem, fine in checks.items():
        if not fine:
            raise BlockError(problem)
    channels, n = samples.shape
    size = _HEADER.size + len(unit) + samples.nbytes
    if channels > MAX_BLOCK_CHANNELS or size > MAX_BLOCK_BYTES:
        raise BlockError(
            f"a block has at most {MAX_BLOCK_CHANNELS} channels and {MAX_BLOCK_BYTES} bytes, "
            f"not {channels} and {size}: send smaller blocks"
        )
    header = _HEADER.pack(
        *(MAGIC, BLOCK_VERSION, code, channels, len(unit), 0),
        *(block.sequence, block.time_ns, block.rate_hz, block.scale, n),
    )
    return header + unit + samples.T.astype(samples.dtype.newbyteorder("<")).tobytes()


def decode_block(payload: bytes) -> Block:
    """Read a block.

    Raises
    ------
    BlockError
        The bytes are no block; the message names the offset and what is expected there. Nothing else is ever raised,
        and no memory beyond the payload's size is taken.
    """
    if len(payload) > MAX_BLOCK_BYTES:
        raise BlockError(f"a block has at most {MAX_BLOCK_BYTES} bytes, this has {len(payload)}: send smaller blocks")
    if len(payload) < _HEADER.size:
        raise BlockError(f"offset {len(payload)}: the block ends inside its header of {_HEADER.size} bytes")
    header = _HEADER.unpack_from(payload)
    magic, version, code, channels, unit_length, reserved, sequence, time_ns, rate_hz, scale, n = header
    for offset, fine, expected, found in (
        (0, magic == MAGIC, f"the magic {MAGIC!r}", magic),
        (2, version == BLOCK_VERSION, f"version {BLOCK_VERSION}", version),
        (3, code in _DTYPES, f"a dtype of {_NAMES}", code),
        (4, 1 <= channels <= MAX_BLOCK_CHANNELS, f"1 to {MAX_BLOCK_CHANNELS} channels", channels),
        (7, reserved == 0, "the reserved byte 0", reserved),
        (24, _is_positive(rate_hz), "a finite positive rate_hz", rate_hz),
        (32, math.isfinite(scale) and scale != 0, "a finite scale that is not 0", scale),
        (40, n >= 1, "at least one sample per channel", n),
    ):
        if not fine:
            raise BlockError(f"offset {offset}: expected {expected}, found {found!r}")
    dtype = _DTYPES[code]
    first = _HEADER.size + unit_length
    expected_size = first + channels * n * dtype.itemsize
    if len(payload) != expected_size:
        raise BlockError(
            f"offset {first}: {n} samples of {channels} channels as {dtype.name} make a block of "
            f"{expected_size} bytes, this has {len(payload)}"
        )
    try:
        unit = payload[_HEADER.size : first].decode()
    except UnicodeDecodeError as error:
        raise BlockError(f"offset {_HEADER.size + error.start}: the unit must be UTF-8") from error
    samples = np.frombuffer(payload, dtype=dtype, offset=first).reshape(n, channels).T
    return Block(samples, sequence, time_ns, rate_hz, unit, scale)


class MqttSource:
    """A source whose blocks somebody else receives.

    Parameters
    ----------
    spec
        What every block must be; another one is refused and counted, and the stream goes on.
    clock
        Where the time comes from.

    Attributes
    ----------
    dropped
        Blocks dropped, oldest first, because nobody read them in time.
    refused
        Blocks that were malformed, repeated or did not fit ``spec``.
    last_error
        Why the last one was refused, or None.
    """

    def __init__(
        self, spec: StreamSpec, options: Mapping[str, object] | None = None, *, clock: Clock | None = None
    ) -> None:
        OptionReader("mqtt", options or {}).finish()
        self.spec = spec
        self.dropped = 0
        self.refused = 0
        self.last_error: str | None = None
        self._clock = clock or Clock()
        self._payloads: deque[bytes] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closed = False
        self._last: tuple[int, int] | None = None  # the sender's sequence and time
        self._sequence = 0

    def feed(self, payload: bytes | bytearray) -> None:
        """Take a block as it came from the broker; only queues it, from any thread, and never raises."""
        with self._lock:
            self._payloads.append(bytes(payload))
            self._queued_bytes += len(payload)
            while len(self._payloads) > MAX_QUEUED_BLOCKS or self._queued_bytes > MAX_QUEUED_BYTES:
                self._queued_bytes -= len(self._payloads.popleft())
                self.dropped += 1
            self._arrived.set()

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next block that fits the stream, or None when none came within ``timeout_s``.

        Raises
        ------
        SourceEnded
            The source was closed.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            payload = self._next_payload()
            if payload is not None:
                chunk = self._accept(payload)
                if chunk is not None:
                    return chunk
                continue
            left = deadline - self._clock.monotonic()
            if left <= 0 or not self._clock.wait(self._arrived, left):
                return None

    def select(self, name: str) -> None:
        """Refuse: what is played is up to the sender."""
        raise SourceError(f"an mqtt source cannot switch to {name!r}: nothing can be selected, the sender decides")

    def close(self) -> None:
        """End the stream and wake a waiting reader."""
        with self._lock:
            self._closed = True
            self._arrived.set()

    def _next_payload(self) -> bytes | None:
        with self._lock:
            if self._closed:
                raise SourceEnded("the source was closed")
            if not self._payloads:
                self._arrived.clear()
                return None
            payload = self._payloads.popleft()
            self._queued_bytes -= len(payload)
            return payload

    def _accept(self, payload: bytes) -> Chunk | None:
        try:
            block = decode_block(payload)
            self._check_fit(block)
        except (BlockError, SourceError) as error:  # one bad block must not end the stream
            self.refused += 1
            self.last_error = str(error)
            return None
        gap = self._last is not None and block.sequence != self._last[0] + 1
        self._last = (block.sequence, block.time_ns)
        chunk = Chunk(block.physical(), block.time_ns, self.spec.rate_hz, self._sequence, gap=gap)
        self._sequence += 1
        return chunk

    def _check_fit(self, block: Block) -> None:
        spec = self.spec
        where = f"block {block.sequence}"
        if self._last == (block.sequence, block.time_ns):
            raise SourceError(f"{where} came twice")
        if not math.isclose(block.rate_hz, spec.rate_hz, rel_tol=RATE_TOLERANCE):
            raise SourceError(f"{where} has {block.rate_hz:g} Hz where the stream has {spec.rate_hz:g}")
        if block.channels != spec.channels:
            raise SourceError(f"{where} has {block.channels} channels where the stream has {spec.channels}")
        if block.unit != spec.unit:
            raise SourceError(f"{where} has unit {block.unit!r} where the stream has {spec.unit!r}")


def open_mqtt(spec: StreamSpec, options: Mapping[str, object]) -> MqttSource:
    """Open a source that is fed with sample blocks; it has no options.

    Raises
    ------
    SourceOptionsError
        An option was given.
    """
    return MqttSource(spec, options)


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
