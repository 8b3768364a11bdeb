"""Augmented windows: what they change, what they keep, and that they are the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from edgetune_nas.training.augmentation import (
    ELECTRODE,
    KNOTS,
    LEVEL,
    LOUDNESS,
    SPEED,
    augment_emg,
    augment_vibration,
)


def _noise(windows: int, channels: int = 1, length: int = 512) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(windows, channels, length)).astype(np.float32)


def test_levels_move_as_much_as_is_said_and_by_no_more_on_average() -> None:
    x = _noise(400)
    change = np.log(np.std(augment_vibration(x, np.random.default_rng(1)), axis=2) / np.std(x, axis=2))
    assert change.std() == pytest.approx(np.hypot(LOUDNESS, LEVEL / np.sqrt(KNOTS)), rel=0.3)


def test_a_tone_stays_near_its_frequency() -> None:
    tone = np.sin(2 * np.pi * 0.2 * np.arange(4096)).astype(np.float32)[None, None]
    for seed in range(5):
        spectrum = np.abs(np.fft.rfft(augment_vibration(tone, np.random.default_rng(seed))[0, 0]))
        assert spectrum.argmax() / 4096 == pytest.approx(0.2, rel=SPEED + 0.002)


def test_all_channels_of_a_window_change_alike() -> None:
    x = np.repeat(_noise(3), 2, axis=1)
    result = augment_vibration(x, np.random.default_rng(2))
    np.testing.assert_array_equal(result[:, 0], result[:, 1])


def test_equal_seeds_change_windows_equally_and_nothing_is_changed_in_place() -> None:
    x = _noise(4, 2, 100)
    before = x.copy()
    first, second = (augment_vibration(x, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, before)
    assert (first.dtype, first.shape) == (np.float32, x.shape)
    assert np.isfinite(first).all()


@pytest.mark.parametrize("length", [1, 2, 3, 16])
def test_short_windows_can_be_augmented(length: int) -> None:
    assert np.isfinite(augment_vibration(_noise(2, 1, length), np.random.default_rng(0))).all()


def test_a_repeated_gesture_differs_in_the_level_of_its_electrodes_alone() -> None:
    x = _noise(400, 8, 52)
    change = augment_emg(x, np.random.default_rng(4)) / x
    np.testing.assert_allclose(change, change[:, :, :1].repeat(52, axis=2), rtol=1e-5)
    nepers = np.log(change[:, :, 0])
    assert nepers.mean(axis=1).std() == pytest.approx(np.hypot(LOUDNESS, ELECTRODE / np.sqrt(8)), rel=0.2)
    assert (nepers - nepers.mean(axis=1, keepdims=True)).std() == pytest.approx(ELECTRODE, rel=0.1)
