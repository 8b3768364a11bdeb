from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_node.cli.remote.director import Director, find_condition
from edgetune_node.cli.remote.simulate import parse_request, why_unheard
from edgetune_signal import BEARING_CONDITIONS, Recording, SourceError, decode_block, write_recording

if TYPE_CHECKING:
    from pathlib import Path

ON = ("--asset", "press")


def state(node: Any, **wanted: Any) -> dict[str, Any]:
    """Wait for the simulator to say that it is in a state."""
    topic = f"{node.base}/press/simulator/state"
    found: dict[str, Any] = node.seen.wait_for(
        lambda message: message.topic == topic and wanted.items() <= message.json().items()
    ).json()
    return found


def blocks(node: Any, count: int) -> list[Any]:
    return [decode_block(message.payload) for message in node.seen.wait_for_count(f"{node.base}/press/samples", count)]


def record(folder: Path, **rms: float) -> None:
    """Recordings of noise, so loud that each is told from the others."""
    rng = np.random.default_rng(0)
    for name, level in rms.items():
        samples = (level * rng.standard_normal((1, 4000))).astype(np.float32)
        write_recording(folder / f"{name}.npz", Recording(samples=samples, rate_hz=4000.0, label=name, unit="m/s2"))


@pytest.mark.slow
def test_blocks_come_at_the_pace_of_the_machine(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    spawn("simulate", *ON, *node.target)
    found = blocks(node, 40)
    assert {(block.rate_hz, block.channels, block.unit) for block in found} == {(12000.0, 1, "g")}
    assert [block.sequence for block in found] == list(range(len(found)))
    durations = np.diff([block.time_ns for block in found]) / 1e9
    assert np.allclose(durations, found[0].samples.shape[1] / 12000, atol=1e-6)
    assert state(node)["conditions"] == list(BEARING_CONDITIONS)


@pytest.mark.slow
def test_it_is_switched_by_topic_and_says_so(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    spawn("simulate", *ON, *node.target)
    state(node, condition="normal", sending=True)
    quiet = np.concatenate([block.physical() for block in blocks(node, 20)], axis=1).std()
    node.seen.publish(f"{node.base}/press/simulator", "outer_severe")
    state(node, condition="outer_severe")
    node.seen.clear()
    assert np.concatenate([block.physical() for block in blocks(node, 20)], axis=1).std() > 2 * quiet
    node.seen.publish(f"{node.base}/press/simulator", {"condition": "inner"})
    state(node, condition="inner_moderate")
    node.seen.publish(f"{node.base}/press/simulator", "broken")
    assert "outer_severe" in state(node, condition="inner_moderate", sending=True)["conditions"]
    node.seen.wait_for(
        lambda message: message.topic.endswith("/state") and "no condition" in str(message.json()["error"])
    )


@pytest.mark.slow
def test_lines_on_standard_input_switch_it(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    process = spawn("simulate", "--stdin", "--machine", "armband", "--subject", "7", *ON, *node.target)
    state(node, condition="rest")
    process.stdin.write("fist\n")
    process.stdin.flush()
    state(node, condition="fist")
    assert blocks(node, 2)[-1].channels == 8


@pytest.mark.slow
def test_it_goes_where_a_calibration_asks_and_comes_back(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    node.online()
    spawn("simulate", "--follow", "--operate", "--condition", "outer_slight", *node.target)
    state(node, condition="outer_slight")
    job = {"id": "job-1"}
    for name, condition in (("normal", "normal"), ("ball", "ball_moderate")):
        node.calibration(job, "waiting", class_=name, take=1, takes=1)
        state(node, condition=condition, asked=name)
        node.command("continue")
        node.calibration(job, "recording", class_=name, take=1, takes=1)
    assert len(node.seen.on(f"{node.base}/press/cmd/continue")) == 2
    node.seen.clear()
    node.calibration(job, "searching")
    state(node, condition="outer_slight", asked=None)


@pytest.mark.slow
def test_recordings_are_played_and_switched(broker: Any, scripted_node: Any, spawn: Any, tmp_path: Path) -> None:
    record(tmp_path, loud=10.0, normal=1.0)
    node = scripted_node(broker)
    spawn("simulate", "--replay", tmp_path, "--speed", "4", *ON, *node.target)
    assert state(node)["conditions"] == ["loud", "normal"]
    block = blocks(node, 1)[0]
    assert (block.rate_hz, block.unit) == (4000.0, "m/s2")
    state(node, condition="normal")
    node.seen.publish(f"{node.base}/press/simulator", "loud")
    state(node, condition="loud")
    node.seen.clear()
    assert blocks(node, 3)[-1].physical().std() > 5


@pytest.mark.slow
def test_a_seam_of_a_recording_is_seen_as_a_gap(broker: Any, scripted_node: Any, spawn: Any, tmp_path: Path) -> None:
    record(tmp_path, normal=1.0)
    node = scripted_node(broker)
    spawn("simulate", "--replay", tmp_path / "normal.npz", "--speed", "10", *ON, *node.target)
    steps = np.diff([block.sequence for block in blocks(node, 110)[:110]])  # 50 blocks until it begins again
    assert set(steps) == {1, 2}
    assert 1 <= (steps == 2).sum() <= 3


@pytest.mark.slow
def test_real_recordings_are_played(broker: Any, scripted_node: Any, spawn: Any, recordings_dir: Path) -> None:
    node = scripted_node(broker)
    spawn("simulate", "--replay", recordings_dir / "cwru_de_1797rpm", *ON, *node.target)
    assert state(node, condition="normal")["conditions"][:2] == ["ball_007", "ball_014"]
    assert blocks(node, 3)[0].rate_hz == 12000


@pytest.mark.slow
def test_a_restart_of_the_broker_is_survived(fresh_broker: Any, scripted_node: Any, spawn: Any, until: Any) -> None:
    node = scripted_node(fresh_broker)
    spawn("simulate", *ON, *node.target)
    first = blocks(node, 5)[-1].sequence
    fresh_broker.kill()
    until(lambda: not node.seen.subscribed())  # what came before has been read by then
    node.seen.clear()
    fresh_broker.start()
    until(node.seen.subscribed)
    later = blocks(node, 5)
    assert later[0].sequence > first + 1, "what could not be sent is seen as a gap"
    state(node, condition="normal", sending=True)
    node.seen.publish(f"{node.base}/press/simulator", "ball")
    state(node, condition="ball_moderate")


@pytest.mark.slow
def test_it_waits_for_a_broker_that_is_not_up_yet(make_broker: Any, spawn: Any) -> None:
    process = make_broker().start()
    process.stop()
    url = f"mqtt://{process.host}:{process.port}"
    simulator = spawn("simulate", *ON, "--broker", url, "--node", "n", "--seconds", "60")
    assert "trying again" in simulator.stderr.readline()
    process.start()
    for line in simulator.stderr:
        if "edgetune/n/press/samples" in line:
            break
    assert simulator.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_says_goodbye(broker: Any, scripted_node: Any, spawn: Any, how: int) -> None:
    node = scripted_node(broker)
    process = spawn("simulate", *ON, *node.target)
    blocks(node, 1)
    process.send_signal(how)
    assert process.wait(60) == 0
    state(node, sending=False)


@pytest.mark.slow
def test_the_broker_tells_when_it_was_killed(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    process = spawn("simulate", *ON, *node.target)
    blocks(node, 1)
    process.kill()
    state(node, sending=False, condition=None)


@pytest.mark.slow
def test_it_ends_by_itself(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    process = spawn("simulate", "--seconds", "0.3", *ON, *node.target)
    assert process.wait(60) == 0


@pytest.mark.slow
def test_an_asset_that_the_node_does_not_have_is_told(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    node.online("press")
    process = spawn("simulate", "--asset", "nope", *node.target)
    told = [process.stderr.readline() for _ in range(2)][-1]
    assert "nobody hears this: the node has no asset 'nope'; it has press" in told
    node.online("press", "nope")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1] == ""


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"assets": [{"id": "press", "source": "mqtt"}]}, None),
        ({"assets": [{"id": "press", "source": "replay"}]}, "from source 'replay'"),
        ({"assets": [{"id": "other", "source": "mqtt"}]}, "it has other"),
        ({"assets": [None, "press"]}, "it has none"),
        ({"assets": 5}, "it has none"),
        ({}, "it has none"),
    ],
)
def test_a_node_that_would_not_hear_an_asset_is_found(info: dict[str, Any], reason: str | None) -> None:
    found = why_unheard(info, "press")
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--condition", "broken"), "inner_slight"),
        (("--operate",), "--follow"),
        (("--replay", "nowhere"), "nowhere"),
        (("--channels", "2"), "channels"),
        (("--machine", "armband", "--rate-hz", "1000"), "rate_hz"),
        (("--speed", "0"), "speed"),
        (("--subject", "x"), "subject"),
    ],
)
def test_wrong_usage_ends_2(cli: Any, arguments: tuple[str, ...], named: str) -> None:
    ended = cli("simulate", "--node", "n", *ON, *arguments)
    assert ended.code == 2
    assert named in ended.err


@given(st.binary(max_size=60))
def test_any_request_is_read_or_passed_over(payload: bytes) -> None:
    request = parse_request(payload)
    assert request is None or isinstance(request, dict)


@pytest.mark.parametrize(
    "payload", ["inner_severe", '"inner_severe"', " inner_severe\n", '{"condition": "inner_severe"}']
)
def test_a_request_may_be_text_or_json(payload: str) -> None:
    assert parse_request(payload.encode()) == {"condition": "inner_severe"}


def test_a_class_means_the_middle_of_the_conditions_that_begin_with_it() -> None:
    assert find_condition("inner", BEARING_CONDITIONS) == "inner_moderate"
    assert find_condition("inner_severe", BEARING_CONDITIONS) == "inner_severe"
    assert find_condition("outer", ("outer_007", "outer_014")) == "outer_007"
    with pytest.raises(SourceError, match="normal, inner_slight"):
        find_condition("inn", BEARING_CONDITIONS)


def test_what_a_person_chooses_during_a_calibration_is_gone_back_to() -> None:
    director = Director(BEARING_CONDITIONS, "normal")
    director.follow({"phase": "recording", "class": "ball"})
    assert director.condition == "ball_moderate"
    director.choose("outer_severe")
    assert director.follow({"phase": "done"}) == "outer_severe"


def test_a_class_that_is_no_condition_changes_nothing() -> None:
    director = Director(BEARING_CONDITIONS, "normal")
    with pytest.raises(SourceError, match="misalignment"):
        director.follow({"phase": "waiting", "class": "misalignment"})
    assert director.condition == "normal"


def test_a_take_is_continued_once_and_again_after_it_was_refused() -> None:
    director = Director(BEARING_CONDITIONS, "normal")
    waiting = {"phase": "waiting", "job": "j", "class": "normal", "take": 1}
    assert director.must_continue(waiting)
    assert not director.must_continue(waiting)
    assert not director.must_continue({**waiting, "phase": "recording"})
    assert director.must_continue(waiting)
    assert director.must_continue({**waiting, "take": 2})


def test_calibrations_of_nobody_are_survived() -> None:
    director = Director(BEARING_CONDITIONS, "normal")
    for payload in ({}, {"phase": None}, {"phase": "waiting", "class": 3}, json.loads('{"class": ["a"]}')):
        assert director.follow(payload) == "normal"
