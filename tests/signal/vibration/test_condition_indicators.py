"""Condition indicators agree with their definitions on signals whose values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgetune_signal import Chunk, IndicatorBuffer, SourceError, StreamSpec
from edgetune_signal.vibration.condition_indicators import indicators

SPEC = StreamSpec(1, 1000.0, "g")


def chunk(samples: np.ndarray, sequence: int, *, gap: bool = False) -> Chunk:
    return Chunk(samples.astype(np.float32), 0, 1000.0, sequence, gap=gap)


def test_a_sine_has_its_textbook_values() -> None:
    sine = 3 * np.sin(2 * np.pi * 50 * np.arange(1000) / 1000)[None] + 7.0
    found = indicators(sine.astype(np.float32), "g", 1000.0)
    assert found.rms[0] == pytest.approx(3 / math.sqrt(2), rel=1e-4)
    assert found.peak[0] == pytest.approx(3, rel=1e-3)
    assert found.crest_factor[0] == pytest.approx(math.sqrt(2), rel=1e-3)
    assert found.kurtosis[0] == pytest.approx(1.5, rel=1e-3)
    assert (found.unit, found.seconds, found.quality) == ("g", 1.0, ())


def test_kurtosis_is_pearsons_as_scipy_computes_it() -> None:
    samples = np.random.default_rng(1).standard_t(5, size=(3, 4000)).astype(np.float32)
    found = indicators(samples, "g", 1000.0)
    np.testing.assert_allclose(found.kurtosis, stats.kurtosis(samples.astype(float), axis=1, fisher=False))


def test_gaussian_noise_has_a_kurtosis_of_three() -> None:
    samples = np.random.default_rng(2).normal(size=(1, 200_000)).astype(np.float32)
    assert indicators(samples, "g", 1000.0).kurtosis[0] == pytest.approx(3, abs=0.05)


def test_there_is_no_value_before_the_buffer_is_full() -> None:
    buffer = IndicatorBuffer(SPEC, 0.1)
    buffer.push(chunk(np.ones((1, 99)), 0))
    assert buffer.value() is None
    buffer.push(chunk(np.zeros((1, 1)), 1))
    assert buffer.value() is not None


def test_the_value_is_of_the_latest_second_only() -> None:
    buffer = IndicatorBuffer(SPEC, 0.1)
    buffer.push(chunk(np.random.default_rng(0).normal(size=(1, 250)) * 100, 0))
    latest = np.random.default_rng(1).normal(size=(1, 100))
    buffer.push(chunk(latest, 1))
    value = buffer.value()
    assert value is not None
    assert value.rms[0] == pytest.approx(latest.std(), rel=1e-5)


def test_a_gap_empties_the_buffer() -> None:
    buffer = IndicatorBuffer(SPEC, 0.1)
    buffer.push(chunk(np.ones((1, 200)), 0))
    buffer.push(chunk(np.ones((1, 50)), 1, gap=True))
    assert buffer.value() is None
    buffer.push(chunk(np.ones((1, 100)), 9))
    assert buffer.value() is not None


def test_a_constant_or_broken_channel_has_no_invented_values() -> None:
    samples = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    samples[0] = 4.0
    samples[1, 3] = np.nan
    found = indicators(samples, "g", 1000.0)
    assert found.quality == ("nan", "flat")
    assert found.rms[0] == 0
    assert math.isnan(found.crest_factor[0])
    assert math.isnan(found.rms[1])
    assert math.isfinite(found.kurtosis[2])


def test_a_buffer_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="fewer than two samples"):
        IndicatorBuffer(SPEC, 0.001)
    with pytest.raises(SourceError, match=r"\(1, n\)"):
        IndicatorBuffer(SPEC).push(chunk(np.ones((2, 5)), 0))
