from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli.remote import jobs as operator
from edgetune_node.contract.messages import Status

if TYPE_CHECKING:
    from pathlib import Path

LIVE = ("recalibrate", "--classes", "normal,inner", "--seconds-per-take", "1s")
WAIT = "Make it normal and publish cmd/continue (class 1 of 2)"
DOUBT = "'normal', take 1: its velocity of 5.00 mm/s lies in zone D: such a machine is not healthy"
FOUND = {
    "model": "m-1",
    "accuracy": 0.987,
    "accuracy_low": 0.72,
    "accuracy_high": 1.0,
    "tested_on": "other_recordings",
    "tested_in_parts": ["normal"],
    "chance": 0.5,
    "measured_before_refit": True,
    "arena_bytes": 2144,
    "arena_bytes_deployed": 8576,
    "deployed": True,
}


def finds_a_model(node: Any) -> None:
    job = node.command("recalibrate")
    node.reply(job, "recalibrate", "accepted")
    for place in ({"class_": "normal"}, {"class_": "inner"}):
        node.calibration(job, "waiting", **place, take=1, takes=1)
        node.reply(node.command("continue"), "continue", "done")
        node.calibration(job, "recording", **place, take=1, takes=1)
    node.calibration(
        job,
        "searching",
        search_phase="training",
        candidates=40,
        rejected=12,
        trained=7,
        best_accuracy=0.95,
        best_arena_bytes=2144,
        eta_s=12.0,
        percent=60.0,
    )
    node.calibration(job, "done", percent=100.0)
    detail = {**FOUND, "test_recordings": 10, "warnings": [DOUBT]}
    node.reply(job, "recalibrate", "done", reason="the asset had no model, so the new one is in use", detail=detail)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_job_is_followed_to_the_model_it_ends_with(broker: Any, scripted_node: Any, cli: Any, protocol: str) -> None:
    node = scripted_node(broker, protocol)
    node.online()
    node.play(finds_a_model)
    ended = cli(*LIVE, "--yes", "--json", "--ram", "4KiB", "--time", "1m", *node.target)
    node.finish()
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result.pop("seconds") >= 0
    command = node.seen.on(f"{node.base}/press/cmd/recalibrate")[0].json()
    said = {
        "id": command["id"],
        "status": "done",
        "reason": "the asset had no model, so the new one is in use",
        "warnings": [DOUBT],
    }
    assert result == said | FOUND | {"recordings": 10}
    assert f"edgetune: warning: {DOUBT}\n" in ended.err
    assert command["classes"] == ["normal", "inner"]
    assert command["budget"] == {"ram_bytes": 4096, "search_seconds": 60.0}
    assert len(node.seen.on(f"{node.base}/press/cmd/continue")) == 2
    assert "training" in ended.err
    assert "2,144 bytes" in ended.err
    assert "40 seen, 12 rejected, 7 trained" in ended.err


def test_a_command_says_where_it_wants_its_answer(broker: Any, scripted_node: Any, cli: Any) -> None:
    node = scripted_node(broker)
    node.online()

    def script(node: Any) -> None:
        job = node.command("record")
        node.say_to = node.seen.on(f"{node.base}/press/cmd/record")[0]
        answer = {"id": job["id"], "command": "record", "status": "done", "detail": {"recording": "a.npz"}}
        node.seen.publish(f"{node.base}/press/resp/record", answer)

    node.play(script)
    ended = cli("record", "--label", "normal", "--seconds", "2", "--asset", "press", *node.target)
    node.finish()
    assert ended.code == 0
    assert "record done" in ended.out
    assert node.say_to.correlation == node.say_to.json()["id"].encode()
    assert node.say_to.json() == {"id": node.say_to.json()["id"], "label": "normal", "seconds": 2.0}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("label", "--label", "outer", "--event", "e7"), {"label": "outer", "event": "e7"}),
        (("label", "--label", "outer", "--seconds", "8s"), {"label": "outer", "seconds": 8.0}),
        (("acknowledge", "--by", "anna"), {"by": "anna"}),
        (("shelve", "--seconds", "1h", "--by", "anna"), {"seconds": 3600.0, "by": "anna"}),
        (
            ("shelve", "--seconds", "0", "--by", "anna", "--class", "inner", "--comment", "repaired"),
            {"seconds": 0.0, "by": "anna", "class": "inner", "comment": "repaired"},
        ),
        (("deploy", "--model", "m-1"), {"model": "m-1"}),
        (("deploy", "--model", "m-1", "--point", "2"), {"model": "m-1", "point": 2}),
        (("rollback",), {}),
        (("continue",), {}),
        (("cancel",), {}),
        (("profile", "--subject", "anna", "--condition", "left_arm"), {"subject": "anna", "condition": "left_arm"}),
        (
            ("acknowledge", "--by", "anna", "--event", "e7", "--comment", "seen on site"),
            {"by": "anna", "event": "e7", "comment": "seen on site"},
        ),
    ],
)
def test_a_fault_is_answered_from_the_command_line(
    broker: Any, scripted_node: Any, cli: Any, arguments: tuple[str, ...], sent: dict[str, Any]
) -> None:
    node = scripted_node(broker)
    node.online()
    name = arguments[0]
    node.play(lambda node: node.reply(node.command(name), name, "done", reason="it is noted"))
    ended = cli(*arguments, *node.target)
    node.finish()
    assert (ended.code, ended.out.startswith(f"{name} done"), "it is noted" in ended.out) == (0, True, True), ended.err
    [command] = node.seen.on(f"{node.base}/press/cmd/{name}")
    assert {key: value for key, value in command.json().items() if key != "id"} == sent


def test_a_label_names_the_files_that_it_stored(broker: Any, scripted_node: Any, cli: Any) -> None:
    stored = {"class": "outer", "seconds": 9.5, "class_seconds": 12.0, "recordings": ["outer-1-0.npz", "outer-2-0.npz"]}
    for option in ((), ("--json",)):
        node = scripted_node(broker)
        node.online()
        node.play(lambda node: node.reply(node.command("label"), "label", "done", detail=stored))
        ended = cli("label", "--label", "outer", "--event", "e7", *option, *node.target)
        node.finish()
        if option:
            assert json.loads(ended.out)["stored"] == stored
        else:
            assert ended.out.endswith("; files: outer-1-0.npz, outer-2-0.npz\n")


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"status": "rejected", "reason": "busy: record 7 is running; cancel it first"}, "rejected"),
        ({"status": "failed", "reason": "no network fits ram_bytes = 16"}, "failed"),
        ({"status": "failed", "reason": "cancelled: by somebody else"}, "cancelled"),
    ],
)
def test_a_job_that_comes_to_nothing_ends_1_with_its_reason(
    broker: Any, scripted_node: Any, cli: Any, reply: dict[str, str], status: str
) -> None:
    node = scripted_node(broker)
    node.online()
    node.play(lambda node: node.reply(node.command("recalibrate"), "recalibrate", **reply))
    ended = cli("recalibrate", "--source", "stored", "--json", *node.target)
    assert ended.code == 1
    assert reply["reason"] in ended.err
    assert "recalibrate is running" not in ended.err
    assert json.loads(ended.out)["status"] == status
    assert json.loads(ended.out)["reason"] == reply["reason"]


def test_the_end_is_known_from_the_calibration_topic_when_the_reply_was_missed(
    broker: Any, scripted_node: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "LAST_WORD_S", 0.2)
    node = scripted_node(broker)
    node.online()

    def script(node: Any) -> None:
        job = node.command("recalibrate")
        node.calibration({"id": "another"}, "failed")
        node.calibration(job, "cancelled", instruction="somebody cancelled it")

    node.play(script)
    ended = cli("recalibrate", "--source", "stored", *node.target)
    assert ended.code == 1
    assert "cancelled: somebody cancelled it" in ended.err


@pytest.mark.parametrize("status", ["offline", "stopped"])
def test_a_node_that_is_not_running_gets_no_command(broker: Any, scripted_node: Any, cli: Any, status: str) -> None:
    node = scripted_node(broker)
    node.say(Status, status=status)
    ended = cli("recalibrate", "--source", "stored", "--json", *node.target)
    assert ended.code == 1
    assert f"{node.base} is {status}" in ended.err
    assert json.loads(ended.out)["status"] == "failed"
    assert not node.seen.on(f"{node.base}/press/cmd/+")


def test_a_node_nobody_has_heard_of_is_named(broker: Any, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FIND_S", 0.2)
    url = f"mqtt://{broker.host}:{broker.port}"
    ended = cli("record", "--label", "a", "--seconds", "1", "--broker", url, "--node", "nobody")
    assert ended.code == 1
    assert "no node edgetune/nobody on this broker" in ended.err


def test_a_node_that_does_not_answer_is_not_waited_for_for_ever(
    broker: Any, scripted_node: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "ACCEPT_S", 0.3)
    node = scripted_node(broker)
    node.online()
    ended = cli("recalibrate", "--source", "stored", *node.target)
    assert ended.code == 1
    assert "did not answer" in ended.err


def test_following_ends_at_the_timeout_and_the_job_goes_on(broker: Any, scripted_node: Any, cli: Any) -> None:
    node = scripted_node(broker)
    node.online()
    node.play(lambda node: node.reply(node.command("recalibrate"), "recalibrate", "accepted"))
    ended = cli("recalibrate", "--source", "stored", "--timeout", "1s", *node.target)
    assert ended.code == 1
    assert "the job goes on" in ended.err
    assert not node.seen.on(f"{node.base}/press/cmd/cancel")


def test_a_node_that_goes_away_during_a_job_is_reported(
    broker: Any, scripted_node: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "OFFLINE_S", 0.2)
    node = scripted_node(broker)
    node.online()

    def script(node: Any) -> None:
        node.reply(node.command("recalibrate"), "recalibrate", "accepted")
        node.say(Status, status="offline")

    node.play(script)
    ended = cli("recalibrate", "--source", "stored", *node.target)
    assert ended.code == 1
    assert "offline" in ended.err


def test_which_asset_is_asked_where_a_node_has_several(broker: Any, scripted_node: Any, cli: Any) -> None:
    node = scripted_node(broker)
    node.online("press", "saw")
    ended = cli("recalibrate", "--source", "stored", *node.target)
    assert ended.code == 2
    assert "press, saw" in ended.err
    ended = cli("recalibrate", "--source", "stored", "--asset", "drill", *node.target)
    assert ended.code == 2
    assert "no asset 'drill'" in ended.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("recalibrate", "--source", "live", "--node", "n"), "classes"),
        (("recalibrate", "--classes", "a,a", "--node", "n"), "twice"),
        (("recalibrate", "--classes", "a b", "--node", "n"), "classes.0"),
        (("recalibrate", "--ram", "much", "--node", "n"), "much"),
        (("recalibrate", "--source", "stored"), "--node"),
        (("record", "--label", "a", "--seconds", "0", "--node", "n"), "more than zero"),
        (("label", "--label", "a", "--node", "n"), "give either it"),
        (("label", "--label", "a", "--seconds", "5", "--event", "e", "--node", "n"), "give either it"),
        (("label", "--label", "unknown", "--seconds", "5", "--node", "n"), "choose another name"),
        (("acknowledge", "--by", "a b", "--node", "n"), "by"),
        (("record", "--label", "a", "--seconds", "9h", "--node", "n"), "seconds"),
        (("record", "--label", "a", "--seconds", "1", "--node", "n", "--broker", "http://x"), "mqtt://"),
        (("record", "--label", "a", "--seconds", "1", "--node", "n", "--broker", "mqtt://x:99999"), "port"),
        (("record", "--label", "a", "--seconds", "1", "--node", "n", "--broker", "mqtt://u:p@x"), "password"),
        (("record", "--label", "a", "--seconds", "1", "--node", "n", "--ca", "x.pem"), "mqtts://"),
        (("record", "--label", "a", "--seconds", "1", "--node", "a/b"), "id"),
    ],
)
def test_wrong_usage_ends_2_before_anything_is_sent(cli: Any, arguments: tuple[str, ...], named: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert named in ended.err


def test_a_configuration_says_broker_node_and_asset(broker: Any, scripted_node: Any, cli: Any, tmp_path: Path) -> None:
    node = scripted_node(broker)
    node.online()
    config = tmp_path / "config.toml"
    config.write_text(
        f'[node]\nid = "{node.id}"\n[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
        '[[asset]]\nid = "press"\nrate_hz = 12000\n'
    )
    node.play(lambda node: node.reply(node.command("record"), "record", "done"))
    ended = cli("record", "--label", "normal", "--seconds", "1", "--config", config)
    assert ended.code == 0, ended.err
    config.write_text("[node]\n")
    ended = cli("record", "--label", "normal", "--seconds", "1", "--config", config)
    assert ended.code == 2
    assert "node.id" in ended.err
    assert "asset" in ended.err


def test_a_job_is_followed_over_a_restart_of_the_broker(
    fresh_broker: Any, scripted_node: Any, cli: Any, until: Any
) -> None:
    node = scripted_node(fresh_broker)
    node.online()
    over = threading.Event()

    def script(node: Any) -> None:
        job = node.command("recalibrate")
        node.reply(job, "recalibrate", "accepted")
        fresh_broker.stop()
        fresh_broker.start()
        until(node.seen._client.is_connected)
        while not over.wait(0.5):  # the command may connect later, and the broker keeps no answer for it
            node.reply(job, "recalibrate", "done", detail={**FOUND, "test_recordings": 10})
            node.calibration(job, "done", percent=100.0)

    node.play(script)
    try:
        ended = cli("recalibrate", "--source", "stored", *node.target)
    finally:
        over.set()
    assert ended.code == 0, ended.err
    assert (
        "98.7% (95 % interval 72.0% to 100.0%, 10 recordings, tested on other recordings, normal on other parts"
        in ended.out
    )
    assert "arena 2,144 bytes (8,576 as deployed)" in ended.out


@pytest.mark.slow
def test_ctrl_c_cancels_the_job(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    node.online()
    process = spawn("recalibrate", "--source", "stored", "--json", *node.target)
    job = node.command("recalibrate")
    node.reply(job, "recalibrate", "accepted")
    node.calibration(job, "searching", instruction="the search has begun")
    assert process.stderr is not None
    for line in process.stderr:
        if "the search has begun" in line:
            break
    process.send_signal(signal.SIGINT)
    node.reply(node.command("cancel"), "cancel", "done")
    node.calibration(job, "cancelled")
    node.reply(job, "recalibrate", "failed", reason="cancelled: the old model stays")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(out)["status"] == "cancelled"


@pytest.mark.slow
def test_enter_in_a_terminal_starts_each_take(broker: Any, scripted_node: Any, spawn: Any, until: Any) -> None:
    node = scripted_node(broker)
    node.online()
    terminal, inside = pty.openpty()
    process = spawn(*LIVE, *node.target, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    os.set_blocking(terminal, False)
    shown = bytearray()

    def shows(text: str) -> bool:
        with contextlib.suppress(OSError):
            shown.extend(os.read(terminal, 65536))
        return text.encode() in shown

    job = node.command("recalibrate")
    node.reply(job, "recalibrate", "accepted")
    node.calibration(job, "waiting", instruction=WAIT, class_="normal", take=1, takes=1)
    until(lambda: shows("(press Enter)"))
    assert shown.count(b"Make it normal") == 1
    assert b"cmd/continue" not in shown
    assert b"waiting normal" not in shown
    assert not node.seen.on(f"{node.base}/press/cmd/continue")
    os.write(terminal, b"\n")
    node.command("continue")
    node.reply(job, "recalibrate", "done", detail=FOUND)
    until(lambda: shows("in use"))
    assert process.wait(60) == 0
    os.close(terminal)
