"""From samples to faults and signs: votes, evidence, silence, pauses, shelves, and whatever a sensor says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, context, said, with_novelty
from manual_clock import START_NS

from edgetune_nas.bundle.read import Bundle, load_bundle
from edgetune_node.events.events import ChunkArrived, ModelReady, SourceChanged, Tick
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_node.events.effects import Effect


def raise_fault(bench: Bench) -> list[dict[str, Any]]:
    """Five windows; return what is said of an active fault."""
    return [fault for _ in range(5) for fault in said(bench.samples(), "fault") if fault["active"]]


def test_a_source_that_never_says_anything_is_named(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.clock.now += 6
    state = said(bench.handle(Tick()), "state")[0]
    assert (state["phase"], "no samples" in state["reason"]) == ("failed", True)


def test_a_source_that_says_only_the_same_is_named(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    states = [state for _ in range(100) for state in said(bench.samples(value=1.0), "state")]
    assert [(state["phase"], state["reason"][:23]) for state in states] == [("failed", "unusable samples (flat)")]


def test_the_first_samples_after_a_silence_are_not_called_unusable_before_they_are_a_window(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.samples()
    bench.clock.now += 60
    assert said(bench.handle(Tick()), "state")[0]["phase"] == "failed"
    (state,) = [state for _ in range(5) for state in said(bench.samples(n=10), "state")]
    assert (state["phase"], state["reason"]) == ("monitoring", "")


def test_no_window_is_lost_or_classified_twice_across_swaps(bundle: Bundle, healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    windows, models = [], set()
    for number in range(200):
        if number % 20 == 10:
            bench.handle(ModelReady("bearing", "", (bundle, healthy_bundle)[number // 20 % 2], None))
        for message in said(bench.samples(50), "classification"):
            windows.append(message["window"])
            models.add(message["model"])
    assert windows == list(range(200 * 50 // 64))
    assert len(models) == 2


def test_a_fault_is_raised_by_votes_and_cleared_by_health(bundle: Bundle, healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    raised = raise_fault(bench)
    assert [(fault["active"], fault["class"], fault["severity"]) for fault in raised] == [(True, "inner", "alarm")]
    assert (raised[0]["schema"], raised[0]["judged"], raised[0]["severity_level"]) == ("fault/2", True, 3)
    acknowledged = said(bench.command("acknowledge", id="a", by="ana", comment="seen"), "fault")[0]
    assert acknowledged["event"] == raised[0]["event"]
    assert acknowledged["acknowledged_by"] == "ana"
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    cleared = [fault for _ in range(5) for fault in said(bench.samples(), "fault")]
    assert [(fault["active"], fault["event"], fault["severity_level"]) for fault in cleared] == [
        (False, raised[0]["event"], 0)
    ]


def test_the_evidence_of_a_fault_is_that_of_the_windows_that_voted_for_it(
    bundle: Bundle, healthy_bundle: Bundle
) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    for _ in range(40):
        bench.samples()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.loudness = 2.0
    [raised] = raise_fault(bench)
    assert raised["evidence"]["windows"] == 5
    assert 1.7 < raised["evidence"]["rms"][0] < 2.3


def test_unusable_samples_are_unknown_and_change_no_fault(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    raise_fault(bench)
    messages = [message for _ in range(8) for message in said(bench.samples(value=float("nan")), "classification")]
    assert {message["class"] for message in messages} == {"unknown"}
    assert {tuple(message["quality"]) for message in messages} == {("nan",)}
    assert bench.node.assets["bearing"].announce()[1].message.active  # type: ignore[attr-defined]


def test_a_silent_source_is_named_in_the_state_and_its_return_too(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.samples()
    bench.clock.now += 6
    assert said(bench.handle(Tick()), "state")[0]["phase"] == "failed"
    assert said(bench.samples(), "state")[0]["phase"] == "monitoring"
    failed = said(bench.handle(SourceChanged("bearing", "unplugged")), "state")[0]
    assert (failed["phase"], failed["reason"]) == ("failed", "unplugged")
    assert said(bench.handle(SourceChanged("bearing", None)), "state")[0]["phase"] == "monitoring"


def test_signs_are_published_once_per_gesture(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> None:
    bench = Bench(task="sign", sign={"min_windows": 2, "start_evidence": 4})
    fist = load_bundle(write_tiny_bundle(tmp_path / "a", classes=("rest", "fist"), favourite=1))
    rest = load_bundle(write_tiny_bundle(tmp_path / "b", classes=("rest", "fist"), favourite=0))
    signs = []
    for model, count in ((rest, 3), (fist, 5), (rest, 4), (fist, 3), (rest, 2)):
        bench.handle(ModelReady("bearing", "", model, None))
        signs += [sign for _ in range(count) for sign in said(bench.samples(), "sign")]
    assert [(sign["class"], sign["windows"]) for sign in signs] == [("fist", 5), ("fist", 3)]


def test_a_machine_that_does_not_run_is_not_judged_and_the_state_says_why(bundle: Bundle) -> None:
    bench = Bench(machine={"min_rpm": 600})
    bench.handle(ModelReady("bearing", "", bundle, None))
    raise_fault(bench)
    for words, reason in (
        ({"running": False}, "context: running is false"),
        ({"shaft_rpm": 300.0}, "shaft_rpm is under min_rpm, 600"),
        ({"shaft_rpm": 0.0}, "shaft_rpm is 0"),
    ):
        state = said(context(bench, **words), "state")[0]
        assert (state["phase"], state["classifying"], reason in state["reason"]) == ("monitoring", False, True)
        effects = [effect for _ in range(8) for effect in bench.samples()]
        told = [(found["class"], found["quality"]) for found in said(effects, "classification")]
        assert told == [("unknown", ["not_running"])] * 8
        assert {(fault["judged"], fault["active"]) for fault in said(effects, "fault")} <= {(False, True)}
    assert bench.node.assets["bearing"].announce()[1].message.active  # type: ignore[attr-defined]
    state = said(context(bench, running=True, shaft_rpm=1797.0), "state")[0]
    assert (state["classifying"], state["reason"]) == (True, "")
    assert said(bench.samples(), "classification")[0]["class"] != "unknown"


def test_a_shaft_that_does_not_turn_needs_no_limit_to_count_as_still(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    state = said(context(bench, shaft_rpm=0), "state")[0]
    assert (state["classifying"], state["reason"]) == (False, "the machine stands still (context: shaft_rpm is 0)")
    assert said(context(bench, shaft_rpm=1), "state")[0]["classifying"]


def test_the_signal_alone_pauses_and_noise_at_the_limit_does_not_toggle(bundle: Bundle) -> None:
    bench = Bench(machine={"min_rms": 0.5})
    bench.handle(ModelReady("bearing", "", bundle, None))
    paused = []
    for bench.loudness in (1.0, 0.2, 0.6, 2.0):
        effects = bench.samples()
        paused.append(said(effects, "classification")[0]["quality"] == ["not_running"])
    assert paused == [False, True, True, False]


def test_a_constant_signal_of_a_machine_that_stands_still_is_no_failure(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    context(bench, running=False)
    assert [state for _ in range(100) for state in said(bench.samples(value=1.0), "state")] == []
    assert said(context(bench, running=True), "state")[0]["phase"] == "failed"


def test_an_operator_shelves_a_fault_until_its_time_is_over(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    raise_fault(bench)
    effects = bench.command("shelve", id="s1", seconds=60.0, by="operator", comment="known")
    (fault,) = said(effects, "fault")
    assert said(effects, "resp/shelve")[0]["status"] == "done"
    assert (fault["active"], fault["shelved"], fault["severity"]) == (True, True, "alarm")
    assert fault["shelves"] == [
        {
            "class": fault["class"],
            "until": "2026-01-01T00:01:00.320Z",
            "by": "operator",
            "comment": "known",
            "seconds": 60.0,
        }
    ]
    assert said(bench.handle(Tick()), "fault") == []
    bench.clock.now += 61
    unjudged, fault = said(bench.handle(Tick()), "fault")
    assert (unjudged["judged"], "no samples" in unjudged["reason"], unjudged["class"]) == (False, True, "inner")
    assert (fault["active"], fault["shelved"], fault["shelves"]) == (True, False, [])


def test_where_there_is_nothing_to_shelve_a_command_is_rejected() -> None:
    for bench, reason in ((Bench(), "no fault is active"), (Bench(task="sign"), "no faults to shelve")):
        answer = said(bench.command("shelve", id="s1", seconds=60.0, by="operator"), "resp/shelve")[0]
        assert (answer["status"], reason in answer["reason"]) == ("rejected", True)


def test_a_class_that_the_model_does_not_have_is_shelved_with_a_warning(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))

    def shelve(class_: str, seconds: float = 60.0) -> dict[str, Any]:
        effects = bench.command("shelve", id=f"{class_} {seconds}", seconds=seconds, by="anna", **{"class": class_})
        answer: dict[str, Any] = said(effects, "resp/shelve")[0]
        assert answer["status"] == "done"
        return dict(answer["detail"])

    assert shelve("inner") == {}
    warning = "the model has no class 'iner'; it has normal, inner; did you mean inner?"
    assert shelve("iner") == {"warnings": [warning]}
    assert shelve("iner", 0.0) == {}


DAMAGE: dict[str, Callable[[Any], Any]] = {
    "not a number now and then": lambda x: np.where(np.arange(x.shape[1]) % 500 == 7, np.nan, x),
    "infinite": lambda x: np.where(np.arange(x.shape[1]) % 500 == 7, -np.inf, x),
    "nothing": np.zeros_like,
    "one value": np.ones_like,
    "the largest numbers": lambda x: 3e38 * np.sign(x),
    "hardly anything": lambda x: 1e-38 * x,
    "another unit": lambda x: 9.80665 * x,
    "cut off": lambda x: np.clip(x, -0.3, 0.3),
    "few steps": np.round,
    "spikes": lambda x: np.where(np.arange(x.shape[1]) % 500 == 7, 1e4, x),
    "half of the rate": lambda x: np.repeat(x[:, ::2], 2, axis=1),
    "holes": lambda x: np.where(np.arange(x.shape[1]) // 100 % 2, x, 0),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_a_sensor_says_the_node_goes_on_and_knows_what_it_knew(damage: str, healthy_bundle: Bundle) -> None:
    bench = Bench(machine={"bearing": "6205-2RS", "shaft_rpm": 1797, "group": 2}, vibration_s=1)
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))

    def hear(samples: Any) -> list[Effect]:
        effects: list[Effect] = []
        for part in np.array_split(samples.astype(np.float32), 100, axis=1):
            number = bench.sequence["bearing"]
            bench.sequence["bearing"] += 1
            bench.clock.now += part.shape[1] / RATE
            time_ns = START_NS + round(bench.clock.now * 1e9)
            effects += bench.handle(ChunkArrived("bearing", Chunk(part, time_ns, RATE, number)))
        return effects

    sound = bench.random.normal(0, 1, (1, 6400))
    assert {found["class"] for found in said(hear(sound), "classification")} == {"normal"}
    broken = said(hear(DAMAGE[damage](sound)), "classification")
    assert len(broken) == 100
    assert {found["class"] for found in broken} <= {"normal", "unknown"}
    after = hear(bench.random.normal(0, 1, (1, 6400)))
    judged = [found for found in said(after, "classification")[1:] if "sensor_saturated" not in found["quality"]]
    assert {found["class"] for found in judged} == {"normal"}
    assert len(judged) > 30  # a range that was too small is believed again after some seconds
    bench.clock.now += 60
    (fault,) = said(bench.handle(Tick()), "fault")
    assert fault["active"] is False
