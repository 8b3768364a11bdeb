"""How strongly a sign is made, and what it is smoothed over time, for those who drive something with it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.card import SignFigures
    from edgetune_signal.stream import Samples

STRENGTH_S: Final = 0.45
"""Seconds over which power is averaged: held signs are then steady to about a seventh; longer lags behind."""


@dataclass(frozen=True, slots=True)
class Following:
    """What a message about a window says besides its verdict; None where the task has no such thing.

    Attributes
    ----------
    smoothed
        The class of most of the last windows.
    strength
        The effort over that at calibration, 0 to 1.
    """

    smoothed: str | None = None
    strength: float | None = None


def power(samples: Samples) -> NDArray[np.float64]:
    """Return the mean square of each channel ``(channels,)`` without its mean."""
    power: NDArray[np.float64] = samples.var(axis=1, dtype=np.float64)
    return power


class Effort:
    """The strength of a sign: power above rest on its electrodes, over that at calibration.

    Electrodes count by how much power the sign had there at calibration.

    Parameters
    ----------
    rest_class
        The class that is no sign.
    length_s, hop_s
        Seconds of a window, and from one to the next.
    """

    def __init__(self, rest_class: str, length_s: float, hop_s: float) -> None:
        self._rest = rest_class
        self._windows: deque[NDArray[np.float64]] = deque(maxlen=max(1, round((STRENGTH_S - length_s) / hop_s) + 1))
        self._calibrated: dict[str, NDArray[np.float64]] = {}
        self._at_rest: NDArray[np.float64] | None = None

    def calibrate(self, figures: SignFigures | None) -> None:
        """Go on with what another model's card says of signs; None if that says nothing."""
        self._calibrated, self._at_rest = {}, None
        if figures is None or self._rest not in figures.power:
            return
        self._at_rest = np.array(figures.power[self._rest])
        for name, powers in figures.power.items():
            above = np.maximum(0.0, np.array(powers) - self._at_rest)
            if name != self._rest and above.any():
                self._calibrated[name] = above

    def hear(self, samples: Samples) -> None:
        """Process a window."""
        self._windows.append(power(samples))

    def forget(self) -> None:
        """Begin again after a gap."""
        self._windows.clear()

    def strength(self, sign: str | None) -> float | None:
        """Return the strength of a sign, 0 to 1; None outside a known sign, or where calibration did not measure it."""
        above = None if sign is None else self._calibrated.get(sign)
        if above is None or self._at_rest is None or not self._windows or self._windows[-1].shape != above.shape:
            return None
        now = float(above @ (np.mean(self._windows, axis=0) - self._at_rest))
        if not np.isfinite(now):
            return None
        return round(min(1.0, max(0.0, now / float(above @ above))), 3)


class Smoother:
    """The class that most of the last windows say.

    Parameters
    ----------
    windows
        How many are counted.
    """

    def __init__(self, windows: int) -> None:
        self._last: deque[str] = deque(maxlen=max(1, windows))

    def hear(self, class_: str) -> str:
        """Count a window; return the class of the majority, of equal ones the newest."""
        self._last.append(class_)
        counts = Counter(self._last)
        most = max(counts.values())
        return next(name for name in reversed(self._last) if counts[name] == most)

    def forget(self) -> None:
        """Begin again after a gap."""
        self._last.clear()
