"""Training: the same every time, fair to rare classes, and stopped when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.model import search_space as space
from edgetune_nas.model.layers import Log
from edgetune_nas.model.search_space import ConvBlock, Envelope, Genotype, Stem
from edgetune_nas.training.candidate import Interrupted
from edgetune_nas.training.estimator import TrainingSet
from edgetune_nas.training.task_profile import FAULT, SIGN

torch = pytest.importorskip("torch")

from edgetune_nas.training.trainer import logits, steps_per_epoch, train  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEM = Genotype(None, Stem(8, 32, 8), (), "average")
ENVELOPE = Genotype(Envelope(16, 16), None, (ConvBlock("full", 8, 3),), "both")


def _tones(count: int, seed: int = 0, pitch: float = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    phase = rng.uniform(0, 6.28, (count, 1))
    tone = np.sin(np.where(y == 0, 0.3, 0.9)[:, None] * pitch * np.arange(128) + phase)
    return (rng.normal(size=(count, 1, 128)) * 0.3 + tone[:, None]).astype(np.float32), y


def test_a_stem_learns_to_tell_tones_apart() -> None:
    x, y = _tones(256)
    result = train(space.expand(STEM, (1, 128), 2), TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=8, seed=0)
    other, truth = _tones(100, seed=1)
    assert (logits(result.network, other).argmax(axis=1) == truth).mean() > 0.97
    assert len(result.curve) == 8
    assert result.curve[-1] < result.curve[0]


@pytest.mark.parametrize("genotype", [STEM, ENVELOPE])
def test_the_same_seed_gives_the_same_weights_whatever_ran_before(genotype: Genotype) -> None:
    x, y = _tones(80)
    layers = space.expand(genotype, (1, 128), 2)
    results = []
    for noise in (1, 50):
        torch.randn(noise)
        results.append(train(layers, TrainingSet(x, y, 2), recipe=SIGN.recipe, epochs=3, seed=5).network)
    for first, second in zip(results[0].weights, results[1].weights, strict=True):
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_another_seed_gives_other_weights() -> None:
    x, y = _tones(80)
    layers = space.expand(STEM, (1, 128), 2)
    first, second = (
        train(layers, TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=1, seed=seed).network for seed in (0, 1)
    )
    assert not np.array_equal(first.weights[0]["weight"], second.weights[0]["weight"])


def test_training_leaves_the_global_random_state_alone() -> None:
    x, y = _tones(40)
    torch.manual_seed(9)
    expected = torch.randn(3)
    torch.manual_seed(9)
    train(space.expand(STEM, (1, 128), 2), TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=1, seed=0)
    assert torch.equal(torch.randn(3), expected)


def test_training_stops_at_the_step_it_is_told_to() -> None:
    x, y = _tones(256)
    asked = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) == 6

    with pytest.raises(Interrupted):
        train(space.expand(STEM, (1, 128), 2), TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=100, seed=0, stop=stop)
    assert len(asked) == 6


def test_a_rare_class_is_not_given_up() -> None:
    x, y = _tones(420)
    keep = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:12]])
    result = train(
        space.expand(STEM, (1, 128), 2), TrainingSet(x[keep], y[keep], 2), recipe=FAULT.recipe, epochs=12, seed=0
    )
    other, truth = _tones(200, seed=1)
    right = logits(result.network, other).argmax(axis=1) == truth
    assert right[truth == 1].mean() > 0.9


def test_old_windows_prepare_a_training_and_the_new_ones_decide() -> None:
    """What meant one class before means the other now."""
    before, y_before = _tones(400)
    now, y_now = _tones(24, pitch=3, seed=1)
    other, truth = _tones(200, pitch=3, seed=2)
    x, y, new = np.concatenate([before, now]), np.concatenate([y_before, y_now]), np.arange(424) >= 400
    layers = space.expand(STEM, (1, 128), 2)

    together = train(layers, TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=8, seed=0)
    in_turn = train(layers, TrainingSet(x, y, 2), recipe=FAULT.recipe, epochs=20, seed=0, deciding=new, epochs_on_all=4)

    accuracies = [(logits(each.network, other).argmax(axis=1) == truth).mean() for each in (together, in_turn)]
    assert accuracies[0] < 0.8
    assert accuracies[1] > 0.95
    assert len(in_turn.curve) == 24


def test_the_offset_of_the_logarithm_follows_the_level_of_the_signal() -> None:
    x, y = _tones(60)
    layers = space.expand(ENVELOPE, (1, 128), 2)
    offsets = []
    for gain in (1, 1000):
        network = train(layers, TrainingSet(np.float32(gain) * x, y, 2), recipe=SIGN.recipe, epochs=1, seed=0).network
        offsets += [layer.offset for layer in network.layers if isinstance(layer, Log)]
    assert offsets[1] == pytest.approx(1000 * offsets[0], rel=1e-3)


@pytest.mark.parametrize("windows", [1, 5, 63, 64, 65, 200, 1000])
def test_an_epoch_uses_nearly_every_window_in_batches_near_the_recipes(windows: int) -> None:
    steps = steps_per_epoch(windows, FAULT.recipe)
    assert steps >= 1
    assert windows - steps * (windows // steps) < steps
    assert windows < 64 or 32 <= windows // steps <= 96
