"""The model store swaps atomically, refuses what is damaged or does not fit, and goes back on command."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from killing import killer
from model_stores import open_store

from edgetune_nas.errors import BundleError
from edgetune_node.errors import StoreError
from edgetune_node.storage.models import KEPT, ModelStore
from edgetune_signal import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = StreamSpec(channels=1, rate_hz=1000.0, unit="g")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", SPEC, 64, "fault")


def names(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_an_empty_store_has_no_model(store: ModelStore) -> None:
    assert store.open_current() == (None, [])
    with pytest.raises(StoreError, match="no previous model"):
        store.rollback()


def test_installing_makes_a_bundle_current_and_the_old_one_previous(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    second = store.install(write_tiny_bundle(tmp_path / "out", seed=2)).card.id
    bundle, warnings = store.open_current()
    assert bundle is not None
    assert bundle.card.id == second
    assert warnings == []
    assert store.previous_id() == first
    assert names(store) == sorted(["current", f"model-{first}", f"model-{second}", "previous"])


def test_rolling_back_twice_comes_back(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    second = store.install(write_tiny_bundle(tmp_path / "out", seed=2)).card.id
    assert store.rollback().card.id == first
    assert store.previous_id() == second
    assert store.rollback().card.id == second


def test_a_damaged_current_model_gives_way_to_the_previous_one(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    store.install(write_tiny_bundle(tmp_path / "out", seed=2))
    current = store.current()
    assert current is not None
    model = current / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    bundle, warnings = store.open_current()
    assert bundle is not None
    assert bundle.card.id == first
    assert len(warnings) == 1
    assert "model.onnx" in warnings[0]
    assert store.open_current()[1] == []


@pytest.mark.parametrize(
    ("wrong", "named"), [({"channels": 2}, "channels"), ({"length": 128}, "length"), ({"unit": "V"}, "unit")]
)
def test_a_bundle_that_does_not_fit_the_stream_is_refused_and_the_current_one_stays(
    store: ModelStore,
    tmp_path: Path,
    write_tiny_bundle: Callable[..., Path],
    wrong: dict[str, object],
    named: str,
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    with pytest.raises(BundleError, match=named):
        store.install(write_tiny_bundle(tmp_path / "out", seed=2, **wrong))
    current = store.current()
    assert current is not None
    assert current.name == f"model-{first}"


@pytest.mark.parametrize("name", ["unknown", "novel"])
def test_a_class_called_as_what_the_node_says_by_itself_is_refused(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path], name: str
) -> None:
    with pytest.raises(BundleError, match=f"has a class called '{name}'"):
        store.install(write_tiny_bundle(tmp_path / "out", classes=("normal", name)))


def test_a_model_that_is_there_stays_while_the_same_is_put_in_again(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_tiny_bundle(tmp_path / "out")
    first = store.install(made).card.id
    monkeypatch.setattr(ModelStore, "_copy", lambda *_: pytest.fail("a kill in here would lose the model in use"))
    assert store.install(made).path == store.folder / f"model-{first}"
    assert store.open_current()[1] == []


def test_a_damaged_model_is_put_in_again(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    made = write_tiny_bundle(tmp_path / "out")
    first = store.install(made)
    (first.path / "model.onnx").write_bytes(b"")
    assert store.install(made).path == first.path
    assert store.open_current()[1] == []


def test_another_model_of_the_same_id_is_refused(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1))
    other = write_tiny_bundle(tmp_path / "out", seed=2)
    card = json.loads((other / "card.json").read_bytes())
    (other / "card.json").write_text(json.dumps(card | {"id": first.card.id}))
    with pytest.raises(StoreError, match="has the id of another model"):
        store.install(other)
    opened, warnings = store.open_current()
    assert (opened is None or opened.card, warnings) == (first.card, [])


def test_a_foreign_network_is_refused_and_the_current_model_stays(
    store: ModelStore,
    tmp_path: Path,
    write_tiny_bundle: Callable[..., Path],
    put_foreign_network: Callable[[Path], None],
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    foreign = write_tiny_bundle(tmp_path / "out", seed=2)
    put_foreign_network(foreign)

    with pytest.raises(BundleError, match=r"model.*onnx is no network that edgetune wrote .*'Identity'"):
        store.install(foreign)
    assert names(store) == ["current", f"model-{first}"]


def test_a_full_disk_while_copying_leaves_nothing_behind(
    store: ModelStore,
    tmp_path: Path,
    write_tiny_bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    second = write_tiny_bundle(tmp_path / "out", seed=2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.install(second)
    assert names(store) == ["current", f"model-{first}"]


def test_what_a_power_cut_left_is_swept_at_the_next_start(tmp_path: Path) -> None:
    leftover = tmp_path / "models" / ".tmp-model-x"
    leftover.mkdir(parents=True)
    (leftover / "model.onnx").write_bytes(b"half")
    (tmp_path / "models" / ".tmp-current").symlink_to("model-x")
    assert names(ModelStore(tmp_path / "models", SPEC, 64, "fault")) == []


def test_a_link_that_leaves_the_store_is_no_model(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    outside = write_tiny_bundle(tmp_path / "out")
    store.folder.mkdir()
    (store.folder / "current").symlink_to(outside)
    assert store.current() is None


def test_old_models_are_pruned_but_never_the_linked_ones(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    for seed in range(KEPT + 3):
        store.install(write_tiny_bundle(tmp_path / "out", seed=seed))
    assert len(store.models()) == KEPT
    assert store.current() in store.models()
    assert store.previous() in store.models()


def test_finding_an_unknown_model_lists_what_there_is(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    assert store.find(first, tmp_path).name == f"model-{first}"
    with pytest.raises(StoreError, match=first):
        store.find("nothing", tmp_path)


@pytest.mark.parametrize("name", ["current", "previous"])
def test_a_link_is_no_name_of_a_model(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path], name: str
) -> None:
    for seed in (1, 2):
        store.install(write_tiny_bundle(tmp_path / "out", seed=seed))
    with pytest.raises(StoreError, match="no model is called"):
        store.find(name, tmp_path)


def test_a_bundle_of_another_task_is_refused(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match="task"):
        ModelStore(tmp_path / "models", SPEC, 64, "sign").install(write_tiny_bundle(tmp_path / "out"))


def test_a_current_that_names_nothing_is_told(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    first = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card.id
    store.install(write_tiny_bundle(tmp_path / "out", seed=2))
    current = store.current()
    assert current is not None
    shutil.rmtree(current)
    bundle, warnings = store.open_current()
    assert bundle is not None
    assert bundle.card.id == first
    assert ["current" in warning for warning in warnings] == [True]


def test_a_folder_in_the_place_of_the_link_does_not_stop_the_start(store: ModelStore) -> None:
    (store.folder / "current").mkdir(parents=True)
    bundle, warnings = store.open_current()
    assert bundle is None
    assert "current" in warnings[0]


def test_a_kept_bundle_can_be_deployed_later_and_is_not_current(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    kept = store.keep(write_tiny_bundle(tmp_path / "out", seed=1))
    assert store.open_current() == (None, [])
    assert store.install(store.find(kept.name.removeprefix("model-"), tmp_path)).path == kept


@pytest.mark.parametrize("cut_before", [1, 2, 3])
def test_a_rollback_that_is_cut_between_its_links_is_whole_at_the_next_start(
    store: ModelStore,
    tmp_path: Path,
    write_tiny_bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    cut_before: int,
) -> None:
    ids = [store.install(write_tiny_bundle(tmp_path / "out", seed=seed)).card.id for seed in (1, 2)]
    whole, links = store._link, iter(range(1, 4))

    def cut(name: str, target: Path) -> None:
        if next(links) == cut_before:
            raise KeyboardInterrupt
        whole(name, target)

    monkeypatch.setattr(store, "_link", cut)
    with pytest.raises(KeyboardInterrupt):
        store.rollback()
    again = ModelStore(store.folder, store._spec, store._length, store._task)
    current, previous = again.current(), again.previous()
    assert current is not None
    assert previous is not None
    found = [previous.name.removeprefix("model-"), current.name.removeprefix("model-")]
    assert found == (ids if cut_before <= 2 else ids[::-1])
    assert sorted(path.name for path in store.folder.iterdir()) == sorted(
        ["current", "previous", *(f"model-{each}" for each in ids)]
    )


@pytest.mark.slow
def test_a_rollback_that_is_killed_at_any_step_has_done_nothing_or_is_whole_at_the_next_start(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    both = [store.install(write_tiny_bundle(tmp_path / "out", seed=seed)).path.name for seed in (1, 2)]
    killed = done = 0
    with killer() as run:
        for step in itertools.count(1):
            before = links(store)
            code = run.run(step, "model_stores:roll_back", str(store.folder))
            store = open_store(store.folder)
            assert links(store) in (before, before[::-1])
            assert names(store) == sorted(["current", *both, "previous"])
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
            done += links(store) != before
    assert links(store) == before[::-1]
    assert killed > 10
    assert 0 < done < killed


def links(store: ModelStore) -> list[str]:
    return [(store.folder / name).readlink().name for name in ("current", "previous")]


def test_a_store_that_nothing_was_put_into_leaves_no_folder(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "people" / "mistyped" / "models", StreamSpec(1, 1000.0, "g"), 64, "fault")
    assert store.open_current() == (None, [])
    assert store.models() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["installed", "opened", "rolled back to"])
def test_a_deleted_model_in_use_is_written_again(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path], how: str
) -> None:
    assert store.restore() is None
    wanted = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).card
    if how == "opened":
        store = ModelStore(store.folder, SPEC, 64, "fault")
        store.open_current()
    elif how == "rolled back to":
        store.install(write_tiny_bundle(tmp_path / "out", seed=2))
        store.rollback()
    assert store.restore() is None
    shutil.rmtree(store.folder)
    assert store.restore() == wanted.id
    bundle, warnings = ModelStore(store.folder, SPEC, 64, "fault").open_current()
    assert bundle is not None
    assert (bundle.card, warnings) == (wanted, [])
    assert names(store) == ["current", f"model-{wanted.id}"]


def remove_folder(current: Path) -> Path:
    shutil.rmtree(current.resolve())
    return current.resolve()


def remove_file(current: Path) -> Path:
    (current / "model.onnx").unlink()
    return current.resolve() / "model.onnx"


def remove_link(current: Path) -> Path:
    current.unlink()
    return current


@pytest.mark.parametrize("remove", [remove_folder, remove_file, remove_link])
def test_a_part_of_the_model_in_use_that_is_deleted_is_named_and_written_again(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path], remove: Callable[[Path], Path]
) -> None:
    assert store.missing() is None
    wanted = store.install(write_tiny_bundle(tmp_path / "out")).card
    assert store.missing() is None
    gone = remove(store.folder / "current")
    assert store.missing() == gone
    assert store.restore() == wanted.id
    assert store.missing() is None
    bundle, warnings = ModelStore(store.folder, SPEC, 64, "fault").open_current()
    assert bundle is not None
    assert (bundle.card, warnings) == (wanted, [])


def test_a_model_that_somebody_else_made_the_current_one_stays(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    other = store.install(write_tiny_bundle(tmp_path / "out", seed=1)).path
    used = store.install(write_tiny_bundle(tmp_path / "out", seed=2)).path
    (store.folder / "current").unlink()
    (store.folder / "current").symlink_to(other.name)
    shutil.rmtree(used)
    assert store.missing() is None
    assert store.restore() is None
    assert store.current() == other


def test_a_model_that_cannot_be_written_again_is_named(
    store: ModelStore, tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    store.install(write_tiny_bundle(tmp_path / "out"))
    shutil.rmtree(store.folder)
    store.folder.write_text("")
    with pytest.raises(BundleError, match="cannot write"):
        store.restore()
