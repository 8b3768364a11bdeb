"""The node decides everything in one function; here without threads, broker or clock."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle import Bundle, load_bundle
from edgetune_nas.novelty import fit_novelty
from edgetune_node.config import Settings
from edgetune_node.emitter import Emitter
from edgetune_node.errors import OutboxError
from edgetune_node.events import (
    AckCommand,
    CancelSearch,
    ChunkArrived,
    CommandArrived,
    ContextArrived,
    Effect,
    Exit,
    FinishCommand,
    Install,
    KeepCommand,
    KeepNovel,
    LabelNovel,
    LinkChanged,
    ModelReady,
    NoteCommand,
    NovelChanged,
    Publish,
    RecordingSaved,
    SaveRecording,
    SearchReported,
    SourceChanged,
    StartSearch,
    StopRequested,
    Tick,
)
from edgetune_node.node import Node
from edgetune_node.novel import Kept
from edgetune_node.requests import Missed, Stored
from edgetune_node.restoring import restored
from edgetune_node.resumption import MAX_RESUMPTIONS, Interrupted, JobNote
from edgetune_node.signing import seal, sign
from edgetune_node.topics import Topics
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RATE = 1000.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.ahead_s = 0.0

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now + self.ahead_s)

    def monotonic(self) -> float:
        return self.now

    def synced(self) -> bool:
        return True


class World:
    def __init__(self) -> None:
        self.answers: dict[tuple[str | None, str], bytes] = {}
        self.recordings: dict[str, dict[str, float]] = {}
        self.passed_over: tuple[str, ...] = ()
        self.files: tuple[Path, ...] = ()
        self.doubts: tuple[str, ...] = ()
        self.signatures: dict[str, datetime] = {}

    def vitals(self) -> Mapping[str, Any]:
        return {
            "rss_bytes": 1,
            "cpu_percent": 0.0,
            "temperature_c": None,
            "disk_free_bytes": 1,
            "queue_depth": 0,
            "reconnects": 0,
            "outbox_depth": 0,
            "outbox_dropped": 0,
        }

    def missed(self, asset: str) -> Missed:
        del asset
        return Missed(2, 3)

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        return self.answers.get((asset, command_id))

    def first_use(self, signature: str, expires: datetime) -> bool:
        first = signature not in self.signatures
        self.signatures[signature] = expires
        return first

    def stored(self, asset: str) -> Stored:
        return Stored(self.recordings.get(asset, {}), self.passed_over, self.files, self.doubts)


class Bench:
    """A node with a clock, a world and a signal generator that a test drives by hand."""

    def __init__(
        self,
        *,
        task: str = "fault",
        assets: tuple[str, ...] = ("bearing",),
        mqtt: dict[str, Any] | None = None,
        last: Mapping[str, bytes] | None = None,
        **asset: Any,
    ) -> None:
        self.clock = Clock()
        self.world = World()
        section = {
            "rate_hz": RATE,
            "task": task,
            "window": {"length": 64, "hop": 64},
            "alarm": {"votes": 3, "window": 4, "clear_votes": 2},
            **asset,
        }
        settings = Settings(node={"id": "n"}, mqtt=mqtt or {}, asset=[{"id": name, **section} for name in assets])
        numbers = iter(range(1000))
        self.node = Node(
            settings,
            emitter=Emitter(Topics("edgetune", "n"), "boot", self.clock),
            new_id=lambda: f"e{next(numbers)}",
            surroundings=self.world,
            first_use=self.world.first_use,
            restored={name: restored(name, (last or {}).get) for name in assets},
            capabilities=[],
        )
        self.random = np.random.default_rng(0)
        self.loudness = 1.0
        self.sequence: Counter[str] = Counter()
        self.handle(Tick())

    def handle(self, event: Any) -> list[Effect]:
        effects = self.node.handle(event)
        for effect in effects:
            if isinstance(effect, KeepCommand | FinishCommand):
                self.world.answers[effect.asset, effect.command_id] = effect.answer
        return effects

    def command(self, name: str, asset: str | None = "bearing", **fields: Any) -> list[Effect]:
        payload = json.dumps(fields).encode()
        return self.handle(CommandArrived(asset, name, payload, ack=7))

    def samples(self, n: int = 64, asset: str = "bearing", value: float | None = None) -> list[Effect]:
        samples = self.random.normal(0, self.loudness, (1, n)).astype(np.float32)
        if value is not None:
            samples[:] = value
        number = self.sequence[asset]
        self.sequence[asset] += 1
        self.clock.now += n / RATE
        time_ns = 1_767_225_600_000_000_000 + round(self.clock.now * 1e9)
        return self.handle(ChunkArrived(asset, Chunk(samples, time_ns, RATE, number)))


def said(effects: list[Effect], leaf: str) -> list[dict[str, Any]]:
    """Payloads published to topics that end in ``leaf``, as a subscriber reads them."""
    return [
        json.loads(effect.message.json_bytes())
        for effect in effects
        if isinstance(effect, Publish) and effect.topic.endswith("/" + leaf)
    ]


def only(effects: list[Effect], kind: type[Any]) -> Any:
    found = [effect for effect in effects if isinstance(effect, kind)]
    assert len(found) == 1, effects
    return found[0]


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "out", favourite=1))


@pytest.fixture
def healthy_bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "out2", favourite=0, seed=3))


def record_guided(bench: Bench, job: str = "r1", classes: tuple[str, ...] = ("normal", "inner")) -> list[Effect]:
    """Take a calibration through its collection; give what followed the last take."""
    effects = bench.command(
        "recalibrate", id=job, source="live", classes=list(classes), seconds_per_take=0.2, budget={"ram_bytes": 2048}
    )
    assert said(effects, "resp/recalibrate")[0]["status"] == "accepted"
    for number, label in enumerate(classes):
        effects = bench.command("continue", id=f"{job}-c{number}")
        assert said(effects, "resp/continue")[0]["status"] == "done"
        while not (saved := [effect for effect in effects if isinstance(effect, SaveRecording)]):
            effects = bench.samples()
        assert saved[0].recording.label == label
        assert saved[0].recording.samples.shape == (1, 200)
        effects = bench.handle(RecordingSaved("bearing", job, path=Path(f"{label}.npz")))
    return effects


def report(bench: Bench, job: str, event: dict[str, Any], asset: str = "bearing") -> list[Effect]:
    return bench.handle(SearchReported(asset, job, event))


def test_on_connecting_everything_retained_is_said_and_online_comes_last() -> None:
    effects = Bench().handle(LinkChanged(connected=True))
    topics = [effect.topic for effect in effects if isinstance(effect, Publish)]
    assert topics[-1] == "edgetune/n/status"
    assert {topic.rsplit("/", 1)[1] for topic in topics} >= {"info", "health", "model", "fault", "state", "calibration"}
    assert said(effects, "status")[0]["status"] == "online"
    assert said(effects, "state")[-1]["phase"] == "uncalibrated"
    assert said(effects, "model")[0]["id"] is None


def test_insecure_ways_to_another_machine_that_nobody_asked_for_are_problems_of_health() -> None:
    effects = Bench(mqtt={"host": "broker", "insecure": ["anonymous"]}).handle(LinkChanged(connected=True))
    assert said(effects, "info")[0]["insecure"] == ["mqtt: no TLS (not asked for)", "mqtt: no password (asked for)"]
    [problem] = said(effects, "health")[0]["problems"]
    assert problem.startswith("mqtt: no TLS for broker: ")

    effects = Bench().handle(LinkChanged(connected=True))
    assert said(effects, "health")[0]["problems"] == []


def test_ping_is_answered_and_kept_before_it_is_acknowledged() -> None:
    effects = Bench().command("ping", asset=None, id="p1")
    assert [type(effect) for effect in effects] == [Publish, KeepCommand]
    assert only(effects, KeepCommand).final
    assert only(effects, KeepCommand).ack == 7
    answer = said(effects, "resp/ping")[0]
    assert (answer["id"], answer["status"]) == ("p1", "done")


@pytest.mark.parametrize(
    ("name", "asset", "fields", "named"),
    [
        ("recalibrate", "bearing", {"id": "x", "source": "stored", "colour": 1}, "colour"),
        ("recalibrate", "bearing", {"id": "x", "source": "live", "classes": ["a"], "seconds_per_take": 0}, "seconds"),
        ("recalibrate", "bearing", {"id": "x", "source": "stored"}, "no stored recordings"),
        ("recalibrate", "bearing", {"source": "stored"}, "id"),
        ("continue", "bearing", {"id": "x"}, "no job"),
        ("cancel", "bearing", {"id": "x"}, "no job"),
        ("acknowledge", "bearing", {"id": "x", "by": "me"}, "no fault"),
        ("label", "bearing", {"id": "x", "label": "a", "seconds": 1}, "0.00 s"),
        ("label", "bearing", {"id": "x", "label": "a", "seconds": 1e-9}, "shorter than one window"),
        ("label", "bearing", {"id": "x", "label": "a"}, "give either"),
        ("label", "bearing", {"id": "x", "label": "a", "event": "e9"}, "nothing is kept"),
        ("ping", "bearing", {"id": "x"}, "node"),
        ("rollback", "pump", {"id": "x"}, "no asset"),
        ("explode", "bearing", {"id": "x"}, "recalibrate"),
    ],
)
def test_a_command_that_cannot_be_is_rejected_by_name_and_starts_nothing(
    name: str, asset: str, fields: dict[str, Any], named: str
) -> None:
    effects = Bench().command(name, asset, **fields)
    answer = said(effects, f"resp/{name}")[0]
    assert answer["status"] == "rejected"
    assert named in answer["reason"]
    assert only(effects, AckCommand).ack == 7
    assert not [effect for effect in effects if isinstance(effect, KeepCommand | StartSearch | SaveRecording)]


def test_a_retained_command_is_rejected() -> None:
    effects = Bench().handle(CommandArrived("bearing", "rollback", b'{"id": "x"}', retained=True, ack=1))
    assert "retain" in said(effects, "resp/rollback")[0]["reason"]


def test_an_answer_also_goes_to_the_response_topic_with_its_correlation() -> None:
    event = CommandArrived(None, "ping", b'{"id": "x"}', response_topic="me/answers", correlation=b"42")
    answers = [effect for effect in Bench().handle(event) if isinstance(effect, Publish)]
    assert [answer.topic for answer in answers] == ["edgetune/n/resp/ping", "me/answers"]
    assert answers[1].correlation == b"42"


def test_a_repeated_id_gets_the_first_answer_and_starts_nothing(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    first = bench.command("recalibrate", id="r", source="live", classes=["a", "b"], seconds_per_take=1)
    again = bench.command("recalibrate", id="r", source="live", classes=["a", "b"], seconds_per_take=1)
    answers = [said(effects, "resp/recalibrate")[0] for effects in (first, again)]
    assert [answer["status"] for answer in answers] == ["accepted", "accepted"]
    assert [type(effect) for effect in again] == [Publish, AckCommand]


def test_a_rejected_id_gets_its_rejection_again_also_under_another_command() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.command("record", id="r", label="a", seconds=1)
    rejected = said(bench.command("recalibrate", id="x", source="stored"), "resp/recalibrate")[0]
    assert "busy" in rejected["reason"]
    bench.command("cancel", id="c")
    again = bench.command("recalibrate", id="x", source="stored")
    assert said(again, "resp/recalibrate")[0]["reason"] == rejected["reason"]
    other = bench.command("rollback", id="x")
    assert said(other, "resp/rollback")[0]["command"] == "recalibrate"
    assert not [effect for effect in again + other if isinstance(effect, StartSearch | Install)]


def test_answers_leave_in_the_order_they_are_numbered() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    effects = bench.command("recalibrate", id="r", source="stored")
    assert [(answer["seq"], answer["status"]) for answer in said(effects, "resp/recalibrate")] == [
        (0, "accepted"),
        (1, "progress"),
    ]


def test_recordings_that_were_passed_over_are_named_in_the_answer() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.world.passed_over = ("c.npz (c) is left out: rate_hz is 1",)
    bench.command("recalibrate", id="r", source="stored")
    answer = said(report(bench, "r", {"event": "failed", "error": "X", "message": "x"}), "resp/recalibrate")[-1]
    assert "c.npz (c) is left out: rate_hz is 1" in answer["detail"]["warnings"]


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


def test_a_defect_of_ours_is_answered_and_acknowledged() -> None:
    bench = Bench()
    event = CommandArrived("bearing", "rollback", b'{"id": "x"}', ack=3)
    effects = bench.node.broken(event, "ZeroDivisionError()")
    assert "ZeroDivisionError" in said(effects, "resp/rollback")[0]["reason"]
    assert only(effects, AckCommand).ack == 3


def test_a_second_job_is_busy_and_the_first_goes_on() -> None:
    bench = Bench()
    bench.command("recalibrate", id="r", source="live", classes=["a", "b"], seconds_per_take=1)
    for name, fields in (("record", {"label": "a", "seconds": 1}), ("rollback", {}), ("deploy", {"model": "m"})):
        answer = said(bench.command(name, id=f"x-{name}", **fields), f"resp/{name}")[0]
        assert answer["status"] == "rejected"
        assert "busy" in answer["reason"]
    assert said(bench.command("continue", id="c"), "resp/continue")[0]["status"] == "done"


def test_the_whole_way_from_recalibrate_to_the_new_model(bundle: Bundle) -> None:
    bench = Bench()
    search = only(record_guided(bench), StartSearch)
    assert search.classes == ("inner", "normal")
    assert search.budget.ram_bytes == 2048
    effects = report(bench, "r1", {"event": "progress", "phase": "training", "fraction": 0.5, "best_accuracy": 0.9})
    assert said(effects, "state")[0]["phase"] == "searching"
    assert said(effects, "calibration")[0]["best_accuracy"] == 0.9
    card = json.loads(bundle.card.model_dump_json())
    effects = report(bench, "r1", {"event": "done", "bundle": str(bundle.path), "card": card})
    install = only(effects, Install)
    assert (install.action, install.bundle) == ("install", bundle.path)
    assert said(effects, "state")[0]["phase"] == "deploying"
    assert said(bench.samples(), "classification") == []
    effects = bench.handle(ModelReady("bearing", "r1", bundle, None))
    model = said(effects, "model")[0]
    assert model["id"] == bundle.card.id
    assert model["arena_bytes"] == bundle.card.cost.arena_bytes
    done = said(effects, "resp/recalibrate")[-1]
    assert done["status"] == "done"
    assert done["detail"]["deployed"] is True
    assert only(effects, FinishCommand).command_id == "r1"
    assert said(effects, "state")[-1]["phase"] == "monitoring"
    assert said(bench.samples(), "classification")[0]["class"] == "inner"


def test_a_killed_search_fails_the_job_and_the_old_model_goes_on(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    only(record_guided(bench), StartSearch)
    effects = report(bench, "r1", {"event": "failed", "error": "SearchKilled", "message": "killed by SIGKILL"})
    answer = said(effects, "resp/recalibrate")[-1]
    assert answer["status"] == "failed"
    assert "SIGKILL" in answer["reason"]
    state = said(effects, "state")[-1]
    assert state["phase"] == "monitoring"
    assert "SIGKILL" in state["reason"]
    assert said(bench.samples(), "classification")


def test_a_budget_nothing_fits_is_answered_with_the_smallest_arena_that_would() -> None:
    bench = Bench()
    record_guided(bench)
    failure = {"event": "failed", "error": "BudgetError", "message": "no network fits"}
    limits = {"limit": "ram_bytes", "asked": 100, "smallest": 321}
    answer = said(report(bench, "r1", {**failure, **limits}), "resp/recalibrate")[-1]
    assert answer["detail"]["smallest_arena_bytes"] == 321
    assert "321" in answer["reason"]


def test_cancelling_a_search_stops_its_process_and_says_so() -> None:
    bench = Bench()
    record_guided(bench)
    effects = bench.command("cancel", id="stop")
    assert only(effects, CancelSearch).job == "r1"
    assert said(effects, "resp/cancel")[0]["status"] == "done"
    assert said(effects, "resp/recalibrate")[-1]["status"] == "failed"
    assert "cancelled" in [message["phase"] for message in said(effects, "calibration")]


def test_one_search_runs_at_a_time_and_the_next_starts_when_it_ends() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    first = bench.command("recalibrate", "bearing", id="r1", source="stored")
    second = bench.command("recalibrate", "motor", id="r2", source="stored")
    assert only(first, StartSearch).asset == "bearing"
    assert not [effect for effect in second if isinstance(effect, StartSearch)]
    assert said(second, "state")[-1]["phase"] == "queued"
    effects = report(bench, "r1", {"event": "failed", "error": "X", "message": "x"})
    assert only(effects, StartSearch).asset == "motor"


def test_a_queued_search_that_is_cancelled_never_starts() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    bench.command("recalibrate", "bearing", id="r1", source="stored")
    bench.command("recalibrate", "motor", id="r2", source="stored")
    assert not [e for e in bench.command("cancel", "motor", id="c") if isinstance(e, CancelSearch)]
    effects = report(bench, "r1", {"event": "failed", "error": "X", "message": "x"})
    assert not [effect for effect in effects if isinstance(effect, StartSearch)]


def test_a_cancelled_search_holds_its_place_until_its_process_has_ended() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    bench.command("recalibrate", "bearing", id="r1", source="stored")
    bench.command("cancel", "bearing", id="c")
    queued = bench.command("recalibrate", "motor", id="r2", source="stored")
    assert not [effect for effect in queued if isinstance(effect, StartSearch)]
    assert only(report(bench, "r1", {"event": "failed", "error": "Cancelled"}), StartSearch).asset == "motor"


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
    raised = [fault for _ in range(3) for fault in said(bench.samples(), "fault")]
    assert [(fault["active"], fault["class"], fault["severity"]) for fault in raised] == [(True, "inner", "alarm")]
    acknowledged = said(bench.command("acknowledge", id="a", by="ana", comment="seen"), "fault")[0]
    assert acknowledged["event"] == raised[0]["event"]
    assert acknowledged["acknowledged_by"] == "ana"
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    cleared = [fault for _ in range(4) for fault in said(bench.samples(), "fault")]
    assert [(fault["active"], fault["event"]) for fault in cleared] == [(False, raised[0]["event"])]


def test_the_evidence_of_a_fault_is_that_of_the_windows_that_voted_for_it(
    bundle: Bundle, healthy_bundle: Bundle
) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    for _ in range(40):
        bench.samples()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.loudness = 2.0
    [raised] = [fault for _ in range(3) for fault in said(bench.samples(), "fault")]
    assert raised["evidence"]["windows"] == 3
    assert 1.7 < raised["evidence"]["rms"][0] < 2.3


def test_unusable_samples_are_unknown_and_change_no_fault(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    for _ in range(3):
        bench.samples()
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


LIVE = {"id": "old", "source": "live", "classes": ["normal", "inner"], "seconds_per_take": 0.2}


def interrupted(command: dict[str, Any] | None = None, **note: Any) -> Interrupted:
    payload = json.dumps(command or LIVE).encode()
    return Interrupted("bearing", "recalibrate", "old", payload, JobNote(**note).json_bytes())


def refusal(effects: list[Effect], name: str = "recalibrate") -> str:
    """Reason with which an interrupted job was ended."""
    answer = said(effects, f"resp/{name}")[-1]
    assert (answer["id"], answer["status"]) == ("old", "failed")
    assert only(effects, FinishCommand).command_id == "old"
    return str(answer["reason"])


@pytest.mark.parametrize("name", ["record", "rollback", "label", "deploy"])
def test_a_short_job_that_a_restart_interrupted_is_reported_and_ended(name: str) -> None:
    commands = {"record": {"label": "inner", "seconds": 1}, "label": {"label": "inner", "seconds": 1}, "rollback": {}}
    payload = json.dumps({"id": "old", **commands.get(name, {"model": "m"})}).encode()
    bench = Bench()
    effects = bench.node.start([Interrupted("bearing", name, "old", payload)])
    assert "interrupted by a restart" in refusal(effects, name)
    assert not [effect for effect in effects if isinstance(effect, Install | SaveRecording | NoteCommand)]


def test_a_collection_goes_on_with_the_take_that_was_not_stored_yet() -> None:
    bench = Bench()
    bench.world.files = (Path("normal.npz"),)
    bench.world.recordings["bearing"] = {"normal": 0.2}
    effects = bench.node.start([interrupted(subject="rig 7", recordings=("normal.npz",))])
    assert said(effects, "resp/recalibrate")[0]["reason"] == "resumed after a restart"
    note = JobNote.model_validate_json(only(effects, NoteCommand).note)
    assert (note.resumptions, note.recordings) == (1, ("normal.npz",))
    standing = said(effects, "calibration")[-1]
    assert (standing["phase"], standing["class"], standing["job"]) == ("waiting", "inner", "old")
    effects = bench.command("continue", id="c")
    while not (saved := [effect for effect in effects if isinstance(effect, SaveRecording)]):
        effects = bench.samples()
    assert (saved[0].recording.label, saved[0].recording.subject) == ("inner", "rig 7")
    effects = bench.handle(RecordingSaved("bearing", "old", path=Path("inner.npz")))
    assert JobNote.model_validate_json(only(effects, NoteCommand).note).recordings == ("normal.npz", "inner.npz")
    assert only(effects, StartSearch).classes == ("inner", "normal")


def test_after_a_restart_a_countdown_waits_for_a_person_once() -> None:
    bench = Bench()
    effects = bench.node.start([interrupted({**LIVE, "countdown_s": 1})])
    assert said(effects, "calibration")[-1]["phase"] == "waiting"
    effects = bench.command("continue", id="c")
    while not [effect for effect in effects if isinstance(effect, SaveRecording)]:
        effects = bench.samples()
    effects = bench.handle(RecordingSaved("bearing", "old", path=Path("normal.npz")))
    assert said(effects, "calibration")[-1]["phase"] == "countdown"


def test_an_interrupted_search_is_started_again_under_its_old_id() -> None:
    bench = Bench()
    bench.world.recordings["bearing"] = {"normal": 4.0, "inner": 4.0}
    effects = bench.node.start([interrupted({"id": "old", "source": "stored"})])
    started = only(effects, StartSearch)
    assert (started.job, started.classes) == ("old", ("inner", "normal"))
    assert said(effects, "state")[-1]["job"] == "old"
    assert said(bench.command("record", id="r", label="inner", seconds=1), "resp/record")[0]["status"] == "rejected"


def test_answers_of_a_resumed_job_still_go_to_its_response_topic() -> None:
    bench = Bench()
    effects = bench.node.start([interrupted(response_topic="operator/7", correlation=b"\xff\x01")])
    replies = [effect for effect in effects if isinstance(effect, Publish) and effect.topic == "operator/7"]
    assert {reply.correlation for reply in replies} == {b"\xff\x01"}


def test_a_model_that_was_put_into_use_just_before_the_restart_is_reported_as_such(bundle: Bundle) -> None:
    bench = Bench()
    bench.world.recordings["bearing"] = {"normal": 4.0, "inner": 4.0}
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.node.start([interrupted({"id": "old", "source": "stored"})])
    done = {"event": "done", "bundle": "model", "card": bundle.card.model_dump(mode="json")}
    effects = bench.handle(SearchReported("bearing", "old", done))
    answer = said(effects, "resp/recalibrate")[-1]
    assert (answer["status"], answer["detail"]["deployed"]) == ("done", True)
    assert not [effect for effect in effects if isinstance(effect, Install)]


def test_a_job_is_not_gone_on_with_where_that_cannot_end_well() -> None:
    assert "6th time" in refusal(Bench().node.start([interrupted(resumptions=MAX_RESUMPTIONS)]))
    assert "gone.npz" in refusal(Bench().node.start([interrupted(recordings=("gone.npz",))]))
    assert "no stored recordings" in refusal(Bench().node.start([interrupted({"id": "old", "source": "stored"})]))
    assert "not understood" in refusal(Bench().node.start([Interrupted("bearing", "recalibrate", "old", b"{")]))
    gone = Interrupted("pump", "recalibrate", "old", json.dumps(LIVE).encode())
    assert "not configured any more" in refusal(Bench().node.start([gone]))


def test_whatever_the_note_holds_a_node_starts() -> None:
    effects = Bench().node.start([Interrupted("bearing", "recalibrate", "old", json.dumps(LIVE).encode(), b"\xff[")])
    assert said(effects, "calibration")[-1]["class"] == "normal"


def test_label_keeps_the_last_seconds_of_the_stream() -> None:
    bench = Bench()
    for _ in range(20):
        bench.samples()
    save = only(bench.command("label", id="l", label="inner", seconds=1), SaveRecording)
    assert save.recording.samples.shape == (1, 1000)
    effects = bench.handle(RecordingSaved("bearing", "l", path=Path("l.npz")))
    assert said(effects, "resp/label")[0]["status"] == "done"


def test_a_rollback_that_fails_says_why_and_keeps_the_model(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    assert only(bench.command("rollback", id="b"), Install).action == "rollback"
    effects = bench.handle(ModelReady("bearing", "b", None, None, "there is no previous model"))
    assert said(effects, "resp/rollback")[-1]["reason"] == "there is no previous model"
    assert said(bench.samples(), "classification")[0]["model"] == bundle.card.id


def test_signs_are_published_once_per_gesture(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> None:
    bench = Bench(task="sign", sign={"min_windows": 2})
    fist = load_bundle(write_tiny_bundle(tmp_path / "a", classes=("rest", "fist"), favourite=1))
    rest = load_bundle(write_tiny_bundle(tmp_path / "b", classes=("rest", "fist"), favourite=0))
    signs = []
    for model, count in ((rest, 3), (fist, 5), (rest, 4), (fist, 3), (rest, 2)):
        bench.handle(ModelReady("bearing", "", model, None))
        signs += [sign for _ in range(count) for sign in said(bench.samples(), "sign")]
    assert [(sign["class"], sign["windows"]) for sign in signs] == [("fist", 5), ("fist", 3)]


def test_stopping_ends_the_process_and_no_job() -> None:
    bench = Bench()
    record_guided(bench)
    assert bench.handle(StopRequested()) == [Exit()]


def context(bench: Bench, **said_of_it: Any) -> list[Effect]:
    return bench.handle(ContextArrived("bearing", json.dumps(said_of_it).encode()))


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


def health_problems(bench: Bench) -> list[str]:
    problems: list[str] = said(bench.handle(LinkChanged(connected=True)), "health")[0]["problems"]
    return problems


def test_a_machine_that_does_not_run_is_not_judged_and_the_state_says_why(bundle: Bundle) -> None:
    bench = Bench(machine={"min_rpm": 600})
    bench.handle(ModelReady("bearing", "", bundle, None))
    for _ in range(3):
        bench.samples()
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
        assert said(effects, "fault") == []
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


def test_a_recording_of_a_machine_that_stands_still_is_warned_of() -> None:
    bench = Bench()
    context(bench, running=False)
    bench.command("record", id="r", label="normal", seconds=0.2)
    effects = [effect for _ in range(20) for effect in bench.samples()]
    [saved] = [effect for effect in effects if isinstance(effect, SaveRecording)]
    done = said(bench.handle(RecordingSaved("bearing", saved.job, path=Path("r.npz"))), "resp/record")[-1]
    assert done["status"] == "done"
    assert "while it was recorded the machine does not run (context: running is false)" in done["detail"]["warnings"][0]


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


def test_stored_healthy_data_that_is_not_healthy_is_refused_unless_told() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"normal": 5.0, "inner": 5.0}}
    bench.world.doubts = ("a.npz: its velocity lies in zone C",)
    refused = said(bench.command("recalibrate", id="r1", source="stored"), "resp/recalibrate")[0]
    assert (refused["status"], refused["reason"]) == ("rejected", bench.world.doubts[0])
    effects = bench.command("recalibrate", id="r2", source="stored", accept_zone=True)
    assert said(effects, "resp/recalibrate")[0]["status"] == "accepted"


def test_an_operator_shelves_a_fault_until_its_time_is_over(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    for _ in range(3):
        bench.samples()
    effects = bench.command("shelve", id="s1", seconds=60.0, by="operator", comment="known")
    (fault,) = said(effects, "fault")
    assert said(effects, "resp/shelve")[0]["status"] == "done"
    assert (fault["active"], fault["shelved"], fault["severity"]) == (True, True, "alarm")
    assert fault["shelves"] == [
        {"class": fault["class"], "until": "2026-01-01T00:01:00.192Z", "by": "operator", "comment": "known"}
    ]
    bench.clock.now += 61
    (fault,) = said(bench.handle(Tick()), "fault")
    assert (fault["active"], fault["shelved"], fault["shelves"]) == (True, False, [])


def test_where_there_is_nothing_to_shelve_a_command_is_rejected() -> None:
    for bench, reason in ((Bench(), "no fault is active"), (Bench(task="sign"), "no faults to shelve")):
        answer = said(bench.command("shelve", id="s1", seconds=60.0, by="operator"), "resp/shelve")[0]
        assert (answer["status"], reason in answer["reason"]) == ("rejected", True)


# ---- signed commands -----------------------------------------------------------------------------------------------

KEY = "k" * 32
CANCEL = "edgetune/n/bearing/cmd/cancel"


def signed(bench: Bench, *, topic: str = CANCEL, key: str = KEY, seconds: float = 60, **fields: Any) -> CommandArrived:
    """Make a command for ``topic`` that is signed and has an expiry, and send it as `cancel` to the bearing."""
    expires = (bench.clock.utc() + timedelta(seconds=seconds)).isoformat()
    payload = json.dumps({"id": "c", "expires": expires, **fields}).encode()
    return CommandArrived("bearing", "cancel", payload, ack=7, signature=sign(key.encode(), topic, payload))


def reason(bench: Bench, event: CommandArrived) -> str:
    """Why the node refuses a command; it is acknowledged all the same, and nothing is kept of it."""
    effects = bench.handle(event)
    [answer] = said(effects, "resp/cancel")
    assert answer["status"] == "rejected"
    assert [effect for effect in effects if not isinstance(effect, Publish)] == [AckCommand(7)]
    return str(answer["reason"])


NOTHING_RUNS = "no job is running"


def test_a_signed_command_is_heard_by_property_and_by_envelope() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    assert reason(bench, signed(bench)) == NOTHING_RUNS
    event = signed(bench, id="d")
    sealed = replace(event, payload=seal(KEY.encode(), CANCEL, event.payload), signature=None)
    assert reason(bench, sealed) == NOTHING_RUNS
    effects = bench.handle(replace(sealed, payload=seal(KEY.encode(), CANCEL, b'{"id": "e", "id": "e"}')))
    assert "names a key twice" in said(effects, "resp/cancel")[0]["reason"]
    twice = b'{"signature": "0", ' + sealed.payload[1:]
    assert "names a key twice" in said(bench.handle(replace(sealed, payload=twice)), "resp/cancel")[0]["reason"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"signature": None}, "no signature"),
        ({"signature": ""}, "the signature is wrong"),
        ({"signature": "\u00e9\ud800"}, "the signature is wrong"),
        ({"name": "continue"}, "the signature is wrong"),
        ({"asset": "other"}, "the signature is wrong"),
    ],
)
def test_a_command_without_the_right_signature_is_refused(change: dict[str, Any], told: str) -> None:
    bench = Bench(mqtt={"command_key": KEY}, assets=("bearing", "other"))
    answers = [
        effect.message.model_dump()
        for effect in bench.handle(replace(signed(bench), **change))
        if isinstance(effect, Publish) and "/resp/" in effect.topic
    ]
    assert [(answer["id"], answer["status"]) for answer in answers] == [("c", "rejected")]
    assert told in answers[0]["reason"]
    assert bench.world.signatures == {}


def test_altered_stale_and_endless_commands_and_other_keys_are_refused() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    event = signed(bench)
    assert "altered" in reason(bench, replace(event, payload=event.payload.replace(b'"c"', b'"d"')))
    assert "altered" in reason(bench, replace(event, payload=event.payload + b" "))
    assert "another key" in reason(bench, signed(bench, key="x" * 32))
    assert "another topic" in reason(bench, signed(bench, topic="edgetune/m/bearing/cmd/cancel"))
    assert "must say when it expires" in reason(bench, signed(bench, expires=None))
    assert "more than 10 minutes ahead" in reason(bench, signed(bench, seconds=601))
    assert reason(bench, signed(bench, seconds=599)) == NOTHING_RUNS
    bench.clock.now += 61
    assert "expired" in reason(bench, event)


def test_a_replayed_command_is_refused_although_its_first_refusal_is_forgotten() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    event = signed(bench)
    assert reason(bench, event) == NOTHING_RUNS
    again = Bench(mqtt={"command_key": KEY})  # the process began anew; the world outside is the same
    again.world.signatures = bench.world.signatures
    assert "it came before" in reason(again, event)


def test_an_accepted_command_that_comes_again_gets_its_answer_and_is_not_done_again() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    payload = json.dumps(
        {"id": "p", "expires": bench.clock.utc().isoformat().replace("00:00:0", "00:01:0", 1)}
    ).encode()
    event = CommandArrived(None, "ping", payload, ack=7, signature=sign(KEY.encode(), "edgetune/n/cmd/ping", payload))
    [first] = said(bench.handle(event), "resp/ping")
    effects = bench.handle(event)
    [second] = said(effects, "resp/ping")
    assert (first["status"], second["status"], second["detail"]) == ("done", "done", first["detail"])
    assert only(effects, AckCommand).ack == 7


def test_a_signature_that_the_disk_cannot_remember_is_refused() -> None:
    bench = Bench(mqtt={"command_key": KEY})

    def full(signature: str, expires: datetime) -> bool:
        raise OutboxError(f"the disk is full for {signature[:0]}{expires.year}")

    bench.node._gate._first_use = full
    assert "cannot be remembered: the disk is full" in reason(bench, signed(bench))


def test_without_a_key_signatures_are_not_looked_at() -> None:
    bench = Bench()
    assert reason(bench, replace(signed(bench), signature="anything")) == NOTHING_RUNS


def with_novelty(bundle: Bundle) -> Bundle:
    known = np.random.default_rng(1).normal(0, 1, (300, 1, 64)).astype(np.float32)
    return replace(bundle, novelty=fit_novelty(known[:200], np.zeros(200, int), known[200:]))


def test_what_is_unlike_everything_known_is_unknown_and_raises_novel(healthy_bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    effects = [effect for _ in range(8) for effect in bench.samples()]
    assert {found["class"] for found in said(effects, "classification")} == {"normal"}
    assert said(effects, "fault") == []
    bench.loudness = 100.0
    effects = [effect for _ in range(4) for effect in bench.samples()]
    told = [(found["class"], found["quality"]) for found in said(effects, "classification")]
    assert told == [("unknown", ["novel"])] * 4
    (fault,) = said(effects, "fault")
    assert (fault["active"], fault["class"], fault["severity"]) == (True, "novel", "warning")
    assert fault["evidence"]["class"] == "novel"
    assert "cmd/label" in fault["evidence"]["action"]
    assert "recalibrate" in fault["evidence"]["action"]
    bench.loudness = 1.0
    (cleared,) = [fault for _ in range(4) for fault in said(bench.samples(), "fault")]
    assert (cleared["active"], cleared["event"]) == (False, fault["event"])


def test_who_does_not_want_to_hear_of_the_novel_need_not(healthy_bundle: Bundle) -> None:
    bench = Bench(alarm={"votes": 3, "window": 4, "clear_votes": 2, "severity": {"novel": "none"}})
    bench.handle(ModelReady("bearing", "", with_novelty(healthy_bundle), None))
    bench.loudness = 100.0
    told = [found for _ in range(4) for found in said(bench.samples(), "classification")]
    assert [(found["class"] in healthy_bundle.card.classes, found["quality"]) for found in told] == [(True, [])] * 4


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
    effects = bench.handle(NovelChanged("bearing", (Kept(event, 5.0, kept[0].distance),)))
    (told,) = said(effects, "calibration")
    assert told["instruction"] == told["suggested"][0]
    assert event in told["suggested"][0]
    assert said(bench.handle(Tick()), "calibration") == []
    assert said(bench.handle(LinkChanged(connected=True)), "health")[0]["assets"][0]["novel_events"] == [event]
    bench.clock.now += 60
    assert said(bench.handle(Tick()), "fault")[0]["evidence"]["novel_kept_s"] == 5.0

    effects = bench.command("label", id="l", label="knock", event=event)
    assert only(effects, LabelNovel) == LabelNovel("bearing", "l", event, "knock")
    effects = bench.handle(NovelChanged("bearing", (), "l", ("knock-1-0.npz",)))
    answer = said(effects, "resp/label")[-1]
    assert (answer["status"], answer["detail"]["recordings"]) == ("done", ["knock-1-0.npz"])
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
    bench.handle(NovelChanged("bearing", (Kept("e1", 5.0, 2.0),), error="disk full"))
    health = said(bench.handle(LinkChanged(connected=True)), "health")[0]["assets"][0]
    assert (health["novel_problem"], health["novel_kept_s"]) == ("disk full", 5.0)
    bench.command("label", id="l", label="knock", event="e1")
    effects = bench.handle(NovelChanged("bearing", (Kept("e1", 5.0, 2.0),), "l", error="no room"))
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


@pytest.mark.parametrize("leaf", ["calibration", "fault"])
def test_what_another_version_said_last_is_no_reason_not_to_start(leaf: str) -> None:
    bench = Bench(last={leaf: b'{"schema": "other/9"}'})
    assert said(bench.handle(LinkChanged(connected=True)), "status")[0]["status"] == "online"


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
            time_ns = 1_767_225_600_000_000_000 + round(bench.clock.now * 1e9)
            effects += bench.handle(ChunkArrived("bearing", Chunk(part, time_ns, RATE, number)))
        return effects

    sound = bench.random.normal(0, 1, (1, 6400))
    assert {found["class"] for found in said(hear(sound), "classification")} == {"normal"}
    broken = said(hear(DAMAGE[damage](sound)), "classification")
    assert len(broken) == 100
    assert {found["class"] for found in broken} <= {"normal", "unknown"}
    after = hear(bench.random.normal(0, 1, (1, 6400)))
    assert {found["class"] for found in said(after, "classification")[1:]} == {"normal"}
    bench.clock.now += 60
    (fault,) = said(bench.handle(Tick()), "fault")
    assert fault["active"] is False


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
    bench = Bench(alarm={"votes": 3, "window": 4, "clear_votes": 2, "heartbeat_s": 5})
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
    assert {message["event"] for message in before + after if message["active"]} == {before[0]["event"]}
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


def test_a_command_expires_by_the_clock_as_it_is_now() -> None:
    bench = Bench()
    expires = (bench.clock.utc() + timedelta(minutes=5)).isoformat()
    bench.clock.ahead_s = 3600.0
    assert "expired" in said(bench.command("ping", None, id="p", expires=expires), "resp/ping")[0]["reason"]
    bench.clock.ahead_s = -3600.0
    assert said(bench.command("ping", None, id="p", expires=expires), "resp/ping")[0]["status"] == "done"
