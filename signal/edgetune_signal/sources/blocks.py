"""The little-endian sample block, in which samples travel over MQTT, UDP and serial lines."""

from __future__ import annotations

import codecs
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import BlockError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

MAGIC = b"ET"
BLOCK_VERSION = 1
MAX_BLOCK_BYTES = 1 << 20
MAX_BLOCK_CHANNELS = 256
MAX_UNIT_BYTES = 255

_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4"), 4: np.dtype("<f4")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_NAMES = ", ".join(f"{code} ({dtype.name})" for code, dtype in _DTYPES.items())
# magic, version, dtype, channels, length of the unit, reserved, sequence, time_ns, rate_hz, scale, samples per channel
_HEADER = struct.Struct("<2sBBHBBQqddI")
HEADER_BYTES = _HEADER.size
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""Byte order marks, and the encodings of the texts that they begin."""
_TEXT_BYTES = 512
"""Bytes that tell whether a payload is text."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples on their way from a sender.

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
    """Write a block as ``docs/reference/sample-block.md`` lays it out.

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
    kind = _kind_of_text(payload)
    if kind is not None:
        raise BlockError(
            f"offset 0: this looks like {kind}; samples are sent as binary blocks; "
            "docs/reference/sample-block.md has their layout"
        )
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


def block_bytes(beginning: bytes | bytearray) -> int | None:
    """Return the size of the block that begins so, of which at least 44 bytes are there; None where it is none."""
    magic, version, code, channels, unit_length, reserved, *_, n = _HEADER.unpack_from(beginning)
    if magic != MAGIC or version != BLOCK_VERSION or code not in _DTYPES or reserved or not channels or not n:
        return None
    return int(_HEADER.size + unit_length + channels * n * _DTYPES[code].itemsize)


def _kind_of_text(payload: bytes) -> str | None:
    """Return what kind of text was sent in place of a block; None where it may be a block or other bytes."""
    if MAGIC.startswith(payload[: len(MAGIC)]):
        return None
    encoding = next((name for mark, name in _MARKS.items() if payload.startswith(mark)), "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)("replace")  # the last letter may be cut
    text = decoder.decode(payload[:_TEXT_BYTES]).lstrip("\ufeff").strip()
    if text[:1] in ("{", "["):
        return "JSON"
    if text and "\ufffd" not in text and all(letter.isprintable() or letter.isspace() for letter in text):
        return "text"
    return None


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
