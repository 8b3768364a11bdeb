"""A person is asked for one take after the other, and each is recorded whole or again."""

from __future__ import annotations

from pathlib import Path

import pytest
from calibrating import DONE, LIVE, RECORD, deployed, job, saved, start_search, stored_command

from edgetune_nas.card import Budget
from edgetune_node.calibration import inputs as cal
from edgetune_node.calibration.job import DEPLOY_S
from edgetune_node.errors import Refused
from edgetune_node.events.effects import SaveRecording, StartSearch

SIGNS = {**LIVE, "classes": ["rest", "fist"]}


def test_the_first_thing_a_person_reads_is_what_to_do() -> None:
    assert job().view.instruction == (
        "Put bearing1 into condition 'normal' and publish cmd/continue (class 1 of 2, take 1 of 1)"
    )


def test_a_person_with_an_armband_is_asked_for_a_sign() -> None:
    assert job(task="sign").view.instruction.startswith("Make 'normal', hold it and publish cmd/continue")


def test_a_person_is_asked_to_move_slightly_while_resting() -> None:
    resting = job(task="sign", rest_class="normal").view.instruction
    assert resting.startswith("Rest ('normal'), and move slightly from time to time without making a sign and publish")
    assert job(rest_class="normal").view.instruction.startswith("Put ")


def test_the_last_take_of_a_person_is_rest_with_slight_movements() -> None:
    running = job(SIGNS, task="sign", rest_class="rest", rest_seconds=4.0)
    assert running.view.eta_s == 2 * 2 + 4 + 60 + DEPLOY_S
    running.take()
    running.take()
    asked = running.view
    assert (running.phase, asked.class_, asked.take, asked.takes) == ("waiting", "rest", 1, 1)
    assert asked.instruction == (
        "Rest ('rest') for 4 s: move arm and fingers slightly without making a sign "
        "and publish cmd/continue (last take)"
    )
    running.tell(cal.ContinueRequested())
    assert running.stream(2.0) == []
    assert running.view.instruction == "Rest ('rest') and move slightly for another 2 s (last take)"
    assert running.view.percent == pytest.approx(100 * 6 / 70, abs=0.1)
    (save,) = running.stream(2.0)
    assert isinstance(save, SaveRecording)
    assert (save.recording.label, save.recording.samples.shape, save.pause) == ("rest", (1, 400), False)
    assert save.recording.held_out_from == 300
    (search,) = running.tell(saved("/moving.npz"))
    assert isinstance(search, StartSearch)
    assert search.collected[-1] == Path("/moving.npz")


def test_rest_with_slight_movements_is_repeated_where_its_signal_cannot_be_used() -> None:
    running = job(SIGNS, task="sign", rest_class="rest", rest_seconds=4.0)
    running.take()
    running.take()
    running.tell(cal.ContinueRequested())
    running.stream(4.0, value=0.5)
    assert running.phase == "waiting"
    assert running.view.instruction.startswith("The take could not be used, a channel is constant (flat): check")


def test_a_restart_goes_on_with_the_rest_that_is_missing() -> None:
    stored = (Path("/rest.npz"), Path("/fist.npz"))
    running = job(SIGNS, task="sign", rest_class="rest", rest_seconds=4.0, collected=stored)
    assert (running.phase, running.view.class_) == ("waiting", "rest")
    running.tell(cal.ContinueRequested())
    running.stream(4.0)
    (search,) = running.tell(saved("/moving.npz"))
    assert isinstance(search, StartSearch)
    assert search.collected == (*stored, Path("/moving.npz"))


def test_a_live_calibration_goes_from_take_to_take_to_the_search() -> None:
    running = job({**LIVE, "takes": 2})
    seen = []
    for _ in range(4):
        seen.append((running.phase, running.view.class_, running.view.take, running.view.takes))
        running.tell(cal.ContinueRequested())
        assert running.phase == "recording"
        (save,) = running.stream(2.0)
        assert isinstance(save, SaveRecording)
        assert running.phase == "saving"
        last = running.tell(saved())
    assert seen == [
        ("waiting", "normal", 1, 2),
        ("waiting", "normal", 2, 2),
        ("waiting", "inner", 1, 2),
        ("waiting", "inner", 2, 2),
    ]
    assert last == [start_search("inner", "normal", collected=4 * ("/r.npz",))]
    assert running.phase == "queued"


def test_a_recording_carries_class_and_marks() -> None:
    running = job(subject="pump", condition="full", sensor="adxl")
    running.tell(cal.ContinueRequested())
    (save,) = running.stream(2.0)
    assert isinstance(save, SaveRecording)
    recording = save.recording
    assert (recording.label, recording.samples.shape, recording.shaft_rpm) == ("normal", (1, 200), 1797.0)
    assert (recording.subject, recording.condition, recording.sensor) == ("pump", "full", "adxl")
    assert recording.held_out_from == 150


def test_samples_before_continue_are_not_recorded() -> None:
    running = job()
    assert running.stream(5.0) == []
    assert running.phase == "waiting"
    assert running.view.percent == 0


def test_a_countdown_starts_each_take_by_itself() -> None:
    running = job({**LIVE, "countdown_s": 3.0})
    assert running.phase == "countdown"
    assert "recording starts in 3 s" in running.view.instruction
    running.wait(2.9)
    assert running.phase == "countdown"
    running.wait(0.1)
    assert running.phase == "recording"
    running.stream(2.0)
    running.tell(saved())
    assert (running.phase, running.view.class_) == ("countdown", "inner")


def test_a_countdown_of_zero_records_at_once() -> None:
    assert job({**LIVE, "countdown_s": 0}).phase == "recording"


def test_a_countdown_needs_no_continue() -> None:
    running = job({**LIVE, "countdown_s": 3.0})
    running.tell(cal.ContinueRequested())
    assert running.phase == "countdown"
    with pytest.raises(Refused):
        running.calibration.check_request(cal.ContinueRequested())


def test_classes_that_are_stored_are_trained_on_too() -> None:
    running = job({**LIVE, "classes": ["inner"]}, stored={"normal": 5.0, "ball": 3.0, "empty": 0.0})
    assert running.take() == [start_search("ball", "inner", "normal", collected=("/recordings/20.npz",))]


def test_what_a_command_says_of_the_budget_goes_before_the_configuration() -> None:
    command = stored_command(budget={"ram_bytes": 2048, "macs": None})
    running = job(command, stored={"a": 1.0, "b": 1.0})
    assert running.wants == [
        start_search("a", "b", budget=Budget(ram_bytes=2048, flash_bytes=32_768, macs=None, search_seconds=60.0))
    ]


def test_lost_samples_start_the_take_again_and_are_reported() -> None:
    running = job(stored={"x": 1.0})
    running.tell(cal.ContinueRequested())
    running.stream(1.0)
    percent = running.view.percent
    running.tell(cal.Samples(running.chunk(gap=True)))
    assert running.view.percent == percent
    running.stream(1.9)
    running.tell(saved())
    running.take()
    running.tell(DONE, deployed())
    assert running.finished.detail["warnings"] == ["'normal', take 1: started again 1 times, since samples were lost"]


def test_a_take_of_a_machine_that_stood_still_is_warned_of() -> None:
    running = job(stored={"x": 1.0})
    running.tell(cal.ContinueRequested())
    running.tell(cal.Samples(running.chunk(), paused="the machine stands still"))
    running.stream(1.9)
    running.tell(saved())
    running.take()
    running.tell(DONE, deployed())
    [warning] = running.finished.detail["warnings"]
    assert warning == "'normal', take 1: while it was recorded the machine stands still"


def test_an_unusable_signal_is_asked_for_again() -> None:
    running = job()
    running.tell(cal.ContinueRequested())
    running.stream(2.0, value=0.5)
    assert running.phase == "waiting"
    assert "could not be used, a channel is constant (flat): check the sensor" in running.view.instruction
    running.take()
    assert running.view.class_ == "inner"
    assert "could not be used" not in running.view.instruction


def test_a_signal_that_stays_unusable_fails_the_job() -> None:
    running = job({**LIVE, "countdown_s": 0})
    running.stream(6.0, value=float("nan"))
    assert running.finished.status == "failed"
    assert "not finite" in running.finished.reason


def test_a_take_does_not_wait_for_samples_for_ever() -> None:
    running = job()
    running.tell(cal.ContinueRequested())
    running.stream(0.5)
    running.wait(29.9)
    assert running.phase == "recording"
    running.wait(0.2)
    assert running.finished.status == "failed"
    assert "no samples came for 30 s while recording 'normal'" in running.finished.reason


def test_a_take_does_not_start_again_for_ever() -> None:
    running = job()
    running.tell(cal.ContinueRequested())
    for _ in range(400):
        running.stream(0.1, gap=True)
        running.wait(0.0)
    assert running.finished.status == "failed"
    assert "2 s without a gap did not come together" in running.finished.reason
    assert "samples were lost" in running.finished.reason


def test_samples_of_another_shape_never_become_a_recording() -> None:
    running = job()
    running.tell(cal.ContinueRequested())
    for _ in range(8):
        running.stream(5.0, channels=2)
        running.wait(0.0)
    assert "samples had 2 channels instead of 1" in running.finished.reason


def test_a_recording_that_cannot_be_stored_fails_the_job() -> None:
    running = job()
    running.tell(cal.ContinueRequested())
    running.stream(2.0)
    running.tell(saved(error="disk full"))
    assert running.finished.status == "failed"
    assert running.finished.reason == "the recording could not be stored: disk full"


def test_record_stores_one_take_and_says_where() -> None:
    running = job(RECORD)
    assert running.phase == "recording"
    running.stream(2.0)
    running.tell(saved("/recordings/inner.npz"))
    assert running.finished.status == "done"
    assert running.finished.detail["path"] == "/recordings/inner.npz"
    assert not any(isinstance(output, StartSearch) for output in running.wants)
    assert running.view.percent == 100


def test_record_fails_at_once_where_the_signal_cannot_be_used() -> None:
    running = job(RECORD)
    running.stream(2.0, value=1.0)
    assert running.finished.status == "failed"
    assert "constant" in running.finished.reason
