"""Reads WAV and FLAC files, whose samples are fractions of a full scale that nobody but a person knows."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.extras import needed
from edgetune_signal.files.signal_file import (
    BLOCK_SAMPLES,
    ReadOptions,
    SignalBlock,
    SignalInfo,
    agreed_rate,
    agreed_unit,
    chosen,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_LENGTH: Final = 0xFFFFFFFF
HEADER_BYTES: Final = 1 << 20
"""A chunk before the samples is skipped whatever its size; a format chunk is no larger."""


@dataclass(frozen=True, slots=True)
class _Format:
    code: int
    channels: int
    rate_hz: int
    bits: int
    start: int
    rows: int


@dataclass(slots=True)
class WavFile:
    """A WAV file; see `SignalFile`. ``fraction`` tells how much of it `blocks` has read."""

    path: Path
    info: SignalInfo
    _format: _Format
    _channels: tuple[int, ...]
    _full_scale: float
    resolution_s: float = 0.0
    fraction: float = 0.0

    def blocks(self) -> Iterator[SignalBlock]:
        """Return the samples block by block."""
        found = self._format
        step = max(1, BLOCK_SAMPLES // found.channels)
        size = found.channels * found.bits // 8
        with self.path.open("rb") as file:
            file.seek(found.start)
            for start in range(0, found.rows, step):
                count = min(step, found.rows - start)
                data = file.read(count * size)
                if len(data) < count * size:
                    raise RecordingError(f"{self.path}: is cut off: copy it again")
                values = _numbers(data, found).reshape(-1, found.channels)[:, list(self._channels)]
                self.fraction = (start + count) / found.rows
                with np.errstate(over="ignore"):  # what is too large is infinite, and named as that
                    samples = (values * self._full_scale).T.astype(np.float32)
                yield SignalBlock(np.ascontiguousarray(samples))


def open_wav(path: Path, options: ReadOptions) -> WavFile:
    """Open a WAV file: integers of 8 to 32 bits, or floating point of 32 or 64.

    Samples are multiplied by ``full_scale``, by default 1, of which the largest integer plus one is the whole.

    Raises
    ------
    RecordingError
        The file is no WAV, is cut off or compressed, or file and options contradict each other.
    """
    try:
        found = _format(path)
    except (OSError, struct.error) as error:
        raise RecordingError(f"{path}: cannot be read as a WAV file (PCM or floating point): {error}") from error
    names = tuple(str(number + 1) for number in range(found.channels))
    indices = chosen(path, options.columns, names)
    info = SignalInfo(
        names=tuple(names[index] for index in indices),
        rate_hz=agreed_rate(path, float(found.rate_hz), options.rate_hz),
        rate_from="file",
        unit=agreed_unit(path, "", options.unit),
    )
    return WavFile(path, info, found, tuple(indices), options.full_scale or 1.0)


def open_flac(path: Path, options: ReadOptions) -> _Flac:
    """Open a FLAC file, as `open_wav`."""
    soundfile = needed(path, "soundfile")
    try:
        found = soundfile.info(str(path))
    except RuntimeError as error:
        raise RecordingError(f"{path}: cannot be read as a FLAC file: {error}") from error
    names = tuple(str(number + 1) for number in range(found.channels))
    indices = chosen(path, options.columns, names)
    info = SignalInfo(
        names=tuple(names[index] for index in indices),
        rate_hz=agreed_rate(path, float(found.samplerate), options.rate_hz),
        rate_from="file",
        unit=agreed_unit(path, "", options.unit),
    )
    return _Flac(path, info, tuple(indices), options.full_scale or 1.0)


@dataclass(frozen=True, slots=True)
class _Flac:
    path: Path
    info: SignalInfo
    _channels: tuple[int, ...]
    _full_scale: float
    resolution_s: float = 0.0

    def blocks(self) -> Iterator[SignalBlock]:
        soundfile = needed(self.path, "soundfile")
        try:
            with soundfile.SoundFile(str(self.path)) as file:
                step = max(1, BLOCK_SAMPLES // file.channels)
                while len(values := file.read(step, dtype="float64", always_2d=True)):
                    chosen_values = values[:, list(self._channels)] * self._full_scale
                    yield SignalBlock(np.ascontiguousarray(chosen_values.T.astype(np.float32)))
        except RuntimeError as error:
            raise RecordingError(f"{self.path}: is damaged: {error}") from error


def _format(path: Path) -> _Format:
    size = path.stat().st_size
    with path.open("rb") as file:
        mark, _, kind = struct.unpack("<4sI4s", file.read(12))
        if (mark, kind) != (b"RIFF", b"WAVE"):
            raise RecordingError(f"{path}: cannot be read as a WAV file (PCM or floating point): it begins otherwise")
        code = channels = rate_hz = bits = 0
        while True:
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                break
            if name == b"fmt ":
                if length > HEADER_BYTES:
                    raise RecordingError(f"{path}: has a format of {length} bytes: it is damaged")
                content = file.read(length + length % 2)
                code, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", content[:16])
                if code == EXTENSIBLE and len(content) >= 26:  # noqa: PLR2004 - where the sub-format stands
                    code = struct.unpack("<H", content[24:26])[0]
            else:
                file.seek(length + length % 2, 1)
        start = file.tell()
    if (
        not channels
        or not rate_hz
        or (code, bits) not in {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)}
    ):
        raise RecordingError(
            f"{path}: is WAV of format {code} with {bits} bits and {channels} channels:"
            " save it as PCM of 8 to 32 bits or as floating point"
        )
    row = channels * bits // 8
    if start + length > size and length != UNKNOWN_LENGTH:
        raise RecordingError(f"{path}: is cut off: copy it again")
    return _Format(code, channels, rate_hz, bits, start, min(length, size - start) // row)


def _numbers(data: bytes, found: _Format) -> NDArray[np.float64]:
    """Return samples as fractions of the full scale."""
    if found.code == FLOAT:
        return np.frombuffer(data, f"<f{found.bits // 8}").astype(np.float64)
    if found.bits == 8:  # noqa: PLR2004 - these alone are unsigned
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    if found.bits == 24:  # noqa: PLR2004
        packed = np.frombuffer(data, np.uint8).reshape(-1, 3)
        whole = np.zeros((len(packed), 4), np.uint8)
        whole[:, 1:] = packed
        return whole.view("<i4").ravel() / 2.0**31
    return np.frombuffer(data, f"<i{found.bits // 8}") / 2.0 ** (found.bits - 1)
