"""A window's verdict from a network that gives the distance to its classes in the same graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from bundles import write_network
from deciding import Bench, said

from edgetune_nas.bundle.read import Bundle, load_bundle
from edgetune_nas.model.layers import Dense, Distances, Flatten, LpPool, Network, Softmax
from edgetune_nas.onnx_io.runtime import ClassDistance
from edgetune_node.events.events import ModelReady
from edgetune_node.monitor.inference import judge
from edgetune_signal import Window

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = 8


@pytest.fixture
def both(tmp_path: Path) -> Bundle:
    """A network of random weights, and distances to a centre of each class."""
    random = np.random.default_rng(0)
    distances = Distances(
        weight=random.normal(0, 0.1, (FEATURES + 1, FEATURES)).astype(np.float32),
        bias=np.zeros(FEATURES + 1, np.float32),
        centres=random.normal(0, 1, (2, FEATURES + 1)).astype(np.float32),
        labels=(0, 1),
        limit=2.0,
    )
    dense = {
        "weight": random.normal(0, 0.1, (2, FEATURES)).astype(np.float32),
        "bias": np.array([0, 20], np.float32),
    }
    layers = (LpPool(kernel=8, stride=8), Flatten(), Dense(2), Softmax())
    network = Network((1, 64), layers, ({}, {}, dense, {}), distances)
    windows = random.normal(0, 1, (32, 1, 64)).astype(np.float32)
    card = write_network(tmp_path, network, windows, classes=("normal", "inner"))
    return load_bundle(tmp_path / f"model-{card.id}")


def test_class_and_distance_come_of_one_run_of_the_graph(both: Bundle) -> None:
    assert isinstance(both.novelty, ClassDistance)
    samples = np.random.default_rng(1).normal(0, 1, (1, 64)).astype(np.float32)
    wanted = float(both.novelty.distances(samples[None], np.array([1]))[0])
    verdict = judge(Window(samples, 0, 0), both, rest_class=None, distant=True)
    assert (verdict.class_, verdict.distance) == ("inner", pytest.approx(wanted / 2))
    assert verdict.novel == (wanted > 2)
    nearer = judge(Window(samples, 0, 0), both, rest_class=None, distant=True, times=wanted)
    assert nearer.distance == pytest.approx(0.5)
    alone = judge(Window(samples, 0, 0), both, rest_class=None, distant=False)
    assert (alone.distance, alone.novel) == (None, False)
    assert alone.shares == verdict.shares


def test_a_node_publishes_the_distance_of_the_graph(both: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", both, None))
    told = [message for _ in range(10) for message in said(bench.samples(), "classification")]
    assert len({message["distance"] for message in told}) == len(told)
    assert {message["class"] for message in told} <= {"inner", "unknown"}
    bench.loudness = 100.0
    far = [message for _ in range(3) for message in said(bench.samples(), "classification")]
    assert {(message["class"], "novel" in message["quality"]) for message in far} == {("unknown", True)}


@pytest.mark.parametrize("distant", [True, False])
def test_a_window_too_large_for_single_precision_is_unknown_and_no_class(both: Bundle, distant: bool) -> None:  # noqa: FBT001 - a case
    samples = np.full((1, 64), 3e38, np.float32)
    verdict = judge(Window(samples, 0, 0), both, rest_class=None, distant=distant)
    assert (verdict.told, verdict.distance, verdict.novel, verdict.shares) == (("unknown", 0.0), None, True, {})
    assert verdict.inference_us is not None
    assert both.novelty is not None
    assert both.novelty.unknown(samples[None]).all()


def test_a_distance_that_is_no_number_is_none_and_the_window_novel(both: Bundle) -> None:
    samples = np.random.default_rng(1).normal(0, 1, (1, 64)).astype(np.float32)
    verdict = judge(Window(samples, 0, 0), both, rest_class=None, distant=True, times=5e-324)
    assert (verdict.distance, verdict.novel, verdict.class_) == (None, True, "inner")
