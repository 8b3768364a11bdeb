"""Closed forms: the frontend's arithmetic, the discriminant, the temperature, and their accuracy on real recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_nas.model import closed_form, frontend, search_space as space
from edgetune_nas.model.layers import Conv, Dense, Flatten, Log, LpPool, Softmax
from edgetune_nas.model.seed_architectures import closed_forms
from edgetune_nas.model.temperature import best_temperature, true_probability, with_temperature
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.training.task_profile import FAULT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BANK = Conv(16, 64, 16, norm=False, relu=False, frozen=True)


def _windows(classes: int, count: int, channels: int, length: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Noise whose class is its loudest frequency."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    time = np.arange(length)
    tone = np.sin(2 * np.pi * (y[:, None] + 1) / (2.5 * classes) * time + rng.uniform(0, 6.28, (count, 1)))
    x = rng.normal(size=(count, channels, length)) + 2 * tone[:, None]
    return x.astype(np.float32), y.astype(np.int64)


def test_each_filter_of_the_bank_has_unit_energy_and_answers_its_own_band_most() -> None:
    bank = frontend.filter_bank(BANK)[:, 0]
    np.testing.assert_allclose((bank**2).sum(axis=1), 1, rtol=1e-5)
    response = np.abs(np.fft.rfft(bank, 1024, axis=1))
    peak = response.argmax(axis=1) / 1024
    np.testing.assert_allclose(peak[1:], (np.arange(1, 16) + 0.5) / 32, atol=0.004)
    assert 0 < peak[0] < 1 / 32  # the lowest band answers no constant, which pushes its peak up


@pytest.mark.parametrize("genotype", FAULT.prior.closed_forms((1, 512))[0])
def test_an_offset_changes_nothing_behind_a_bank(genotype: space.Genotype) -> None:
    x, y = _windows(2, 40, 1, 512)
    network = closed_form.fit(space.expand(genotype, (1, 512), 2), x, y, classes=2)
    np.testing.assert_allclose(
        closed_form.logits(network, x + np.float32(5)), closed_form.logits(network, x), rtol=1e-2, atol=1e-2
    )


def test_a_class_of_several_kinds_has_a_row_for_each_and_is_told_by_the_best() -> None:
    rng = np.random.default_rng(5)
    kind = np.repeat(np.arange(3), 60)  # the first class is a low and a high tone, the second one between them
    frequency = np.array([0.06, 0.4, 0.2])[kind]
    tone = np.sin(2 * np.pi * frequency[:, None] * np.arange(512) + rng.uniform(0, 6, (180, 1)))
    x = (tone + rng.normal(0, 2, (180, 512))).astype(np.float32)[:, None]
    kinds = (2, 1)
    layers = space.expand(FAULT.prior.closed_forms((1, 512))[0][0], (1, 512), 2, kinds)
    network = closed_form.fit(layers, x, kind, classes=3)
    assert (closed_form.logits(network, x).argmax(axis=1) == (kind == 2)).mean() > 0.99
    logits = closed_form.logits(network, x)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    given = Classifier(open_session(write_onnx(network).SerializeToString())).probabilities(x)
    np.testing.assert_allclose(given, powers / powers.sum(axis=1, keepdims=True), atol=1e-3)


def test_a_kind_without_windows_repeats_another_of_its_class() -> None:
    x, y = _windows(2, 40, 1, 512)
    network = closed_form.fit(space.expand(closed_forms((1, 512))[0], (1, 512), 2, (2, 2)), x, 2 * y, classes=4)
    dense = network.weights[-3]
    np.testing.assert_array_equal(dense["weight"][[0, 2]], dense["weight"][[1, 3]])
    np.testing.assert_array_equal(dense["bias"][[0, 2]], dense["bias"][[1, 3]])


@pytest.mark.parametrize("p", [1, 2])
def test_features_are_the_formula_written_out(p: int) -> None:
    x, _ = _windows(2, 3, 2, 128)
    conv = Conv(8, 16, 5, groups=2, norm=False, relu=False, frozen=True)
    layers = (conv, LpPool(4, 3, p), Log(0.1))
    bank = frontend.filter_bank(conv)[:, 0]
    expected = np.empty((3, 8, 7))
    filtered = np.empty((8, 23))
    for window in range(3):
        for row in range(8):
            for frame in range(23):
                filtered[row, frame] = bank[row] @ x[window, row // 4, 5 * frame : 5 * frame + 16]
        for frame in range(7):
            chunk = np.abs(filtered[:, 3 * frame : 3 * frame + 4]) ** p
            expected[window, :, frame] = np.log(chunk.sum(axis=1) ** (1 / p) + 0.1)
    np.testing.assert_allclose(frontend.frontend_features(layers, x), expected, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 40))
def test_features_do_not_depend_on_how_many_windows_come_at_once(count: int) -> None:
    x, _ = _windows(2, 40, 1, 256)
    layers = (BANK, LpPool(0, 1), Log(1.0))
    whole = frontend.frontend_features(layers, x)
    np.testing.assert_allclose(frontend.frontend_features(layers, x[:count]), whole[:count], rtol=1e-5)


@pytest.mark.parametrize(("channels", "length"), [(1, 512), (8, 400), (3, 1024), (6, 128)])
def test_a_solved_network_says_in_onnxruntime_what_it_says_in_numpy(channels: int, length: int) -> None:
    x, y = _windows(3, 90, channels, length)
    for genotype in closed_forms((channels, length)):
        network = closed_form.fit(space.expand(genotype, (channels, length), 3), x, y, classes=3)
        scores = closed_form.logits(network, x)
        network = with_temperature(network, 3.0)
        expected = np.exp(scores / 3 - (scores / 3).max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        session = open_session(write_onnx(network).SerializeToString())
        np.testing.assert_allclose(Classifier(session).probabilities(x), expected, atol=2e-3)


def test_a_solved_network_tells_tones_apart() -> None:
    x, y = _windows(5, 400, 1, 512)
    genotype = closed_forms((1, 512))[0]
    network = closed_form.fit(space.expand(genotype, (1, 512), 5), x[:200], y[:200], classes=5)
    assert (closed_form.logits(network, x[200:]).argmax(axis=1) == y[200:]).mean() == 1


def test_scaling_the_signal_changes_no_answer() -> None:
    x, y = _windows(3, 120, 1, 512)
    layers = space.expand(closed_forms((1, 512))[0], (1, 512), 3)
    answers = []
    for gain in (1e-3, 1.0, 1e3):
        network = closed_form.fit(layers, np.float32(gain) * x[:60], y[:60], classes=3)
        answers.append(closed_form.logits(network, np.float32(gain) * x[60:]))
    np.testing.assert_allclose(answers[0], answers[1], rtol=0.01, atol=0.05)
    np.testing.assert_allclose(answers[2], answers[1], rtol=0.01, atol=0.05)


def test_a_class_without_windows_is_never_guessed() -> None:
    x, y = _windows(2, 60, 1, 256)
    network = closed_form.fit(space.expand(closed_forms((1, 256))[0], (1, 256), 4), x, 2 * y, classes=4)
    assert set(closed_form.logits(network, x).argmax(axis=1)) == {0, 2}


def test_a_dead_channel_does_no_harm() -> None:
    x, y = _windows(2, 60, 2, 256)
    x[:, 1] = 0
    network = closed_form.fit(space.expand(closed_forms((2, 256))[0], (2, 256), 2), x, y, classes=2)
    scores = closed_form.logits(network, x)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == y).all()


def test_rare_classes_count_as_much_as_frequent_ones() -> None:
    rng = np.random.default_rng(1)
    features = np.concatenate([rng.normal(0, 1, (2000, 1)), rng.normal(2, 1, (20, 1))]).astype(np.float32)
    y = np.repeat([0, 1], [2000, 20])
    weight, bias = closed_form.discriminant(features, y, classes=2)
    boundary = -(bias[1] - bias[0]) / (weight[1, 0] - weight[0, 0])
    assert boundary == pytest.approx(1, abs=0.3)


def test_the_discriminant_finds_the_best_boundary_between_gaussians() -> None:
    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(4, 4))
    means = rng.normal(size=(3, 4)) * 2
    y = rng.integers(3, size=6000)
    features = (means[y] + rng.normal(size=(6000, 4)) @ mixing).astype(np.float32)
    weight, bias = closed_form.discriminant(features, y, classes=3)
    precision = np.linalg.inv(mixing.T @ mixing)
    best = features @ precision @ means.T - 0.5 * np.einsum("kd,de,ke->k", means, precision, means)
    agreement = ((features @ weight.T + bias).argmax(axis=1) == best.argmax(axis=1)).mean()
    assert agreement > 0.98


def test_a_level_that_may_drift_is_trusted_less() -> None:
    rng = np.random.default_rng(5)
    y = np.arange(2000) % 2
    features = (y[:, None] * [0.5, 1.0] + rng.normal(0, [0.05, 0.2], (2000, 2))).astype(np.float32)
    plain, _ = closed_form.discriminant(features, y, classes=2)
    wary, _ = closed_form.discriminant(features, y, classes=2, drift=closed_form.ExpectedDrift(each=0.5, common=0.0))
    lean = [abs((weight[1] - weight[0])[0] / (weight[1] - weight[0])[1]) for weight in (plain, wary)]
    assert lean[0] > 5
    assert lean[1] < 1


def test_loudness_that_may_drift_says_nothing() -> None:
    rng = np.random.default_rng(6)
    y = np.arange(2000) % 2
    features = (y[:, None] * [4.0, 2.0] + rng.normal(0, 0.3, (2000, 2))).astype(np.float32)
    weight, bias = closed_form.discriminant(
        features, y, classes=2, drift=closed_form.ExpectedDrift(each=0.1, common=10.0)
    )
    louder = (features + np.float32(5)) @ weight.T + bias
    assert (louder.argmax(axis=1) == y).mean() > 0.9


def test_the_predicted_covariance_is_that_of_a_further_recording() -> None:
    rng = np.random.default_rng(9)
    for count in (2, 3, 8):
        recording = np.repeat(np.arange(400 * count), 10)
        y = recording // count
        between, within = np.array([2.0, 0.5]), np.array([0.3, 1.0])
        z = rng.normal(size=(400 * count, 2))[recording] * between + rng.normal(size=(len(y), 2)) * within
        expected = (1 + 1 / count) * (between**2 + within**2 / 10) + within**2
        np.testing.assert_allclose(np.diag(closed_form.predicted_covariance(z, y, recording)), expected, rtol=0.1)


def test_one_recording_of_each_class_shows_no_scatter_between_them() -> None:
    z, y = np.random.default_rng(3).normal(size=(300, 4)), np.arange(300) % 3
    centred = z - np.stack([z[y == label].mean(axis=0) for label in range(3)])[y]
    np.testing.assert_allclose(closed_form.predicted_covariance(z, y, y), closed_form.shrunk_covariance(centred))


def test_a_level_that_differs_between_recordings_is_trusted_less() -> None:
    rng = np.random.default_rng(4)
    recording = np.repeat(np.arange(8), 200)
    y = recording % 2
    moved = rng.choice([-1.0, 1.0], 8)[recording]
    features = np.stack([0.5 * y + 0.3 * moved, 0.5 * y], axis=1) + rng.normal(0, 0.2, (1600, 2))
    told, plain = (
        closed_form.discriminant(features.astype(np.float32), y, classes=2, recording=each)[0]
        for each in (recording, None)
    )
    lean = [abs((weight[1] - weight[0])[0] / (weight[1] - weight[0])[1]) for weight in (told, plain)]
    assert lean[0] < 0.9 * lean[1]


def test_a_few_new_windows_move_what_a_library_knows_to_the_new_condition() -> None:
    rng = np.random.default_rng(7)
    means = rng.normal(size=(4, 6)) * 2
    drift = rng.normal(size=(4, 6))
    y = np.concatenate([np.arange(800) % 4, np.arange(12) % 4, np.arange(2000) % 4])
    origin = np.repeat([2, 0, 0], [800, 12, 2000])
    moved = means[y] + np.where(origin[:, None] == 0, drift[y], 0)
    features = (moved + rng.normal(size=moved.shape) * 0.7).astype(np.float32)
    known, asked = np.arange(812), np.arange(812, 2812)

    def right(among: NDArray[np.int64], marked: NDArray[np.int64] | None) -> float:
        weight, bias = closed_form.discriminant(features[among], y[among], classes=4, origin=marked)
        return float(((features[asked] @ weight.T + bias).argmax(axis=1) == y[asked]).mean())

    both = right(known, origin[known])
    assert both > right(known, None)
    assert both > right(known[800:], None)


def test_a_class_that_only_the_library_has_stays_known() -> None:
    rng = np.random.default_rng(8)
    y = np.concatenate([np.arange(300) % 3, np.arange(20) % 2])
    origin = np.repeat([1, 0], [300, 20])
    features = (3 * np.eye(3)[y] + rng.normal(size=(320, 3)) * 0.5).astype(np.float32)
    weight, bias = closed_form.discriminant(features, y, classes=3, origin=origin)
    assert ((features @ weight.T + bias).argmax(axis=1) == y)[y == 2].mean() > 0.95


def test_a_bank_gives_quiet_bands_more_gain_and_computes_the_same_in_onnxruntime() -> None:
    x, y = _windows(3, 60, 1, 512)
    spectrum = np.fft.rfft(x) * np.linspace(1, 0.01, 257)
    x = np.fft.irfft(spectrum, 512).astype(np.float32)
    layers = space.expand(closed_forms((1, 512))[0], (1, 512), 3)
    network = closed_form.fit(layers, x, y, classes=3)
    bank = network.layers[0]
    assert isinstance(bank, Conv)
    assert bank.gains[-1] > 3 * bank.gains[0]
    scores = closed_form.logits(network, x)
    classifier = Classifier(open_session(write_onnx(network).SerializeToString()))
    assert (classifier.probabilities(x).argmax(axis=1) == scores.argmax(axis=1)).all()


@given(st.integers(2, 60), st.integers(1, 40), st.integers(0, 2**16))
def test_the_shrunk_covariance_can_be_inverted_and_keeps_the_total_variance(n: int, d: int, seed: int) -> None:
    residuals = np.random.default_rng(seed).normal(size=(n, d))
    covariance = closed_form.shrunk_covariance(residuals)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.trace(covariance) == pytest.approx(np.mean(residuals**2) * d, rel=1e-4)


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(4000, 5)) * 2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert best_temperature((7 * scores).astype(np.float32), y) == pytest.approx(7, rel=0.1)


def test_the_temperature_stays_within_bounds_when_nothing_is_wrong() -> None:
    y = np.arange(30) % 3
    scores = (10 * np.eye(3)[y]).astype(np.float32)
    temperature = best_temperature(scores, y)
    assert 0.05 <= temperature <= 20
    assert true_probability(scores, y, temperature).mean() < 1


def test_only_frontends_with_a_head_of_one_dense_layer_are_closed_forms() -> None:
    x, y = _windows(2, 20, 1, 64)
    network = closed_form.fit((LpPool(16, 16), Log(1.0), Flatten(), Dense(2), Softmax()), x, y, classes=2)
    assert closed_form.is_closed_form(network)


def test_bearing_faults_are_told_apart_within_a_kilobyte(recordings_dir: Path) -> None:
    from edgetune_nas.model.cost import plan

    data = np.load(recordings_dir / "cwru_fe_512.npz")
    x, y = data["x"].astype(np.float32), data["label"].astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1280], order[1280:]
    accuracies = {}
    for genotype in closed_forms((1, 512)):
        layers = space.expand(genotype, (1, 512), 10)
        network = closed_form.fit(layers, x[train], y[train], classes=10)
        arena = plan((1, 512), layers).arena_bytes
        accuracies[arena] = (closed_form.logits(network, x[test]).argmax(axis=1) == y[test]).mean()
    assert max(accuracy for arena, accuracy in accuracies.items() if arena <= 1024) >= 0.999
    assert max(accuracy for arena, accuracy in accuracies.items() if arena <= 720) >= 0.985
