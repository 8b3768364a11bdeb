"""The closed loop as users have it: processes, a broker, recordings; and what happens when parts of it are killed."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from assets import ARM, BUDGET, CLASSES, PLAYED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

REPLAY = """
[[asset]]
id = "bearing"
rate_hz = 12000
alarm = {{ raise_after_s = 0.4, clear_after_s = 0.4 }}
[asset.source]
type = "replay"
path = 'RECORDINGS'
loop = true
select = "normal"
speed = 4
block_s = 0.1
select_file = '{playing}'
"""
ARMBAND = f"{ARM}sign = {{{{ min_windows = 3 }}}}{PLAYED}"
ALIKE = {"normal": "normal", "inner": "normal"}
"""Nothing tells these apart: no search is soon done with a minute of each."""


def windows_of(node: Any) -> list[int]:
    return [message.json()["window"] for message in node.scada.on("edgetune/n1/bearing/classification")]


def leftovers(folder: Path) -> list[str]:
    """What is half written; a folder may vanish while it is looked through."""
    names = [name for _, folders, files in os.walk(folder) for name in (*folders, *files)]
    return [name for name in names if name.startswith((".writing", ".tmp")) or name.endswith(".part")]


def test_a_recalibrated_node_follows_the_replayed_machine(
    node: Callable[..., Any],
    recordings_dir: Path,
    card_of: Callable[[Path], dict[str, Any]],
    until: Callable[..., None],
) -> None:
    loop = node(REPLAY.replace("RECORDINGS", str(recordings_dir / "cwru_de_1797rpm")))
    loop.start()
    loop.wait("state", lambda state: state["phase"] == "uncalibrated")
    names = ("normal", "inner_007", "ball_014")
    job = loop.collect({name: name for name in names}, 4, budget=BUDGET)
    answer = loop.reply(job)
    assert answer["status"] == "done", answer
    assert answer["detail"]["deployed"] is True
    loop.wait("state", lambda state: (state["phase"], state["reason"]) == ("monitoring", ""))
    model = loop.wait("model", lambda found: found["id"] == answer["detail"]["model"])
    assert model["arena_bytes"] <= 4096
    assert model["accuracy"] >= 0.95
    card = card_of(loop.data / "assets" / "bearing" / "models" / "current")
    assert card["cost"]["arena_bytes"] == model["arena_bytes"]
    assert sorted(card["classes"]) == sorted(names)
    for name in ("inner_007", "ball_014"):
        loop.play("normal")
        loop.wait("classification", lambda found: found["class"] == "normal")
        loop.forget()
        loop.play(name)
        raised = loop.wait("fault", lambda fault, name=name: fault["active"] and fault["class"] == name)
        loop.play("normal")
        cleared = loop.wait(
            "fault", lambda fault, raised=raised: fault["event"] == raised["event"] and fault["cleared"]
        )
        assert cleared["class"] == "normal"
    until(lambda: leftovers(loop.data) == [])  # a capture may be written just now


def test_the_old_model_classifies_every_window_while_the_new_one_is_searched(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    first = loop.adopt(calibrated)
    loop.forget()
    job = loop.command("recalibrate", source="stored", budget=BUDGET, deploy="always")
    second = loop.reply(job)
    assert second["status"] == "done", second
    loop.wait("classification", lambda found: found["model"] == second["detail"]["model"])
    windows = windows_of(loop)
    assert windows == list(range(windows[0], windows[0] + len(windows)))
    rolled_back = loop.reply(loop.command("rollback"))
    assert rolled_back["detail"]["model"] == first
    loop.wait("model", lambda model: model["id"] == first and model["previous"] == second["detail"]["model"])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, "offline"), (signal.SIGTERM, "stopped")])
def test_watch_calls_the_fault_of_a_node_that_has_gone_stale(
    node: Callable[..., Any],
    bearing: str,
    calibrated: Path,
    spawn: Callable[..., Any],
    number: signal.Signals,
    status: str,
) -> None:
    loop = node(bearing)
    loop.adopt(calibrated)
    loop.play("inner_severe")
    fault = loop.wait("fault", lambda found: found["active"])
    loop.send(number)
    loop.ended()
    loop.wait("status", lambda found: found["status"] == status)
    broker = f"mqtt://{loop.broker.host}:{loop.broker.port}"
    watch = spawn("watch", "--broker", broker, "--node", "n1", "--seconds", "60")
    shown = next(line for line in watch.stdout if f"fault stale (node {status}): " in line)
    assert f"event {fault['event']}, not acknowledged" in shown


def test_a_tie_keeps_the_old_model_and_says_so(node: Callable[..., Any], bearing: str, calibrated: Path) -> None:
    loop = node(bearing)
    first = loop.adopt(calibrated)
    answer = loop.reply(loop.command("recalibrate", source="stored", budget=BUDGET))
    assert answer["status"] == "done"
    assert answer["detail"]["deployed"] is (answer["detail"]["accuracy"] > answer["detail"]["replaced_accuracy"])
    if not answer["detail"]["deployed"]:
        assert "no better" in answer["reason"]
        assert loop.wait("classification", lambda found: found["model"] == first)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_armband_is_calibrated_and_its_signs_are_published_once(node: Callable[..., Any], protocol: str) -> None:
    loop = node(ARMBAND, protocol)
    loop.start()
    asked = {"classes": ["rest", "fist"], "seconds_per_take": 10, "rest_seconds": 0}
    job = loop.command("recalibrate", "arm", source="live", budget=BUDGET, **asked)
    for class_ in ("rest", "fist"):
        loop.wait("calibration", lambda found, class_=class_: (found["phase"], found["class"]) == ("waiting", class_))
        loop.play(class_)
        loop.settle()
        loop.reply(loop.command("continue", "arm"), "done")
    answer = loop.reply(job)
    assert answer["status"] == "done", answer
    for gesture in ("rest", "fist", "rest"):
        loop.play(gesture)
        loop.settle()
    sign = loop.wait("sign", lambda found: found["class"] == "fist")
    assert sign["start"] < sign["end"]
    assert sign["windows"] >= 3


def test_a_killed_search_is_reported_and_changes_nothing(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    loop = node(bearing)
    loop.start()
    job = loop.collect(CLASSES, 3, budget={"ram_bytes": 4096, "search_seconds": 60})
    loop.wait("state", lambda state: state["phase"] == "searching")
    os.kill(loop.searching_pid(), signal.SIGKILL)
    answer = loop.reply(job)
    assert answer["status"] == "failed"
    assert "SIGKILL" in answer["reason"]
    loop.wait("state", lambda state: state["phase"] == "uncalibrated" and "SIGKILL" in state["reason"])
    assert loop.reply(loop.command("recalibrate", source="stored", budget=BUDGET))["status"] == "done"
    until(lambda: leftovers(loop.data) == [])  # a capture may be written just now


def test_a_cancelled_search_ends_its_process(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    loop = node(bearing)
    loop.start()
    job = loop.collect(CLASSES, 3, budget={"ram_bytes": 4096, "search_seconds": 60})
    loop.wait("state", lambda state: state["phase"] == "searching")
    child = loop.searching_pid()
    assert loop.reply(loop.command("cancel"))["status"] == "done"
    assert loop.reply(job)["status"] == "failed"
    until(lambda: not psutil.pid_exists(child))
    assert not list((loop.data / "assets" / "bearing" / "models").glob("current"))


def test_a_broker_killed_during_a_search_hears_of_its_end_when_it_is_back(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    loop = node(bearing.replace("speed = 4", "speed = 10"))
    loop.start()
    job = loop.collect(ALIKE, 30, budget={"ram_bytes": 4096, "search_seconds": 20}, deploy="always")
    loop.searching_pid()
    loop.broker.kill()
    until(lambda: not loop.scada.subscribed())
    loop.forget()
    until(lambda: '"status":"done"' in loop.kept("resp/recalibrate"))  # its progress may wait there before
    loop.send(signal.SIGSTOP)  # the broker passes what it gets on to those who are there by then, and to nobody later
    loop.broker.start()
    until(loop.scada.subscribed)
    loop.send(signal.SIGCONT)
    answer = loop.reply(job)
    assert answer["status"] == "done"
    assert answer["historical"] is True
    model = loop.wait("model", lambda found: found["id"] == answer["detail"]["model"])
    assert model["historical"] is False or loop.wait("model", lambda found: not found["historical"])
    assert loop.wait("status", lambda status: status["status"] == "online")


def killed(loop: Any) -> None:
    """Kill the node as a power cut would, and start it again."""
    loop.send(signal.SIGKILL)
    loop.ended()
    assert loop.wait("status", lambda status: status["status"] == "offline")
    loop.forget()
    loop.start()


def test_a_killed_node_goes_on_with_the_collection_and_remembers_its_commands(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    job = loop.command("recalibrate", source="live", classes=list(CLASSES), seconds_per_take=3, budget=BUDGET)
    loop.wait("calibration", lambda found: (found["phase"], found["class"]) == ("waiting", "normal"))
    loop.reply(loop.command("continue"), "done")
    loop.wait("calibration", lambda found: (found["phase"], found["class"]) == ("waiting", "inner"))
    killed(loop)
    assert loop.resumed(job)["command"] == "recalibrate"
    loop.wait("calibration", lambda found: (found["phase"], found["class"]) == ("waiting", "inner"))
    loop.play(CLASSES["inner"])
    loop.settle()
    loop.reply(loop.command("continue"), "done")
    answer = loop.reply(job)
    assert answer["status"] == "done", answer
    assert len(answer["detail"]["recordings"]) == len(CLASSES)
    loop.forget()
    loop.scada.publish(
        "edgetune/n1/bearing/cmd/recalibrate",
        {"id": job, "source": "live", "classes": list(CLASSES), "seconds_per_take": 3},
    )
    assert loop.reply(job)["detail"]["model"] == answer["detail"]["model"]
    received = [json.loads(line["payload"])["id"] for line in loop.audit("received")]
    assert received.count(job) == 2
    statuses = [line["status"] for line in loop.audit("answered") if line["id"] == job]
    assert (statuses[0], statuses[-2:]) == ("accepted", ["done", "done"])


def test_a_search_goes_on_after_a_kill_and_after_a_stop_and_leaves_nothing(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    loop = node(bearing.replace("speed = 4", "speed = 10"))
    loop.start()
    job = loop.collect(ALIKE, 30, budget={"ram_bytes": 4096, "search_seconds": 45}, deploy="always")
    loop.wait("state", lambda state: state["phase"] == "searching")
    search = loop.data / "assets" / "bearing" / "search"

    def evaluated() -> list[str]:
        return [line for path in search.glob("*/journal.jsonl") for line in path.read_text().splitlines()]

    until(lambda: len(evaluated()) > 3, what="a search with some results")
    killed(loop)
    loop.wait("state", lambda state: state["phase"] == "searching" and state["job"] == job)
    child = loop.searching_pid()
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0
    assert loop.wait("status", lambda status: status["status"] == "stopped")
    until(lambda: not psutil.pid_exists(child))
    kept = evaluated()
    loop.start()
    answer = loop.reply(job)
    assert answer["status"] == "done", answer
    assert answer["detail"]["deployed"] is True
    assert len(kept) > 3
    until(lambda: not list(search.iterdir()))
    until(lambda: leftovers(loop.data) == [])  # a capture may be written just now
    loop.wait("classification", lambda found: found["model"] == answer["detail"]["model"])


def test_a_corrupted_bundle_at_start_gives_way_and_is_named(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    loop.adopt(calibrated)
    loop.send(signal.SIGTERM)
    loop.ended()
    [model] = loop.data.glob("assets/bearing/models/model-*/model.onnx")
    model.write_bytes(b"\0" * 100)
    loop.forget()
    loop.start()
    state = loop.wait("state", lambda found: found["phase"] == "uncalibrated")
    assert "model.onnx" in state["reason"]


def test_a_budget_nothing_fits_is_answered_with_the_smallest_arena(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    loop.start()
    answer = loop.reply(loop.collect(CLASSES, 3, budget={"ram_bytes": 100, "search_seconds": 6}))
    assert answer["status"] == "failed"
    smallest = answer["detail"]["smallest_arena_bytes"]
    assert smallest > 100
    again = loop.reply(
        loop.command("recalibrate", source="stored", budget={"ram_bytes": smallest, "search_seconds": 6})
    )
    assert again["status"] == "done", again


def test_two_assets_share_a_node_and_search_one_after_the_other(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing + bearing.replace('"bearing"', '"motor"').replace("'{playing}'", "'{playing}.motor'"))
    loop.start()
    for asset in ("bearing", "motor"):
        for label, condition in CLASSES.items():
            loop.play(condition)
            (loop.folder / "playing.txt.motor").write_text(condition, encoding="utf-8")
            loop.settle()
            assert loop.reply(loop.command("record", asset, label=label, seconds=3))["status"] == "done"
    first = loop.command("recalibrate", "bearing", source="stored", budget=BUDGET)
    second = loop.command("recalibrate", "motor", source="stored", budget=BUDGET)
    loop.wait("state", lambda state: state["phase"] == "queued" and state["job"] == second, asset="motor")
    assert [loop.reply(job)["status"] for job in (first, second)] == ["done", "done"]
    for asset in ("bearing", "motor"):
        loop.wait("classification", lambda found: found["model"], asset=asset)
