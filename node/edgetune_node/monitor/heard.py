"""What is learned of a healthy machine while it is monitored: time heard, modes, what its sensor is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgetune_nas.health import MONTH_S, supported_per_month

if TYPE_CHECKING:
    from edgetune_nas.card import Metrics

FORMAT: Final = 1
KEEP_S: Final = 1800.0
"""Seconds from one time that it is kept on disk to the next: what a power cut may take, against wear of an SD card."""
MOST_CHANNELS: Final = 1000
MOST_COUNTED: Final = 10**12
"""More windows or faults than a node counts in its life; a file that has more is damaged."""

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Channels = Annotated[tuple[_Finite, ...], Field(min_length=1, max_length=MOST_CHANNELS)]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class ModeWindows(_Kept):
    """Windows heard healthy in a mode; a speed or load that the plant does not tell is None."""

    shaft_rpm: _Finite | None = None
    load: _Finite | None = None
    windows: Annotated[int, Field(gt=0, le=MOST_COUNTED)]


class SensorLook(_Kept):
    """Figures of a look at a sound sensor, as `edgetune_node.monitor.sensor_check.SensorFigures` has them."""

    level: _Channels
    mean: _Channels
    mean_error: _Channels
    at_extreme: _Positive
    mains: _Positive
    together: _Positive


class Heard(_Kept):
    """What is kept of a healthy machine from one start of the node to the next.

    Attributes
    ----------
    model
        Id of the model with which it was heard; with another one it is forgotten.
    seconds, raised
        Time without an active fault, and faults raised.
    modes, sensor
        Modes of operation, and the sensor's baseline.
    """

    format: Literal[1] = FORMAT
    model: str
    seconds: _Positive = 0.0
    raised: Annotated[int, Field(ge=0, le=MOST_COUNTED)] = 0
    modes: Annotated[tuple[ModeWindows, ...], Field(max_length=1000)] = ()
    sensor: Annotated[tuple[SensorLook, ...], Field(max_length=100)] = ()

    def looks(self, channels: int) -> tuple[SensorLook, ...]:
        """Return the sensor's baseline if it is that of so many channels."""
        sizes = {len(values) for each in self.sensor for values in (each.level, each.mean, each.mean_error)}
        return self.sensor if sizes == {channels} else ()

    def claim(self, metrics: Metrics) -> tuple[float, float | None]:
        """Return the healthy seconds recorded and heard, and the most false alarms a month that they leave possible.

        The bound is None while nothing was heard.
        """
        recorded_s, recorded = _recorded(metrics)
        seconds = recorded_s + self.seconds
        return seconds, supported_per_month(recorded + self.raised, seconds) if seconds > 0 else None


class HealthyTime:
    """Bounds the false alarms of a model by the healthy time recorded for it and heard since.

    Nothing that is heard moves the model's centre or its limit. Every fault that is raised counts as a possible false
    alarm, so the bound holds whatever it was.

    Parameters
    ----------
    step_s
        Seconds from one window to the next, or from one snapshot to the next: no window stands for more.

    Attributes
    ----------
    seconds, raised
        Time heard without an active fault, and faults raised, since the model is in use.
    """

    def __init__(self, step_s: float, seconds: float = 0.0, raised: int = 0) -> None:
        self._step_s = step_s
        self._last_s: float | None = None
        self.seconds = seconds
        self.raised = raised

    def forget(self) -> None:
        """Begin anew with another model."""
        self._last_s, self.seconds, self.raised = None, 0.0, 0

    def hear(self, time_s: float, *, active: bool, raised: bool) -> None:
        """Count a judged window that ends at ``time_s``; a fault is ``active`` after it, and was ``raised`` by it."""
        since_s = self._step_s if self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        self.raised += raised
        if not active:
            self.seconds += min(since_s, self._step_s) if since_s > 0 else 0.0


def _recorded(metrics: Metrics) -> tuple[float, int]:
    """Return the healthy seconds that a model was made of, and its false alarms on them; none of classes."""
    seconds, most = metrics.healthy_seconds, metrics.supported_per_month
    if seconds is None or most is None:
        return 0.0, 0
    bound = most * seconds / MONTH_S  # 3 + n + 2 sqrt(n) of n alarms
    return seconds, round((max(0.0, bound - 2) ** 0.5 - 1) ** 2) if bound > 3 else 0  # noqa: PLR2004 - as above
