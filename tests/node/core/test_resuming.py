"""What a node makes of the jobs that its last life did not end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from calibrating import search_done
from deciding import Bench, only, report, said

from edgetune_node.core.resumption import MAX_RESUMPTIONS, InterruptedCommand, JobNote
from edgetune_node.events.effects import (
    Effect,
    FinishCommand,
    Install,
    NoteCommand,
    Publish,
    SaveRecording,
    StartSearch,
)
from edgetune_node.events.events import LinkChanged, ModelReady, RecordingSaved

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle

LIVE = {"id": "old", "source": "live", "classes": ["normal", "inner"], "seconds_per_take": 0.2}


def interrupted(command: dict[str, Any] | None = None, **note: Any) -> InterruptedCommand:
    payload = json.dumps(command or LIVE).encode()
    return InterruptedCommand("bearing", "recalibrate", "old", payload, JobNote(**note).json_bytes())


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
    effects = bench.node.start([InterruptedCommand("bearing", name, "old", payload)])
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
    calibration = said(effects, "calibration")[-1]
    assert (calibration["phase"], calibration["class"], calibration["job"]) == ("waiting", "inner", "old")
    effects = bench.command("continue", id="c")
    while not (saved := [effect for effect in effects if isinstance(effect, SaveRecording)]):
        effects = bench.samples()
    assert (saved[0].recording.label, saved[0].recording.subject) == ("inner", "rig 7")
    effects = bench.handle(RecordingSaved("bearing", "old", path=Path("inner.npz")))
    assert JobNote.model_validate_json(only(effects, NoteCommand).note).recordings == ("normal.npz", "inner.npz")
    assert only(effects, StartSearch).classes == ("inner", "normal")


def taken(bench: Bench, loudness: float) -> list[Effect]:
    """Continue, and record one take of a person's muscles that are so loud; what continuing brought."""
    begun = effects = bench.command("continue", id=f"c{bench.sequence}")
    bench.loudness = loudness
    while not [effect for effect in effects if isinstance(effect, SaveRecording) and not effect.pause]:
        effects = bench.samples()
    return begun


def test_rest_between_takes_that_was_stored_before_a_restart_is_learned_after_it() -> None:
    signs = {
        "id": "old",
        "source": "live",
        "classes": ["rest", "fist", "open"],
        "seconds_per_take": 0.5,
        "rest_seconds": 0,
    }
    bench = Bench(task="sign")
    bench.command("recalibrate", **signs)
    for loudness, path in ((0.1, "rest.npz"), (1.0, "fist.npz")):
        taken(bench, loudness)
        bench.handle(RecordingSaved("bearing", "old", path=Path(path)))
    bench.loudness = 0.1
    for _ in range(60):
        bench.samples()
    pause = only(taken(bench, 1.0), SaveRecording)
    assert (pause.pause, pause.recording.label) == (True, "rest")
    noted = only(bench.handle(RecordingSaved("bearing", "old", path=Path("pause.npz"), pause=True)), NoteCommand)
    note = JobNote.model_validate_json(noted.note)
    assert (note.recordings, note.pauses) == (("rest.npz", "fist.npz"), ("pause.npz",))

    again = Bench(task="sign")
    again.world.files = tuple(map(Path, ("rest.npz", "fist.npz", "pause.npz")))
    again.node.start([InterruptedCommand("bearing", "recalibrate", "old", json.dumps(signs).encode(), noted.note)])
    taken(again, 1.0)
    search = only(again.handle(RecordingSaved("bearing", "old", path=Path("open.npz"))), StartSearch)
    assert [path.name for path in search.collected] == ["rest.npz", "fist.npz", "open.npz", "pause.npz"]


def test_half_a_minute_of_rest_stays_asked_for_after_a_restart_though_rest_is_stored_by_then() -> None:
    signs = {"id": "old", "source": "live", "classes": ["rest", "fist"], "seconds_per_take": 0.5}
    bench = Bench(task="sign")
    bench.command("recalibrate", **signs)
    taken(bench, 0.1)
    bench.handle(RecordingSaved("bearing", "old", path=Path("rest.npz")))
    taken(bench, 1.0)
    noted = only(bench.handle(RecordingSaved("bearing", "old", path=Path("fist.npz"))), NoteCommand)

    again = Bench(task="sign")
    again.world.files = (Path("rest.npz"), Path("fist.npz"))
    again.world.recordings = {"bearing": {"rest": 40.0, "fist": 5.0}}
    effects = again.node.start(
        [InterruptedCommand("bearing", "recalibrate", "old", json.dumps(signs).encode(), noted.note)]
    )
    asked = said(effects, "calibration")[-1]
    assert (asked["phase"], asked["class"]) == ("waiting", "rest")
    assert asked["instruction"].startswith("Rest ('rest') for 30 s")


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
    effects = report(bench, "old", search_done(bundle.card, "model"))
    answer = said(effects, "resp/recalibrate")[-1]
    assert (answer["status"], answer["detail"]["deployed"]) == ("done", True)
    assert not [effect for effect in effects if isinstance(effect, Install)]


def test_a_job_is_not_gone_on_with_where_that_cannot_end_well() -> None:
    assert "6th time" in refusal(Bench().node.start([interrupted(resumptions=MAX_RESUMPTIONS)]))
    assert "gone.npz" in refusal(Bench().node.start([interrupted(recordings=("gone.npz",))]))
    assert "no stored recordings" in refusal(Bench().node.start([interrupted({"id": "old", "source": "stored"})]))
    assert "not understood" in refusal(Bench().node.start([InterruptedCommand("bearing", "recalibrate", "old", b"{")]))
    gone = InterruptedCommand("pump", "recalibrate", "old", json.dumps(LIVE).encode())
    assert "not configured any more" in refusal(Bench().node.start([gone]))


def test_whatever_the_note_holds_a_node_starts() -> None:
    effects = Bench().node.start(
        [InterruptedCommand("bearing", "recalibrate", "old", json.dumps(LIVE).encode(), b"\xff[")]
    )
    assert said(effects, "calibration")[-1]["class"] == "normal"


@pytest.mark.parametrize("leaf", ["calibration", "fault"])
def test_what_another_version_said_last_is_no_reason_not_to_start(leaf: str) -> None:
    bench = Bench(last={leaf: b'{"schema": "other/9"}'})
    assert said(bench.handle(LinkChanged(connected=True)), "status")[0]["status"] == "online"
