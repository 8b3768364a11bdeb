"""Distinguishes another mode of operation from a fault as far as possible: by speed and load, and by impulsiveness."""

from __future__ import annotations

from collections import Counter, deque
from math import exp, isfinite, log
from statistics import median
from typing import TYPE_CHECKING, Final

from edgetune_node.monitor.heard import ModeWindows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgetune_node.contract import Context, ModeWord, NovelKind

_Mode = tuple[int | None, int | None]
SPEED_STEP: Final = 1.05
"""Speeds within this ratio are one mode: a motor that slips under load stays in its mode."""
LOAD_STEP: Final = 1.25
"""Loads within this ratio are one mode."""
LEAST_WINDOWS: Final = 50
"""Healthy windows that make a mode known: a few may come of a network that errs, or of the way from mode to mode."""
MOST_MODES: Final = 1000
"""Modes that are remembered: a machine whose speed is free has no more after a while."""
IMPULSIVE_RATIO: Final = 1.8
"""Kurtosis over that of the healthy machine from which a novel signal is fault-like. On five rigs the healthy machine
had up to 1.75 times at other speeds and loads. Most faults of races have more, some of balls and teeth do not."""
IMPULSIVE_LEAST: Final = 4.0
"""Kurtosis that it has at least then; 3 is that of noise."""
IMPULSIVE_ALONE: Final = 8.0
"""Kurtosis that is fault-like where that of the healthy machine is not known; a healthy gearbox had 7.1."""
LOOKS: Final = 5

ADVICE: Final[dict[NovelKind, str]] = {
    "changed": "this is another mode of operation or a fault, which the signal alone does not tell: compare speed and "
    "load with what they were (publish them on context), and look whether it goes when the machine runs as before; if "
    "the machine is sound, record it (cmd/record), else give what it does a name (cmd/label); then recalibrate",
    "impulsive": "the signal is impulsive, as of a bearing or a gear that breaks: look at the machine; give what it "
    "does now a name (cmd/label), then recalibrate",
}
UNSEEN: Final = "the machine runs at a speed or load at which it has not been heard healthy; "


class ModesHeard:
    """Remembers at which speeds and loads a machine was heard healthy since the model is in use.

    Parameters
    ----------
    kept
        What was remembered when the node stopped.
    """

    def __init__(self, kept: Iterable[ModeWindows] = ()) -> None:
        self._heard: Counter[_Mode] = Counter()
        for each in kept:
            self._heard[_step(each.shaft_rpm, SPEED_STEP), _step(each.load, LOAD_STEP)] += each.windows

    def kept(self) -> tuple[ModeWindows, ...]:
        """Return what is remembered."""
        return tuple(
            ModeWindows(shaft_rpm=_value(speed, SPEED_STEP), load=_value(load, LOAD_STEP), windows=windows)
            for (speed, load), windows in self._heard.items()
        )

    def forget(self) -> None:
        """Begin anew with another model."""
        self._heard.clear()

    def hear(self, context: Context) -> None:
        """Note a healthy machine in the mode of ``context``."""
        mode = _mode(context)
        if mode in self._heard or len(self._heard) < MOST_MODES:
            self._heard[mode] += 1

    def word(self, context: Context) -> ModeWord | None:
        """Return whether the machine was heard healthy in this mode; None where that is not told or it never was."""
        speed, load = _mode(context)
        heard = [mode for mode, windows in self._heard.items() if windows >= LEAST_WINDOWS]
        if (speed is None and load is None) or not heard:
            return None
        known = any(_near(speed, other) and _near(load, at) for other, at in heard)
        return "known" if known else "unseen"


class Impulsiveness:
    """Knows whether the last looks at a machine are impulsive."""

    def __init__(self) -> None:
        self._looks: deque[float] = deque(maxlen=LOOKS)

    def forget(self) -> None:
        """Begin anew."""
        self._looks.clear()

    def look(self, kurtosis: Sequence[float | None]) -> None:
        """Note the kurtosis of each channel; that of a constant one is no number."""
        values = [value for value in kurtosis if value is not None and isfinite(value)]
        if values:
            self._looks.append(max(values))

    def kind(self, healthy: float | None) -> NovelKind:
        """Return what a novel signal is; ``healthy`` is the kurtosis of the healthy machine, None if not known."""
        least = IMPULSIVE_ALONE if healthy is None else max(IMPULSIVE_LEAST, IMPULSIVE_RATIO * healthy)
        return "impulsive" if self._looks and median(self._looks) >= least else "changed"


def _mode(context: Context) -> _Mode:
    return _step(context.shaft_rpm, SPEED_STEP), _step(context.load, LOAD_STEP)


def _step(value: float | None, step: float) -> int | None:
    if value is None:
        return None
    return 0 if value == 0 else round(log(abs(value)) / log(step))


def _value(step: int | None, ratio: float) -> float | None:
    """Return the middle of a step, 0 of what stands still."""
    return None if step is None else 0.0 if step == 0 else exp(step * log(ratio))


def _near(step: int | None, other: int | None) -> bool:
    """Whether two steps are neighbours; what was not told then or is not told now says nothing."""
    return step is None or other is None or abs(step - other) <= 1
