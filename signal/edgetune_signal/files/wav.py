"""Reads WAV files, whose values say nothing of units until somebody says what full scale is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings import Recording, check_recording

if TYPE_CHECKING:
    from pathlib import Path


def read_wav(path: Path, *, full_scale: float, unit: str) -> Recording:
    """Read a WAV file: integers of 8 to 64 bits, or floating point.

    Parameters
    ----------
    path
        The file.
    full_scale
        Value in ``unit`` of the largest integer plus one, or of the floating-point value 1.
    unit
        Unit of the samples.

    Returns
    -------
    Recording
        ``(channels, n)``; label and group are the file's stem.

    Raises
    ------
    RecordingError
        The file is no WAV, is cut off or compressed, or a sample is not finite.
    """
    from scipy.io import wavfile  # scipy costs 75 MiB: only who reads WAV files pays

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rate_hz, values = wavfile.read(path)
    except Exception as error:  # scipy raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a WAV file (PCM or floating point): {error}") from error
    if any("prematurely" in str(warning.message) for warning in said):
        raise RecordingError(f"{path}: is cut off: copy it again")
    scale, zero = 1.0, 0.0
    if values.dtype.kind in "iu":
        scale = 1 / 2.0 ** (8 * values.dtype.itemsize - 1)
        zero = 128.0 if values.dtype.kind == "u" else 0.0  # 8 bits are unsigned
    samples = ((values.astype(np.float64) - zero) * (scale * full_scale)).astype(np.float32)
    rows = np.ascontiguousarray(np.atleast_2d(samples.T))
    recording = Recording(rows, float(rate_hz), path.stem, unit=unit, group=path.stem)
    check_recording(str(path), recording)
    return recording
