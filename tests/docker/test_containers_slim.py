"""The image without torch uses what was trained elsewhere, and says that its own searches are closed-form ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from compose_stack import ASSET, CONFIG, FAULT_S, TOPICS, Stack, running, wait_for

from edgetune_nas.bundle.archive import export_bundle
from edgetune_nas.card import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgetune_node.operator.client import OperatorClient

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]
CLASSES = ("normal", "inner", "outer")
KEY = b"k" * 32
CURRENT = f"/data/assets/{ASSET}/models/current"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All containers, healthy, the node without torch."""
    with running(Stack("node-slim")) as stack:
        yield stack


@pytest.fixture
def scada(stack: Stack) -> Iterator[OperatorClient]:
    with stack.scada() as scada:
        yield scada


@pytest.fixture
def write_bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Callable[[str], Path]:
    """Writes a bundle for the simulated bearing that takes everything for one class, for it is not trained."""

    def write(favourite: str) -> Path:
        spec = {"channels": 1, "length": 512, "rate_hz": 12000.0, "unit": "g"}
        return write_tiny_bundle(tmp_path / favourite, classes=CLASSES, favourite=CLASSES.index(favourite), **spec)

    return write


def deploy(scada: OperatorClient, folder: str) -> dict[str, Any]:
    return scada.wait_reply(scada.send("deploy", model=folder), timeout=FAULT_S)


def test_a_bundle_made_elsewhere_is_put_beside_the_node_and_used(
    stack: Stack, scada: OperatorClient, write_bundle: Callable[[str], Path]
) -> None:
    bundle = write_bundle("outer")
    stack.compose("cp", str(bundle), "node:/data/incoming/")
    assert deploy(scada, bundle.name)["status"] == "done"
    assert wait_for(scada, "model", id=bundle.name.removeprefix("model-"))["classes"] == list(CLASSES)
    assert wait_for(scada, "classification", **{"class": "outer"})


def test_a_signed_file_from_another_node_is_imported_and_used(
    stack: Stack, scada: OperatorClient, write_bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    bundle, archive, key = write_bundle("inner"), tmp_path / "model.zip", tmp_path / "fleet.key"
    export_bundle(bundle, archive, KEY)
    key.write_bytes(KEY)
    mounts = ["-v", f"{archive}:/model.zip:ro", "-v", f"{key}:/fleet.key:ro"]
    command = ["bundle", "import", "/model.zip", "--key", "/fleet.key", "--config", CONFIG, "--json"]
    shown = stack.compose("run", "--rm", "-T", "--no-deps", *mounts, "node", *command)
    assert json.loads(shown.stdout)["fits"] == [ASSET]
    assert deploy(scada, bundle.name)["status"] == "done"
    assert wait_for(scada, "classification", **{"class": "inner"})


def test_a_bundle_of_a_newer_format_is_refused_with_what_to_do_and_the_old_model_stays(
    stack: Stack, scada: OperatorClient, write_bundle: Callable[[str], Path]
) -> None:
    good, newer = write_bundle("normal"), write_bundle("inner")
    card = json.loads((newer / "card.json").read_text())
    (newer / "card.json").write_text(json.dumps({**card, "format": FORMAT + 1, "of_tomorrow": {}}))
    for bundle in (good, newer):
        stack.compose("cp", str(bundle), "node:/data/incoming/")
    assert deploy(scada, good.name)["status"] == "done"
    refused = deploy(scada, newer.name)
    assert refused["status"] == "failed"
    assert f"has format {FORMAT + 1}, this edgetune reads up to {FORMAT}; upgrade edgetune" in refused["reason"]
    assert wait_for(scada, "model")["id"] == good.name.removeprefix("model-")
    assert wait_for(scada, "classification", **{"class": "normal"})


def test_its_own_search_tries_closed_forms_only_and_says_so(stack: Stack, scada: OperatorClient) -> None:
    scada.subscribe(TOPICS.node("info"))
    info = next(said for topic, said in scada.messages(FAULT_S) if topic == TOPICS.node("info"))
    assert [name for name in info["capabilities"] if name.startswith("search:")] == ["search:closed-form"]
    stack.recalibrate("--classes", "normal,inner", "--seconds-per-take", "4s", "--countdown", "1s", "--time", "20s")
    card = json.loads(stack.inside("node", "edgetune", "bundle", "show", CURRENT, "--json"))
    assert card["search"]["trained"] == 0
    assert card["notes"]["training"].startswith("torch is not installed: only closed forms were searched")
    assert "searches try closed-form networks only" in stack.inside(
        "node", "edgetune", "doctor", "--config", CONFIG, code=None
    )
