"""What is wrong with the samples of a window: not finite, constant, or clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgetune_signal.stream.types import Samples

FEW_SAMPLES = 3
"""Up to this many samples of a channel may stand at an extreme without being called clipped ..."""
FEW_FRACTION = 0.01
"""... or this part of the window, whichever is more."""
PLATEAU = 3
"""Consecutive equal extremes that make a plateau."""
COARSE_STEPS = 48
"""A channel that spans fewer quantisation steps than this repeats its extremes without being clipped."""
EDGE_RATIO = 2.0
"""An extreme must occur this many times as often as the value next to it (a tail thins out, a clipped one does not)."""


def window_quality(samples: Samples, clip_level: float | None) -> tuple[str, ...]:
    """Name what is wrong with a window.

    Parameters
    ----------
    samples
        ``(channels, length)`` in the stream's unit.
    clip_level
        Largest magnitude the sensor can deliver, in the stream's unit; None where it is not known.

    Returns
    -------
    tuple of str
        In this order: ``nan`` (a sample is not finite), ``flat`` (a channel is constant), ``clipped`` (more than a few
        samples of a channel stand at the clip level; without one, more than a few stand exactly at the channel's
        extreme, some of them in a row, and the value next to the extreme is much rarer). Empty when nothing is.

    Notes
    -----
    Quantised signals touch their extremes often: an armband at rest delivers only -2 to 1. So an extreme alone proves
    nothing; a channel that spans fewer than `COARSE_STEPS` steps is never called clipped without a clip level.
    """
    top, bottom = samples.max(axis=1), samples.min(axis=1)  # both hand a nan through
    finite = np.isfinite(top) & np.isfinite(bottom)
    flags = [] if finite.all() else ["nan"]
    judged = samples
    if flags:
        judged, top, bottom = samples[finite], top[finite], bottom[finite]
    if judged.size == 0:
        return tuple(flags)
    if (top == bottom).any():
        flags.append("flat")
    few = max(FEW_SAMPLES, int(FEW_FRACTION * judged.shape[1]))
    if clip_level is not None:
        clipped = bool((np.count_nonzero(np.abs(judged) >= clip_level, axis=1) > few).any())
    else:
        at_extreme = np.count_nonzero((judged == top[:, None]) | (judged == bottom[:, None]), axis=1)
        suspects = np.flatnonzero((at_extreme > few) & (top > bottom))
        clipped = any(_is_clipped(judged[channel], few) for channel in suspects)
    if clipped:
        flags.append("clipped")
    return tuple(flags)


def _is_clipped(channel: Samples, few: int) -> bool:
    values, counts = np.unique(channel.astype(np.float64), return_counts=True)  # float32 may overflow in differences
    if values[-1] - values[0] < COARSE_STEPS * np.diff(values).min():
        return False
    return any(
        counts[edge] > few and counts[edge] >= EDGE_RATIO * counts[next_to_edge] and _has_plateau(channel, values[edge])
        for edge, next_to_edge in ((0, 1), (-1, -2))
    )


def _has_plateau(channel: Samples, level: np.float64) -> bool:
    here = channel == level
    run = here[: -PLATEAU + 1].copy()
    for step in range(1, PLATEAU):
        run &= here[step : len(here) - PLATEAU + 1 + step]
    return bool(run.any())
