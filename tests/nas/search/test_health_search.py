"""A search where health is all there is: its bundle, its budget, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from edgetune_nas.bundle import evaluate, load_bundle, self_test
from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError, BundleError, DataError
from edgetune_nas.health import LimitRule, blocks, candidates, choose, health_network, health_shapes
from edgetune_nas.onnx_io import check_network
from edgetune_nas.search.run import SearchResult, search
from edgetune_signal.datasets import Dataset
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _machine(windows: int = 200, *, impacts: float = 0.0, seed: int = 0) -> Dataset:
    """Two recordings of a machine that hums in noise; with ``impacts`` it rattles too."""
    rng = np.random.default_rng(seed)
    time = np.arange(512)
    x = rng.normal(size=(windows, 1, 512)) + np.sin(0.3 * time + rng.uniform(0, 6.28, (windows, 1, 1)))
    since = (time - rng.uniform(0, 90, (windows, 1, 1))) % 90
    x += impacts * np.exp(-since / 12) * np.sin(1.9 * since)
    return Dataset(
        x=x.astype(np.float32),
        label=np.zeros(windows, np.int64),
        classes=("normal",),
        rate_hz=12_000.0,
        unit="g",
        group=np.arange(windows) * 2 // windows,
        start=np.arange(windows) % -(-windows // 2) * 512,
        condition=np.zeros(windows, np.int64),
        conditions=("",),
        groups=("monday", "tuesday"),
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search(_machine(), task="fault", budget=Budget(), out=tmp_path_factory.mktemp("health"))


def test_the_card_has_no_accuracy_but_false_alarms_and_what_the_health_heard_supports(searched: SearchResult) -> None:
    card = load_bundle(searched.bundle).card
    assert card == searched.card
    assert (card.kind, card.classes, card.distance) == ("health", ["normal"], "graph")
    metrics = card.metrics
    assert (metrics.accuracy, metrics.macro_f1, metrics.confusion) == (None, None, [])
    assert metrics.false_alarms is not None
    assert metrics.false_alarms <= 0.005
    assert (metrics.windows, metrics.recordings) == (200, 2)
    assert metrics.healthy_seconds == pytest.approx(200 * 512 / 12_000, abs=1e-3)
    assert metrics.supported_per_month == pytest.approx(3 / metrics.healthy_seconds * 2_629_800, rel=5e-3)
    assert card.tested_on == "later_in_the_same_recordings"
    assert card.learned is not None
    assert card.learned.windows == 200
    assert card.notes["health"]["limit"] == "2.5 times the median of cross-fitted distances"
    assert card.cost.arena_bytes <= 1024
    assert card.cost.flash_bytes <= 2048
    assert "Health model of normal" in (searched.bundle / "report.html").read_text(encoding="utf-8")


def test_the_graph_gives_the_distance_that_was_fitted(searched: SearchResult) -> None:
    data = _machine()
    tried = candidates(health_shapes((1, 512)), data.x, seed=0)
    block = blocks(data)
    best = choose(tried, block, LimitRule.of(data, block, 0.1))
    bundle = load_bundle(searched.bundle)
    assert bundle.novelty is not None
    assert bundle.novelty.limit == best.limit == bundle.card.distance_limit
    np.testing.assert_allclose(
        bundle.novelty.distances(data.x), best.whitening.distances(best.candidate.healthy), rtol=1e-4
    )
    kept = self_test(bundle)
    assert kept is not None
    np.testing.assert_allclose(bundle.novelty.distances(kept[0]), kept[1][:, 0], rtol=1e-6)


@pytest.mark.slow
def test_torch_means_by_the_layers_what_onnxruntime_computes(searched: SearchResult) -> None:
    torch = pytest.importorskip("torch")
    from edgetune_nas.model import LayerNet, from_network

    data = _machine(20, seed=4)
    block = blocks(_machine())
    tried = candidates(health_shapes((1, 512)), _machine().x, seed=0)
    best = choose(tried, block, LimitRule.of(_machine(), block, 0.1))
    network = health_network((1, 512), best.candidate.shape, best.candidate.frontend, best.whitening)
    net: LayerNet = from_network(network)
    with torch.no_grad():
        said = net(torch.from_numpy(data.x)).numpy().reshape(-1)
    novelty = load_bundle(searched.bundle).novelty
    assert novelty is not None
    np.testing.assert_allclose(said, novelty.distances(data.x), rtol=1e-3)


def test_int8_calls_the_same_windows_unlike_health(searched: SearchResult) -> None:
    x = np.concatenate([_machine(seed=5).x, _machine(impacts=8.0, seed=6).x])
    whole, eight = (load_bundle(searched.bundle, precision).novelty for precision in ("float", "int8"))
    assert whole is not None
    assert eight is not None
    assert (whole.unknown(x) == eight.unknown(x)).mean() >= 0.98


def test_a_quiet_band_beside_a_loud_one_does_not_make_health_unknown_in_int8(tmp_path: Path) -> None:
    """Rounding swallows what is quiet, so the dense layer is fitted to the rounded levels."""
    rng = np.random.default_rng(7)
    data = _machine()
    white = rng.normal(size=(200, 1, 520))
    quiet = np.stack([np.convolve(each[0], np.hanning(9) / np.hanning(9).sum(), "valid") for each in white])
    loud = replace(data, x=(quiet[:, None] + np.sin(0.3 * np.arange(512))).astype(np.float32))
    bundle = search(loud, task="fault", budget=Budget(), out=tmp_path).bundle
    for precision in ("float", "int8"):
        novelty = load_bundle(bundle, precision).novelty
        assert novelty is not None
        assert novelty.unknown(loud.x).mean() <= 0.03, precision


def test_a_distance_of_another_axis_is_refused_before_it_is_run(searched: SearchResult) -> None:
    card = load_bundle(searched.bundle).card
    model = onnx.load(searched.bundle / "model.onnx")
    check_network(model.SerializeToString(), card, "model.onnx")
    norm = next(node for node in model.graph.node if node.op_type == "ReduceL2")
    norm.attribute[0].CopyFrom(onnx.helper.make_attribute("axes", [0]))
    with pytest.raises(BundleError, match=r"node distance, 'ReduceL2', does not fit"):
        check_network(model.SerializeToString(), card, "model.onnx")


def test_a_rattle_is_found_and_health_of_another_day_is_not_alarmed_at(searched: SearchResult) -> None:
    bundle = load_bundle(searched.bundle)
    healthy, broken = _machine(seed=1), _machine(impacts=8.0, seed=2)
    x = np.concatenate([healthy.x, broken.x])
    label = np.repeat([0, 1], 200)
    found = evaluate(bundle, x, label, ("normal", "inner"), recording=label, recordings=("good", "bad"))
    assert (found.accuracy, found.macro_f1) == (None, None)
    good, bad = found.by_recording
    assert (good.name, good.label, good.windows) == ("good", "normal", 200)
    assert good.alarmed is not None
    assert good.alarmed <= 2
    assert (bad.alarmed, bad.right, bad.unknown) == (200, 200, 200)
    assert [each.alarmed for each in found.by_class] == [good.alarmed, 200]
    alone = evaluate(bundle, healthy.x, healthy.label, ("normal",))
    assert [each.name for each in alone.by_class] == ["normal"]
    assert (alone.seen_windows, alone.by_class[0].alarmed) == (0, good.alarmed)
    assert evaluate(bundle, _machine().x, healthy.label, ("normal",)).seen_windows == 200


def test_a_health_model_says_that_it_has_no_classes(searched: SearchResult) -> None:
    with pytest.raises(BundleError, match="is a health model: it gives a distance from health, and no classes"):
        _ = load_bundle(searched.bundle).classifier


def test_the_same_data_and_seed_give_the_same_network(searched: SearchResult, tmp_path: Path) -> None:
    again = search(_machine(), task="fault", budget=Budget(), out=tmp_path)
    assert again.card.sha256["model.onnx"] == searched.card.sha256["model.onnx"]


def test_the_budget_bounds_the_shape(tmp_path: Path) -> None:
    small = search(_machine(), task="fault", budget=Budget(ram_bytes=800, flash_bytes=600), out=tmp_path / "small").card
    assert small.cost.arena_bytes <= 800
    assert small.cost.flash_bytes <= 600
    assert small.search.rejected > 0
    with pytest.raises(BudgetError, match=r"no network fits ram_bytes = 100; the smallest .* ram_bytes = \d+"):
        search(_machine(), task="fault", budget=Budget(ram_bytes=100), out=tmp_path / "none")


def test_a_class_model_is_compared_with_no_health_model_and_the_card_says_why(
    searched: SearchResult, tmp_path: Path
) -> None:
    healthy, broken = _machine(60), _machine(60, impacts=8.0, seed=3)
    both = replace(
        healthy,
        x=np.concatenate([healthy.x, broken.x]),
        label=np.repeat([0, 1], 60),
        classes=("normal", "inner"),
        group=np.concatenate([healthy.group, 2 + broken.group]),
        start=np.concatenate([healthy.start, broken.start]),
        condition=np.zeros(120, np.int64),
        groups=(),
    )
    card = search(
        both, task="fault", budget=Budget(search_seconds=20), out=tmp_path, replaced=searched.bundle, candidates=2
    ).card
    assert (card.kind, card.replaced) == ("classes", None)
    assert "is a health model" in card.notes["replaced"]


def test_too_little_health_is_refused_saying_how_much_would_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record 40 or more"):
        search(_machine(6), task="fault", budget=Budget(), out=tmp_path)
    assert not list(tmp_path.glob("model-*"))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((200, 1, 512)), "are all alike: check that the sensor is alive"),
        (np.tile(np.random.default_rng(0).normal(size=(1, 1, 512)), (200, 1, 1)), "are all alike"),
        (np.random.default_rng(0).normal(size=(200, 1, 8)), r"a window has 8 samples, .* cut windows of 32 or more"),
        (np.full((200, 1, 512), np.nan), "no finite numbers"),
    ],
)
def test_health_that_says_nothing_is_refused(tmp_path: Path, x: NDArray[np.float64], said: str) -> None:
    with pytest.raises(DataError, match=said):
        search(replace(_machine(), x=x.astype(np.float32)), task="fault", budget=Budget(), out=tmp_path)


def test_windows_that_share_too_many_samples_are_refused_naming_the_hop(tmp_path: Path) -> None:
    data = replace(_machine(), start=np.arange(200) % 100)
    with pytest.raises(DataError, match=r"200 windows of health are too few .* use a larger hop"):
        search(data, task="fault", budget=Budget(), out=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["offset", "scale", "dead channel"])
def test_neither_offset_nor_scale_nor_a_dead_channel_keeps_it_from_working(tmp_path: Path, change: str) -> None:
    def changed(data: Dataset) -> Dataset:
        with_dead = np.concatenate([data.x, np.full_like(data.x, 0.1)], axis=1)
        x = {"offset": data.x + 100, "scale": data.x * 1e-6, "dead channel": with_dead}[change]
        return replace(data, x=x.astype(np.float32))

    bundle = search(changed(_machine()), task="fault", budget=Budget(), out=tmp_path).bundle
    novelty = load_bundle(bundle).novelty
    assert novelty is not None
    assert novelty.unknown(changed(_machine(seed=1)).x).mean() <= 0.01
    assert novelty.unknown(changed(_machine(impacts=12.0, seed=2)).x).mean() >= 0.95


def test_one_sign_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="telling apart takes two"):
        search(_machine(), task="sign", budget=Budget(), out=tmp_path)
