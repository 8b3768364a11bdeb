"""Mains hum is heard in a signal, and a network takes it off in its graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgetune_nas.model import Conv, closed_form, describe, hum_taps, plan, search_space as space
from edgetune_nas.model.seed_architectures import emg_networks, gesture_closed_forms, with_mains
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.training.task_profile import SIGN

SHAPE = (8, 50)
RATE_HZ = 200.0


def _noise(windows: int = 400) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(windows, *SHAPE))


def _hum(frequency: float, windows: int = 400) -> np.ndarray:
    """A hum of 1 RMS that begins anywhere in each window, on an offset."""
    begins = np.random.default_rng(1).random((windows, 1, 1))
    return 2**0.5 * np.sin(2 * np.pi * (frequency * np.arange(SHAPE[1]) / RATE_HZ + begins)) + 5.0


def _filtered(x: np.ndarray, mains_hz: float) -> np.ndarray:
    taps = np.array(hum_taps(mains_hz / RATE_HZ))
    return np.apply_along_axis(lambda row: np.convolve(row, taps, "valid"), 2, x)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_a_hum_and_an_offset_leave_nothing_and_noise_keeps_its_level(mains_hz: float) -> None:
    assert np.abs(_filtered(_hum(mains_hz), mains_hz)).max() < 1e-9
    assert _filtered(_noise(), mains_hz).std() == pytest.approx(1.0, abs=0.02)


def test_a_whole_period_is_a_comb_that_takes_off_harmonics_and_hardly_hears_a_hum_half_a_percent_off() -> None:
    assert np.count_nonzero(hum_taps(50.0 / RATE_HZ)) == 2
    assert len(hum_taps(50.0 / RATE_HZ)) == 5
    assert np.abs(_filtered(_hum(100.0), 50.0)).max() < 1e-9
    assert _filtered(_hum(50.25), 50.0).std() < 0.05
    assert len(hum_taps(60.0 / RATE_HZ)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_every_closed_form_tells_the_same_with_a_hum_and_computes_the_same_in_onnxruntime(mains_hz: float) -> None:
    y = np.arange(400) % 2
    x = (_noise() * (1 + y[:, None, None] * np.linspace(0, 1, 8)[:, None])).astype(np.float32)
    disturbed = (x + _hum(mains_hz)).astype(np.float32)
    found = 0
    for part in with_mains(SIGN.prior, mains_hz / RATE_HZ, SHAPE, heard=False).closed_forms(SHAPE):
        for genotype in part:
            if not genotype.mains:
                continue
            found += 1
            network = closed_form.fit(space.expand(genotype, SHAPE, 2), x, y, classes=2)
            clean, hummed = closed_form.logits(network, x), closed_form.logits(network, disturbed)
            assert np.abs(clean - hummed).max() < 0.02 * np.abs(clean).max(), genotype
            said = Classifier(open_session(write_onnx(network).SerializeToString())).probabilities(disturbed)
            assert (said.argmax(axis=1) == hummed.argmax(axis=1)).all()
    assert found == sum(map(len, gesture_closed_forms(SHAPE)))


def test_what_takes_the_hum_off_is_named_and_counted() -> None:
    plain = emg_networks(SHAPE)[0]
    without = replace(plain, mains=0.25)
    layers = space.expand(without, SHAPE, 4)
    assert isinstance(layers[0], Conv)
    assert describe(layers[0]) == "mains hum off 5/1 x 8"
    assert plan(SHAPE, layers[:1]).macs == 8 * 46 * 5
    assert plan(SHAPE, layers).arena_bytes >= 8 * 50 + 8 * 46
    assert plan(SHAPE, layers).flash_bytes > plan(SHAPE, space.expand(plain, SHAPE, 4)).flash_bytes
    assert space.from_json(space.to_json(without)) == without


def test_the_gene_is_drawn_and_mutated_and_leads_where_a_hum_was_heard() -> None:
    rng = np.random.default_rng(3)
    prior = with_mains(SIGN.prior, 0.25, SHAPE, heard=True)
    assert {each.mains for each in prior.seed_architectures(SHAPE)} == {0.25}
    drawn = [space.sample(rng, SHAPE, prior) for _ in range(40)]
    assert {each.mains for each in drawn} == {0.0, 0.25}
    mutants = [space.mutate(drawn[0], rng, SHAPE, prior) for _ in range(60)]
    assert {each.mains for each in mutants} == {0.0, 0.25}
    quiet = with_mains(SIGN.prior, 0.25, SHAPE, heard=False)
    assert quiet.seed_architectures(SHAPE) == SIGN.prior.seed_architectures(SHAPE)


@pytest.mark.parametrize(("mains", "length"), [(50 / 12_000, 512), (0.6, 50), (0.25, 16)])
def test_a_filter_that_is_long_for_the_window_or_a_hum_out_of_the_band_changes_nothing(
    mains: float, length: int
) -> None:
    assert with_mains(SIGN.prior, mains, (8, length), heard=True) is SIGN.prior
