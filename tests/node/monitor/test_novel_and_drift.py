"""What is unlike everything known is raised, kept and named, and what changes slowly is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from deciding import Bench, only, said, with_novelty

from edgetune_node.events.effects import Effect, KeepNovel, LabelNovel, Publish, SaveRecording
from edgetune_node.events.events import LinkChanged, ModelReady, NovelChanged, NovelSegment, Tick

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


def test_what_is_unlike_everything_known_is_unknown_and_raises_novel(healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    effects = [effect for _ in range(8) for effect in bench.samples()]
    assert {found["class"] for found in said(effects, "classification")} == {"normal"}
    assert [(fault["judged"], fault["class"]) for fault in said(effects, "fault")] == [(True, "normal")]
    bench.loudness = 100.0
    effects = [effect for _ in range(5) for effect in bench.samples()]
    told = [(found["class"], found["quality"]) for found in said(effects, "classification")]
    assert told == [("unknown", ["novel"])] * 5
    (fault,) = said(effects, "fault")
    assert (fault["active"], fault["class"], fault["severity"]) == (True, "novel", "warning")
    assert fault["evidence"]["class"] == "novel"
    assert "cmd/label" in fault["evidence"]["action"]
    assert "recalibrate" in fault["evidence"]["action"]
    bench.loudness = 1.0
    (cleared,) = [fault for _ in range(5) for fault in said(bench.samples(), "fault")]
    assert (cleared["active"], cleared["event"]) == (False, fault["event"])


def test_who_does_not_want_to_hear_of_the_novel_need_not(healthy_bundle: Bundle) -> None:
    bench = Bench(alarm={"raise_after_s": 0.3, "clear_after_s": 0.3, "severity": {"novel": "none"}})
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.loudness = 100.0
    told = [found for _ in range(4) for found in said(bench.samples(), "classification")]
    assert [(found["class"] in healthy_bundle.card.classes, found["quality"]) for found in told] == [(True, [])] * 4


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, 30 * 86_400.0])
def test_a_clock_that_is_set_in_the_midst_of_the_novel_loses_none_of_it(healthy_bundle: Bundle, jump_s: float) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    for _ in range(4):
        bench.samples()
    bench.loudness = 100.0
    effects = [effect for _ in range(40) for effect in bench.samples()]
    bench.clock.ahead_s = jump_s
    effects += [effect for _ in range(60) for effect in bench.samples()]
    kept = only(effects, KeepNovel).recording
    assert kept.samples.shape[1] / 1000 == pytest.approx(5.0, abs=0.2)
    assert kept.samples.std() == pytest.approx(100.0, rel=0.05)


def test_a_clock_that_is_set_back_after_a_recording_does_not_keep_the_novel_from_being_kept(
    healthy_bundle: Bundle,
) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.command("record", id="r", label="normal", seconds=1.0)
    effects = [effect for _ in range(20) for effect in bench.samples()]
    only(effects, SaveRecording)
    bench.clock.ahead_s = -3600.0
    bench.loudness = 100.0
    effects = [effect for _ in range(110) for effect in bench.samples()]
    assert any(isinstance(effect, KeepNovel) for effect in effects)


def test_the_novel_is_kept_named_and_learnt(healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.command("profile", id="p", subject="rig7", condition="load2")
    bench.loudness = 100.0
    kept = [effect for _ in range(100) for effect in bench.samples() if isinstance(effect, KeepNovel)]
    assert len(kept) == 1
    recording = kept[0].recording
    assert (recording.label, recording.subject, recording.condition) == ("novel", "rig7", "load2")
    assert recording.seconds == pytest.approx(5.0, abs=0.2)
    assert recording.samples.std() > 50
    event = recording.group.removeprefix("novel-")
    effects = bench.handle(NovelChanged("bearing", (NovelSegment(event, 5.0, kept[0].distance),)))
    (told,) = said(effects, "calibration")
    assert told["instruction"] == told["suggested"][0]
    assert event in told["suggested"][0]
    assert said(bench.handle(Tick()), "calibration") == []
    assert said(bench.handle(LinkChanged(connected=True)), "health")[0]["assets"][0]["novel_events"] == [event]
    bench.clock.now += 60
    assert said(bench.handle(Tick()), "fault")[0]["evidence"]["novel_kept_s"] == 5.0

    effects = bench.command("label", id="l", label="knock", event=event)
    assert only(effects, LabelNovel) == LabelNovel("bearing", "l", event, "knock")
    bench.world.recordings["bearing"] = {"knock": 7.0}
    effects = bench.handle(NovelChanged("bearing", (), "l", ("knock-1-0.npz",), 5.0))
    answer = said(effects, "resp/label")[-1]
    assert (answer["status"], answer["detail"]) == (
        "done",
        {"recordings": ["knock-1-0.npz"], "class": "knock", "seconds": 5.0, "class_seconds": 7.0},
    )
    assert answer["reason"].startswith("5.0 s are stored as 'knock', which has 7.0 s now")
    assert said(effects, "calibration")[-1]["suggested"] == []


def test_what_is_recorded_under_a_name_is_not_kept_for_one(healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.world.recordings["bearing"] = {"normal": 4.0}
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.command("recalibrate", id="r", source="live", classes=["knock"], seconds_per_take=10)
    bench.command("continue", id="c")
    bench.loudness = 100.0
    effects: list[Effect] = []
    while not [effect for effect in effects if isinstance(effect, SaveRecording)]:
        effects += bench.samples()
    assert said(effects, "fault")[-1]["class"] == "novel"  # the old model goes on telling
    assert [effect for effect in effects if isinstance(effect, KeepNovel)] == []
    effects = [effect for _ in range(120) for effect in bench.samples()]
    assert len([effect for effect in effects if isinstance(effect, KeepNovel)]) == 1


def test_a_disk_that_keeps_nothing_of_the_novel_is_named_and_monitoring_goes_on(healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.handle(NovelChanged("bearing", (NovelSegment("e1", 5.0, 2.0),), error="disk full"))
    health = said(bench.handle(LinkChanged(connected=True)), "health")[0]["assets"][0]
    assert (health["novel_problem"], health["novel_kept_s"]) == ("disk full", 5.0)
    bench.command("label", id="l", label="knock", event="e1")
    effects = bench.handle(NovelChanged("bearing", (NovelSegment("e1", 5.0, 2.0),), "l", error="no room"))
    assert (said(effects, "resp/label")[-1]["status"], said(effects, "resp/label")[-1]["reason"]) == (
        "failed",
        "no room",
    )
    assert {found["class"] for found in said(bench.samples(), "classification")} == {"normal"}


SLOWLY: dict[str, Any] = {"window": {"length": 64, "hop": 10_000}, "vibration_s": 10}


def minutes(bench: Bench, count: int, loudness: float) -> list[Publish]:
    """Let a machine grow louder or quieter; give what is said on ``calibration``."""
    effects: list[Effect] = []
    for step in range(6 * count):
        bench.loudness += (loudness - bench.loudness) / (6 * count - step)
        effects += bench.samples(10_000)
    return [effect for effect in effects if isinstance(effect, Publish) and effect.topic.endswith("/calibration")]


@pytest.mark.slow
def test_a_slow_change_is_said_once_and_ends_with_it(healthy_bundle: Bundle) -> None:
    bench = Bench(**SLOWLY)
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    (baseline,) = said(minutes(bench, 32, 1.0), "calibration")
    assert (baseline["suggested"], baseline["drift"]["model"]) == ([], healthy_bundle.card.id)
    assert minutes(bench, 30, 1.0) == []
    (told,) = minutes(bench, 60, 1.6)
    assert minutes(bench, 30, 1.6) == []
    (announced,) = said(bench.handle(LinkChanged(connected=True)), "calibration")
    assert "RMS of the acceleration has risen from 1 to 1." in announced["suggested"][0]
    assert announced["instruction"] == announced["suggested"][0]

    again = Bench(**SLOWLY, last={"calibration": told.message.json_bytes()})
    again.handle(ModelReady("bearing", "", healthy_bundle, None))
    again.loudness = 1.6
    assert minutes(again, 40, 1.6) == []
    (announced_again,) = said(again.handle(LinkChanged(connected=True)), "calibration")
    assert (announced_again["suggested"], announced_again["drift"]) == (announced["suggested"], announced["drift"])

    bench.loudness = 1.0
    (over,) = said(minutes(bench, 20, 1.0), "calibration")
    assert (over["suggested"], over["instruction"]) == ([], "Nothing to do.")
