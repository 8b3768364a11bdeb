"""Fixed frontends that a health model may have: bands, statistics of a window, rhythm of the envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgetune_nas.model import Conv, Dense, Flatten, GlobalPool, Log, LpPool, Norm, shapes

if TYPE_CHECKING:
    from edgetune_nas.model import Layer, Shape

MOST_BANDS: Final = 128
"""Features of all channels together: their covariance has the square of it, and is learned from little."""
TAPS: Final = 64
"""Samples of a filter. On developers' recordings of five machines healthy ones reach 1.5 medians and the least faulty
one is at 4.6; with 32 taps at 1.7 and 5.0, with 128 at 1.2 and 3.0: longer filters are steadier and hear less."""
DENSE: Final = 4
"""Frames that a sample is in.

Fewer cost less memory and hear less of a window. With two in the place of four, four bearings that ran to failure
(FEMTO) are told 2 to 15 % of their life later.
"""
STATISTICS_FRAMES: Final = 4


@dataclass(frozen=True, slots=True)
class HealthShape:
    """A frontend, and the covariance that is learned behind it.

    Attributes
    ----------
    name
        For people.
    frontend
        Fixed layers that end in a logarithm, or in the pooling of logarithms.
    rank
        Directions of the covariance that keep a variance of their own, the others share one; None for all of them,
        drawn towards one another.
    """

    name: str
    frontend: tuple[Layer, ...]
    rank: int | None = None

    def layers(self, input_shape: Shape) -> tuple[Layer, ...]:
        """Return all layers, with a log that is not yet fitted."""
        channels, length = shapes(input_shape, self.frontend)[-1]
        return (*self.frontend, Flatten(), Dense(channels * length), Norm())


def health_shapes(input_shape: Shape) -> tuple[HealthShape, ...]:
    """Return the shapes that are tried, the one that is taken where none is clearly better first."""
    channels, length = input_shape
    bands = max(2, min(16, MOST_BANDS // channels))
    taps = max(2, min(TAPS, length // 4))
    stride = max(1, taps // DENSE)
    found = [
        HealthShape("levels of bands", _bank(channels, bands, taps, stride, 2)),
        HealthShape("levels of bands, covariance of rank 4", _bank(channels, bands, taps, stride, 2), rank=4),
        HealthShape("mean magnitude of bands", _bank(channels, bands, taps, stride, 1)),
        HealthShape("levels of more bands", _bank(channels, bands + bands // 4, taps, min(taps, 3 * stride // 2), 2)),
        HealthShape("mean and maximum of bands", _statistics(channels, max(2, 3 * bands // 4), taps, stride)),
        HealthShape("rhythm of the envelope", _rhythm(channels, max(2, bands // 2), length)),
        HealthShape("levels of few bands", _bank(channels, max(2, bands // 2), max(2, taps // 2), stride, 2)),
        HealthShape("levels of bands, half the frames", _bank(channels, bands, taps, 2 * stride, 2)),
        HealthShape("levels of bands, a quarter of the frames", _bank(channels, bands, taps, 4 * stride, 2)),
    ]
    return tuple(each for each in found if _fits(each, input_shape))


def _conv(filters: int, kernel: int, stride: int, groups: int) -> Conv:
    return Conv(filters, kernel, stride, groups=groups, norm=False, relu=False, frozen=True)


def _bank(channels: int, bands: int, taps: int, stride: int, p: int) -> tuple[Layer, ...]:
    return _conv(channels * bands, taps, stride, channels), LpPool(0, 1, 1 if p == 1 else 2), Log(1.0)


def _statistics(channels: int, bands: int, taps: int, stride: int) -> tuple[Layer, ...]:
    """Mean and maximum over the frames of a window: the maximum hears what is short and rare."""
    frames = LpPool(STATISTICS_FRAMES, STATISTICS_FRAMES, 2)
    return _conv(channels * bands, taps, stride, channels), frames, Log(1.0), GlobalPool("both")


def _rhythm(channels: int, bands: int, length: int) -> tuple[Layer, ...]:
    """Spectrum of the envelope of two bands: impacts repeat, whatever they sound like."""
    step = max(4, length // 128)
    taps = max(2, min(32, length // (4 * step)))
    return (
        _conv(2 * channels, 4 * step, step, channels),
        LpPool(2, 1, 1),
        _conv(2 * channels * bands, taps, max(1, taps // 4), 2 * channels),
        LpPool(0, 1, 2),
        Log(1.0),
    )


def _fits(shape: HealthShape, input_shape: Shape) -> bool:
    try:
        shape.layers(input_shape)
    except ValueError:  # windows are too short for it
        return False
    return True
