"""Around every raise and rise the signal is kept, and what is kept is sent in parts that a broker takes."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, health_problems, only, said

from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import Vibration
from edgetune_node.contract.spectrum import Spectrum
from edgetune_node.events.effects import Durability, Exit, FinishCommand, KeepCommand, Publish
from edgetune_node.events.events import (
    EvidenceKept,
    EvidenceRead,
    ModelReady,
    StopRequested,
    Tick,
    TrendKept,
    TrendRead,
)
from edgetune_node.events.evidence import Capture, KeepEvidence, KeepTrend, KeptSignal, ReadEvidence, ReadTrend
from edgetune_node.monitor.captures import AT_ONCE, CaptureRecorder
from edgetune_node.monitor.severity import LEVEL
from edgetune_node.monitor.trend_recorder import BATCH, TREND_ROW, TrendRecorder
from edgetune_signal import Chunk, Recording

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle
    from edgetune_node.events.effects import Effect

N = 100
"""Samples of a chunk: a tenth of a second."""


class Stream:
    """Chunks of a counting signal for a recorder, with the stream's memory of the last ten seconds."""

    def __init__(self, recorder: CaptureRecorder) -> None:
        self.recorder = recorder
        self.count = self.sequence = 0
        self.recent: list[Chunk] = []

    def run(self, seconds: float, *faults: Fault, gap: bool = False) -> None:
        """Let time pass; ``faults`` are published of the first chunk."""
        for number in range(round(seconds * RATE / N)):
            samples = np.arange(self.count, self.count + N, dtype=np.float32)[np.newaxis]
            broken = gap and number == 0
            chunk = Chunk(samples, round(self.count / RATE * 1e9), RATE, self.sequence, gap=broken)
            self.count += N
            self.sequence += 1
            self.recent = [*([] if broken else self.recent), chunk][-round(10 * RATE / N) :]
            self.recorder.push(chunk)
            published = [Publish("t", fault, Durability.RARE) for fault in faults] if number == 0 else []
            self.recorder.faults(published, lambda: self.recent, self.count / RATE)


def fault(event: str = "e1", severity: Any = "warning", *, active: bool = True) -> Fault:
    level = LEVEL[severity]
    return Fault.model_construct(active=active, event=event, class_="inner", severity=severity, severity_level=level)


def settings(**asset: Any) -> Any:
    return Bench(**asset).node.assets["bearing"].settings


def spans(recorder: CaptureRecorder) -> list[tuple[str, str, float, float]]:
    """Of every complete signal: event, reason, and the seconds at which it begins and ends."""
    found = []
    for each in recorder.take():
        samples = np.concatenate([chunk.samples for chunk in each.chunks], axis=1)[0, -each.samples :]
        found.append((each.wanted.event, each.wanted.reason, samples[0] / RATE, (samples[-1] + 1) / RATE))
    return found


def test_a_raise_is_kept_with_ten_seconds_before_and_after() -> None:
    stream = Stream(CaptureRecorder(settings()))
    stream.run(30)
    stream.run(0.1, fault())
    stream.run(9.8, fault())  # heartbeats repeat it
    assert spans(stream.recorder) == []
    stream.run(0.2)
    assert spans(stream.recorder) == [("e1", "raised", pytest.approx(20.1), pytest.approx(40.1))]


def test_a_rise_of_severity_is_kept_as_well_and_a_fall_is_not() -> None:
    stream = Stream(CaptureRecorder(settings()))
    stream.run(20)
    stream.run(15, fault(severity="warning"))
    stream.run(15, fault(severity="alarm"))
    stream.run(15, fault(severity="warning"))
    stream.run(15, fault(severity="alarm"))
    stream.run(15, fault(active=False, severity="none"))
    assert [each[:2] for each in spans(stream.recorder)] == [("e1", "raised"), ("e1", "risen")]


def test_a_raise_and_a_rise_soon_after_are_two_signals_that_overlap() -> None:
    stream = Stream(CaptureRecorder(settings()))
    stream.run(20)
    stream.run(3, fault(severity="warning"))
    stream.run(15, fault(severity="alarm"))
    assert spans(stream.recorder) == [
        ("e1", "raised", pytest.approx(10.1), pytest.approx(30.1)),
        ("e1", "risen", pytest.approx(13.1), pytest.approx(33.1)),
    ]


def test_a_gap_ends_a_signal_with_what_there_is_of_it() -> None:
    stream = Stream(CaptureRecorder(settings()))
    stream.run(20)
    stream.run(3, fault())
    stream.run(5, gap=True)
    assert spans(stream.recorder) == [("e1", "raised", pytest.approx(10.1), pytest.approx(23))]


def test_a_fault_that_goes_on_after_a_restart_is_not_kept_a_second_time() -> None:
    stream = Stream(CaptureRecorder(settings(), "e1", "warning"))
    stream.run(25, fault())
    assert spans(stream.recorder) == []
    stream.run(25, fault(severity="alarm"))
    assert [each[:2] for each in spans(stream.recorder)] == [("e1", "risen")]


def test_an_alarm_that_chatters_does_not_wear_the_disk() -> None:
    stream = Stream(CaptureRecorder(settings()))
    for number in range(3 * AT_ONCE):
        stream.run(12, fault(f"e{number}"))
    assert len(spans(stream.recorder)) == AT_ONCE
    assert stream.recorder.skipped == 2 * AT_ONCE
    stream.run(700)
    stream.run(12, fault("later"))
    assert [each[0] for each in spans(stream.recorder)] == ["later"]


def test_a_fast_sensor_with_many_channels_is_kept_for_less_time() -> None:
    recorder = CaptureRecorder(settings(channels=64, rate_hz=100_000))
    assert recorder._most_s * 64 * 100_000 * 4 <= 16 * 2**20


def test_nothing_is_kept_where_nobody_wants_it() -> None:
    stream = Stream(CaptureRecorder(settings(evidence_max_bytes=0)))
    stream.run(30, fault())
    assert spans(stream.recorder) == []
    answer = Bench(evidence_max_bytes=0)
    answer.samples()
    [told] = said(answer.command("capture", id="c", now=True), "resp/capture")
    assert (told["status"], "evidence_max_bytes" in told["reason"]) == ("rejected", True)


# ---- the node --------------------------------------------------------------------------------------------------


def run(bench: Bench, seconds: float, kind: type[Any]) -> list[Any]:
    """Effects of one kind while time passes."""
    effects: list[Effect] = []
    for _ in range(round(seconds * RATE / 64)):
        effects += bench.samples()
    return [effect for effect in effects if isinstance(effect, kind)]


def signal(samples: Any, class_: str = "inner") -> KeptSignal:
    return KeptSignal(1, "raised", "alarm", Recording(samples.astype(np.float32), RATE, class_, "g", 10**18))


def spectrum() -> Spectrum:
    return Spectrum(
        reason="raised",
        seconds=20,
        rate_hz=RATE,
        unit="g",
        channel=0,
        frequency_hz=[2.0],
        amplitude=[1.0],
        envelope_hz=[],
        envelope_amplitude=[],
        quality=[],
    )


def test_the_signal_around_a_raise_is_handed_to_the_disk_and_its_spectrum_is_published(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    [kept] = run(bench, 40, KeepEvidence)
    assert (kept.wanted.reason, kept.wanted.class_, kept.wanted.severity) == ("raised", "inner", "alarm")
    assert kept.samples == pytest.approx(10 * RATE, rel=0.1)  # the fault was there from the beginning
    effects = bench.handle(EvidenceKept("bearing", kept.wanted, spectrum()))
    [told] = said(effects, "spectrum")
    assert (told["schema"], told["seconds"]) == ("spectrum/1", 20)


def test_a_signal_that_cannot_be_kept_is_shown_in_health() -> None:
    bench = Bench()
    bench.handle(EvidenceKept("bearing", Capture("e", "raised"), None, "disk full"))
    assert any("disk full" in each for each in health_problems(bench))
    bench.handle(EvidenceKept("bearing", Capture("e", "raised"), spectrum()))
    assert not any("disk full" in each for each in health_problems(bench))


def test_what_is_kept_of_an_event_is_sent_in_parts_and_then_done() -> None:
    bench = Bench()
    effects = bench.command("capture", id="c1", event="e7")
    assert said(effects, "resp/capture")[0]["status"] == "accepted"
    assert not only(effects, KeepCommand).final
    read = only(effects, ReadEvidence)
    assert (read.event, read.number) == ("e7", None)
    samples = np.random.default_rng(0).normal(size=(3, 30_000))
    bench.handle(EvidenceRead("bearing", "c1", signal(samples), 2))
    told: list[dict[str, Any]] = []
    ended: list[Effect] = []
    while not ended:
        effects = bench.handle(Tick())
        sent = [each for each in effects if isinstance(each, Publish) and each.topic.endswith("resp/capture")]
        assert all(len(each.message.json_bytes()) <= 65_536 for each in sent)
        told += said(effects, "resp/capture")
        ended = [each for each in effects if isinstance(each, FinishCommand)]
    parts = [each["detail"] for each in told[:-1]]
    done = told[-1]
    assert (done["status"], done["detail"]["parts"], done["detail"]["kept"]) == ("done", len(parts), 2)
    assert {each["status"] for each in told[:-1]} == {"progress"}
    data = b"".join(b64decode(each["data"]) for each in parts)
    assert np.array_equal(np.frombuffer(data, "<f4").reshape(-1, 3).T, samples.astype(np.float32))
    assert said(bench.command("capture", id="c1", event="e7"), "resp/capture")[0]["detail"] == done["detail"]


def test_the_signal_around_now_is_kept_and_sent() -> None:
    bench = Bench()
    run(bench, 12, KeepEvidence)
    effects = bench.command("capture", id="c2", now=True, before_s=5, after_s=1, samples=False)
    assert said(effects, "resp/capture")[0]["status"] == "accepted"
    [kept] = run(bench, 1.2, KeepEvidence)
    assert (kept.wanted, kept.samples) == (Capture("c2", "asked", job="c2"), 6 * RATE)
    effects = bench.handle(EvidenceKept("bearing", kept.wanted, spectrum()))
    assert len(said(effects, "spectrum")) == 1
    assert only(effects, ReadEvidence).event == "c2"
    bench.handle(EvidenceRead("bearing", "c2", signal(np.ones((1, 10))), 1))
    [done] = said(bench.handle(Tick()), "resp/capture")
    assert (done["status"], done["detail"]["parts"], done["detail"]["samples"]) == ("done", 0, 10)


def test_a_capture_works_beside_a_job_and_says_why_it_fails() -> None:
    bench = Bench()
    bench.command("record", id="r", label="normal", seconds=60)
    bench.command("capture", id="c3", event="gone")
    [told] = said(bench.handle(EvidenceRead("bearing", "c3", error="nothing is kept of 'gone'")), "resp/capture")
    assert (told["status"], told["reason"]) == ("failed", "nothing is kept of 'gone'")


def test_only_a_few_answers_are_under_way_at_a_time() -> None:
    bench = Bench()
    for number in range(4):
        assert said(bench.command("history", id=f"h{number}"), "resp/history")[0]["status"] == "accepted"
    assert said(bench.command("capture", id="c4", event="e"), "resp/capture")[0]["status"] == "rejected"
    bench.handle(TrendRead("bearing", "h0", error="broken"))
    assert said(bench.command("capture", id="c5", event="e"), "resp/capture")[0]["status"] == "accepted"


def test_a_capture_without_samples_is_rejected_and_leaves_room_for_others() -> None:
    bench = Bench()
    for number in range(6):
        told = said(bench.command("capture", id=f"c{number}", now=True), "resp/capture")[0]
        assert (told["status"], told["reason"]) == ("rejected", "there are no samples")


def test_a_capture_ends_where_the_sensor_stops_with_what_there_is_or_says_that_nothing_came() -> None:
    bench = Bench()
    run(bench, 3, KeepEvidence)
    for name, before_s in (("some", 2), ("none", 0)):
        bench.command("capture", id=name, now=True, before_s=before_s, after_s=10)
    bench.clock.now += 29
    assert not any(isinstance(each, KeepEvidence) for each in bench.handle(Tick()))
    bench.clock.now += 1
    effects = bench.handle(Tick())
    [told] = said(effects, "resp/capture")
    assert (told["id"], told["status"], told["reason"]) == ("none", "failed", "no samples came")
    kept = only(effects, KeepEvidence)
    assert (kept.wanted.event, kept.samples) == ("some", 2 * RATE)


def test_a_capture_of_what_was_is_kept_at_once_with_the_condition_of_the_asset() -> None:
    bench = Bench(condition="half load")
    run(bench, 3, KeepEvidence)
    kept = only(bench.command("capture", id="c", now=True, before_s=2, after_s=0), KeepEvidence)
    assert (kept.samples, kept.condition) == (2 * RATE, "half load")


def test_a_capture_of_what_is_to_come_says_that_a_gap_came_instead() -> None:
    bench = Bench()
    bench.samples()
    bench.command("capture", id="c", now=True, before_s=0, after_s=10)
    bench.sequence["bearing"] += 5
    [told] = said(bench.samples(), "resp/capture")
    assert (told["status"], told["reason"]) == ("failed", "no samples came")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "event"),
        ({"event": "e", "now": True}, "event"),
        ({"now": True, "number": 1}, "number"),
        ({"now": True, "before_s": 0, "after_s": 0}, "before_s"),
        ({"now": True, "before_s": 11}, "before_s"),
        ({"now": True, "before_s": 0, "after_s": 1e-9}, "less than one sample"),
    ],
)
def test_a_capture_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    bench = Bench()
    bench.samples()
    [told] = said(bench.command("capture", id="c", **fields), "resp/capture")
    assert told["status"] == "rejected"
    assert any(reason in each for each in told["errors"]), told


def test_history_is_sent_in_rows_and_then_done() -> None:
    bench = Bench()
    effects = bench.command("history", id="h", **{"from": "2026-01-01T00:00:00Z"}, figures=["distance", "rms"])
    read = only(effects, ReadTrend)
    assert (read.since_s, read.figures, read.step) == (1767225600.0, ("rms", "distance"), None)
    rows = tuple((60.0 * number, (1.5, None)) for number in range(700))
    bench.handle(TrendRead("bearing", "h", "minute", read.figures, rows))
    told = said(bench.handle(Tick()), "resp/history") + said(bench.handle(Tick()), "resp/history")
    assert [each["status"] for each in told] == ["progress"] * 3 + ["done"]
    assert told[0]["detail"]["rows"][1] == ["1970-01-01T00:01:00.000Z", 1.5, None]
    assert told[-1]["detail"] == {"step": "minute", "columns": ["time", "rms", "distance"], "rows": 700, "parts": 3}


# ---- the trend -------------------------------------------------------------------------------------------------


def vibration(minute: float, rms: float, **more: Any) -> Publish:
    from edgetune_node.clock import from_ns

    values = {"rms": [rms, rms / 2], "peak": [None], "crest_factor": [3.0], "kurtosis": [3.0], **more}
    message = Vibration(ts=from_ns(round(minute * 60e9)), unit="g", seconds=1, quality=[], **values)
    return Publish("t", message, Durability.TELEMETRY)


def test_a_minute_is_the_mean_of_its_looks_and_of_the_loudest_channel() -> None:
    recorder = TrendRecorder()
    recorder.hear([vibration(100.1, 1.0)])
    recorder.hear([vibration(100.5, 3.0)])
    recorder.distance(0.5, 100 * 60 * 10**9)
    assert recorder.take() == b""
    minute, rms, peak, crest, _, velocity, distance = TREND_ROW.unpack(recorder.pending)
    assert (minute, rms, crest, distance) == (100, 2.0, 3.0, 0.5)
    assert np.isnan([peak, velocity]).all()


def test_an_hour_goes_to_the_disk_at_once_and_the_rest_when_the_node_ends() -> None:
    recorder = TrendRecorder()
    batches = []
    for minute in range(1, 2 * BATCH + 12):
        recorder.hear([vibration(minute, 1.0)])
        batches.append(recorder.take())
    assert [len(each) for each in batches if each] == [BATCH * TREND_ROW.size] * 2
    assert len(recorder.take(all_of_them=True)) == 11 * TREND_ROW.size
    assert recorder.take(all_of_them=True) == b""


def test_a_node_that_ends_keeps_its_minutes_and_the_signal_of_a_fault_just_raised(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    run(bench, 5, KeepEvidence)
    effects = bench.handle(StopRequested())
    assert isinstance(effects[-1], Exit)
    assert only(effects, KeepEvidence).wanted.reason == "raised"
    trend = only(effects, KeepTrend)
    assert (len(trend.rows), trend.ending) == (TREND_ROW.size, True)


def test_a_trend_that_cannot_be_kept_is_shown_in_health() -> None:
    bench = Bench()
    bench.handle(TrendKept("bearing", "disk full"))
    assert any("the trend cannot be kept: disk full" in each for each in health_problems(bench))
