"""Reads recordings in the ``.mat`` files of the Case Western Reserve bearing data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.recording_file import Recording

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
    from scipy.io import loadmat  # scipy costs 75 MiB: only who reads .mat files pays

    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=False)
    except Exception as error:  # scipy raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a .mat file (version 5 or earlier): {error}") from error
    suffix = f"_{channel_key}_time"
    keys = [key for key in content if key.endswith(suffix)]
    own = [key for key in keys if re.sub(r"\D", "", key) == path.stem.lstrip("0").zfill(3)]
    chosen = own or keys
    if len(chosen) != 1:
        held = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        what = "several variables end" if keys else "no variable ends"
        raise RecordingError(
            f"{path}: {what} in {suffix} (the file holds {held}): choose another channel_key or split it"
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
