"""What comes of the commands that run for a while: a calibration, a search, a label, a rollback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from calibrating import PROGRESS, card, search_done
from deciding import Bench, context, only, record_guided, report, said

from edgetune_nas.worker.events import SearchFailed
from edgetune_node.core.admission import DURABLE_REJECTIONS
from edgetune_node.core.resumption import InterruptedCommand
from edgetune_node.events.effects import (
    AckCommand,
    CancelSearch,
    Durability,
    Exit,
    FinishCommand,
    Install,
    KeepCommand,
    Publish,
    SaveRecording,
    StartSearch,
)
from edgetune_node.events.events import (
    CommandArrived,
    CommandRefused,
    ModelReady,
    RecordingSaved,
    StopRequested,
    Tick,
)

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


def test_recordings_that_were_passed_over_are_named_in_the_answer() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.world.passed_over = ("c.npz (c) is left out: rate_hz is 1",)
    bench.command("recalibrate", id="r", source="stored")
    answer = said(report(bench, "r", SearchFailed(error="X", message="x")), "resp/recalibrate")[-1]
    assert "c.npz (c) is left out: rate_hz is 1" in answer["detail"]["warnings"]


def test_a_recording_of_a_machine_that_stands_still_is_warned_of() -> None:
    bench = Bench()
    context(bench, running=False)
    bench.command("record", id="r", label="normal", seconds=0.2)
    effects = [effect for _ in range(20) for effect in bench.samples()]
    [saved] = [effect for effect in effects if isinstance(effect, SaveRecording)]
    done = said(bench.handle(RecordingSaved("bearing", saved.job, path=Path("r.npz"))), "resp/record")[-1]
    assert done["status"] == "done"
    assert "while it was recorded the machine does not run (context: running is false)" in done["detail"]["warnings"][0]


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
    effects = report(bench, "r1", PROGRESS.model_copy(update={"best_accuracy": 0.9}))
    assert said(effects, "state")[0]["phase"] == "searching"
    assert said(effects, "calibration")[0]["best_accuracy"] == 0.9
    proven = bundle.card.model_copy(update={"metrics": card().metrics})  # the bundle's own network always says inner
    effects = report(bench, "r1", search_done(proven, str(bundle.path)))
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
    assert done["reason"] == "the asset had no model, so the new one is in use"
    assert only(effects, FinishCommand).command_id == "r1"
    state = said(effects, "state")[-1]
    assert (state["phase"], state["reason"], state["model"]) == ("monitoring", "", bundle.card.id)
    assert said(bench.samples(), "classification")[0]["class"] == "inner"


def test_a_first_model_that_only_guesses_is_kept_and_the_state_says_what_to_do(bundle: Bundle) -> None:
    bench = Bench()
    record_guided(bench)
    effects = report(bench, "r1", search_done(bundle.card, str(bundle.path)))
    done = said(effects, "resp/recalibrate")[-1]
    assert (done["status"], done["detail"]["deployed"]) == ("done", False)
    state = said(effects, "state")[-1]
    assert (state["phase"], state["reason"]) == ("uncalibrated", done["reason"])
    assert "record again" in done["reason"]
    assert "cmd/deploy" in done["reason"]


def test_a_killed_search_fails_the_job_and_the_old_model_goes_on(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    only(record_guided(bench), StartSearch)
    effects = report(bench, "r1", SearchFailed(error="SearchKilled", message="killed by SIGKILL"))
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
    failed = SearchFailed(error="BudgetError", message="no network fits", limit="ram_bytes", asked=100, smallest=321)
    answer = said(report(bench, "r1", failed), "resp/recalibrate")[-1]
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
    assert said(effects, "state")[-1]["phase"] == "uncalibrated"


def test_one_search_runs_at_a_time_and_the_next_starts_when_it_ends() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    first = bench.command("recalibrate", "bearing", id="r1", source="stored")
    second = bench.command("recalibrate", "motor", id="r2", source="stored")
    assert only(first, StartSearch).asset == "bearing"
    assert not [effect for effect in second if isinstance(effect, StartSearch)]
    assert said(second, "state")[-1]["phase"] == "queued"
    effects = report(bench, "r1", SearchFailed(error="X", message="x"))
    assert only(effects, StartSearch).asset == "motor"


def test_a_queued_search_that_is_cancelled_never_starts() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    bench.command("recalibrate", "bearing", id="r1", source="stored")
    bench.command("recalibrate", "motor", id="r2", source="stored")
    assert not [e for e in bench.command("cancel", "motor", id="c") if isinstance(e, CancelSearch)]
    effects = report(bench, "r1", SearchFailed(error="X", message="x"))
    assert not [effect for effect in effects if isinstance(effect, StartSearch)]


def test_cancelling_one_queued_search_leaves_that_of_another_asset_whose_job_has_the_same_id() -> None:
    bench = Bench(assets=("bearing", "motor", "pump"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor", "pump")}
    for name in ("bearing", "motor", "pump"):
        bench.command("recalibrate", name, id="r", source="stored")
    bench.command("cancel", "motor", id="c")
    effects = report(bench, "r", SearchFailed(error="X", message="x"))
    assert only(effects, StartSearch).asset == "pump"


def test_a_cancelled_search_holds_its_place_until_its_process_has_ended() -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    bench.command("recalibrate", "bearing", id="r1", source="stored")
    bench.command("cancel", "bearing", id="c")
    queued = bench.command("recalibrate", "motor", id="r2", source="stored")
    assert not [effect for effect in queued if isinstance(effect, StartSearch)]
    assert only(report(bench, "r1", SearchFailed(error="Cancelled")), StartSearch).asset == "motor"


def test_label_keeps_the_last_seconds_of_the_stream() -> None:
    bench = Bench()
    for _ in range(20):
        bench.samples()
    save = only(bench.command("label", id="l", label="inner", seconds=1), SaveRecording)
    assert save.recording.samples.shape == (1, 1000)
    effects = bench.handle(RecordingSaved("bearing", "l", path=Path("l.npz")))
    assert said(effects, "resp/label")[0]["status"] == "done"


def test_a_label_is_kept_with_who_asked_for_it_not_with_who_asked_for_the_job_before() -> None:
    bench = Bench()
    for _ in range(20):
        bench.samples()
    bench.command("rollback", id="b")
    bench.handle(ModelReady("bearing", "b", None, None, "there is no previous model"))
    asked = {"id": "l", "label": "inner", "seconds": 1}
    effects = bench.handle(CommandArrived("bearing", "label", json.dumps(asked).encode(), response_topic="to/anna"))
    kept = only(effects, KeepCommand)
    note = InterruptedCommand("bearing", "label", "l", kept.payload, kept.note).read_note()
    assert note.response_topic == "to/anna"


def test_a_rollback_that_fails_says_why_and_keeps_the_model(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    assert only(bench.command("rollback", id="b"), Install).action == "rollback"
    effects = bench.handle(ModelReady("bearing", "b", None, None, "there is no previous model"))
    assert said(effects, "resp/rollback")[-1]["reason"] == "there is no previous model"
    assert said(bench.samples(), "classification")[0]["model"] == bundle.card.id


def test_stopping_ends_the_process_and_no_job() -> None:
    bench = Bench()
    record_guided(bench)
    assert bench.handle(StopRequested()) == [Exit()]


def test_stored_healthy_data_that_is_not_healthy_is_refused_unless_told() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"normal": 5.0, "inner": 5.0}}
    bench.world.doubts = ("a.npz: its velocity lies in zone C",)
    refused = said(bench.command("recalibrate", id="r1", source="stored"), "resp/recalibrate")[0]
    assert (refused["status"], refused["reason"]) == ("rejected", bench.world.doubts[0])
    effects = bench.command("recalibrate", id="r2", source="stored", accept_zone=True)
    assert said(effects, "resp/recalibrate")[0]["status"] == "accepted"


def test_a_recalibrate_over_which_the_node_fails_leaves_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    jobs = bench.node.jobs["bearing"]
    command = CommandArrived("bearing", "recalibrate", b'{"id": "r", "source": "stored"}', ack=7)

    def fail() -> None:
        raise RuntimeError("put in by the test")

    monkeypatch.setattr(jobs, "tick", fail)
    with pytest.raises(RuntimeError):
        bench.handle(command)
    effects = bench.node.broken(command, "RuntimeError()")
    monkeypatch.undo()
    [answer] = said(effects, "resp/recalibrate")
    assert (answer["id"], answer["status"]) == ("r", "failed")
    assert only(effects, AckCommand).ack == 7
    assert only(effects, FinishCommand).command_id == "r"
    assert jobs.job is None
    assert (
        said(bench.command("recalibrate", id="again", source="stored"), "resp/recalibrate")[0]["status"] == "accepted"
    )


def test_a_command_over_which_the_node_fails_ends_no_job_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.command("recalibrate", id="r", source="stored")
    jobs = bench.node.jobs["bearing"]
    command = CommandArrived("bearing", "cancel", b'{"id": "c"}', ack=7)

    def fail(*_: object) -> None:
        raise RuntimeError("put in by the test")

    monkeypatch.setattr(jobs, "command", fail)
    with pytest.raises(RuntimeError):
        bench.handle(command)
    [answer] = said(bench.node.broken(command, "RuntimeError()"), "resp/cancel")
    assert (answer["id"], answer["status"]) == ("c", "rejected")
    assert jobs.job == "r"
    monkeypatch.setattr(jobs, "tick", fail)
    with pytest.raises(RuntimeError):
        bench.handle(Tick())
    bench.node.broken(Tick(), "RuntimeError()")
    assert jobs.job is None


def test_a_command_that_found_no_room_is_answered_by_its_id_and_only_in_memory() -> None:
    effects = Bench().handle(CommandRefused(CommandArrived("bearing", "cancel", b'{"id": "c"}')))
    [answer] = said(effects, "resp/cancel")
    assert (answer["id"], answer["status"]) == ("c", "rejected")
    assert "send it again later" in answer["reason"]
    assert only(effects, Publish).durability is Durability.TELEMETRY


def test_of_a_flood_of_rejections_only_some_go_through_the_disk() -> None:
    bench = Bench()
    found = [effect for _ in range(100) for effect in bench.command("cancel") if isinstance(effect, Publish)]
    kept = [effect for effect in found if effect.durability is Durability.RARE]
    assert (len(found), len(kept)) == (100, DURABLE_REJECTIONS)
