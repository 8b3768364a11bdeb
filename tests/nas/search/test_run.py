"""The whole search on small data: its bundle, its limits, and what it refuses."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.bundle.tested import card_accuracy
from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError, DataError, JournalError, NasError
from edgetune_nas.model import closed_form
from edgetune_nas.model.search_space import FILTERS
from edgetune_nas.search.goal import Goal
from edgetune_nas.search.run import SearchResult, search
from edgetune_nas.training.task_profile import FAULT, PROFILES
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_nas.model import Layer, Network
    from edgetune_nas.search.progress import SearchProgress

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def _dataset(classes: int = 3, each: int = 40, seed: int = 0, conditions: int = 1) -> Dataset:
    """Tones in noise, one frequency a class; conditions differ in loudness."""
    rng = np.random.default_rng(seed)
    count = classes * each
    label = np.arange(count) % classes
    condition = np.arange(count) // classes % conditions
    phase = rng.uniform(0, 6.28, (count, 1))
    tone = np.sin((0.2 + 0.35 * label[:, None]) * np.arange(256) + phase) * (1 + condition[:, None])
    return Dataset(
        x=(rng.normal(size=(count, 1, 256)) * 0.5 + tone[:, None]).astype(np.float32),
        label=label.astype(np.int64),
        classes=tuple("abcdefgh"[:classes]),
        rate_hz=1000.0,
        unit="g",
        group=np.arange(count),
        start=np.full(count, INDEPENDENT),
        condition=condition.astype(np.int64),
        conditions=tuple(f"load {index}" for index in range(conditions)),
    )


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch were not installed."""
    monkeypatch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A closed form found without torch, in the folder of its search; tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)
        return search(_dataset(), task="fault", budget=Budget(), out=tmp_path_factory.mktemp("searched"))


def test_importing_the_package_and_following_a_job_loads_no_heavy_library() -> None:
    code = """
import sys, edgetune_nas, edgetune_nas.worker.job
print([name for name in ("torch", "onnx", "scipy", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("no_torch")
def test_without_torch_a_closed_form_is_found_and_the_card_says_so(tmp_path: Path) -> None:
    events: list[SearchProgress] = []
    data = _dataset()
    result = search(data, task="fault", budget=Budget(ram_bytes=2048), out=tmp_path, on_event=events.append)
    card = result.card
    assert card.metrics.accuracy == 1
    assert "torch is not installed" in card.notes["training"]
    assert (card.search.trained, card.search.stopped_by) == (0, "converged")
    assert card.cost.arena_bytes <= 2048
    bundle = load_bundle(result.bundle)
    assert bundle.card == card
    assert bundle.novelty is not None
    assert bundle.novelty.unknown(data.x).mean() <= 0.02
    assert (bundle.classifier.probabilities(data.x).argmax(axis=1) == data.label).mean() > 0.97
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.jsonl", f"model-{card.id}"]
    assert events[0].phase == "loading"
    assert (events[-1].phase, events[-1].fraction, events[-1].seconds_left) == ("done", 1, 0)
    fractions = [each.fraction for each in events]
    assert fractions == sorted(fractions)
    assert result.front[0].arena_bytes <= card.cost.arena_bytes


@needs_torch
@pytest.mark.slow
def test_a_trained_network_is_found_retrained_and_exported(tmp_path: Path) -> None:
    data = _dataset(conditions=2)
    result = search(data, task="fault", budget=Budget(search_seconds=3600), out=tmp_path, candidates=28)
    card = result.card
    assert card.search.trained > 0
    assert card.search.candidates >= card.search.trained + card.search.rejected
    assert card.metrics.accuracy >= 0.95
    assert set(card.metrics.accuracy_by_condition) == {"load 0", "load 1"}
    assert "training" not in card.notes
    again = search(data, task="fault", budget=Budget(search_seconds=3600), out=tmp_path, candidates=28)
    assert again.card.layers == card.layers
    for name in ("model.onnx", "model.int8.onnx"):  # the metrics are those of the one that ran faster
        assert again.card.sha256[name] == card.sha256[name]
    assert again.front == result.front


@needs_torch
@pytest.mark.slow
def test_the_winner_does_not_depend_on_where_candidates_are_evaluated(tmp_path: Path) -> None:
    data = _dataset()
    cards = []
    with ThreadPoolExecutor(2) as pool:
        for name, executor in (("here", None), ("there", pool)):
            budget = Budget(search_seconds=3600)  # else it may end each of them elsewhere
            result = search(data, task="fault", budget=budget, out=tmp_path / name, candidates=28, executor=executor)
            cards.append(result.card)
    assert cards[0].layers == cards[1].layers
    assert cards[0].search.validation_accuracy == cards[1].search.validation_accuracy


@pytest.mark.slow
@pytest.mark.usefixtures("no_torch")
def test_the_model_in_use_is_compared_on_the_same_test_windows(tmp_path: Path) -> None:
    old = search(_dataset(classes=2, seed=5), task="fault", budget=Budget(), out=tmp_path / "old")
    new = search(_dataset(classes=3), task="fault", budget=Budget(), out=tmp_path / "new", replaced=old.bundle)
    assert new.card.replaced is not None
    assert new.card.replaced.windows == new.card.metrics.windows
    assert new.card.replaced.accuracy <= 2 / 3 + 0.05  # it does not know the third class
    assert new.card.replaced.accuracy < new.card.metrics.accuracy


@pytest.mark.usefixtures("no_torch")
def test_a_model_in_use_that_does_not_fit_is_noted_and_not_compared(searched: SearchResult, tmp_path: Path) -> None:
    data = replace(_dataset(), rate_hz=2000.0)
    new = search(data, task="fault", budget=Budget(), out=tmp_path, replaced=searched.bundle)
    assert new.card.replaced is None
    assert "rate_hz is 2000.0" in new.card.notes["replaced"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_torch")
def test_a_library_serves_for_training_and_never_for_the_test(tmp_path: Path) -> None:
    library = replace(_dataset(each=100, seed=3), conditions=("before",))
    result = search(_dataset(each=20), task="fault", budget=Budget(), out=tmp_path, library=library)
    windows = result.card.notes["windows"]
    assert windows == {"train": 336, "validation": 12, "test": 12}  # what the library has is for training
    used = result.card.library
    assert used is not None
    assert (used.windows, used.role, used.weight) == (300, "means_and_spread", 0.2)
    assert used.text.startswith("300 windows, a prior of means (weight 0.2 beside 1) and of spread (weight ")


@pytest.mark.slow
@pytest.mark.usefixtures("no_torch")
def test_a_hum_is_noted_and_taken_off_where_that_helps(tmp_path: Path) -> None:
    """Only the level of a noise tells the classes, and a hum of any strength covers it."""
    rng = np.random.default_rng(0)
    data = _dataset(classes=2, each=150)
    noise = rng.normal(size=(300, 1, 256)) * (1 + data.label[:, None, None])
    strength = rng.uniform(0, 20, (300, 1, 1))
    hum = strength * np.sin(2 * np.pi * (0.05 * np.arange(256) + rng.random((300, 1, 1))))
    data = replace(data, x=(noise + hum).astype(np.float32))
    budget = Budget(ram_bytes=1024)
    card = search(data, task="fault", budget=budget, out=tmp_path / "told", mains_hz=50).card
    assert card.notes["hum"]["mains_hz"] == 50
    assert 0.9 < card.notes["hum"]["share"] < 1
    assert card.notes["hum"]["heard"]
    assert card.notes["hum"]["taken_off"] == card.layers[0].startswith("mains hum off")
    assert card.metrics.accuracy > 0.95
    assert "hum" not in search(data, task="fault", budget=budget, out=tmp_path / "not told").card.notes


@pytest.mark.usefixtures("no_torch")
def test_what_runs_out_of_time_at_once_still_gives_a_bundle(tmp_path: Path) -> None:
    result = search(_dataset(), task="fault", budget=Budget(search_seconds=0.01), out=tmp_path)
    assert result.card.metrics.accuracy > 0.9
    assert result.card.search.stopped_by == "time"


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("seconds", [0.01, 9.0])
def test_a_time_too_short_to_train_in_is_told_with_one_that_would_do(tmp_path: Path, seconds: float) -> None:
    card = search(_dataset(), task="fault", budget=Budget(search_seconds=seconds), out=tmp_path).card
    assert (card.search.trained, card.search.stopped_by) == (0, "time")
    told = re.fullmatch(
        rf"no network was trained: {seconds:g} s are too short.*; allow (\d+) s or more", card.notes["training"]
    )
    assert told
    assert int(told[1]) > 11  # torch and the bundle, on a processor of its own


@needs_torch
@pytest.mark.slow
def test_a_cancelled_search_keeps_the_best_so_far(tmp_path: Path) -> None:
    events: list[SearchProgress] = []
    result = search(
        _dataset(),
        task="fault",
        budget=Budget(search_seconds=3600),
        out=tmp_path,
        on_event=events.append,
        cancelled=lambda: events[-1].phase == "training",
    )
    assert result.card.search.stopped_by == "cancelled"
    assert result.card.metrics.accuracy > 0.9
    assert "retraining" not in {each.phase for each in events}


def test_a_budget_that_nothing_fits_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        search(_dataset(), task="fault", budget=Budget(ram_bytes=100), out=tmp_path / "out")
    assert (caught.value.limit, caught.value.asked) == ("ram_bytes", 100)
    assert 100 < caught.value.smallest < 4096
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_torch")
def test_a_folder_of_another_search_is_refused_and_left_alone(searched: SearchResult, tmp_path: Path) -> None:
    shutil.copytree(searched.bundle.parent, tmp_path, dirs_exist_ok=True)
    before = sorted(tmp_path.iterdir())
    for changed in (
        {"dataset": _dataset(seed=1)},
        {"budget": Budget(ram_bytes=5000)},
        {"seed": 1},
        {"task": "sign"},
    ):
        arguments = {"dataset": _dataset(), "task": "fault", "budget": Budget(), "out": tmp_path, **changed}
        with pytest.raises(JournalError, match="another search"):
            search(**arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_data_that_cannot_be_searched_on_are_refused_with_the_reason(tmp_path: Path) -> None:
    data = _dataset()
    broken = replace(data, x=data.x.copy())
    broken.x[5, 0, 7] = np.nan
    with pytest.raises(DataError, match="no finite numbers"):
        search(broken, task="fault", budget=Budget(), out=tmp_path)
    few = data.select(np.array([0, 1, 2, 3]))
    with pytest.raises(DataError):
        search(few, task="fault", budget=Budget(), out=tmp_path)
    with pytest.raises(DataError, match="does not fit"):
        search(data, task="fault", budget=Budget(), out=tmp_path, library=replace(data, rate_hz=5.0))


@needs_torch
def test_a_search_that_is_stopped_before_its_first_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = replace(FAULT.prior, closed_forms=lambda _: ((),))
    monkeypatch.setitem(PROFILES, "fault", replace(FAULT, prior=prior))
    with pytest.raises(NasError, match=r"was stopped \(time\) before its first network"):
        search(_dataset(), task="fault", budget=Budget(search_seconds=0.01), out=tmp_path)


@needs_torch
@pytest.mark.slow
def test_bearing_faults_are_told_apart_within_a_kilobyte_after_a_search(recordings_dir: Path, tmp_path: Path) -> None:
    from edgetune_signal.datasets.load import load_dataset

    data = load_dataset(recordings_dir / "cwru_fe_512.npz", unit="g")
    result = search(data, task="fault", budget=Budget(ram_bytes=1024), out=tmp_path, candidates=26)
    assert result.card.cost.arena_bytes <= 1024
    assert result.card.metrics.accuracy >= 0.99


def _person(takes: int) -> Dataset:
    """Three signs in so many takes, each cut into twelve windows that lie side by side."""
    data = _dataset(each=12 * takes)
    each = np.arange(len(data)) // 3
    return replace(data, unit="counts", group=data.label * takes + each // 12, start=(each % 12 * 256).astype(np.int64))


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize(("takes", "held_out", "trained"), [(3, 0, False), (5, 2, False), (5, 1, True)])
def test_networks_are_trained_on_a_persons_signs_only_where_takes_can_tell_them_apart(
    takes: int, held_out: int, tmp_path: Path, *, trained: bool
) -> None:
    data = _person(takes)
    if held_out:
        data = replace(data, held_out=data.group % takes >= takes - held_out)
    result = search(data, task="sign", budget=Budget(search_seconds=3600), out=tmp_path, candidates=30)
    assert bool(result.card.search.trained) == trained
    assert ("fewer than 4 takes" in result.card.notes.get("training", "")) != trained


@needs_torch
@pytest.mark.slow
def test_a_winner_that_leaves_room_beside_the_window_becomes_an_ensemble(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    label = np.arange(240) % 3
    time = np.arange(400) / 400
    # a sign is a number of bursts, begun at any time: no average over a fixed frame tells them apart
    bursts = 1 + np.sin(2 * np.pi * (time * (2 + label[:, None]) + rng.uniform(size=(240, 1))))
    data = replace(
        _dataset(each=80),
        x=(rng.normal(size=(240, 8, 400)) * bursts[:, None]).astype(np.float32),
        label=label.astype(np.int64),
        unit="counts",
    )
    card = search(data, task="sign", budget=Budget(ram_bytes=3584, search_seconds=3600), out=tmp_path).card
    assert card.metrics.accuracy > 0.9
    convolutions = [int(layer.split(" x ")[1].split(",")[0]) for layer in card.layers if layer.startswith("conv ")]
    assert max(convolutions) > max(FILTERS)
    assert card.cost.arena_bytes <= 3584


@pytest.mark.slow
def test_every_severity_is_learned_and_what_is_deployed_has_learned_the_test_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[tuple[int, set[int]]] = []
    fit = closed_form.fit

    def noted(layers: tuple[Layer, ...], x: NDArray[np.float32], y: NDArray[np.int64], **options: Any) -> Network:
        fits.append((len(x), set(y.tolist())))
        return fit(layers, x, y, **options)

    monkeypatch.setattr("edgetune_nas.training.estimator.closed_form.fit", noted)
    monkeypatch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)
    rng = np.random.default_rng(2)
    recording = np.repeat(np.arange(4), 40)  # the first class, and three severities of the second
    tone = np.sin(np.array([0.3, 0.9, 1.7, 2.6])[recording, None] * np.arange(512) + rng.uniform(0, 6, (160, 1)))
    data = Dataset(
        x=(tone + rng.normal(0, 0.5, (160, 512))).astype(np.float32)[:, None],
        label=np.minimum(recording, 1),
        classes=("good", "worn"),
        rate_hz=1000.0,
        unit="g",
        group=recording,
        start=np.tile(np.arange(40) * 512, 4),
        condition=np.zeros(160, np.int64),
        conditions=("",),
    )
    result = search(data, task="fault", budget=Budget(ram_bytes=4096), out=tmp_path)
    card = result.card
    windows = card.notes["windows"]
    (measured, known), (deployed, all_known) = fits[-2:]
    assert known == all_known == {0, 1, 2, 3}
    assert measured == windows["train"] + windows["validation"]
    assert deployed == measured + windows["test"]
    assert card.notes["measured_before_refit"]
    assert card.metrics.windows == windows["test"]
    assert "max of each class (1 + 3 kinds)" in card.layers
    probabilities = load_bundle(result.bundle).classifier.probabilities(data.x)
    assert (probabilities.argmax(axis=1) == data.label).mean() > 0.98


@pytest.mark.slow
@pytest.mark.usefixtures("no_torch")
def test_the_card_says_what_was_right_in_conditions_left_out_of_training(tmp_path: Path) -> None:
    data = _dataset(conditions=2, each=60)
    result = search(data, task="fault", budget=Budget(), out=tmp_path)
    assert set(result.card.accuracy_left_out) == {"load 0", "load 1"}
    worst = min(result.card.accuracy_left_out.values())
    assert f"in conditions left out of training {np.mean([*result.card.accuracy_left_out.values()]):.2%}" in (
        card_accuracy(result.card)
    )
    assert f"at worst {worst:.2%} (load" in card_accuracy(result.card)


@pytest.mark.slow
@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("conditions", "task", "goal"),
    [(1, "fault", Goal()), (2, "sign", Goal()), (2, "fault", Goal(objective="smallest", accuracy=0.8))],
    ids=["one condition", "signs", "the smallest"],
)
def test_otherwise_no_condition_is_left_out(conditions: int, task: Task, goal: Goal, tmp_path: Path) -> None:
    data = _dataset(conditions=conditions, each=60)
    card = search(data, task=task, budget=Budget(), out=tmp_path, goal=goal).card
    assert card.accuracy_left_out == {}
    assert "left out" not in card_accuracy(card)
