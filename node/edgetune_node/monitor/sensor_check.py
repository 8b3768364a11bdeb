"""Recognises a sensor that came loose, died, saturates or picks up the mains, so that it is not called a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edgetune_node.monitor.heard import SensorLook
from edgetune_node.monitor.stream_checks import GRAVITY
from edgetune_signal import window_quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

SensorTrouble = Literal["sensor_dead", "sensor_loose", "sensor_saturated", "sensor_disturbed"]

BASELINE_LOOKS: Final = 30
"""Looks at a judged machine without a fault that are its sensor's baseline: at least half a minute."""
FIRST_LOOKS: Final = 10
"""Looks after which there is a baseline, which goes on to grow."""
LOOKS: Final = 4
"""Looks in a row that must show a trouble, or must not. They take less time than ``raise_after_s`` by default, so a
sensor that comes loose raises no fault."""
COLLAPSED: Final = 0.1
"""Part of the healthy level (RMS without the mean) under which a channel has collapsed. Faults make a machine louder;
half of the load leaves more than half of the level."""
TILTED_G: Final = 0.3
"""Change of the mean, in g, of a sensor that came loose: it turns away from gravity by 17 degrees or more. Drift by
temperature stays under 0.1 g."""
MOST_G: Final = 1.3
"""Mean, in g, up to which it is gravity: louder vibration moves the mean, too."""
AT_EXTREME: Final = 0.5
"""Part of the samples of every clipped channel that stand at its limits from which the sensor is saturated. A pump was
judged well whose fault clipped two axes of three by a fifth and by two thirds."""
MAINS_HZ: Final = (50.0, 60.0)
MAINS_SHARE: Final = 0.9
"""Part of the power in the mains line and its harmonics of a disturbed sensor, which a healthy one had less than half
of."""
MAINS_WIDTH_HZ: Final = 2.0
MAINS_TOLERANCE_HZ: Final = 0.1
"""The mains keep their frequency within 0.05 Hz; induction motors slip by more than this part of it."""
SHORTEST_MAINS_S: Final = 0.8
TOGETHER: Final = 0.98
"""Correlation of two axes from which they hear the same disturbance."""
APART: Final = 0.8
"""Correlation of two axes up to which they were apart in health."""

TEXTS: Final[dict[SensorTrouble, str]] = {
    "sensor_dead": "the signal has collapsed to a part of the healthy level: the sensor or its cable is broken or has "
    "come off, or the machine stands still (say so on context, or set min_rms)",
    "sensor_loose": "the sensor has turned against gravity: it has come loose or was moved; fix it as it was, or "
    "recalibrate",
    "sensor_saturated": "the samples stand at the sensor's limit: choose a larger range",
    "sensor_disturbed": "the signal is a disturbance that is not the machine's (mains, or the same on several axes): "
    "check cable, shield and earth",
}


@dataclass(frozen=True, slots=True)
class SensorFigures:
    """What a look at some seconds says of the sensor.

    Attributes
    ----------
    level, mean, mean_error
        RMS without the mean, mean, and standard error of that if the vibration were noise; one value a channel.
    at_extreme
        Smallest part of a channel's samples at its own limits.
    mains
        Largest part of a channel's power in the mains line and its harmonics; 0 where that cannot be told.
    together
        Largest correlation of two channels, without its sign; 0 of a single one.
    """

    level: NDArray[np.float64]
    mean: NDArray[np.float64]
    mean_error: NDArray[np.float64]
    at_extreme: float
    mains: float
    together: float


def sensor_figures(samples: Samples, rate_hz: float) -> SensorFigures:
    """Return the figures of some samples, ``(channels, n)``, all finite."""
    values = samples.astype(np.float64)
    mean = values.mean(axis=1)
    moving = values - mean[:, None]
    level = np.sqrt((moving**2).mean(axis=1))
    together = 0.0
    alive = moving[level > 0]
    if len(alive) > 1:
        correlation = np.corrcoef(alive)
        together = float(np.abs(correlation[np.triu_indices(len(alive), 1)]).max())
    return SensorFigures(
        level=level,
        mean=mean,
        mean_error=level / np.sqrt(samples.shape[1]),
        at_extreme=min(_at_extreme(channel) for channel in samples),
        mains=max((_mains_share(channel, rate_hz) for channel in alive), default=0.0),
        together=together,
    )


def _at_extreme(channel: Samples) -> float:
    if "clipped" not in window_quality(channel[np.newaxis], None):
        return 0.0
    return float(np.count_nonzero((channel == channel.max()) | (channel == channel.min()))) / len(channel)


def _mains_share(channel: NDArray[np.float64], rate_hz: float) -> float:
    """Return the part of a channel's power in the mains line and its harmonics; 0 without a line at the mains."""
    n = len(channel)
    if n < SHORTEST_MAINS_S * rate_hz:
        return 0.0
    power = np.abs(np.fft.rfft(channel * np.hanning(n))) ** 2
    step_hz = rate_hz / n
    best = 0.0
    for mains_hz in MAINS_HZ:
        near = _bins(mains_hz, step_hz, len(power))
        if len(near) < 3:  # noqa: PLR2004 - a peak and its neighbours
            continue
        peak = int(near[power[near].argmax()])
        if abs(_peak_hz(power, peak, step_hz) - mains_hz) > MAINS_TOLERANCE_HZ:
            continue
        orders = np.arange(1, int(len(power) * step_hz / mains_hz) + 1)
        lines = np.unique(np.concatenate([_bins(order * mains_hz, step_hz, len(power)) for order in orders]))
        best = max(best, float(power[lines].sum() / power.sum()))
    return best


def _bins(line_hz: float, step_hz: float, n: int) -> NDArray[np.intp]:
    low, high = (round((line_hz + side * MAINS_WIDTH_HZ) / step_hz) for side in (-1, 1))
    return np.arange(max(low, 1), min(high + 1, n))


def _peak_hz(power: NDArray[np.float64], peak: int, step_hz: float) -> float:
    """Frequency of a line between its bins, of a spectrum by the Hann window."""
    if not 0 < peak < len(power) - 1:
        return peak * step_hz
    before, at, after = np.sqrt(power[peak - 1 : peak + 2])
    ratio, side = (after / at, 1) if after > before else (before / at, -1)
    return float((peak + side * (2 * ratio - 1) / (ratio + 1)) * step_hz)


class SensorCheck:
    """Holds each look at a sensor against what it was like on the healthy machine.

    Parameters
    ----------
    unit, rate_hz
        Of the stream. The mean tells of gravity in ``g`` and ``m/s2`` only.
    kept
        The baseline when the node stopped.

    Attributes
    ----------
    trouble
        What is wrong; None if nothing is.
    """

    def __init__(self, unit: str, rate_hz: float, kept: Iterable[SensorLook] = ()) -> None:
        self._gravity = GRAVITY.get(unit)
        self._rate_hz = rate_hz
        self.trouble: SensorTrouble | None = None
        self.forget()
        for each in kept:
            self._learn(_figures(each))

    @property
    def reason(self) -> str:
        """What is wrong, for people; empty if nothing is."""
        return "" if self.trouble is None else TEXTS[self.trouble]

    def forget(self) -> None:
        """Learn the baseline anew: another model is in use."""
        self._baseline: list[SensorFigures] = []
        self._normal: SensorFigures | None = None
        self._looks = 0
        self._suspect: SensorTrouble | None = None

    def look(self, samples: Samples, *, healthy: bool, shaft_hz: float | None) -> None:
        """Examine some samples, ``(channels, n)``; those that are not finite are left to others.

        Parameters
        ----------
        samples
            A second or more in which the machine runs; less of a sensor that sends snapshots.
        healthy
            Whether they belong to the baseline: the machine is judged, and no fault is active.
        shaft_hz
            Speed of the shaft; None where it is not known. Near the mains it is no disturbance.
        """
        if not np.isfinite(samples).all():
            return
        figures = sensor_figures(samples, self._rate_hz)
        found = self._found(figures, shaft_hz)
        if found is None and healthy and len(self._baseline) < BASELINE_LOOKS:
            self._learn(figures)
        if found == self.trouble:
            self._looks, self._suspect = 0, None
            return
        self._looks = self._looks + 1 if found == self._suspect else 1
        self._suspect = found
        if self._looks >= LOOKS:
            self.trouble, self._looks = found, 0

    def kept(self) -> tuple[SensorLook, ...]:
        """Return the baseline."""
        return tuple(
            SensorLook(
                level=tuple(each.level.tolist()),
                mean=tuple(each.mean.tolist()),
                mean_error=tuple(each.mean_error.tolist()),
                at_extreme=each.at_extreme,
                mains=each.mains,
                together=each.together,
            )
            for each in self._baseline
        )

    def _learn(self, figures: SensorFigures) -> None:
        self._baseline.append(figures)
        self._normal = _typical(self._baseline) if len(self._baseline) >= FIRST_LOOKS else None

    def _found(self, figures: SensorFigures, shaft_hz: float | None) -> SensorTrouble | None:
        if figures.at_extreme >= AT_EXTREME:
            return "sensor_saturated"
        normal = self._normal
        if normal is None:
            return None
        if (figures.level < COLLAPSED * normal.level).any():
            return "sensor_dead"
        if figures.mains >= MAINS_SHARE and normal.mains < MAINS_SHARE / 2 and not _near_mains(shaft_hz):
            return "sensor_disturbed"
        if figures.together >= TOGETHER and normal.together <= APART:
            return "sensor_disturbed"
        if self._gravity is not None:
            tilted = float(np.linalg.norm(figures.mean - normal.mean)) / self._gravity
            wanders = max(float(np.linalg.norm(each.mean - normal.mean)) for each in self._baseline) / self._gravity
            chance = float(np.linalg.norm(figures.mean_error)) / self._gravity
            weighs = float(np.linalg.norm(figures.mean)) / self._gravity <= MOST_G
            if weighs and tilted > max(TILTED_G, 3 * wanders, 6 * chance):
                return "sensor_loose"
        return None


def _figures(kept: SensorLook) -> SensorFigures:
    return SensorFigures(
        np.array(kept.level),
        np.array(kept.mean),
        np.array(kept.mean_error),
        kept.at_extreme,
        kept.mains,
        kept.together,
    )


def _typical(looks: list[SensorFigures]) -> SensorFigures:
    """Return the median of each figure; of the level the lower quartile, since the machine may have been louder."""
    return SensorFigures(
        level=np.quantile([each.level for each in looks], 0.25, axis=0),
        mean=np.median([each.mean for each in looks], axis=0),
        mean_error=np.median([each.mean_error for each in looks], axis=0),
        at_extreme=0.0,
        mains=float(np.median([each.mains for each in looks])),
        together=float(np.median([each.together for each in looks])),
    )


def _near_mains(shaft_hz: float | None) -> bool:
    """Whether a harmonic of the shaft may be taken for the mains."""
    if not shaft_hz:
        return False
    orders = [mains_hz / shaft_hz for mains_hz in MAINS_HZ]
    return any(abs(order - round(order)) * shaft_hz < MAINS_WIDTH_HZ for order in orders if round(order) in (1, 2, 3))
