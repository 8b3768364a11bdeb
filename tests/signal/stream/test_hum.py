"""How much of a signal is hum of the mains is measured."""

from __future__ import annotations

import numpy as np
import pytest

from edgetune_signal.stream import hum_share

RATE_HZ, SHAPE = 200.0, (400, 8, 50)


def _noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE)


def _hum(frequency: float) -> np.ndarray:
    """A hum of 1 RMS that begins anywhere in each window, on an offset."""
    begins = np.random.default_rng(1).random((SHAPE[0], 1, 1))
    return 2**0.5 * np.sin(2 * np.pi * (frequency * np.arange(SHAPE[2]) / RATE_HZ + begins)) + 5.0


@pytest.mark.parametrize(("added", "share"), [(0.0, 0.0), (0.5, 0.2), (1.0, 0.5), (3.0, 0.9)])
@pytest.mark.parametrize("frequency", [50.0, 50.25])
def test_a_hum_is_heard_by_its_share_of_the_power(added: float, share: float, frequency: float) -> None:
    x = (_noise() + added * _hum(frequency)).astype(np.float32)
    assert hum_share(x, 50.0 / RATE_HZ) == pytest.approx(share, abs=0.02)


def test_what_cannot_be_heard_is_no_hum() -> None:
    x = _noise()[:10].astype(np.float32)
    assert hum_share(x, 0.6) == 0.0
    assert hum_share(np.zeros_like(x), 0.25) == 0.0
    assert hum_share(x[:, :, :2], 0.25) == 0.0
