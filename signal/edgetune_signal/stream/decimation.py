"""Brings a stream to a lower rate without aliases, the same however it is cut: a polyphase filter."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.stream.types import Samples

PASS, STOP = 0.4, 0.5
"""Edges of the filter, as parts of the new rate: what lies above half of it would come back as another frequency."""
REJECTION_DB = 85.0
BLOCK_S = 0.01
"""Samples come in blocks of about this duration."""
MAX_PHASES = 256


def rate_ratio(rate_hz: float, sensor_rate_hz: float) -> Fraction | None:
    """Return ``rate_hz / sensor_rate_hz`` exactly; None where it is no fraction with a numerator up to 256.

    Examples
    --------
    >>> rate_ratio(12000.0, 25600.0), rate_ratio(1000.0, 3141.59)
    (Fraction(15, 32), None)
    """
    ratio = Fraction(rate_hz / sensor_rate_hz).limit_denominator(1_000_000)
    exact = math.isclose(float(ratio) * sensor_rate_hz, rate_hz, rel_tol=1e-9)
    return ratio if exact and 1 <= ratio.numerator <= MAX_PHASES else None


class Decimator:
    """Lower the rate of a stretch of samples to ``ratio`` times theirs.

    A linear-phase low-pass of a Kaiser window, flat to 0.4 of the new rate, down by 80 dB from 0.5 of it on. Only
    samples whose whole filter lies within the stretch are given: none is made of what is not there.

    Parameters
    ----------
    channels
        Number of channels.
    rate_hz
        The new rate.
    ratio
        New rate over old rate, at most 1.

    Notes
    -----
    Output m is the sum of ``h[j] u[m M + j]``, where u is the input with L - 1 zeros between samples and ``ratio`` is
    L / M (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983); the filter's order is after Kaiser (1974).
    Always the same whole blocks are computed: so the result is the same to the last bit however the input is cut.
    """

    def __init__(self, channels: int, rate_hz: float, ratio: Fraction) -> None:
        up, down = ratio.numerator, ratio.denominator
        taps = _low_pass(down, up)
        self._centre = Fraction(len(taps) - 1, 2 * up)
        padded = np.concatenate([taps, np.zeros(-len(taps) % up)])
        self._phases = [
            (-(-phase * down // up), np.ascontiguousarray(padded[(-phase * down) % up :: up])) for phase in range(up)
        ]
        self._repeats = max(1, round(BLOCK_S * rate_hz / up))
        self._down = down
        self._length = len(padded) // up
        self._step = down * self._repeats  # samples that a block moves on by ...
        self._needed = self._phases[-1][0] + down * (self._repeats - 1) + self._length  # ... and that it is made of
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Begin a new stretch: what was collected is forgotten."""
        self._held: Samples = np.empty((self._channels, 0), np.float32)

    def push(self, samples: Samples) -> tuple[Samples, Fraction]:
        """Take the next samples of the stretch.

        Parameters
        ----------
        samples
            ``(channels, n)``.

        Returns
        -------
        tuple
            The outputs they complete, ``float32 (channels, m)``, m may be 0; and the position of the first of them, in
            samples of the input from the first of ``samples`` (mostly negative: the filter looks back).
        """
        first = self._centre - self._held.shape[1]
        self._held = np.concatenate([self._held, samples], axis=1)
        blocks = []
        done = 0
        while self._held.shape[1] - done >= self._needed:
            blocks.append(self._block(self._held[:, done : done + self._needed].astype(np.float64)))
            done += self._step
        self._held = self._held[:, done:]
        return np.concatenate(blocks, axis=1) if blocks else np.empty((self._channels, 0), np.float32), first

    def _block(self, held: NDArray[np.float64]) -> Samples:
        windows = sliding_window_view(held, self._length, axis=1)
        up = len(self._phases)
        out = np.empty((self._channels, up * self._repeats), np.float32)
        for phase, (start, taps) in enumerate(self._phases):
            last = start + self._down * (self._repeats - 1)
            out[:, phase::up] = windows[:, start : last + 1 : self._down] @ taps
        return out


def _low_pass(down: int, up: int) -> NDArray[np.float64]:
    """Return the taps for a rate of ``up`` times the sensor's, of which every ``down``-th sample is kept."""
    width = 2 * np.pi * (STOP - PASS) / down  # in radians per sample
    order = 2 * math.ceil((REJECTION_DB - 7.95) / (2.285 * width) / 2)
    cutoff = (PASS + STOP) / 2 / down
    at = np.arange(order + 1) - order / 2
    taps = np.sinc(2 * cutoff * at) * np.kaiser(order + 1, 0.1102 * (REJECTION_DB - 8.7))
    return np.asarray(taps * (up / taps.sum()))
