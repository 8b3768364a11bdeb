"""What the model never learnt is called unknown, kept over a kill, named by a person, and known after that."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

BUDGET = {"ram_bytes": 4096, "search_seconds": 6}


def test_the_unknown_is_raised_kept_named_and_known_after_a_recalibration(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    first = loop.reply(loop.collect({"normal": "normal", "inner": "inner_severe"}, 3, budget=BUDGET))
    assert first["detail"]["deployed"] is True
    loop.play("outer_severe")
    fault = loop.wait("fault", lambda found: found["active"] and found["class"] == "novel")
    told = loop.wait("calibration", lambda found: any(fault["event"] in each for each in found["suggested"]))
    assert "recalibrate" in told["instruction"]
    health = loop.wait("health", lambda found: fault["event"] in found["assets"][0]["novel_events"])
    assert health["assets"][0]["novel_kept_s"] >= 1

    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    loop.wait("calibration", lambda found: any(fault["event"] in each for each in found["suggested"]))
    answer = loop.reply(loop.command("label", label="outer", event=fault["event"]))
    assert answer["status"] == "done", answer
    assert answer["detail"]["recordings"]
    second = loop.reply(loop.command("recalibrate", source="stored", budget=BUDGET, deploy="always"))
    assert second["status"] == "done", second
    model = loop.wait("model", lambda found: found["id"] == second["detail"]["model"])
    assert sorted(model["classes"]) == ["inner", "normal", "outer"]
    known = loop.wait("fault", lambda found: found["active"] and found["class"] == "outer")
    assert known["model"] == model["id"]
