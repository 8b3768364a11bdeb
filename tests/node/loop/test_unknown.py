"""What the model never learnt is called unknown, kept over a kill, named by a person, and known after that."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from assets import ARM, BUDGET, PLAYED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_unknown_is_raised_kept_named_and_known_after_a_recalibration(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    loop.adopt(calibrated)
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
    answer = loop.reply(loop.command("label", label="ball", event=fault["event"]))
    assert answer["status"] == "done", answer
    assert answer["detail"]["recordings"]
    wrong = answer["detail"]
    answer = loop.reply(loop.command("label", label="outer", event=fault["event"]))
    moved = answer["detail"]
    assert (wrong["class"], moved["class"]) == ("ball", "outer")
    files = {name.replace("ball", "outer", 1) for name in wrong["recordings"]}
    assert files <= set(moved["recordings"])  # the event goes on, so that there may be more of it by now
    assert moved["class_seconds"] == moved["seconds"] >= wrong["seconds"] > 0
    there = {path.name for path in (loop.data / "assets" / "bearing" / "recordings").iterdir()}
    assert files <= there
    assert not {name for name in there if name.startswith("ball")}
    second = loop.reply(loop.command("recalibrate", source="stored", budget=BUDGET, deploy="always"))
    assert second["status"] == "done", second
    model = loop.wait("model", lambda found: found["id"] == second["detail"]["model"])
    assert sorted(model["classes"]) == ["inner", "normal", "outer"]
    known = loop.wait("fault", lambda found: found["active"] and found["class"] == "outer")
    assert known["model"] == model["id"]


def test_a_gesture_that_nobody_taught_is_told_kept_named_and_known_after_a_recalibration(
    node: Callable[..., Any],
) -> None:
    loop = node(ARM + PLAYED)
    loop.start()
    gestures = ("fist", "wrist_flexion", "rest")
    asked = {"classes": list(gestures), "seconds_per_take": 6, "rest_seconds": 0}
    job = loop.command("recalibrate", "arm", source="live", budget=BUDGET, **asked)
    for class_ in gestures:
        loop.wait("calibration", lambda found, class_=class_: (found["phase"], found["class"]) == ("waiting", class_))
        loop.play(class_)
        loop.settle()
        loop.reply(loop.command("continue", "arm"), "done")
    first = loop.reply(job)
    assert first["detail"]["deployed"] is True

    def make(gesture: str) -> None:
        loop.forget()
        for each in (gesture, "rest"):
            loop.play(each)
            loop.settle()

    make("pinch")
    sign = loop.wait("sign", lambda found: found["class"] == "unknown")
    assert (sign["confidence"], sign["model"], sign["distance"] > 1) == (0.0, first["detail"]["model"], True)
    loop.wait("classification", lambda found: (found["class"], found["quality"]) == ("unknown", ["novel"]))
    health = loop.wait("health", lambda found: found["assets"][0]["novel_events"])
    event = health["assets"][0]["novel_events"][-1]
    loop.wait("calibration", lambda found: any(event in each for each in found["suggested"]))

    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    loop.wait("calibration", lambda found: any(event in each for each in found["suggested"]))
    answer = loop.reply(loop.command("label", "arm", label="pinch", event=event))
    assert answer["status"] == "done", answer
    second = loop.reply(loop.command("recalibrate", "arm", source="stored", budget=BUDGET))
    assert second["detail"]["deployed"] is True, second
    make("pinch")
    assert loop.wait("sign", lambda found: found["class"] == "pinch")["distance"] < 1
