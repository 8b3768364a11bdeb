"""Notices that a healthy machine, a person's signs, or the network's opinion of them, slowly leave what they were."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp, inf, isfinite, log
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Final, Literal

from edgetune_node.contract import Drift, Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_node.config import AssetSection
    from edgetune_signal import Condition
    from edgetune_signal.vibration import Defect

BLOCK_S: Final = 60.0
BLOCK_SIGNS: Final = 5
"""As long as a block of minutes of a machine is one of so many signs of a person."""
BASELINE_BLOCKS, RECENT_BLOCKS = 30, 10
"""Minutes of healthy signal: so many after calibration are the baseline, so many of late are held against it."""
CLEAR_SPREADS: Final = 4.0
"""A change is clear where it is larger than this many spreads of the baseline's minutes, and than `_Rule.least`."""
GONE: Final = 0.5
"""Part of what is clear under which a change is over."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which change of a figure matters: of its logarithm or of itself, how large, and which way."""

    ratio: bool
    least: float
    way: Literal["both", "up", "down"]
    text: str
    advice: str = (
        "look whether the machine, its load or the sensor has changed; if it is sound as it is now, record it and "
        "recalibrate"
    )


OF_SIGNS: Final = "look whether the electrodes have moved or the muscles are tired; if it is to stay so, recalibrate"
LINES: Final[tuple[Defect, ...]] = ("bpfo", "bpfi", "bsf2")
"""Defects whose lines are part of the baseline; what they say of a fault is for physics to tell, not for drift."""
RULES: Final[Mapping[str, _Rule]] = {
    "rms": _Rule(True, log(1.2), "both", "the RMS of the acceleration"),
    "kurtosis": _Rule(True, log(1.25), "both", "the kurtosis"),
    "velocity": _Rule(True, log(1.25), "both", "the velocity RMS (mm/s)"),
    "bpfo": _Rule(True, inf, "up", "the line of the outer race"),
    "bpfi": _Rule(True, inf, "up", "the line of the inner race"),
    "bsf2": _Rule(True, inf, "up", "the line of the rolling elements"),
    "confidence": _Rule(False, 0.1, "down", "the probability that the network gives the healthy class"),
    "distance": _Rule(False, 0.15, "up", "the distance to the training data (1 is unknown)"),
    "sign_confidence": _Rule(False, 0.1, "down", "the network's confidence in signs", OF_SIGNS),
    "sign_distance": _Rule(
        False, 0.15, "up", "the distance of signs to those of the calibration (1 is unknown)", OF_SIGNS
    ),
}


class DriftMonitor:
    """Holds the minutes of a healthy machine against those after calibration.

    Figures are averaged over blocks of `BLOCK_S` seconds of signal in which no fault is active, or of `BLOCK_SIGNS`
    known signs of a person. The first `BASELINE_BLOCKS` of a model are its baseline. A figure has changed where the
    mean of the last `RECENT_BLOCKS` differs by more than `CLEAR_SPREADS` spreads and more than matters; that is over
    where it differs by less than half of that.

    Parameters
    ----------
    settings
        The asset's configuration.
    restored
        What was known when the node stopped.

    Attributes
    ----------
    known
        The baseline and what has left it; None until there is one. Replaced only when something changes.
    """

    def __init__(self, settings: AssetSection, restored: Drift | None = None) -> None:
        self._hop_s = max(settings.window.hop, 1) / settings.rate_hz
        self._model: str | None = None if restored is None else restored.model
        self.known: Drift | None = restored
        self._clear()

    def swap(self, model: str | None) -> None:
        """Begin anew with another model; the one in use goes on with its baseline."""
        if model != self._model:
            self._model, self.known = model, None
            self._clear()

    def hear(self, confidence: float | None, ratio: float | None) -> None:
        """Count a window of a machine without a fault.

        Parameters
        ----------
        confidence
            Probability of the healthy class; None of a model that gives none.
        ratio
            Distance to everything known, 1 at its limit; None where there is none.
        """
        if confidence is not None:
            self._add("confidence", confidence)
        if ratio is not None:
            self._add("distance", ratio)
        self._pass(self._hop_s)

    def hear_sign(self, confidence: float, distance: float | None) -> None:
        """Count a known sign of a person; arguments as in `hear`."""
        self._add("sign_confidence", confidence)
        if distance is not None:
            self._add("sign_distance", distance)
        self._pass(BLOCK_S / BLOCK_SIGNS)

    def look(self, found: Condition) -> None:
        """Count the indicators of a machine without a fault."""
        for name, values in (
            ("rms", found.indicators.rms),
            ("kurtosis", found.indicators.kurtosis),
            ("velocity", found.velocity_rms_mm_s or ()),
        ):
            good = [value for value in values if isfinite(value) and value > 0]
            if good:
                self._add(name, log(max(good)))
        for line in found.lines:
            if line.defect in RULES and line.amplitude > 0:
                self._add(line.defect, log(line.amplitude))

    @property
    def healthy_lines(self) -> dict[Defect, float]:
        """Amplitude of each defect's line while the machine was healthy, as far as it is known."""
        amplitudes = {name: self.healthy(name) for name in LINES}
        return {name: amplitude for name, amplitude in amplitudes.items() if amplitude is not None}

    def healthy(self, name: str) -> float | None:
        """Return what a figure was while no fault was active: of the baseline, or what there is of it; None if nothing.

        Of `RULES` with a ratio it is the figure itself, not its logarithm.
        """
        value: float | None = None
        if self.known is not None and name in self.known.figures:
            value = self.known.figures[name].mean
        else:
            means = [block[name] for block in self._blocks if name in block]
            if not means and name in self._open:
                total, count = self._open[name]
                means = [total / count]
            value = fmean(means) if means else None
        return exp(value) if value is not None and RULES[name].ratio else value

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a recalibration is suggested; empty where it is not."""
        return () if self.known is None else self.known.reasons

    def _pass(self, seconds: float) -> None:
        self._seconds += seconds
        if self._seconds >= BLOCK_S:
            self._end_block()

    def _add(self, name: str, value: float) -> None:
        total, count = self._open.get(name, (0.0, 0))
        self._open[name] = (total + value, count + 1)

    def _clear(self) -> None:
        self._seconds = 0.0
        self._open: dict[str, tuple[float, int]] = {}
        self._blocks: deque[dict[str, float]] = deque(maxlen=BASELINE_BLOCKS)

    def _end_block(self) -> None:
        self._blocks.append({name: total / count for name, (total, count) in self._open.items()})
        self._seconds = 0.0
        self._open = {}
        if self._model is None:
            return
        if self.known is not None:
            self._compare(self.known)
        elif len(self._blocks) == BASELINE_BLOCKS:
            figures = {name: [block[name] for block in self._blocks if name in block] for name in RULES}
            self.known = Drift(
                model=self._model,
                figures={
                    name: Figure(mean=fmean(values), spread=pstdev(values))
                    for name, values in figures.items()
                    if len(values) > BASELINE_BLOCKS // 2
                },
            )
            self._blocks.clear()

    def _compare(self, known: Drift) -> None:
        recent = list(self._blocks)[-RECENT_BLOCKS:]
        figures = {}
        for name, figure in known.figures.items():
            values = [block[name] for block in recent if name in block]
            enough = len(values) == RECENT_BLOCKS
            changed = _changed(RULES[name], figure, fmean(values)) if enough else figure.changed
            figures[name] = figure if changed == figure.changed else figure.model_copy(update={"changed": changed})
        if figures != known.figures:
            self.known = known.model_copy(update={"figures": figures})


def _changed(rule: _Rule, figure: Figure, now: float) -> str | None:
    """Return how a figure has changed. The text stays the same until the change is over."""
    clear = max(rule.least, CLEAR_SPREADS * figure.spread)
    change = now - figure.mean
    change = {"both": abs(change), "up": change, "down": -change}[rule.way]
    if figure.changed is not None:
        return figure.changed if change > GONE * clear else None
    if change <= clear:
        return None
    word = "risen" if now > figure.mean else "fallen"
    before, after = (exp(value) if rule.ratio else value for value in (figure.mean, now))
    return f"{rule.text} has {word} from {before:.3g} to {after:.3g} since calibration: {rule.advice}"
