"""Reads recordings in ``.mat`` files: those of the Case Western Reserve bearing data, and any variable of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings import Recording, check_recording

if TYPE_CHECKING:
    from pathlib import Path

CHANNEL_KEYS = ("DE", "FE", "BA")
"""Drive end, fan end, base plate."""
CWRU_RATE_HZ = 12000.0
CWRU_UNIT = "g"


def read_cwru_mat(path: Path, *, channel_key: str = "DE", rate_hz: float = CWRU_RATE_HZ) -> Recording:
    """Read one accelerometer of a ``.mat`` file of the CWRU Bearing Data Center.

    Parameters
    ----------
    path
        A file with variables such as ``X105_DE_time`` and ``X105RPM``. Where it holds several numbers, the file's own
        (``105.mat``) is taken.
    channel_key
        ``DE``, ``FE`` or ``BA``.
    rate_hz
        The file does not say its rate: 12000 or 48000.

    Returns
    -------
    Recording
        ``(1, n)`` in g; the label and group are the file's stem.

    Raises
    ------
    RecordingError
        The file is no ``.mat``, lacks the channel, holds several, or a sample is not finite.
    """
    content = _load(path)
    suffix = f"_{channel_key}_time"
    keys = [key for key in content if key.endswith(suffix)]
    own = [key for key in keys if re.sub(r"\D", "", key) == path.stem.lstrip("0").zfill(3)]
    chosen = own or keys
    if len(chosen) != 1:
        held = _held(content)
        what = "several variables end" if keys else "no variable ends"
        raise RecordingError(
            f"{path}: {what} in {suffix} (the file holds {held}): choose another channel_key, "
            "or set variable and rate_hz of the source"
        )
    values = np.asarray(content[chosen[0]])
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise RecordingError(f"{path}: {chosen[0]} must be numbers, not {values.dtype} {values.shape}")
    samples = values.astype(np.float32).reshape(1, -1)
    if not np.isfinite(samples).all():
        index = int(np.argwhere(~np.isfinite(samples))[0][1])
        raise RecordingError(f"{path}: sample {index} of {chosen[0]} is not a finite number: cut that part out")
    rpm = content.get(f"{chosen[0].removesuffix(suffix)}RPM")
    shaft_rpm = float(np.ravel(rpm)[0]) if rpm is not None and np.size(rpm) else None
    return Recording(
        samples=samples,
        rate_hz=rate_hz,
        label=path.stem,
        unit=CWRU_UNIT,
        sensor=channel_key,
        condition=f"{shaft_rpm:g}rpm" if shaft_rpm is not None else "",
        group=path.stem,
        shaft_rpm=shaft_rpm,
    )


def read_mat_variable(path: Path, *, variable: str, rate_hz: float, channels: int) -> Recording:
    """Read one variable of a ``.mat`` file.

    Parameters
    ----------
    path
        A file of MATLAB's version 7 or earlier.
    variable
        Its name: a vector, or a matrix with a row or a column for each channel.
    rate_hz
        Its rate.
    channels
        How many channels are wanted.

    Returns
    -------
    Recording
        ``(channels, n)`` without unit; label and group are the file's stem.

    Raises
    ------
    RecordingError
        The file is no ``.mat``, lacks the variable, or this is not of numbers or has other channels than wanted.
    """
    content = _load(path)
    if variable not in content or variable.startswith("__"):
        raise RecordingError(f"{path}: has no variable {variable!r}: set variable to one of {_held(content)}")
    values = content[variable]
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise RecordingError(f"{path}: {variable} is not of numbers: set variable to another of {_held(content)}")
    if values.ndim != len(("channels", "n")) or channels not in values.shape:
        raise RecordingError(
            f"{path}: {variable} is {' x '.join(map(str, values.shape))}, where the stream has {channels} channels: "
            "set variable of the source, or channels of the asset"
        )
    rows = values if values.shape[0] == channels else values.T
    samples = np.ascontiguousarray(rows.astype(np.float32))
    recording = Recording(samples, rate_hz, path.stem, group=path.stem)
    check_recording(str(path), recording)
    return recording


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # scipy costs 75 MiB: only who reads .mat files pays

    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=False)
    except NotImplementedError as error:  # HDF5
        raise RecordingError(f"{path}: is of MATLAB's version 7.3: save it with save(..., '-v7')") from error
    except Exception as error:  # scipy raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a .mat file (version 7 or earlier): {error}") from error
    return content


def _held(content: dict[str, Any]) -> str:
    return ", ".join(key for key in content if not key.startswith("__")) or "nothing"
