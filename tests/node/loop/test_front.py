"""Another network of the search is put into use: by its number, whole or not at all, and with a way back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def models(loop: Any) -> list[str]:
    return sorted(path.name for path in (loop.data / "assets" / "bearing" / "models").glob("model-*"))


def unfinished(loop: Any) -> list[str]:
    return [path.name for path in loop.data.rglob("*") if path.name.startswith((".writing", ".tmp"))]


def deploy(loop: Any, model: str, point: int) -> str:
    answer = loop.reply(loop.command("deploy", model=model, point=point), "done")
    return str(answer["detail"]["model"])


def test_another_network_of_the_search_is_deployed_by_its_number(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    first = loop.adopt(calibrated)
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
    loop.wait("classification", lambda window: window["model"] == other and window["class"] == "normal")
    loop.play("inner_severe")
    loop.wait("fault", lambda fault: fault["active"] and fault["class"] == "inner")
    assert deploy(loop, other, 0) == first, "the one it was picked from is there"
    assert deploy(loop, first, smallest["point"]) == other, "no second one is made"
    assert len(models(loop)) == 2
    assert loop.reply(loop.command("rollback"))["detail"]["model"] == first
    refused = loop.reply(loop.command("deploy", model=first, point=99), "failed")
    assert "keeps no network number 99; its numbers are 0 to" in refused["reason"]
    loop.forget()
    loop.wait("classification", lambda window: window["model"] == first)


def test_a_node_killed_while_it_deploys_has_one_whole_model_and_does_it_when_asked_again(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    first = loop.adopt(calibrated)
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
