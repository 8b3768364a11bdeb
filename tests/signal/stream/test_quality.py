"""Quality flags find broken samples and leave good ones alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_signal import load_dataset, window_quality

if TYPE_CHECKING:
    from pathlib import Path

RNG_SEED = 5


def noise(channels: int = 2, n: int = 512) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).normal(size=(channels, n)).astype(np.float32)


def test_noise_has_no_flags() -> None:
    assert window_quality(noise(), None) == ()
    assert window_quality(noise(), 100.0) == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_sample_that_is_not_finite_is_flagged(bad: float) -> None:
    samples = noise()
    samples[1, 17] = bad
    assert window_quality(samples, None) == ("nan",)


def test_a_window_of_nothing_but_nan_is_flagged_once() -> None:
    assert window_quality(np.full((2, 8), np.nan, np.float32), 1.0) == ("nan",)


def test_one_constant_channel_is_flat() -> None:
    samples = noise()
    samples[0] = 2.5
    assert window_quality(samples, None) == ("flat",)


def test_several_faults_are_all_named() -> None:
    samples = noise(3)
    samples[0, 0] = np.nan
    samples[1] = 0.0
    samples[2] = np.clip(samples[2], -1, 1)
    assert window_quality(samples, None) == ("nan", "flat", "clipped")


@pytest.mark.parametrize("clip_level", [None, 1.2])
def test_a_cut_off_signal_is_clipped_with_and_without_a_known_level(clip_level: float | None) -> None:
    assert window_quality(np.clip(noise(1), -1.2, 1.2).astype(np.float32), clip_level) == ("clipped",)


def test_a_signal_cut_off_on_one_side_is_clipped() -> None:
    assert window_quality(np.maximum(noise(1), -0.9).astype(np.float32), None) == ("clipped",)


def test_touching_the_clip_level_a_few_times_is_not_clipping() -> None:
    samples = noise(1)
    samples[0, [3, 90, 200]] = 8.0
    assert window_quality(samples, 8.0) == ()
    samples[0, 100:110] = 8.0
    assert window_quality(samples, 8.0) == ("clipped",)


def test_a_quiet_quantised_signal_is_not_clipped() -> None:
    assert window_quality(np.rint(noise(8, 400)).astype(np.float32), None) == ()


def test_real_vibration_and_quantised_muscle_signals_are_hardly_ever_flagged(recordings_dir: Path) -> None:
    vibration = load_dataset(recordings_dir / "cwru_fe_512.npz")
    muscles = load_dataset(recordings_dir / "isl_alphabet.npz", converter="isl", window=52)
    assert not any(window_quality(window, None) for window in vibration.x)
    flagged = sum(bool(window_quality(window, None)) for window in muscles.x)
    assert flagged < 0.002 * len(muscles)
