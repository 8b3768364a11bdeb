"""What a search is after: the smallest that is accurate enough, quick enough, and the rest of the Pareto front kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgetune_nas.bundle.files import digest
from edgetune_nas.bundle.pareto import FRONT, pick
from edgetune_nas.bundle.read import MAX_CARD_BYTES, load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError, BundleError, JournalError
from edgetune_nas.search.engine import Engine
from edgetune_nas.search.finalists import first_quick_enough
from edgetune_nas.search.goal import Goal
from edgetune_nas.search.run import SearchResult, search
from edgetune_nas.training.candidate import Candidate, Result, Scored
from edgetune_nas.training.task_profile import FAULT
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from pathlib import Path

CREATED = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


def _dataset(noise: float = 1.5) -> Dataset:
    """Tones in noise that small networks confuse."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 4
    tone = np.sin((0.2 + 0.2 * label[:, None]) * np.arange(256) + rng.uniform(0, 6.28, (200, 1)))
    return Dataset(
        x=(rng.normal(size=(200, 1, 256)) * noise + tone[:, None]).astype(np.float32),
        label=label.astype(np.int64),
        classes=("a", "b", "c", "d"),
        rate_hz=1000.0,
        unit="g",
        group=np.arange(200),
        start=np.full(200, INDEPENDENT),
        condition=np.zeros(200, np.int64),
        conditions=("",),
    )


@pytest.fixture
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """What a search without a goal finds; tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)
        return _search(tmp_path_factory.mktemp("searched"))


@pytest.fixture
def found(searched: SearchResult, tmp_path: Path) -> SearchResult:
    """The same in a folder of the test's own, with the journal of the search."""
    folder = shutil.copytree(searched.bundle.parent, tmp_path / "found")
    return replace(searched, bundle=folder / searched.bundle.name)


def _search(out: Path, goal: Goal | None = None, **changes: float) -> SearchResult:
    return search(_dataset(**changes), task="fault", budget=Budget(), out=out, goal=goal)


def _told(engine: Engine, accuracy: dict[int, float], otherwise: float) -> list[Candidate]:
    asked: list[Candidate] = []
    while batch := list(iter(engine.ask, None)):
        asked += batch
        for candidate in batch:
            right = accuracy.get(candidate.number, otherwise)
            engine.tell(Result(candidate.number, right, right, 1.0, 0.1, right=(right,) * 10))
    return asked


def _engine(floor: float | None) -> Engine:
    return Engine((1, 512), 10, Budget(), profile=FAULT, seed=0, floor=floor, limit=60)


# ---- the smallest --------------------------------------------------------------------------------------------------


def test_the_smallest_that_is_accurate_enough_wins_over_more_accurate_ones() -> None:
    engine = _engine(0.9)
    asked = _told(engine, {1: 1.0, 2: 0.95}, 0.5)
    assert engine.best is not None
    smaller = min((each for each in asked if each.number in (1, 2)), key=lambda each: each.cost.arena_bytes)
    assert engine.best.candidate == smaller


def test_while_none_is_accurate_enough_the_most_accurate_is_the_best() -> None:
    engine = _engine(0.99)
    _told(engine, {3: 0.9}, 0.5)
    assert engine.best is not None
    assert engine.best.candidate.number == 3


def test_once_one_is_accurate_enough_only_smaller_ones_are_asked() -> None:
    engine = _engine(0.9)
    first = list(iter(engine.ask, None))
    holding = max(candidate.cost.arena_bytes for candidate in first)
    for candidate in first:
        right = 0.95 if candidate.cost.arena_bytes == holding else 0.5
        engine.tell(Result(candidate.number, right, right, 1.0, 0.1))
    later = _told(engine, {}, 0.5)
    assert later
    assert all(candidate.cost.arena_bytes < holding for candidate in later)


def test_a_search_for_the_smallest_goes_on_while_they_get_smaller() -> None:
    engine = _engine(0.9)
    asked = _told(engine, {}, 0.95)
    assert engine.best is not None
    assert engine.best.candidate.cost.arena_bytes == min(each.cost.arena_bytes for each in asked)
    assert engine.stopped_by == "converged"


@pytest.mark.slow
@pytest.mark.usefixtures("_no_torch")
def test_the_smallest_network_found_is_no_larger_than_the_most_accurate_and_the_card_says_what_was_asked(
    tmp_path: Path, searched: SearchResult
) -> None:
    accurate = searched.card
    wanted = Goal(objective="smallest", accuracy=accurate.search.validation_accuracy - 0.1)
    smallest = _search(tmp_path / "smallest", wanted).card
    assert smallest.cost.arena_bytes <= accurate.cost.arena_bytes
    assert smallest.search.validation_accuracy >= wanted.accuracy
    assert smallest.notes["goal"] == {"objective": "smallest", "accuracy": wanted.accuracy, "held": True}
    assert "goal" not in accurate.notes


@pytest.mark.slow
@pytest.mark.usefixtures("_no_torch")
def test_an_accuracy_that_nothing_reaches_gives_the_best_and_says_so(tmp_path: Path) -> None:
    card = _search(tmp_path, Goal(objective="smallest", accuracy=1.0), noise=4.0).card
    assert card.search.validation_accuracy < 1
    assert card.notes["goal"]["held"] is False


@pytest.mark.slow
@pytest.mark.usefixtures("_no_torch")
def test_a_search_with_another_goal_is_another_search(found: SearchResult) -> None:
    with pytest.raises(JournalError, match="goal is None"):
        _search(found.bundle.parent, Goal(objective="smallest"))


@pytest.mark.parametrize("wrong", [{"accuracy": 0.0}, {"accuracy": 1.5}, {"latency_us": 0}, {"objective": "fastest"}])
def test_a_goal_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Goal.model_validate(wrong)


# ---- latency -------------------------------------------------------------------------------------------------------


def _finalists() -> tuple[Scored, ...]:
    engine = _engine(None)
    _told(engine, {3: 0.9}, 0.5)
    return engine.finalists


def test_finalists_begin_with_the_best_and_name_none_twice() -> None:
    found = _finalists()
    assert found[0].candidate.number == 3
    assert len(set(found)) == len(found) > 1


def test_the_first_finalist_that_is_quick_enough_is_taken_and_no_more_are_measured() -> None:
    found = _finalists()
    measured: list[Scored] = []

    def latency(scored: Scored) -> float:
        measured.append(scored)
        return 100.0 / len(measured)

    assert first_quick_enough(found, latency, 50.0) == (found[1], 50.0)
    assert measured == list(found[:2])


def test_a_latency_that_none_keeps_names_the_quickest() -> None:
    found = _finalists()
    with pytest.raises(BudgetError) as caught:
        first_quick_enough(found, lambda scored: 40.2 + scored.candidate.number, 5.0)
    smallest = 41 + min(scored.candidate.number for scored in found)
    assert (caught.value.limit, caught.value.asked, caught.value.smallest) == ("latency_us", 5, smallest)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_torch")
def test_a_latency_is_measured_on_this_device(tmp_path: Path) -> None:
    card = _search(tmp_path / "easy", Goal(latency_us=1e6)).card
    assert card.notes["goal"] == {"latency_us": 1e6, "held": True}
    with pytest.raises(BudgetError) as caught:
        _search(tmp_path / "hopeless", Goal(latency_us=0.001))
    assert caught.value.limit == "latency_us"


# ---- the Pareto front ----------------------------------------------------------------------------------------------


def test_any_point_of_the_front_can_be_exported_without_the_data(searched: SearchResult, tmp_path: Path) -> None:
    found = searched
    assert len(found.front) > 2
    small = found.front[0].arena_bytes
    card = pick(found.bundle, arena_bytes=small, out=tmp_path / "picked", created=CREATED)
    bundle = load_bundle(tmp_path / "picked" / f"model-{card.id}")
    assert bundle.card == card
    assert card.cost.arena_bytes == small < found.card.cost.arena_bytes
    assert card.layers == list(found.front[0].layers)
    assert card.search.validation_accuracy == found.front[0].accuracy
    assert card.notes["picked_from"] == found.card.id
    assert set(card.measured) == {"float", "int8"}
    for precision in ("float", "int8"):
        opened = load_bundle(bundle.path, precision)
        assert opened.classifier.probabilities(_dataset().x).shape == (200, 4)
        assert opened.novelty is not None
    assert found.card.id in bundle.path.joinpath("card.json").read_text()


def test_a_point_is_exported_by_its_number_and_keeps_the_front(searched: SearchResult, tmp_path: Path) -> None:
    found = searched
    assert found.card.front_point == 0
    assert [point.point for point in found.card.front] == list(range(len(found.card.front)))
    wanted = min(found.card.front, key=lambda point: point.arena_bytes)
    card = pick(found.bundle, number=wanted.point, out=tmp_path, created=CREATED)
    assert (card.front_point, card.front) == (wanted.point, found.card.front)
    cost = (card.cost.arena_bytes, card.cost.flash_bytes, card.cost.macs)
    assert cost == (wanted.arena_bytes, wanted.flash_bytes, wanted.macs)
    assert card.search.validation_accuracy == wanted.validation_accuracy
    again = pick(tmp_path / f"model-{card.id}", number=0, out=tmp_path, created=CREATED)
    assert again.sha256["model.onnx"] == found.card.sha256["model.onnx"]
    assert again.notes["picked_from"] == found.card.id
    with pytest.raises(BundleError, match=rf"keeps no network number 99; its numbers are 0 to {len(card.front) - 1}$"):
        pick(found.bundle, number=99, out=tmp_path, created=CREATED)


def test_the_winner_itself_is_a_point_of_the_front_with_the_same_files(searched: SearchResult, tmp_path: Path) -> None:
    found = searched
    card = pick(found.bundle, arena_bytes=found.card.cost.arena_bytes, out=tmp_path / "again", created=CREATED)
    assert card.layers == found.card.layers
    assert card.metrics.windows == found.card.metrics.windows
    for name in ("model.onnx", "model.int8.onnx"):
        assert card.sha256[name] == found.card.sha256[name]


def test_an_arena_that_no_point_keeps_is_refused_naming_those_there_are(searched: SearchResult, tmp_path: Path) -> None:
    found = searched
    with pytest.raises(BundleError, match=rf"at most 10 B; it has arenas of {found.front[0].arena_bytes}, "):
        pick(found.bundle, arena_bytes=10, out=tmp_path / "out", created=CREATED)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_no_torch")
def test_a_cancelled_search_keeps_no_front_and_picking_from_it_says_so(tmp_path: Path) -> None:
    found = search(_dataset(), task="fault", budget=Budget(), out=tmp_path, cancelled=lambda: True)
    assert FRONT not in found.card.sha256
    with pytest.raises(BundleError, match="keeps no Pareto front to pick from"):
        pick(found.bundle, arena_bytes=9999, out=tmp_path, created=CREATED)


def test_a_front_that_was_damaged_is_refused(found: SearchResult, tmp_path: Path) -> None:
    path = found.bundle / FRONT
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        pick(found.bundle, arena_bytes=9999, out=tmp_path, created=CREATED)


def _with_front(bundle: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    """Return the bundle with other arrays in its front, and a hash that says so."""
    with np.load(bundle / FRONT) as front:
        np.savez(bundle / FRONT, **(dict(front) | arrays))
    return _with_hash(bundle)


def _with_hash(bundle: Path) -> Path:
    card = json.loads((bundle / "card.json").read_bytes())
    card["sha256"][FRONT] = digest((bundle / FRONT).read_bytes())
    (bundle / "card.json").write_text(json.dumps(card))
    return bundle


def test_a_foreign_network_in_a_front_is_refused_before_it_is_run(
    found: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = np.frombuffer(b"\x08\x08 whatever this is", np.uint8)
    bundle = _with_front(found.bundle, **{f"{index}.int8": foreign for index in range(len(found.front))})
    monkeypatch.setattr("edgetune_nas.bundle.pareto.measure", lambda *_: pytest.fail("it was run"))
    with pytest.raises(BundleError, match=r"front\.npz, \d+\.int8 is no network that edgetune wrote"):
        pick(bundle, arena_bytes=found.front[0].arena_bytes, out=tmp_path, created=CREATED)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"rows": [0, 0, 1, 1]}, r"makes no card of a bundle \(.*rows is \[0, 0, 1, 1\]"),
        ({"layers": ["x" * MAX_CARD_BYTES]}, "says more of network 0 than fits a card"),
    ],
)
def test_a_point_that_makes_no_card_is_refused_and_leaves_nothing(
    found: SearchResult, tmp_path: Path, said: dict[str, Any], told: str
) -> None:
    with np.load(found.bundle / FRONT) as front:
        points = json.loads(str(front["points"]))
    points[0] |= said
    bundle = _with_front(found.bundle, points=np.array(json.dumps(points)))
    with pytest.raises(BundleError, match=told):
        pick(bundle, number=0, out=tmp_path / "out", created=CREATED)
    assert not (tmp_path / "out").exists()


def test_a_front_that_unpacks_to_more_than_itself_is_refused(found: SearchResult, tmp_path: Path) -> None:
    with np.load(found.bundle / FRONT) as front:
        arrays = dict(front)
    size = (found.bundle / FRONT).stat().st_size
    zeros = {name: np.zeros(size // 2, np.uint8) for name in arrays if name.endswith((".float", ".int8"))}
    np.savez_compressed(
        found.bundle / FRONT, **(arrays | zeros), pad=np.frombuffer(np.random.default_rng(0).bytes(size), np.uint8)
    )
    bundle = _with_hash(found.bundle)
    with pytest.raises(BundleError, match=r"uint8 would take \d+ bytes, at most \d+ are read"):
        pick(bundle, number=0, out=tmp_path, created=CREATED)


@pytest.mark.parametrize(
    "points",
    ["[", "[" * 100_000, "[]", '[{"layers": []}]', "missing a precision", "an accuracy that is no number"],
)
def test_a_front_that_is_none_is_refused(found: SearchResult, tmp_path: Path, points: str) -> None:
    with np.load(found.bundle / FRONT) as front:
        told = json.loads(str(front["points"]))
    if points.startswith("missing"):
        del told[0]["cost"]["int8"]
    told[0]["validation_accuracy"] = float("nan") if points.startswith("an") else 0.5
    bundle = _with_front(found.bundle, points=np.array(points if points.startswith("[") else json.dumps(told)))
    with pytest.raises(BundleError, match="is no Pareto front that this edgetune reads"):
        pick(bundle, arena_bytes=9999, out=tmp_path, created=CREATED)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_torch")
def test_a_continued_search_keeps_the_same_front(found: SearchResult, tmp_path: Path) -> None:
    first = found
    again = _search(found.bundle.parent)
    assert again.front == first.front
    picked = [
        pick(each.bundle, arena_bytes=first.front[0].arena_bytes, out=tmp_path / "picked", created=CREATED)
        for each in (first, again)
    ]
    assert picked[0].sha256["model.onnx"] == picked[1].sha256["model.onnx"]
    assert replace(again, bundle=first.bundle, card=first.card) == first
