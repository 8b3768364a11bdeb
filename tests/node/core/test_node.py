"""The node decides everything in one function; here without threads, broker or clock."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from deciding import Bench, context, health_problems, said

from edgetune_node.contract.parts import BrokerInfo
from edgetune_node.events.effects import Durability, Publish, SaveRecording
from edgetune_node.events.events import ContextArrived, LinkChanged, ModelReady, Tick

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


def test_on_connecting_everything_retained_is_said_and_online_comes_last() -> None:
    effects = Bench().handle(LinkChanged(connected=True))
    topics = [effect.topic for effect in effects if isinstance(effect, Publish)]
    assert topics[-1] == "edgetune/n/status"
    assert {topic.rsplit("/", 1)[1] for topic in topics} >= {"info", "health", "model", "fault", "state", "calibration"}
    assert said(effects, "status")[0]["status"] == "online"
    assert said(effects, "state")[-1]["phase"] == "uncalibrated"
    assert said(effects, "model")[0]["id"] is None


def test_where_nothing_is_retained_all_of_it_is_said_again_with_each_health() -> None:
    bench = Bench()
    effects = bench.handle(LinkChanged(connected=True, broker=BrokerInfo(retain=False, max_qos=1, will="not retained")))
    assert said(effects, "info")[0]["broker"] == {"retain": False, "max_qos": 1, "will": "not retained"}
    assert not said(bench.handle(Tick()), "status")
    bench.clock.now += 60
    again = bench.handle(Tick())
    assert all(said(again, leaf) for leaf in ("info", "health", "fault", "model", "state", "status"))
    bench.clock.now += 60
    again = bench.handle(Tick())
    assert said(again, "fault")
    assert all(effect.durability is Durability.TELEMETRY for effect in again if isinstance(effect, Publish))
    bench.handle(LinkChanged(connected=True, broker=BrokerInfo(retain=True, max_qos=2, will="retained")))
    bench.clock.now += 60
    assert not said(bench.handle(Tick()), "status")


def test_insecure_ways_to_another_machine_that_nobody_asked_for_are_problems_of_health() -> None:
    effects = Bench(mqtt={"host": "broker", "insecure": ["anonymous"]}).handle(LinkChanged(connected=True))
    assert said(effects, "info")[0]["insecure"] == ["mqtt: no TLS (not asked for)", "mqtt: no password (asked for)"]
    [problem] = said(effects, "health")[0]["problems"]
    assert problem.startswith("mqtt: no TLS for broker: ")

    effects = Bench().handle(LinkChanged(connected=True))
    assert said(effects, "health")[0]["problems"] == []


def test_an_invalid_context_is_named_in_health_and_the_last_good_one_still_counts() -> None:
    bench = Bench(machine={"min_rpm": 600})
    context(bench, running=False)

    bench.handle(ContextArrived("bearing", b'{"running": true, "running": true}'))
    assert bench.node.assets["bearing"].context.running is False
    [problem] = health_problems(bench)
    assert problem == (
        "bearing: context refused, what it said before still counts: payload is not JSON: an object names a key twice"
    )

    context(bench, running=True)
    assert bench.node.assets["bearing"].context.running is True
    assert health_problems(bench) == []


def test_samples_that_never_came_in_are_counted_in_health() -> None:
    health = said(Bench().handle(LinkChanged(connected=True)), "health")[0]
    [asset] = health["assets"]
    assert health["dropped_chunks"] == asset["dropped_chunks"] == 2
    assert asset["lost_blocks"] == 3


def test_a_jump_of_the_clock_is_told_at_once() -> None:
    bench = Bench()
    bench.clock.now += 0.25
    assert not any(isinstance(effect, Publish) and effect.topic.endswith("/health") for effect in bench.handle(Tick()))
    bench.clock.ahead_s = -3600
    bench.clock.now += 0.25
    [told] = [each for each in bench.handle(Tick()) if isinstance(each, Publish) and each.topic.endswith("/health")]
    assert "-3600 s" in json.dumps(told.message.model_dump(mode="json")["problems"])


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_by_an_hour_changes_time_stamps_and_nothing_else(bundle: Bundle, jump_s: float) -> None:
    bench = Bench(alarm={"raise_after_s": 0.3, "clear_after_s": 0.3, "heartbeat_s": 5})
    bench.handle(ModelReady("bearing", "", bundle, None))

    def beats(seconds: int) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        for _ in range(seconds * 4):
            for _ in range(4):
                heard += said(bench.samples(), "fault")
            heard += said(bench.handle(Tick()), "fault")
        return heard

    before = beats(20)
    bench.clock.ahead_s = jump_s
    after = beats(20)
    assert abs(len(after) - 4) <= 1  # one each 5 s, neither a burst nor silence
    assert {message["event"] for message in before + after if message["active"]} == {before[-1]["event"]}
    stamps = [datetime.fromisoformat(message["ts"]) for message in (before[-1], after[0])]
    assert abs((stamps[1] - stamps[0]).total_seconds() - jump_s) < 10


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_does_not_break_off_a_take_or_a_silence(jump_s: float) -> None:
    bench = Bench()
    bench.command(
        "recalibrate", id="r", source="live", classes=["normal", "inner"], seconds_per_take=0.5, pace="continue"
    )
    bench.command("continue", id="c")
    bench.samples()
    bench.clock.ahead_s = jump_s
    saved: list[SaveRecording] = []
    for _ in range(20):
        effects = [*bench.samples(), *bench.handle(Tick())]
        saved += [effect for effect in effects if isinstance(effect, SaveRecording)]
        assert not [state for state in said(effects, "state") if state["phase"] == "failed"]
    assert [each.recording.samples.shape for each in saved] == [(1, 500)]
