"""Doubts data that is to be taken as healthy although its velocity lies in ISO 20816-3 zone C or D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.vibration import VELOCITY_MIN_SECONDS, velocity_problem, velocity_rms, zone

if TYPE_CHECKING:
    from edgetune_node.config import AssetSection
    from edgetune_signal import Recording

LONGEST_S = 60
"""So much of a recording is looked at; more would keep a small computer."""


def zone_warning(recording: Recording, settings: AssetSection) -> str | None:
    """Return in which zone a healthy recording lies, where that is C or D.

    Parameters
    ----------
    recording
        Any recording of the asset.
    settings
        Say which class is healthy, and the limits of the zones.

    Returns
    -------
    str or None
        None where the recording is of another class, lies in zone A or B, or gives no velocity.
    """
    limits = settings.machine.machine.zone_limits_mm_s
    piece = round(VELOCITY_MIN_SECONDS * recording.rate_hz)
    if settings.personal or limits is None or recording.label != settings.healthy_class:
        return None
    count = min(recording.samples.shape[1] // piece, LONGEST_S)
    if count == 0 or velocity_problem(recording.unit, recording.rate_hz, piece / recording.rate_hz):
        return None
    pieces = [recording.samples[:, at * piece : (at + 1) * piece] for at in range(count)]
    values = np.array([velocity_rms(part, recording.unit, recording.rate_hz) for part in pieces])
    worst = float(np.sqrt((values**2).mean(axis=0)).max())
    found = zone(worst, limits)
    if found in ("A", "B"):
        return None
    return f"its velocity of {worst:.2f} mm/s lies in zone {found}: such a machine is not healthy"
