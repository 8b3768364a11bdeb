"""What is novel is told to be another mode of operation or a fault as far as speed, load and impulsiveness say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, context, said, with_novelty
from manual_clock import START_NS

from edgetune_node.contract.context import Context
from edgetune_node.events.events import ChunkArrived, ModelReady
from edgetune_node.monitor.modes import LEAST_WINDOWS, Impulsiveness, ModesHeard
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


def heard(*modes: Context, windows: int = LEAST_WINDOWS) -> ModesHeard:
    found = ModesHeard()
    for mode in modes:
        for _ in range(windows):
            found.hear(mode)
    return found


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (Context(), None),
        (Context(shaft_rpm=1500.0), "known"),
        (Context(shaft_rpm=1480.0), "known"),
        (Context(shaft_rpm=1200.0), "unseen"),
        (Context(shaft_rpm=1500.0, load=50.0), "known"),
        (Context(shaft_rpm=1500.0, load=5.0), "unseen"),
        (Context(load=52.0), "known"),
        (Context(shaft_rpm=0.0), "unseen"),
    ],
)
def test_a_mode_is_known_by_its_speed_and_load(now: Context, word: str | None) -> None:
    assert heard(Context(shaft_rpm=1490.0, load=48.0), Context(shaft_rpm=3000.0, load=100.0)).word(now) == word


def test_nothing_is_unseen_before_anything_was_heard_long_enough() -> None:
    assert heard(Context(shaft_rpm=1500.0), windows=LEAST_WINDOWS - 1).word(Context(shaft_rpm=900.0)) is None


@pytest.mark.parametrize(
    ("kurtosis", "healthy", "kind"),
    [
        (3.1, 3.0, "changed"),
        (5.5, 3.0, "impulsive"),
        (6.9, 4.0, "changed"),
        (6.9, None, "changed"),
        (9, None, "impulsive"),
    ],
)
def test_the_kurtosis_tells_what_is_fault_like(kurtosis: float, healthy: float | None, kind: str) -> None:
    found = Impulsiveness()
    for value in (kurtosis, kurtosis, 50.0, kurtosis, float("nan"), kurtosis):  # one shock is none
        found.look([3.0, value])
    assert found.kind(healthy) == kind


def play(bench: Bench, seconds: int, make: Any) -> list[Any]:
    effects = []
    for _ in range(seconds * 10):
        number = bench.sequence["bearing"]
        bench.sequence["bearing"] += 1
        bench.clock.now += 0.1
        time_ns = START_NS + round(bench.clock.now * 1e9)
        samples = make(bench.random).astype(np.float32)
        effects += bench.handle(ChunkArrived("bearing", Chunk(samples, time_ns, RATE, number)))
    return effects


def noise(level: float) -> Any:
    return lambda random: random.normal(0, level, (1, 100))


def shocks(random: Any) -> Any:
    return 100 * noise(1.0)(random) + np.where(np.arange(100) % 10 == 3, 500.0, 0.0) * random.normal(0, 1, (1, 100))


def test_a_speed_that_was_never_heard_is_watched_and_the_message_says_what_would_tell(healthy_bundle: Bundle) -> None:
    bench = Bench(vibration_s=1, alarm={"raise_after_s": 5, "clear_after_s": 5})
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    context(bench, shaft_rpm=1500.0)
    (judged,) = said(play(bench, 10, noise(1.0)), "fault")
    assert judged["mode"] is None
    context(bench, shaft_rpm=2400.0)
    (raised,) = said(play(bench, 8, noise(100.0)), "fault")
    assert (raised["class"], raised["kind"], raised["mode"]) == ("novel", "changed", "unseen")
    assert (raised["severity"], raised["severity_level"]) == ("watch", 1)
    for word in ("speed", "load", "context", "cmd/record", "cmd/label", "recalibrate"):
        assert word in raised["evidence"]["action"]
    risen = said(play(bench, 6, shocks), "fault")[-1]
    assert (risen["event"], risen["kind"], risen["severity"]) == (raised["event"], "impulsive", "warning")


def test_at_a_known_speed_the_novel_is_a_warning(healthy_bundle: Bundle) -> None:
    bench = Bench(vibration_s=1, alarm={"raise_after_s": 5, "clear_after_s": 5})
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    context(bench, shaft_rpm=1500.0)
    play(bench, 10, noise(1.0))
    (raised,) = said(play(bench, 7, shocks), "fault")
    assert (raised["class"], raised["kind"], raised["mode"]) == ("novel", "impulsive", "known")
    assert raised["severity_level"] >= 2
    assert "impulsive" in raised["evidence"]["action"]
