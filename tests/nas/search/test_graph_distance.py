"""The distance to known classes in the graph of their network, where the budget holds both."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgetune_nas.bundle.files import digest
from edgetune_nas.bundle.pareto import FRONT, pick
from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.errors import BundleError
from edgetune_nas.model.closed_form import fit
from edgetune_nas.model.cost import plan
from edgetune_nas.model.frontend import frontend_features, split_frontend
from edgetune_nas.model.search_space import Bank, Genotype, expand
from edgetune_nas.novelty.detector import NOVELTY, Novelty
from edgetune_nas.onnx_io.runtime import ClassDistance, Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.search.goal import Goal
from edgetune_nas.search.graph_distance import distances_of
from edgetune_nas.search.run import SearchResult, search
from edgetune_signal.datasets.dataset import recordings_dataset
from edgetune_signal.datasets.load import INDEPENDENT, Dataset
from edgetune_signal.recordings.recording import Recording
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network

LENGTH = 256


def tones(label: NDArray[np.integer], seed: int = 0) -> NDArray[np.float32]:
    """Tones in noise, one frequency a class."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6.28, (len(label), 1))
    tone = np.sin((0.3 + 0.6 * label[:, None]) * np.arange(LENGTH) + phase)
    return (0.5 * rng.normal(size=(len(label), LENGTH)) + tone)[:, None].astype(np.float32)


def data_of(label: NDArray[np.integer]) -> Dataset:
    count = len(label)
    return Dataset(
        x=tones(label),
        label=label.astype(np.int64),
        classes=("normal", "inner", "outer"),
        rate_hz=1000.0,
        unit="g",
        group=np.arange(count),
        start=np.full(count, INDEPENDENT),
        condition=np.zeros(count, np.int64),
        conditions=("",),
    )


KNOWN = data_of(np.arange(150) % 3)


def searched_within(
    out: Path, goal: Goal | None = None, known: Dataset = KNOWN, *, must_find: bool = False, **budget: int
) -> SearchResult:
    """Search; unless ``must_find``, the graph has the distance however little of left-out classes it finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)
        for least in () if must_find else ("LESS_FOUND", "LESS_CLEAR"):
            patch.setattr(f"edgetune_nas.search.graph_distance.{least}", float("inf"))
        return search(known, task="fault", budget=Budget(**budget), out=out, goal=goal)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return searched_within(tmp_path_factory.mktemp("searched"), ram_bytes=4096, flash_bytes=32768)


@pytest.fixture(scope="module")
def network() -> Network:
    """A closed form of a filter bank, with distances to four kinds of three classes."""
    layers = expand(Genotype(Bank(16, 64, 16, 2), None, (), "flat"), (1, LENGTH), 3)
    plain = fit(layers, KNOWN.x, KNOWN.label, classes=3)
    frontend, _ = split_frontend(plain.layers)
    levels = frontend_features(frontend, KNOWN.x).reshape(len(KNOWN), -1).astype(np.float64)
    kind = np.where((KNOWN.label == 2) & (np.arange(len(KNOWN)) > 75), 3, KNOWN.label)
    return replace(plain, distances=distances_of(levels, KNOWN.label, kind))


def runner(network: Network) -> ClassDistance:
    assert network.distances is not None
    session = open_session(write_onnx(network).SerializeToString())
    return ClassDistance(session, Classifier(session), network.distances.labels, 1.0)


def test_the_graph_gives_the_distances_that_numpy_gives_and_the_same_probabilities(network: Network) -> None:
    x, said = tones(np.arange(60) % 3, seed=1), np.arange(60) % 3
    distances = network.distances
    assert distances is not None
    assert distances.labels == (0, 1, 2, 2)
    frontend, _ = split_frontend(network.layers)
    white = frontend_features(frontend, x).reshape(len(x), -1) @ distances.weight.T + distances.bias
    apart = np.linalg.norm(white[:, None] - distances.centres, axis=2)
    wanted = np.where(said == 2, np.minimum(apart[:, 2], apart[:, 3]), apart[np.arange(60), said])
    graph = runner(network)
    np.testing.assert_allclose(graph.distances(x, said), wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(graph.distances(x), apart.min(axis=1), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(graph.distances(x, np.full(60, 7)), apart.min(axis=1), rtol=1e-3, atol=1e-3)
    plain = open_session(write_onnx(replace(network, distances=None)).SerializeToString())
    probabilities, judged = graph.judge(x)
    np.testing.assert_array_equal(probabilities, Classifier(plain).probabilities(x))
    np.testing.assert_allclose(judged, graph.distances(x, probabilities.argmax(axis=1)), rtol=1e-6)


def test_distances_cost_what_the_plan_says(network: Network) -> None:
    plain, both = (plan(network.input_shape, network.layers, centres=centres) for centres in (0, 4))
    assert both.parameters - plain.parameters == 17 * 16 + 17 + 4 * 17
    assert both.macs - plain.macs == 17 * 16 + 4 * 17
    assert both.arena_bytes == plain.arena_bytes  # the filter bank's output is larger than all that comes behind it
    assert both.streamed_bytes == plain.streamed_bytes
    assert plain.flash_bytes < both.flash_bytes < plain.flash_bytes + 600


@pytest.mark.slow
def test_a_search_puts_the_distance_into_the_float_graph_in_the_place_of_the_side_file(searched: SearchResult) -> None:
    card = searched.card
    assert (card.distance, card.deployed, card.metrics.accuracy) == ("graph", "float", 1.0)
    assert set(card.distance_rows or ()) == {0, 1, 2}
    assert not (searched.bundle / NOVELTY).exists()
    bundle = load_bundle(searched.bundle)
    assert isinstance(bundle.novelty, ClassDistance)
    assert bundle.novelty.limit == card.distance_limit
    label = np.arange(90) % 3
    x = tones(label, seed=2)
    assert bundle.novelty.unknown(x, bundle.classifier.probabilities(x).argmax(axis=1)).mean() <= 0.05
    assert bundle.novelty.unknown(5 * x).mean() >= 0.95
    wander = np.random.default_rng(0).normal(size=x.shape).cumsum(axis=2).astype(np.float32)
    assert bundle.novelty.unknown(wander).mean() > 0.7
    assert load_bundle(searched.bundle, "int8").novelty is None
    eight = onnx.load(searched.bundle / "model.int8.onnx")
    assert [each.name for each in eight.graph.output] == ["probabilities"]


@pytest.mark.slow
def test_the_cost_of_the_card_is_that_of_the_network_alone(searched: SearchResult) -> None:
    card = searched.card
    assert card.cost.flash_bytes < 32768
    assert card.distance_bytes is not None
    size = (searched.bundle / "model.onnx").stat().st_size
    assert size > 4 * card.cost.parameters + card.distance_bytes


@pytest.mark.slow
@pytest.mark.parametrize("goal", [None, Goal(latency_us=1e5)], ids=["flash", "latency"])
def test_without_room_for_both_the_side_file_stays(searched: SearchResult, tmp_path: Path, goal: Goal | None) -> None:
    flash = 32768 if goal is not None else searched.card.cost.flash_bytes
    found = searched_within(tmp_path, goal, ram_bytes=4096, flash_bytes=flash)
    card = found.card
    assert card.layers == searched.card.layers
    assert (card.distance, card.distance_rows) == ("side_file", None)
    assert card.distance_bytes == (found.bundle / NOVELTY).stat().st_size
    assert isinstance(load_bundle(found.bundle).novelty, Novelty)
    assert card.metrics.accuracy == searched.card.metrics.accuracy


def played(simulator: BearingSimulator, condition: str, label: str) -> Recording:
    simulator.select(condition)
    simulator.generate(6000)
    return Recording(simulator.generate(48_000), 12_000.0, label, "g", group=condition, held_out_from=38_400)


@pytest.mark.slow
def test_where_levels_miss_what_spectra_find_the_side_file_stays_and_an_unknown_race_is_found(tmp_path: Path) -> None:
    simulator = BearingSimulator(seed=0)
    learned = {"normal": "normal", "inner_severe": "inner", "ball_severe": "ball"}
    known = recordings_dataset([played(simulator, *each) for each in learned.items()], 512, 512)
    outer = recordings_dataset([played(simulator, "outer_severe", "outer")], 512, 512, one_class=True).x

    def unknown(found: SearchResult) -> float:
        bundle = load_bundle(found.bundle)
        assert bundle.novelty is not None
        return float(bundle.novelty.unknown(outer, bundle.classifier.probabilities(outer).argmax(axis=1)).mean())

    kept = searched_within(tmp_path, known=known, must_find=True, ram_bytes=4096, flash_bytes=32768)
    assert (kept.card.distance, unknown(kept) > 0.9) == ("side_file", True)
    forced = searched_within(tmp_path, known=known, ram_bytes=4096, flash_bytes=32768)
    assert (forced.card.distance, unknown(forced) < 0.5) == ("graph", True)


@pytest.mark.slow
def test_where_levels_find_as_much_the_graph_has_the_distance(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgetune_nas.search.graph_distance.vibration_limit", lambda within: 9 * within.max())
        found = searched_within(tmp_path, must_find=True, ram_bytes=4096, flash_bytes=32768)
    assert found.card.distance == "graph"


@pytest.mark.slow
def test_a_picked_network_has_the_side_file_and_the_winner_its_graph(searched: SearchResult, tmp_path: Path) -> None:
    small = min(searched.card.front, key=lambda each: each.arena_bytes)
    card = pick(searched.bundle, number=small.point, out=tmp_path, created=searched.card.created)
    bundle = load_bundle(tmp_path / f"model-{card.id}")
    assert (card.distance, card.distance_rows) == ("side_file", None)
    assert isinstance(bundle.novelty, Novelty)
    assert card.distance_bytes == (bundle.path / NOVELTY).stat().st_size
    again = pick(bundle.path, number=0, out=tmp_path, created=searched.card.created)
    told = ("distance", "distance_rows", "distance_limit", "distance_bytes", "deployed", "cost")
    assert again.model_dump(include=set(told)) == searched.card.model_dump(include=set(told))
    assert isinstance(load_bundle(tmp_path / f"model-{again.id}").novelty, ClassDistance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distance_rows": [0, 1]}, r"distance \(3, 1\), its card says probabilities \(3,\), distance \(2, 1\)"),
        ({"distance_rows": [0, 1, 9]}, "there are 3 classes"),
        ({"distance_rows": None}, "distance_rows and distance_limit"),
        ({"distance_limit": None}, "distance_rows and distance_limit"),
        ({"deployed": "int8"}, "gives no distances"),
        ({"distance": "side_file", "distance_rows": None}, "gives"),
    ],
)
def test_a_card_that_says_another_thing_of_the_distances_is_refused(
    searched: SearchResult, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / searched.bundle.name
    folder.mkdir()
    for each in searched.bundle.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    content = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value"), [("distance_limit", None), ("distance_rows", [0, 1, 9]), ("rows", [0, 0, 0])]
)
def test_a_front_of_another_hand_that_makes_no_card_is_refused(
    searched: SearchResult, tmp_path: Path, field: str, value: Any
) -> None:
    folder = tmp_path / searched.bundle.name
    shutil.copytree(searched.bundle, folder)
    with np.load(folder / FRONT) as npz:
        arrays = dict(npz)
    points = json.loads(str(arrays["points"]))
    points[0][field] = value
    np.savez(folder / FRONT, **{**arrays, "points": np.array(json.dumps(points))})
    content = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    content["sha256"][FRONT] = digest((folder / FRONT).read_bytes())
    (folder / "card.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match=rf"{FRONT}.*{field}") as refused:
        pick(folder, number=0, out=tmp_path / "out", created=searched.card.created)
    assert "search again" in str(refused.value) or "do not use" in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_graph_of_another_hand_whose_distances_are_not_finite_is_refused(
    searched: SearchResult, tmp_path: Path
) -> None:
    folder = tmp_path / searched.bundle.name
    shutil.copytree(searched.bundle, folder)
    model = onnx.load(folder / "model.onnx")
    [bias] = [each for each in model.graph.initializer if each.name == "distance_bias"]
    bias.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(bias), 3e38), bias.name))
    content = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    content["sha256"]["model.onnx"] = digest(model.SerializeToString())
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "card.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match=r"model\.onnx gives distances that are not finite"):
        load_bundle(folder)
