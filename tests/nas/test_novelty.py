"""What lies far from everything known is told from what is known."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.errors import BundleError
from edgetune_nas.novelty import Novelty, fit_novelty
from edgetune_signal import BearingSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH = 512


def windows(condition: str, count: int, seed: int = 0) -> NDArray[np.float32]:
    samples = BearingSimulator(condition=condition, seed=seed).generate(count * LENGTH)
    return samples.reshape(1, count, LENGTH).swapaxes(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    x = np.concatenate([windows("normal", 80), windows("inner_severe", 80)])
    validation = np.concatenate([windows("normal", 40, seed=1), windows("inner_severe", 40, seed=1)])
    return fit_novelty(x, np.repeat([0, 1], 80), validation)


def test_the_known_is_known_and_the_unknown_is_not(novelty: Novelty) -> None:
    for condition in ("normal", "inner_severe"):
        assert novelty.unknown(windows(condition, 100, seed=2)).mean() <= 0.02
    whistling = windows("normal", 100, seed=2) + np.sin(2 * np.pi / 3 * np.arange(LENGTH)).astype(np.float32)
    assert novelty.unknown(whistling).all()


def test_the_distance_is_mahalanobis_to_the_nearest_class(novelty: Novelty) -> None:
    x = windows("normal", 5, seed=3)
    edges = novelty.edges
    metric = novelty.whitening @ novelty.whitening.T
    for window, distance in zip(x[:, 0].astype(float), novelty.distances(x), strict=True):
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LENGTH) / LENGTH)
        power = np.abs(np.fft.rfft((window - window.mean()) * hann)) ** 2
        level = np.array([np.log(power[a:b].mean()) for a, b in pairwise(edges)])
        apart = [np.sqrt((level - centre) @ metric @ (level - centre)) for centre in novelty.centres]
        assert distance == pytest.approx(min(apart))


def test_it_is_read_back_as_it_was_written(novelty: Novelty) -> None:
    back = Novelty.from_bytes(novelty.to_bytes(), 1, LENGTH)
    x = windows("outer_severe", 5)
    assert np.array_equal(back.distances(x), novelty.distances(x))
    assert back.limit == novelty.limit


def test_what_is_no_such_file_is_refused(novelty: Novelty) -> None:
    data = novelty.to_bytes()
    other = io.BytesIO()
    np.savez(other, edges=np.arange(3))
    for broken in (b"", b"PK", data[: len(data) // 2], other.getvalue()):
        with pytest.raises(BundleError, match=r"novelty\.npz cannot be read"):
            Novelty.from_bytes(broken, 1, LENGTH)
    for channels, length in ((2, LENGTH), (1, 64)):
        with pytest.raises(BundleError, match="does not fit"):
            Novelty.from_bytes(data, channels, length)


@pytest.mark.parametrize(("channels", "length"), [(1, 4), (8, 52), (64, 64)])
def test_every_shape_of_window_will_do(channels: int, length: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (40, channels, length)).astype(np.float32)
    x[:, 0] = 1.0  # a channel that says nothing
    novelty = fit_novelty(x[:30], np.arange(30) % 2, x[30:])
    assert np.isfinite(novelty.distances(x)).all()
    Novelty.from_bytes(novelty.to_bytes(), channels, length)


def test_on_real_recordings_other_faults_are_unknown(recordings_dir: Path) -> None:
    from edgetune_signal.datasets import load_dataset

    data = load_dataset(recordings_dir / "cwru_de_1797rpm", window=LENGTH, unit="g")
    own = {name: data.x[data.label == at] for at, name in enumerate(data.classes)}
    known = ("normal", "inner_007")
    parts = [np.array_split(own[name], 3) for name in known]
    sizes = [len(part[0]) for part in parts]
    train, validation, test = (np.concatenate([part[at] for part in parts]) for at in range(3))
    novelty = fit_novelty(train, np.repeat([0, 1], sizes), validation)
    assert novelty.unknown(test).mean() <= 0.02
    for name in ("inner_021", "outer_centered_007", "outer_orthogonal_007"):
        assert novelty.unknown(own[name]).mean() >= 0.95
