"""The demo's broker, machine, scenes, processes and screen, each on its own."""

from __future__ import annotations

import io
import itertools
import sys
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.topics import Topics
from edgetune_node.demo.broker import HOST, DemoBroker, accepts, find_mosquitto, has_iotcore, wait_until
from edgetune_node.demo.errors import DemoError
from edgetune_node.demo.machine import DemoMachine
from edgetune_node.demo.processes import ChildProcess
from edgetune_node.demo.scenes import HEALTHY, RecordingsPlayer, recorded, simulated
from edgetune_node.demo.screen import Screen, waveform
from edgetune_node.operator.client import OperatorClient
from edgetune_signal import Recording, RecordingError, decode_block, write_recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOPICS = Topics("demo", "edge-1")


def a_recording(label: str, samples: int = 12_000, rate_hz: float = 12_000.0) -> Recording:
    rng = np.random.default_rng(len(label))
    return Recording(rng.normal(size=(1, samples)).astype(np.float32), rate_hz, label, unit="g")


# ---- broker ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["mosquitto", "iotcore"])
def demo_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DemoBroker]:
    mosquitto = find_mosquitto() if request.param == "mosquitto" else None
    if request.param == "mosquitto" and mosquitto is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "iotcore" and not has_iotcore():
        pytest.skip("the package iotcore is not installed")
    with DemoBroker(tmp_path, mosquitto) as broker:
        yield broker


def test_the_broker_keeps_what_is_retained_and_is_gone_afterwards(demo_broker: DemoBroker) -> None:
    mqtt = MqttSection(host=HOST, port=demo_broker.port)
    with OperatorClient(mqtt) as speaker, OperatorClient(mqtt) as listener:
        speaker.publish("a/b", b'{"n": 1}', retain=True)
        listener.subscribe("a/#")
        assert next(listener.messages(60)) == ("a/b", {"n": 1})
        speaker.publish("a/large", b'{"text": "%s"}' % (b"x" * 60_000))
        assert next(listener.messages(60))[0] == "a/large"
    demo_broker.__exit__(None, None, None)
    assert not accepts(demo_broker.port)


def test_a_broker_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="broker listens"), DemoBroker(tmp_path, "/bin/false"):
        pass


# ---- processes -------------------------------------------------------------------------------------------------

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_stopping_ends_a_process_that_refuses_and_its_children(tmp_path: Path) -> None:
    process = ChildProcess([sys.executable, "-c", STUBBORN], tmp_path / "log")
    assert wait_until(lambda: process.log_tail().strip().isdigit(), 60)
    grandchild = int(process.log_tail())
    assert process.stop(wait_s=0.1) != 0
    assert process.code is not None
    assert not psutil.pid_exists(grandchild)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    process = ChildProcess([sys.executable, "-c", "for i in range(99): print(i)"], tmp_path / "log")
    assert wait_until(lambda: process.code is not None, 60)
    assert process.log_tail().splitlines()[-1] == "98"
    assert process.stop() == 0


# ---- machine ---------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(demo_broker: DemoBroker) -> Iterator[tuple[DemoMachine, OperatorClient, list[str]]]:
    mqtt = MqttSection(host=HOST, port=demo_broker.port)
    said: list[str] = []
    scene = simulated(0)
    with OperatorClient(mqtt) as own, OperatorClient(mqtt) as other:
        machine = DemoMachine(scene.source, scene.conditions, own, TOPICS, "bearing", say=said.append)
        yield machine, other, said
        machine.stop()


def test_the_machine_takes_the_condition_the_node_asks_for(
    machine: tuple[DemoMachine, OperatorClient, list[str]],
) -> None:
    it, other, said = machine
    it.start(HEALTHY)
    other.publish(TOPICS.asset("bearing", "calibration"), b'{"phase": "countdown", "class": "ball"}')
    assert wait_until(lambda: it.condition == "ball", 60)
    other.publish(TOPICS.asset("bearing", "calibration"), b'{"phase": "searching", "class": "inner"}')
    assert wait_until(lambda: any("peak" in text for text in said), 60)
    assert it.condition == "ball"
    assert it.error is None
    (start, end, first), (_, _, second) = it.closed_spans(0.0)
    assert (first, second) == (HEALTHY, "ball")
    assert start < end


def test_a_hole_in_the_samples_is_a_hole_in_the_blocks_numbers(tmp_path: Path) -> None:
    sent: list[bytes] = []

    class Wire:
        def subscribe(self, *_: str) -> None: ...

        def messages(self, _timeout: float) -> list[tuple[str, dict[str, str]]]:
            return []

        def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> None:
            assert qos == 0
            if not retain:
                assert topic.endswith("/samples")
                sent.append(payload)

    for label in ("normal", "outer", "ball"):
        write_recording(tmp_path / f"{label}.npz", a_recording(label, 240_000))  # does not begin again meanwhile
    scene = recorded(tmp_path)
    it = DemoMachine(scene.source, scene.conditions, Wire(), TOPICS, "bearing", say=lambda _text: None)  # type: ignore[arg-type]
    it.start(HEALTHY)
    assert wait_until(lambda: len(sent) >= 3, 60)
    it.switch("outer", "breaks")
    before = len(sent)
    assert wait_until(lambda: len(sent) >= before + 3, 60)
    it.stop()
    blocks = [decode_block(payload) for payload in sent]
    steps = [after.sequence - block.sequence for block, after in itertools.pairwise(blocks)]
    assert steps.count(2) == 1
    assert set(steps) == {1, 2}
    assert {(block.rate_hz, block.unit, block.samples.shape) for block in blocks} == {(12_000.0, "g", (1, 240))}


# ---- scenes ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 30)), min_size=1, max_size=40))
def test_each_recording_goes_on_where_it_was_left(moves: list[tuple[str, int]]) -> None:
    lengths = {"a": 50, "b": 70}
    player = RecordingsPlayer(
        {label: Recording(np.arange(length, dtype=np.float32)[None], 100.0, label) for label, length in lengths.items()}
    )
    expected = dict.fromkeys(lengths, 0)
    for label, n in moves:
        player.select(label)
        samples, _ = player.play(n)
        assert samples[0, 0] == expected[label]
        assert 1 <= samples.shape[1] <= n
        expected[label] = (expected[label] + samples.shape[1]) % lengths[label]


def test_a_switch_and_a_loops_seam_are_marked() -> None:
    player = RecordingsPlayer({label: a_recording(label, 30) for label in ("a", "b")})
    assert [player.play(20)[1] for _ in range(4)] == [False, False, True, False]
    player.select("b")
    assert player.play(20)[1]


def test_recordings_make_a_scene_with_two_faults(tmp_path: Path) -> None:
    for label in ("normal", "outer", "inner", "ball"):
        write_recording(tmp_path / f"{label}.npz", a_recording(label))
    scene = recorded(tmp_path)
    assert scene.healthy == "normal"
    assert set(scene.conditions) == {"normal", "outer", "inner", "ball"}
    assert scene.shown == ("ball", "inner")
    assert (scene.source.spec.rate_hz, scene.source.spec.unit) == (12_000.0, "g")


@pytest.mark.parametrize(
    ("recordings", "named"),
    [
        ([], "no folder with .npz"),
        ([a_recording("inner"), a_recording("outer"), a_recording("ball")], "needs one labelled 'normal'"),
        ([a_recording("normal"), a_recording("outer")], "at least 2 others"),
        ([a_recording("normal"), a_recording("outer"), a_recording("ball", rate_hz=6000.0)], "differ"),
        ([a_recording("normal"), a_recording("outer"), a_recording("ball", 100)], "shorter than 1 s: ball"),
    ],
)
def test_recordings_that_do_not_suit_are_refused(tmp_path: Path, recordings: list[Recording], named: str) -> None:
    for recording in recordings:
        write_recording(tmp_path / f"{recording.label}.npz", recording)
    with pytest.raises(RecordingError, match=named):
        recorded(tmp_path)


# ---- screen ----------------------------------------------------------------------------------------------------


def test_a_line_says_when_and_who() -> None:
    out = io.StringIO()
    times = iter([10.0, 12.5])
    Screen(Console(file=out, width=120), lambda: next(times)).say("SCADA", "sees [brackets] too")
    assert out.getvalue().split() == ["2.5", "s", "SCADA", "sees", "[brackets]", "too"]


def test_without_a_terminal_a_bar_is_a_line_each_quarter() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=120), lambda: 0.0)
    with screen.bar("NODE") as show:
        for percent in range(0, 101, 5):
            show(percent, "collecting")
    assert [line.split()[3] for line in out.getvalue().splitlines()] == ["0", "25", "50", "75", "100"]


def test_on_a_terminal_a_bar_is_drawn_in_place() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=120, force_terminal=True), lambda: 0.0)
    with screen.bar("NODE") as show:
        show(40.0, "collecting [inner]")
    assert "collecting [inner]" in out.getvalue()
    assert " 40 %" in out.getvalue()


def test_a_waveform_has_its_peak_where_the_samples_have_it() -> None:
    samples = np.zeros(600, np.float32)
    samples[310] = -2.0
    drawn = waveform(samples, width=60, full_scale=2.0)
    assert len(drawn) == 60
    assert drawn.index("█") == 31
    assert set(drawn) == {" ", "█"}
    assert set(waveform(samples, width=60, full_scale=16.0)) == {" ", "▁"}
