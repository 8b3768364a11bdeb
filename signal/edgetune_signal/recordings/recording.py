"""What a labelled recording is, and its file: an ``.npz`` that is written whole or not at all."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.durable import replacing
from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings.npz import Npz, open_npz

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

TEMPORARY_SUFFIX = ".part"
MAX_CHANNELS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Samples of one class, captured in one go.

    Attributes
    ----------
    samples
        ``float32 (channels, n)`` in ``unit``.
    rate_hz
        Samples per second and channel.
    label
        Name of the class.
    unit
        Physical unit of the samples; empty where it is not known.
    time_ns
        UTC time of the first sample, nanoseconds since the epoch; 0 where it is not known.
    sensor
        What recorded it.
    subject
        Person or machine.
    condition
        What else was different: load, speed, day. The axis of the worst case.
    group
        Name of what is never split between training and test; recordings of one take share it.
    held_out_from
        Samples from this index on are held out for testing, for ever: 0 holds out everything; the number of samples, or
        any larger one, holds out nothing.
    shaft_rpm
        Speed of the shaft, where there is one.
    """

    samples: Samples
    rate_hz: float
    label: str
    unit: str = ""
    time_ns: int = 0
    sensor: str = ""
    subject: str = ""
    condition: str = ""
    group: str = ""
    held_out_from: int = sys.maxsize
    shaft_rpm: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "held_out_from", min(self.held_out_from, int(self.samples.shape[-1])))

    @property
    def seconds(self) -> float:
        """Duration."""
        return int(self.samples.shape[1]) / self.rate_hz


def write_recording(path: Path, recording: Recording, extra: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Write a recording under a temporary name, flush it to the disk and rename it.

    ``extra`` are arrays that the file has besides, which `read_recording` passes over.

    Raises
    ------
    RecordingError
        The recording is malformed, or the file cannot be written (disk full); nothing half-written is left.
    """
    check_recording(str(path), recording)
    arrays: dict[str, Any] = {
        "samples": recording.samples,
        "rate_hz": np.float64(recording.rate_hz),
        "label": np.array(recording.label),
        "unit": np.array(recording.unit),
        "time_ns": np.int64(recording.time_ns),
        "sensor": np.array(recording.sensor),
        "subject": np.array(recording.subject),
        "condition": np.array(recording.condition),
        "group": np.array(recording.group),
        "held_out_from": np.int64(recording.held_out_from),
    }
    if recording.shaft_rpm is not None:
        arrays["shaft_rpm"] = np.float64(recording.shaft_rpm)
    arrays |= extra or {}
    try:
        with replacing(path, path.with_name(path.name + TEMPORARY_SUFFIX)) as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}; free some space or check rights") from error


def check_recording(where: str, recording: Recording) -> None:
    """Raise `RecordingError`, which begins with ``where``, unless a recording is what `Recording` says."""
    samples = recording.samples
    if samples.dtype != np.float32:
        raise RecordingError(f"{where}: samples must be float32, not {samples.dtype}")
    _check_shape(where, samples.shape)
    finite = np.isfinite(samples)
    if not finite.all():
        channel, index = (int(i) for i in np.argwhere(~finite)[0])
        raise RecordingError(
            f"{where}: sample {index} of channel {channel} is {samples[channel, index]}: record it again or cut it out"
        )
    if not (math.isfinite(recording.rate_hz) and recording.rate_hz > 0):
        raise RecordingError(f"{where}: rate_hz must be a positive number, not {recording.rate_hz}")
    if not recording.label:
        raise RecordingError(f"{where}: label must not be empty")
    if recording.held_out_from < 0:
        raise RecordingError(f"{where}: held_out_from must be from 0 on, not {recording.held_out_from}")
    if recording.shaft_rpm is not None and not math.isfinite(recording.shaft_rpm):
        raise RecordingError(f"{where}: shaft_rpm must be a finite number, not {recording.shaft_rpm}")


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Only ``samples``, ``rate_hz`` and ``label`` must be there. An absent ``group`` is the file's stem, an absent
    ``condition`` the ``shaft_rpm`` where that is known (``1797rpm``).

    Raises
    ------
    RecordingError
        The file is absent, no archive or cut off; a value is missing, of a wrong type or shape; a sample is not finite.
    """
    with open_npz(path) as npz:
        metadata = read_metadata(npz)
        samples = npz.numbers("samples")
    values = dataclasses.asdict(metadata)
    del values["channels"], values["length"]
    recording = Recording(samples=samples, **values)
    check_recording(str(path), recording)
    return recording


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything a recording's file says except its samples (``(channels, length)``); fields as in `Recording`."""

    channels: int
    length: int
    rate_hz: float
    label: str
    unit: str
    time_ns: int
    sensor: str
    subject: str
    condition: str
    group: str
    held_out_from: int
    shaft_rpm: float | None


def read_metadata(npz: Npz) -> Metadata:
    """Read everything except the samples.

    Raises
    ------
    RecordingError
        As `read_recording`, for what it reads.
    """
    npz.require("samples", "rate_hz", "label")
    shape = npz.shape("samples")
    _check_shape(str(npz.path), shape)
    rate_hz = npz.number("rate_hz")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise RecordingError(f"{npz.path}: rate_hz must be a positive number, not {rate_hz}")
    shaft_rpm = npz.number("shaft_rpm") if "shaft_rpm" in npz.names else None
    condition = _optional_text(npz, "condition")
    return Metadata(
        channels=shape[0],
        length=shape[1],
        rate_hz=rate_hz,
        label=npz.text("label"),
        unit=_optional_text(npz, "unit"),
        time_ns=npz.integer("time_ns") if "time_ns" in npz.names else 0,
        sensor=_optional_text(npz, "sensor"),
        subject=_optional_text(npz, "subject"),
        condition=condition or (f"{shaft_rpm:g}rpm" if shaft_rpm is not None else ""),
        group=_optional_text(npz, "group") or npz.path.stem,
        held_out_from=npz.integer("held_out_from") if "held_out_from" in npz.names else shape[1],
        shaft_rpm=shaft_rpm,
    )


def _optional_text(npz: Npz, name: str) -> str:
    return npz.text(name) if name in npz.names else ""


def _check_shape(where: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or 0 in shape:  # noqa: PLR2004 - (channels, n)
        raise RecordingError(f"{where}: samples must be (channels, n), not {shape}; one channel is (1, n)")
    if shape[0] > MAX_CHANNELS:
        raise RecordingError(f"{where}: samples {shape} would be {shape[0]} channels: transpose them to (channels, n)")
