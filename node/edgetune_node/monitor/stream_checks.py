"""What is wrong with a stream although every sample of it is fine: another rate, or another unit, than configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.stream import RATE_OFF, STANDARD_GRAVITY

if TYPE_CHECKING:
    from edgetune_node.config import AssetSection
    from edgetune_signal import Chunk
    from edgetune_signal.stream import Samples

GRAVITY_UNIT: Final = "gravity_unit"
GRAVITY: Final = {"g": 1.0, "m/s2": STANDARD_GRAVITY}
"""What an accelerometer at rest shows, by unit."""
GRAVITY_TOLERANCE: Final = 0.03
"""The part by which it may differ: sensors are that exact; wider, the offset of another sensor passes for it."""
LOOKS: Final = 5
"""So many looks in a row must show gravity in another unit, or must not: a machine that runs up shows anything."""
TOLD_AGAIN: Final = 0.02
"""A measured rate is told anew where it has changed by this part."""


class RateCheck:
    """Knows whether a stream comes at another rate than it should.

    Parameters
    ----------
    settings
        The asset's configuration.

    Attributes
    ----------
    off
        Whether it does; what depends on the rate is not to be judged then.
    """

    def __init__(self, settings: AssetSection) -> None:
        self._rate_hz = settings.rate_hz
        self._told_hz = settings.rate_hz
        self.off = False

    def hear(self, chunk: Chunk) -> None:
        """Note what the source knows of the rate."""
        self.off = RATE_OFF in chunk.quality
        measured_hz = chunk.measured_hz
        if measured_hz is not None and abs(measured_hz / self._told_hz - 1) > TOLD_AGAIN:
            self._told_hz = measured_hz

    @property
    def problem(self) -> str | None:
        """What is wrong, for people; None where nothing is."""
        if not self.off:
            return None
        return (
            f"samples come at {self._told_hz:.4g} Hz where rate_hz is {self._rate_hz:g}: nothing that depends on the "
            "rate is judged; set the sensor to it, or set rate_hz (or sensor_rate_hz of the source) to what the sensor "
            "does and recalibrate"
        )


class UnitCheck:
    """Knows whether an accelerometer shows gravity in another unit than is configured.

    Parameters
    ----------
    unit
        The configured one; of any but ``g`` and ``m/s2`` nothing is said.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._looks = 0
        self.problem: str | None = None

    def look(self, samples: Samples) -> None:
        """Examine the mean of some seconds, ``(channels, n)``."""
        found = self._found(samples)
        self._looks = 0 if (found is None) == (self.problem is None) else self._looks + 1
        if self._looks >= LOOKS:
            self.problem, self._looks = found, 0

    @property
    def quality(self) -> tuple[str, ...]:
        """``gravity_unit`` where it does."""
        return () if self.problem is None else (GRAVITY_UNIT,)

    def _found(self, samples: Samples) -> str | None:
        if self._unit not in GRAVITY:
            return None
        mean = float(np.linalg.norm(samples.mean(axis=1, dtype=np.float64)))
        for unit, gravity in GRAVITY.items():
            if unit != self._unit and abs(mean / gravity - 1) < GRAVITY_TOLERANCE:
                return (
                    f"the samples' mean is {mean:.2f}, which is gravity in {unit}, but unit is {self._unit}: set unit "
                    f'(or sensor_unit of the source) to "{unit}"; zones and limits are wrong until then'
                )
        return None
