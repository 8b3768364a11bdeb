"""A machine of which only health is known: it is judged, its fault is found, and what is named later joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from assets import BUDGET

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def test_health_alone_finds_an_inner_race_fault_and_keeps_quiet_without_one(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    answer = loop.reply(loop.collect({"normal": "normal"}, 10, budget=BUDGET))
    assert answer["status"] == "done", answer
    assert answer["detail"]["deployed"] is True
    assert (answer["detail"]["kind"], answer["detail"]["accuracy"]) == ("health", None)
    model = loop.wait("model", lambda found: found["id"] == answer["detail"]["model"])
    assert (model["kind"], model["classes"], model["accuracy"]) == ("health", ["normal"], None)
    assert model["false_alarms"] <= 0.01
    assert model["healthy_seconds"] == pytest.approx(10, abs=0.1)
    assert model["arena_bytes"] <= 1024
    assert model["flash_bytes"] <= 2048

    for _ in range(4):
        loop.settle()
    told = [found.json() for found in loop.scada.on("edgetune/n1/bearing/classification")]
    judged = [found for found in told if found["model"] == model["id"]]
    assert len(judged) > 50
    assert sum(found["class"] != "normal" for found in judged) <= len(judged) // 50
    assert not [found for found in loop.scada.on("edgetune/n1/bearing/fault") if found.json()["active"]]

    loop.play("inner_severe")
    fault = loop.wait("fault", lambda found: found["active"])
    assert (fault["class"], fault["model"]) == ("novel", model["id"])
    loop.wait("classification", lambda found: found["class"] == "unknown" and found["distance"] > 1)
    health = loop.wait("health", lambda found: fault["event"] in found["assets"][0]["novel_events"])
    assert health["assets"][0]["novel_kept_s"] >= 1

    named = loop.reply(loop.command("label", label="inner", event=fault["event"]))
    assert named["status"] == "done", named
    healthy = answer["detail"]["recordings"]
    second = loop.reply(loop.command("recalibrate", source="stored", budget=BUDGET))
    assert second["detail"]["deployed"] is True, second
    known = loop.wait("model", lambda found: found["id"] == second["detail"]["model"])
    assert (known["kind"], sorted(known["classes"])) == ("classes", ["inner", "normal"])
    assert all((loop.data / path).is_file() for path in healthy)
    loop.wait("fault", lambda found: found["active"] and found["class"] == "inner")
