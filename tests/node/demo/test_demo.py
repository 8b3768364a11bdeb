"""The demo plays to its end, prints its summary, and leaves nothing behind."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edgetune_node.demo.broker import find_mosquitto, has_iotcore, wait_until

DEMO = [sys.executable, "-m", "edgetune_node", "demo", "--json", "--seconds-per-take", "5s", "--time", "12s"]
"""Of three seconds a class, one model took the healthy machine for a fault while other programs used the processor."""
PATIENCE_S = 240

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker_choice(request: pytest.FixtureRequest) -> str:
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "iotcore" and not has_iotcore():
        pytest.skip("the package iotcore is not installed")
    return str(request.param)


def left_behind(environment: dict[str, str]) -> list[str]:
    """Temporary files of the demo, and processes that work in its folder."""
    folder = environment["TMPDIR"]
    processes = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if any(folder in argument for argument in process.info["cmdline"] or [])
    ]
    return [*(path.name for path in Path(folder).iterdir()), *processes]


def test_two_faults_come_and_go(environment: dict[str, str], broker_choice: str) -> None:
    command = [*DEMO, "--broker", broker_choice]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["broker"] == broker_choice
    assert [fault["class"] for fault in summary["faults"]] == ["inner", "outer"]
    for fault in summary["faults"]:
        assert 0 < fault["latency_s"] < 20
        assert fault["machine"] == fault["class"]
        assert fault["raised_ts"] < fault["cleared_ts"]
    assert summary["model"]["cost"]["arena_bytes"] <= 4096
    assert summary["announced"]["arena_bytes"] == summary["model"]["cost"]["arena_bytes"]
    assert summary["announced"]["id"] == summary["model"]["id"]
    assert summary["accuracy"] >= 0.7  # five seconds of each class are little
    assert summary["windows"] > 100
    assert summary["lost_windows"] == 0
    assert set(summary["seconds"]) >= {"start", "collect", "search", "deploy", "faults", "total"}
    for speaker in ("BROKER", "MACHINE", "NODE", "OPERATOR", "SCADA"):
        assert speaker in ended.stderr
    assert left_behind(environment) == []


def test_a_person_makes_two_signs(environment: dict[str, str]) -> None:
    command = [*DEMO, "--task", "sign"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert [sign["class"] for sign in summary["signs"]] == [sign["made"] for sign in summary["signs"]]
    assert [sign["class"] for sign in summary["signs"]] == ["fist", "wrist_flexion"]
    assert summary["faults"] == []
    assert (summary["model"]["task"], summary["model"]["classes"][0]) == ("sign", "fist")
    assert "PERSON" in ended.stderr
    assert left_behind(environment) == []


def test_recordings_are_played_as_a_machine(environment: dict[str, str], tmp_path: Path) -> None:
    command = [*DEMO, "--task", "sign", "--data", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert ended.returncode == 2
    assert "recordings are played as a machine: leave out --data" in ended.stderr


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *itertools.product(["starts as process", "OPERATOR", "searching"], [signal.SIGINT, signal.SIGTERM]),
        ("OPERATOR", signal.SIGHUP),
    ],
)
def test_an_interrupted_demo_leaves_nothing_behind(
    environment: dict[str, str], tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    log = tmp_path / "stderr"
    command = [*DEMO, "--seconds-per-take", "1s"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment) as demo,
    ):
        assert wait_until(lambda: moment in log.read_text() or demo.poll() is not None, PATIENCE_S)
        demo.send_signal(number)
        assert demo.wait(PATIENCE_S) not in {0, None}
    assert "Traceback" not in log.read_text()
    assert left_behind(environment) == []


def test_the_page_shows_the_plant_until_somebody_ends_it(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="edgetune[console] is not installed")
    log = tmp_path / "stderr"
    command = [*DEMO, "--page", "--listen", "127.0.0.1:0"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment) as demo,
    ):
        assert wait_until(lambda: "try it yourself" in log.read_text() or demo.poll() is not None, PATIENCE_S)
        url = log.read_text().partition("the page is at ")[2].split()[0]
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=60)
        connection.request("GET", "/api/session")
        session = json.loads(connection.getresponse().read())
        connection.close()
        demo.send_signal(signal.SIGINT)
        out, _ = demo.communicate(timeout=PATIENCE_S)
    assert (session["namespace"], session["act"]) == ("demo", True)
    assert demo.returncode == 0, log.read_text()
    assert len(json.loads(out)["faults"]) == 2
    assert left_behind(environment) == []
