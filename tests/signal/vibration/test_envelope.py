"""The envelope shows what modulates, the kurtosis where; both agree with plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import hilbert

from edgetune_signal.vibration.envelope import BAND_PARTS, FEWEST_BINS, HIGHEST, envelope_spectrum, kurtosis_band

RATE = 12_000.0
TIME_S = np.arange(12_000) / RATE


def bursts(rate_hz: float, carrier_hz: float, *, noise: float = 0.05) -> np.ndarray:
    """Ring a resonance ``rate_hz`` times a second."""
    since = TIME_S % (1 / rate_hz)
    ringing = np.exp(-800 * since) * np.sin(2 * np.pi * carrier_hz * since)
    return ringing + np.random.default_rng(0).normal(0, noise, len(TIME_S))


def reference_band(samples: np.ndarray, narrowest_hz: float) -> tuple[float, float]:
    """Kurtosis of the analytic signal of every band, by masking the whole spectrum and transforming it back."""
    n = len(samples)
    spectrum = np.fft.fft(samples - samples.mean())
    best, found = -np.inf, (0.0, 0.0)
    for parts in BAND_PARTS:
        bins = n // 2 // parts
        if bins * RATE / n < narrowest_hz or bins < FEWEST_BINS:
            break
        for part in range(1, parts):
            if (part + 1) * bins * RATE / n > HIGHEST * RATE:
                continue
            masked = np.zeros(n, complex)
            masked[part * bins : (part + 1) * bins] = spectrum[part * bins : (part + 1) * bins]
            power = np.abs(np.fft.ifft(masked)) ** 2
            kurtosis = (power**2).mean() / power.mean() ** 2 - 2
            if kurtosis > best + 1e-9:
                best, found = kurtosis, (part * bins * RATE / n, (part + 1) * bins * RATE / n)
    return found


def test_a_modulated_tone_shows_its_modulation_with_its_amplitude() -> None:
    samples = (2 + 0.5 * np.cos(2 * np.pi * 90 * TIME_S)) * np.sin(2 * np.pi * 3000 * TIME_S) + 4.0
    found = envelope_spectrum(samples, RATE, (2500, 3500))
    assert found.step_hz == pytest.approx(1.0)
    assert int(found.amplitude[5:].argmax()) + 5 == 90
    assert found.amplitude[90] == pytest.approx(0.5, rel=1e-3)
    assert found.amplitude[200:].max() < 1e-3


def test_it_is_the_spectrum_of_the_hilbert_envelope() -> None:
    samples = bursts(105, 3000)
    masked = np.fft.rfft(samples)
    masked[:2000] = masked[4000:] = 0
    envelope = np.abs(hilbert(np.fft.irfft(masked)))
    window = np.hanning(len(envelope) + 1)[:-1]
    expected = np.abs(np.fft.rfft((envelope - envelope.mean()) * window)) * 2 / window.sum()
    found = envelope_spectrum(samples, RATE, (2000, 4000)).amplitude
    for line in (105, 210, 315):
        assert found[line] == pytest.approx(expected[line], rel=0.01)


@pytest.mark.parametrize(("carrier_hz", "narrowest_hz"), [(1200, 300), (3000, 500), (4600, 400)])
def test_the_band_is_where_the_impacts_ring(carrier_hz: float, narrowest_hz: float) -> None:
    samples = bursts(25, carrier_hz, noise=0.3)
    band = kurtosis_band(samples, RATE, narrowest_hz)
    assert band is not None
    assert band[0] <= carrier_hz <= band[1]
    assert band[1] - band[0] >= narrowest_hz
    assert band == pytest.approx(reference_band(samples, narrowest_hz))


def test_without_room_for_a_band_or_any_movement_there_is_none() -> None:
    assert kurtosis_band(bursts(25, 3000), RATE, 4000) is None
    assert kurtosis_band(np.ones(12_000), RATE, 500) is None


@pytest.mark.parametrize("band", [(0, 3000), (3000, 2000), (3000, 3005), (3000, 7000)])
def test_an_impossible_band_is_refused(band: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="choose a wider one"):
        envelope_spectrum(bursts(25, 3000), RATE, band)
