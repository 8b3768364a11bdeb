"""Another network of the search is put into use: by its number, whole or not at all, and with a way back."""

from __future__ import annotations

import shutil
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle import pick
from edgetune_nas.card import Budget
from edgetune_nas.errors import BundleError
from edgetune_nas.search.run import search
from edgetune_node.storage.models import ModelStore
from edgetune_signal import StreamSpec
from edgetune_signal.datasets import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.card import ModelCard

pytestmark = pytest.mark.slow
CLASSES = ("ball", "inner", "normal", "outer")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a search that found several networks: of tones in noise, which small ones confuse."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 4
    tone = np.sin((0.2 + 0.2 * label[:, None]) * np.arange(512) + rng.uniform(0, 6.28, (200, 1)))
    data = Dataset(
        x=(rng.normal(size=(200, 1, 512)) * 1.5 + tone[:, None]).astype(np.float32),
        label=label.astype(np.int64),
        classes=CLASSES,
        rate_hz=12_000.0,
        unit="g",
        group=np.arange(200),
        start=np.full(200, INDEPENDENT),
        condition=np.zeros(200, np.int64),
        conditions=("",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgetune_nas.search.run.find_spec", lambda _: None)  # closed forms are the same each time
        return search(data, task="fault", budget=Budget(ram_bytes=4096), out=tmp_path_factory.mktemp("searched")).bundle


def first_of(loop: Any, searched: Path) -> str:
    """Start a node and have it use that bundle."""
    shutil.copytree(searched, loop.data / "incoming" / searched.name)
    loop.start()
    return str(loop.reply(loop.command("deploy", model=searched.name), "done")["detail"]["model"])


def models(loop: Any) -> list[str]:
    return sorted(path.name for path in (loop.data / "assets" / "bearing" / "models").glob("model-*"))


def unfinished(loop: Any) -> list[str]:
    return [path.name for path in loop.data.rglob("*") if path.name.startswith((".writing", ".tmp"))]


def deploy(loop: Any, model: str, point: int) -> str:
    answer = loop.reply(loop.command("deploy", model=model, point=point), "done")
    return str(answer["detail"]["model"])


def test_another_network_of_the_search_is_deployed_by_its_number(
    node: Callable[..., Any], bearing: str, searched: Path
) -> None:
    loop = node(bearing)
    first = first_of(loop, searched)
    said = loop.wait("model", lambda model: model["id"] == first)
    assert said["front_point"] == 0
    assert said["front"][0]["arena_bytes"] == said["arena_bytes"]
    smallest = min(said["front"], key=lambda point: point["arena_bytes"])
    assert smallest["arena_bytes"] < said["arena_bytes"]
    other = deploy(loop, first, smallest["point"])
    now = loop.wait("model", lambda model: model["id"] == other)
    assert (now["front_point"], now["previous"], now["front"]) == (smallest["point"], first, said["front"])
    assert {name: now[name] for name in ("arena_bytes", "flash_bytes", "macs")} == {
        name: smallest[name] for name in ("arena_bytes", "flash_bytes", "macs")
    }
    loop.wait("classification", lambda window: window["model"] == other)
    assert deploy(loop, other, 0) == first, "the one it was picked from is there"
    assert deploy(loop, first, smallest["point"]) == other, "no second one is made"
    assert len(models(loop)) == 2
    assert loop.reply(loop.command("rollback"))["detail"]["model"] == first
    refused = loop.reply(loop.command("deploy", model=first, point=99), "failed")
    assert "keeps no network number 99; its numbers are 0 to" in refused["reason"]
    loop.forget()
    loop.wait("classification", lambda window: window["model"] == first)


def test_a_network_whose_bundle_was_damaged_is_made_again(searched: Path, tmp_path: Path) -> None:
    spec = StreamSpec(channels=1, rate_hz=12_000.0, unit="g")
    store = ModelStore(tmp_path / "models", spec, 512, "fault")
    first = store.install(searched).path
    made = store.pick(first, 1, datetime(2026, 11, 30, 3, tzinfo=UTC))
    assert store.made_of(first, 1) == made
    (made / "model.onnx").write_bytes((made / "model.onnx").read_bytes()[:-1])
    assert store.made_of(first, 1) is None
    again = store.pick(first, 1, datetime(2026, 11, 30, 4, tzinfo=UTC))
    assert store.made_of(first, 1) == again
    assert store.install(again).card.front_point == 1
    assert store.rollback().path == first


def test_a_network_that_no_node_can_run_leaves_no_bundle(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path / "models", StreamSpec(channels=1, rate_hz=12_000.0, unit="g"), 512, "fault")
    first = store.install(searched).path

    def picked(*args: Any, **options: Any) -> ModelCard:
        card = pick(*args, **options)
        (store.folder / f"model-{card.id}" / "model.onnx").write_bytes(b"no network")
        return card

    monkeypatch.setattr("edgetune_node.storage.models.pick", picked)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        store.pick(first, 1, datetime(2026, 11, 30, 3, tzinfo=UTC))
    assert store.models() == [first]


def test_a_node_killed_while_it_deploys_has_one_whole_model_and_does_it_when_asked_again(
    node: Callable[..., Any], bearing: str, searched: Path
) -> None:
    loop = node(bearing)
    first = first_of(loop, searched)
    point = loop.wait("model", lambda model: model["id"] == first)["front"][-1]["point"]
    command = loop.command("deploy", model=first, point=point)
    loop.reply(command, "accepted", "done")
    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    in_use = loop.wait("classification", lambda window: window["model"])["model"]
    assert unfinished(loop) == []
    assert f"model-{in_use}" in models(loop)
    chosen = deploy(loop, first, point)
    loop.wait("classification", lambda window: window["model"] == chosen)
    assert len(models(loop)) == 2
    assert loop.reply(loop.command("deploy", model=first))["detail"]["model"] == first
