"""Looks for the lines of bearing defects in an envelope spectrum: amplitude, floor, and which defect fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgetune_signal.vibration.bearing import DefectOrders
    from edgetune_signal.vibration.envelope import EnvelopeSpectrum

Defect: TypeAlias = Literal["bpfo", "bpfi", "bsf2", "ftf"]

HARMONICS = 3
TOLERANCE = 0.01
"""Of the frequency: rolling elements slip, and speeds are rounded."""
FLOOR_REACH = 0.3
"""The floor is the median from this part of the fundamental below a line to as much above it ..."""
FLOOR_BINS = 8
"""... and at least so many bins on either side."""
FEWEST_BINS = 4
"""A defect whose frequency is fewer bins than this cannot be told from the shaft's own modulation."""
MATCH = 4.0
"""Times the floor, in the geometric mean over the harmonics, that make a match."""
MATCH_FUNDAMENTAL = 3.0
"""Times the floor that the fundamental alone must reach for a match."""


@dataclass(frozen=True, slots=True)
class DefectLine:
    """What an envelope spectrum holds at one defect's frequency.

    Attributes
    ----------
    defect
        ``bpfo`` outer race, ``bpfi`` inner race, ``bsf2`` rolling element (twice its spin), ``ftf`` cage.
    order
        Multiple of the shaft's frequency.
    frequency_hz
        Of the fundamental.
    amplitude
        Of the fundamental, in the unit of the samples.
    harmonics
        Amplitudes of twice, three times ... the fundamental, as far as the spectrum goes.
    over_floor
        Fundamental over the floor around it, as a ratio.
    score
        Geometric mean over the fundamental and its harmonics of amplitude over floor.
    """

    defect: Defect
    order: float
    frequency_hz: float
    amplitude: float
    harmonics: tuple[float, ...]
    over_floor: float
    score: float


def defect_orders(orders: DefectOrders) -> dict[Defect, float]:
    """Orders of the lines that defects leave: a spot on a ball strikes both races, at twice the ball's spin."""
    return {"bpfo": orders.bpfo, "bpfi": orders.bpfi, "bsf2": 2 * orders.bsf, "ftf": orders.ftf}


def defect_lines(
    spectrum: EnvelopeSpectrum, shaft_hz: float, orders: DefectOrders
) -> tuple[list[DefectLine], list[Defect]]:
    """Read an envelope spectrum at every defect's frequency.

    Parameters
    ----------
    spectrum
        Envelope spectrum of one channel.
    shaft_hz
        Turns of the shaft per second.
    orders
        The bearing's.

    Returns
    -------
    lines
        One for each defect whose frequency the spectrum resolves.
    unresolved
        The others: too near to 0 Hz for the length of the signal, or beyond the end of the spectrum.
    """
    lines: list[DefectLine] = []
    unresolved: list[Defect] = []
    for defect, order in defect_orders(orders).items():
        line = _line(spectrum, defect, order, order * shaft_hz)
        if line is None:
            unresolved.append(defect)
        else:
            lines.append(line)
    return lines, unresolved


def matched(lines: Iterable[DefectLine]) -> DefectLine | None:
    """Line of the defect that fits best, if one does; the cage only modulates others and is never the match."""
    fitting = [
        line for line in lines if line.defect != "ftf" and line.score >= MATCH and line.over_floor >= MATCH_FUNDAMENTAL
    ]
    return max(fitting, key=lambda line: line.score, default=None)


def _line(spectrum: EnvelopeSpectrum, defect: Defect, order: float, fundamental_hz: float) -> DefectLine | None:
    step, amplitude = spectrum.step_hz, spectrum.amplitude
    if fundamental_hz < FEWEST_BINS * step:
        return None
    reach = max(FLOOR_BINS * step, FLOOR_REACH * fundamental_hz)
    found: list[tuple[float, float]] = []
    for harmonic in range(1, HARMONICS + 1):
        frequency = harmonic * fundamental_hz
        tolerance = max(step, TOLERANCE * frequency)
        low, high = int((frequency - tolerance) / step), -int(-(frequency + tolerance) // step)
        if high >= len(amplitude):
            break
        around = amplitude[max(1, int((frequency - reach) / step)) : int((frequency + reach) / step) + 1]
        found.append((float(amplitude[max(1, low) : high + 1].max()), float(np.median(around))))
    if not found or min(floor for _, floor in found) <= 0:
        return None
    ratios = np.array([peak / floor for peak, floor in found])
    return DefectLine(
        defect=defect,
        order=order,
        frequency_hz=fundamental_hz,
        amplitude=found[0][0],
        harmonics=tuple(peak for peak, _ in found[1:]),
        over_floor=float(ratios[0]),
        score=float(np.exp(np.log(np.maximum(ratios, 1e-12)).mean())),
    )
