"""Estimates the speed of a shaft from the lines that unbalance and misalignment leave at its multiples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.vibration.velocity import hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOWEST_HZ, FASTEST_HZ = 5.0, 120.0
"""300 to 7200 rpm: where the shafts of most machines turn."""
HARMONICS = 4
FLOOR_REACH_HZ = 12.0
CLEAR = 4.0
"""Times the floor that a line must reach to be one."""
CLEAR_LINES = 2
"""Lines there must be, the shaft's own among them where the range is wider than an octave."""
LINE_BINS = 3
"""So far does a line reach under the window and the look at its neighbours: what is farther off is another speed."""
FEWEST_BINS = 4
"""Bins that tell a slow shaft from 0 Hz."""


def estimate_shaft_hz(
    samples: NDArray[np.floating], rate_hz: float, between_hz: tuple[float, float] = (SLOWEST_HZ, FASTEST_HZ)
) -> float | None:
    """Return the turns of the shaft per second, or None where no speed stands out.

    Parameters
    ----------
    samples
        Acceleration, ``(n,)``, at least a second.
    rate_hz
        Samples per second.
    between_hz
        Where to look; less than an octave keeps a multiple from being taken for the shaft.

    Notes
    -----
    A harmonic sum: of every frequency between the two the logarithms of amplitude over floor at its first multiples are
    added; the largest sum wins, where it is larger than that of any other speed by a clear line, and the interpolated
    peaks of its multiples give the speed. It is a guess: a machine without unbalance, or a line of another origin,
    misleads it, so who uses it says so.
    """
    n = len(samples)
    step = rate_hz / n
    slowest, fastest = between_hz
    bins = int((HARMONICS * fastest + 2 * FLOOR_REACH_HZ) / step)
    if n < 2 * bins or slowest < FEWEST_BINS * step:
        return None
    amplitude = np.abs(np.fft.rfft((samples - samples.mean()) * hann(n)))[:bins]
    over = _over_floor(amplitude, int(FLOOR_REACH_HZ / step))
    peaks = np.log(np.maximum(np.maximum(over, np.maximum(np.roll(over, 1), np.roll(over, -1))), 1e-9))
    candidates = np.arange(slowest, fastest, step / 4)
    places = np.rint(candidates[:, None] * np.arange(1, HARMONICS + 1) / step).astype(int)
    score = np.clip(peaks[places], 0, np.log(30)).sum(axis=1)
    best = candidates[int(score.argmax())]
    rivals = score[np.abs(candidates - best) > LINE_BINS * step]
    if rivals.size and score.max() - rivals.max() < np.log(CLEAR):
        return None
    found = [_peak(amplitude, over, harmonic * best / step) for harmonic in range(1, HARMONICS + 1)]
    clear = [(harmonic, place) for harmonic, place in enumerate(found, start=1) if place is not None]
    if len(clear) < CLEAR_LINES or (clear[0][0] != 1 and fastest >= 2 * slowest):
        return None
    weights = np.array([harmonic for harmonic, _ in clear], float)
    return float(np.average([place * step / harmonic for harmonic, place in clear], weights=weights))


def _over_floor(amplitude: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    padded = np.pad(amplitude, reach, mode="reflect")
    floor = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    result: NDArray[np.float64] = amplitude / np.maximum(floor, np.finfo(float).tiny)
    return result


def _peak(amplitude: NDArray[np.float64], over: NDArray[np.float64], near: float) -> float | None:
    """Place, in fractions of a bin, of a clear line at most a bin away; None where there is none."""
    middle = round(near)
    place = middle - 1 + int(amplitude[middle - 1 : middle + 2].argmax())
    if over[place] < CLEAR:
        return None
    left, top, right = np.log(np.maximum(amplitude[place - 1 : place + 2], np.finfo(float).tiny))
    bend = left - 2 * top + right
    return place + (0.5 * (left - right) / bend if bend < 0 else 0.0)
