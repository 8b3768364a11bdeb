from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgetune_nas.card import Budget, ModelCard
from edgetune_node import calibration_events as cal
from edgetune_node.calibration import Calibration
from edgetune_node.calibration_rules import check, decide_deployment
from edgetune_node.commands import Recalibrate, Record
from edgetune_node.messages import CalibrationStatus, Phase
from edgetune_signal import Chunk, StreamSpec

SPEC = StreamSpec(channels=1, rate_hz=100.0, unit="g")
BUDGET = Budget(ram_bytes=4096, flash_bytes=32_768, macs=1_000_000, search_seconds=60.0)
NOISE = np.random.default_rng(1).standard_normal((1, 4096)).astype(np.float32)
LIVE = {"id": "j1", "source": "live", "classes": ["normal", "inner"], "seconds_per_take": 2.0}
METRICS = {
    "accuracy": 0.95,
    "accuracy_low": 0.9,
    "accuracy_high": 0.98,
    "macro_f1": 0.95,
    "calibration_error": 0.02,
    "windows": 100,
    "confusion": [[48, 2], [3, 47]],
}


def card_json(accuracy: float = 0.95, replaced: float | None = None) -> dict[str, Any]:
    return {
        "id": "model-new",
        "created": "2026-01-31T12:00:00Z",
        "task": "fault",
        "classes": ["inner", "normal"],
        "input": {"channels": 1, "length": 64, "rate_hz": 100.0, "unit": "g"},
        "layers": ["conv"],
        "cost": {
            "arena_bytes": 720,
            "arena_bytes_deployed": 1440,
            "streamed_bytes": 300,
            "arena_rule": "tflm-greedy/1",
            "flash_bytes": 900,
            "macs": 12_000,
            "parameters": 500,
        },
        "measured": {
            "int8": {
                "ort_peak_bytes": 5000,
                "session_rss_bytes": 10**6,
                "latency_p50_us": 40.0,
                "latency_p99_us": 60.0,
                "onnx_bytes": 6000,
            }
        },
        "deployed": "int8",
        "deployed_because": "agrees",
        "metrics": {**METRICS, "accuracy": accuracy},
        "replaced": None if replaced is None else {**METRICS, "accuracy": replaced},
        "budget": {"ram_bytes": 4096},
        "search": {
            "seed": 0,
            "candidates": 10,
            "rejected": 2,
            "trained": 3,
            "seconds": 30.0,
            "cpu_seconds": 29.0,
            "peak_rss_bytes": 10**8,
            "stopped_by": "time",
            "validation_accuracy": 0.96,
        },
        "data_fingerprint": "f",
        "sha256": {},
        "versions": {},
    }


def card(accuracy: float = 0.95, replaced: float | None = None) -> ModelCard:
    return ModelCard.model_validate(card_json(accuracy, replaced))


DONE = cal.SearchDone(Path("/incoming/model-new"), card())
BETTER = cal.SearchDone(Path("/incoming/model-new"), card(0.95, replaced=0.90))
PROGRESS = cal.SearchProgress("training", 0.5, seconds_left=25.0, candidates=7, rejected=2, trained=3)


@dataclass
class Job:
    """A calibration with a clock in hand, which notes what it wants."""

    calibration: Calibration
    now: float = 0.0
    wants: list[cal.Output] = field(default_factory=list)
    sequence: int = 0

    def tell(self, *inputs: cal.Input) -> list[cal.Output]:
        outputs = [output for item in inputs for output in self.calibration.handle(item, self.now)]
        self.wants += outputs
        return outputs

    def wait(self, seconds: float) -> list[cal.Output]:
        self.now += seconds
        return self.tell(cal.Ticked())

    def stream(self, seconds: float, **changes: Any) -> list[cal.Output]:
        """So many seconds of samples, in chunks of a tenth of a second."""
        outputs = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            outputs += self.tell(cal.Samples(self.chunk(**changes), shaft_rpm=1797.0))
        return outputs

    def chunk(self, *, value: float | None = None, gap: bool = False, channels: int = 1) -> Chunk:
        at = self.sequence * 10 % 4000
        samples = NOISE[:, at : at + 10].repeat(channels, axis=0)
        if value is not None:
            samples = np.full_like(samples, value)
        self.sequence += 1
        return Chunk(samples, 10**9 * self.sequence, 100.0, self.sequence, gap)

    def take(self) -> list[cal.Output]:
        """Continue, record and save one take."""
        self.tell(cal.Continue())
        self.stream(2.0)
        return self.tell(cal.TakeSaved(Path(f"/recordings/{self.sequence}.npz")))

    @property
    def phase(self) -> str:
        return self.calibration.phase

    @property
    def view(self) -> dict[str, Any]:
        return self.calibration.view(self.now)

    @property
    def finished(self) -> cal.Finished:
        (finished,) = [output for output in self.wants if isinstance(output, cal.Finished)]
        assert self.wants[-1] is finished
        return finished


def job(command: dict[str, Any] | Recalibrate | Record = LIVE, **changes: Any) -> Job:
    if isinstance(command, dict):
        command = Recalibrate.model_validate(command)
    given_: dict[str, Any] = {
        "asset": "bearing1",
        "task": "fault",
        "spec": SPEC,
        "window": 64,
        "default_budget": BUDGET,
        "stored": {},
        "current_model": None,
        "now": 0.0,
    }
    started = Job(Calibration(command.id, command, **{**given_, **changes}))
    started.tell(cal.Ticked())
    return started


def searching(**changes: Any) -> Job:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0}, **changes)
    running.tell(PROGRESS)
    return running


def stored_command(**changes: Any) -> dict[str, Any]:
    return {"id": "j1", "source": "stored", **changes}


# ---- collection --------------------------------------------------------------------------------------------------


def test_the_first_thing_a_person_reads_is_what_to_do() -> None:
    assert job().view["instruction"] == (
        "Put bearing1 into condition 'normal' and publish cmd/continue (class 1 of 2, take 1 of 1)"
    )


def test_a_person_with_an_armband_is_asked_for_a_sign() -> None:
    assert job(task="sign").view["instruction"].startswith("Make 'normal', hold it and publish cmd/continue")


def test_a_live_calibration_goes_from_take_to_take_to_the_search() -> None:
    running = job({**LIVE, "takes": 2})
    seen = []
    for _ in range(4):
        seen.append((running.phase, running.view["class_"], running.view["take"], running.view["takes"]))
        assert running.calibration.state_phase == "recording"
        running.tell(cal.Continue())
        assert running.phase == "recording"
        (save,) = running.stream(2.0)
        assert isinstance(save, cal.Save)
        assert running.phase == "saving"
        last = running.tell(cal.TakeSaved(Path("/r.npz")))
    assert seen == [
        ("waiting", "normal", 1, 2),
        ("waiting", "normal", 2, 2),
        ("waiting", "inner", 1, 2),
        ("waiting", "inner", 2, 2),
    ]
    assert last == [cal.StartSearch(("inner", "normal"), BUDGET)]
    assert (running.phase, running.calibration.state_phase) == ("queued", "queued")


def test_a_recording_carries_class_and_marks() -> None:
    running = job(subject="pump", condition="full", sensor="adxl")
    running.tell(cal.Continue())
    (save,) = running.stream(2.0)
    assert isinstance(save, cal.Save)
    recording = save.recording
    assert (recording.label, recording.samples.shape, recording.shaft_rpm) == ("normal", (1, 200), 1797.0)
    assert (recording.subject, recording.condition, recording.sensor) == ("pump", "full", "adxl")
    assert recording.held_out_from == 150


def test_samples_before_continue_are_not_recorded() -> None:
    running = job()
    assert running.stream(5.0) == []
    assert running.phase == "waiting"
    assert running.view["percent"] == 0


def test_a_countdown_starts_each_take_by_itself() -> None:
    running = job({**LIVE, "countdown_s": 3.0})
    assert running.phase == "countdown"
    assert "recording starts in 3 s" in running.view["instruction"]
    running.wait(2.9)
    assert running.phase == "countdown"
    running.wait(0.1)
    assert running.phase == "recording"
    running.stream(2.0)
    running.tell(cal.TakeSaved(Path("/r.npz")))
    assert (running.phase, running.view["class_"]) == ("countdown", "inner")


def test_a_countdown_of_zero_records_at_once() -> None:
    assert job({**LIVE, "countdown_s": 0}).phase == "recording"


def test_a_countdown_needs_no_continue() -> None:
    running = job({**LIVE, "countdown_s": 3.0})
    running.tell(cal.Continue())
    assert running.phase == "countdown"
    assert running.calibration.refuses(cal.Continue()) is not None


def test_classes_that_are_stored_are_trained_on_too() -> None:
    running = job({**LIVE, "classes": ["inner"]}, stored={"normal": 5.0, "ball": 3.0, "empty": 0.0})
    assert running.take() == [cal.StartSearch(("ball", "inner", "normal"), BUDGET)]


def test_what_a_command_says_of_the_budget_goes_before_the_configuration() -> None:
    command = stored_command(budget={"ram_bytes": 2048, "macs": None})
    running = job(command, stored={"a": 1.0, "b": 1.0})
    assert running.wants == [
        cal.StartSearch(("a", "b"), Budget(ram_bytes=2048, flash_bytes=32_768, macs=None, search_seconds=60.0))
    ]


def test_lost_samples_start_the_take_again_and_are_reported() -> None:
    running = job(stored={"x": 1.0})
    running.tell(cal.Continue())
    running.stream(1.0)
    percent = running.view["percent"]
    running.tell(cal.Samples(running.chunk(gap=True)))
    assert running.view["percent"] == percent
    running.stream(1.9)
    running.tell(cal.TakeSaved(Path("/r.npz")))
    running.take()
    running.tell(DONE, cal.Deployed("model-new"))
    assert running.finished.detail["warnings"] == ["'normal', take 1: started again 1 times, since samples were lost"]


def test_a_take_of_a_machine_that_stood_still_is_warned_of() -> None:
    running = job(stored={"x": 1.0})
    running.tell(cal.Continue())
    running.tell(cal.Samples(running.chunk(), paused="the machine stands still"))
    running.stream(1.9)
    running.tell(cal.TakeSaved(Path("/r.npz")))
    running.take()
    running.tell(DONE, cal.Deployed("model-new"))
    [warning] = running.finished.detail["warnings"]
    assert warning == "'normal', take 1: while it was recorded the machine stands still"


def test_an_unusable_signal_is_asked_for_again() -> None:
    running = job()
    running.tell(cal.Continue())
    running.stream(2.0, value=0.5)
    assert running.phase == "waiting"
    assert "could not be used, a channel is constant (flat): check the sensor" in running.view["instruction"]
    running.take()
    assert running.view["class_"] == "inner"
    assert "could not be used" not in running.view["instruction"]


def test_a_signal_that_stays_unusable_fails_the_job() -> None:
    running = job({**LIVE, "countdown_s": 0})
    running.stream(6.0, value=float("nan"))
    assert running.finished.status == "failed"
    assert "not finite" in running.finished.reason


def test_a_take_does_not_wait_for_samples_for_ever() -> None:
    running = job()
    running.tell(cal.Continue())
    running.stream(0.5)
    running.wait(29.9)
    assert running.phase == "recording"
    running.wait(0.2)
    assert running.finished.status == "failed"
    assert "no samples came for 30 s while recording 'normal'" in running.finished.reason


def test_a_take_does_not_start_again_for_ever() -> None:
    running = job()
    running.tell(cal.Continue())
    for _ in range(400):
        running.stream(0.1, gap=True)
        running.wait(0.0)
    assert running.finished.status == "failed"
    assert "2 s without a gap did not come together" in running.finished.reason
    assert "samples were lost" in running.finished.reason


def test_samples_of_another_shape_never_become_a_recording() -> None:
    running = job()
    running.tell(cal.Continue())
    for _ in range(8):
        running.stream(5.0, channels=2)
        running.wait(0.0)
    assert "samples had 2 channels instead of 1" in running.finished.reason


def test_a_recording_that_cannot_be_stored_fails_the_job() -> None:
    running = job()
    running.tell(cal.Continue())
    running.stream(2.0)
    running.tell(cal.SaveFailed("disk full"))
    assert running.finished.status == "failed"
    assert running.finished.reason == "the recording could not be stored: disk full"


# ---- search and deployment ---------------------------------------------------------------------------------------


def test_stored_recordings_are_searched_at_once() -> None:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0})
    assert running.wants == [cal.StartSearch(("inner", "normal"), BUDGET)]


def test_a_search_behind_another_asset_says_so_and_gives_no_eta() -> None:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0})
    running.tell(cal.SearchQueued())
    assert running.phase == "queued"
    assert "another asset" in running.view["instruction"]
    assert running.view["eta_s"] is None
    running.tell(PROGRESS)
    assert running.view["eta_s"] == pytest.approx(27.0)


def test_progress_of_the_search_is_passed_on() -> None:
    running = searching()
    assert (running.phase, running.calibration.state_phase) == ("searching", "searching")
    assert running.view["search_phase"] == "training"
    assert (running.view["candidates"], running.view["rejected"], running.view["trained"]) == (7, 2, 3)
    assert running.view["percent"] == pytest.approx(100 * 30 / 62, abs=0.1)
    running.now += 20
    assert running.view["eta_s"] == pytest.approx(7.0)


def test_the_first_model_is_deployed_and_announced() -> None:
    running = searching()
    assert running.tell(DONE) == [cal.Install(Path("/incoming/model-new"))]
    assert (running.phase, running.calibration.state_phase) == ("deploying", "deploying")
    running.tell(cal.Deployed("model-new"))
    assert running.finished.status == "done"
    assert running.finished.detail == {
        "recordings": [],
        "warnings": [],
        "bundle": "/incoming/model-new",
        "model": "model-new",
        "accuracy": 0.95,
        "replaced_accuracy": None,
        "arena_bytes": 720,
        "deployed": True,
        "reason": "there was no model before",
    }
    assert running.view["percent"] == 100
    assert running.calibration.state_phase == "monitoring"


def test_a_better_model_replaces_the_current_one() -> None:
    running = searching(current_model="model-old")
    assert running.tell(BETTER) == [cal.Install(Path("/incoming/model-new"))]


@pytest.mark.parametrize("replaced", [0.95, 0.96])
def test_a_model_that_is_no_better_leaves_the_current_one(replaced: float) -> None:
    running = searching(current_model="model-old")
    running.tell(cal.SearchDone(Path("/incoming/model-new"), card(0.95, replaced)))
    assert running.finished.status == "done"
    assert running.finished.detail["deployed"] is False
    assert running.finished.detail["replaced_accuracy"] == replaced
    assert running.finished.reason.startswith("no better: accuracy 0.9500 against")
    assert running.calibration.state_phase == "monitoring"


def test_as_good_a_model_that_knows_more_replaces_the_current_one() -> None:
    new = card(0.95, 0.95)
    more = set(new.classes)
    fewer = sorted(more)[1:]
    install, reason = decide_deployment("if_better", new, "model-old", fewer)
    assert install
    assert reason.startswith(f"no worse, and it knows {min(more)} besides: accuracy 0.9500 against 0.9500")
    for current in (more, [*fewer, "another"], [*more, "another"], ()):
        assert decide_deployment("if_better", new, "model-old", current)[0] is False
    assert decide_deployment("if_better", card(0.94, 0.95), "model-old", fewer)[0] is False
    running = searching(current_model="model-old", current_classes=fewer)
    assert running.tell(cal.SearchDone(Path("/incoming/model-new"), new)) == [cal.Install(Path("/incoming/model-new"))]


def test_a_model_that_could_not_be_compared_is_not_proven_better() -> None:
    install, reason = decide_deployment("if_better", card(), "model-old")
    assert not install
    assert "cmd/deploy" in reason


@pytest.mark.parametrize(("policy", "installed"), [("always", True), ("never", False)])
def test_the_command_can_decide_about_deployment(policy: str, installed: bool) -> None:  # noqa: FBT001
    running = job(stored_command(deploy=policy), stored={"a": 1.0, "b": 1.0}, current_model="model-old")
    outputs = running.tell(cal.SearchDone(Path("/b"), card(0.5, 0.9)))
    assert (outputs == [cal.Install(Path("/b"))]) == installed
    _, reason = decide_deployment(policy, card(0.5, 0.9), "model-old")
    assert f"as asked (deploy: {policy})" in reason
    assert reason.startswith("the new model is ")
    assert (running.phase == "done") == (not installed)


def test_a_model_that_cannot_be_installed_fails_the_job() -> None:
    running = searching(current_model="model-old")
    running.tell(BETTER, cal.DeployFailed("hash does not match"))
    assert running.finished.status == "failed"
    assert "hash does not match" in running.finished.reason
    assert running.finished.detail["deployed"] is False
    assert running.calibration.state_phase == "monitoring"


def test_a_budget_that_nothing_fits_names_the_smallest_arena() -> None:
    running = searching()
    running.tell(cal.SearchFailed("BudgetError", "nothing fits 100 bytes", limit="ram_bytes", asked=100, smallest=412))
    detail = running.finished.detail
    assert running.finished.status == "failed"
    assert (detail["limit"], detail["asked"], detail["smallest"]) == ("ram_bytes", 100, 412)
    assert detail["smallest_arena_bytes"] == 412
    assert running.finished.reason == "nothing fits 100 bytes; the smallest that would do is ram_bytes = 412"


@pytest.mark.parametrize("limit", ["flash_bytes", "macs"])
def test_a_limit_that_is_no_arena_is_not_called_one(limit: str) -> None:
    running = searching()
    said = f"no network fits {limit} = 9; the smallest that would do is {limit} = 77"
    running.tell(cal.SearchFailed("BudgetError", said, limit=limit, asked=9, smallest=77))
    detail = running.finished.detail
    assert (detail["limit"], detail["asked"], detail["smallest"]) == (limit, 9, 77)
    assert "smallest_arena_bytes" not in detail
    assert running.finished.reason == said


def test_a_killed_search_fails_the_job_with_its_reason() -> None:
    running = searching()
    assert not any(isinstance(output, cal.StopSearch) for output in running.tell(cal.SearchFailed("Killed", "")))
    assert running.finished.reason == "the search ended with Killed"
    assert running.calibration.state_phase == "uncalibrated"


def test_a_search_that_nobody_understands_is_stopped() -> None:
    running = searching()
    assert running.tell(cal.input_of({"event": "progress"}))[0] == cal.StopSearch()
    assert running.finished.detail["error"] == cal.MALFORMED


# ---- record ------------------------------------------------------------------------------------------------------

RECORD = Record(id="r1", label="inner", seconds=2.0)


def test_record_stores_one_take_and_says_where() -> None:
    running = job(RECORD)
    assert running.phase == "recording"
    running.stream(2.0)
    running.tell(cal.TakeSaved(Path("/recordings/inner.npz")))
    assert running.finished.status == "done"
    assert running.finished.detail["path"] == "/recordings/inner.npz"
    assert not any(isinstance(output, cal.StartSearch) for output in running.wants)
    assert running.view["percent"] == 100


def test_record_fails_at_once_where_the_signal_cannot_be_used() -> None:
    running = job(RECORD)
    running.stream(2.0, value=1.0)
    assert running.finished.status == "failed"
    assert "constant" in running.finished.reason


# ---- cancel ------------------------------------------------------------------------------------------------------


def waiting() -> Job:
    return job()


def counting_down() -> Job:
    return job({**LIVE, "countdown_s": 3.0})


def recording() -> Job:
    running = job()
    running.tell(cal.Continue())
    running.stream(1.0)
    return running


def saving() -> Job:
    running = recording()
    running.stream(1.0)
    return running


def queued() -> Job:
    return job(stored_command(), stored={"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(
    ("make", "stops"),
    [(waiting, False), (counting_down, False), (recording, False), (saving, False), (queued, True), (searching, True)],
)
def test_a_job_can_be_cancelled_in_every_phase_before_deployment(make: Any, stops: bool) -> None:  # noqa: FBT001
    running = make()
    assert running.calibration.refuses(cal.CancelRequested()) is None
    outputs = running.tell(cal.CancelRequested())
    assert (cal.StopSearch() in outputs) == stops
    assert running.finished.status == "cancelled"
    assert running.finished.reason == "what was recorded stays; there is no model yet"  # the status says the rest
    assert running.calibration.state_phase == "uncalibrated"
    assert running.tell(cal.TakeSaved(Path("/r")), DONE, cal.SearchFailed("Cancelled", ""), cal.Ticked()) == []


def test_who_cancels_is_told_that_the_old_model_stays() -> None:
    running = searching(current_model="model-old")
    running.tell(cal.CancelRequested())
    assert running.finished.reason == "what was recorded stays, and so does the old model"
    assert running.calibration.state_phase == "monitoring"


def test_a_job_can_be_cancelled_before_it_has_begun() -> None:
    command = Recalibrate.model_validate(stored_command())
    calibration = Calibration(
        "j",
        command,
        asset="a",
        task="fault",
        spec=SPEC,
        window=64,
        default_budget=BUDGET,
        stored={"a": 1.0, "b": 1.0},
        current_model=None,
        now=0.0,
    )
    (finished,) = calibration.handle(cal.CancelRequested(), 0.0)
    assert isinstance(finished, cal.Finished)
    assert calibration.handle(cal.Ticked(), 1.0) == []


def test_a_model_that_is_being_installed_cannot_be_cancelled_any_more() -> None:
    running = searching()
    running.tell(DONE)
    reason = running.calibration.refuses(cal.CancelRequested())
    assert reason is not None
    assert "cmd/rollback" in reason
    assert running.tell(cal.CancelRequested()) == []
    assert running.phase == "deploying"


def test_continue_is_refused_where_nobody_waits_for_it() -> None:
    running = waiting()
    assert running.calibration.refuses(cal.Continue()) is None
    running.tell(cal.Continue())
    assert "'recording'" in (running.calibration.refuses(cal.Continue()) or "")


# ---- what is not accepted ----------------------------------------------------------------------------------------


def reasons(command: dict[str, Any], stored: dict[str, float] | None = None) -> list[str]:
    return check(Recalibrate.model_validate(command), stored or {}, spec=SPEC, window=64)


def test_a_healthy_baseline_alone_is_refused_for_now() -> None:
    (reason,) = reasons({**LIVE, "classes": ["normal"]})
    assert "'normal' alone" in reason
    assert "later version" in reason


def test_a_live_class_may_be_new_where_another_is_stored() -> None:
    assert reasons({**LIVE, "classes": ["normal"]}, {"inner": 4.0}) == []
    assert reasons({**LIVE, "classes": ["normal"]}, {"inner": 0.0}) != []


def test_stored_needs_recordings_of_two_classes() -> None:
    assert "no stored recordings" in reasons(stored_command())[0]
    assert "only 'normal'" in reasons(stored_command(), {"normal": 3.0})[0]
    assert reasons(stored_command(), {"normal": 3.0, "inner": 3.0}) == []


def test_a_take_must_hold_a_window_and_fit_in_memory() -> None:
    (reason,) = reasons({**LIVE, "seconds_per_take": 0.63})
    assert reason.startswith("seconds_per_take: 0.63 s are fewer samples than one window")
    assert reasons({**LIVE, "seconds_per_take": 0.64}) == []
    fast = StreamSpec(channels=3, rate_hz=100_000.0, unit="g")
    (reason,) = check(Record(id="r", label="x", seconds=3600.0), {}, spec=fast, window=64)
    assert reason == "seconds: 3600 s do not fit in memory at 100000 Hz; take 56 s or less"


def test_a_job_that_should_not_have_been_accepted_fails_at_once() -> None:
    running = job({**LIVE, "classes": ["normal"]})
    assert running.finished.status == "failed"
    assert not any(isinstance(output, cal.StartSearch | cal.Save) for output in running.wants)


# ---- events of the search ----------------------------------------------------------------------------------------


def test_events_of_the_search_are_read() -> None:
    progress = {"event": "progress", "phase": "training", "fraction": 0.5, "seconds_left": 25.0}
    counts = {"candidates": 7, "rejected": 2, "trained": 3, "best_accuracy": None, "best_arena_bytes": None}
    assert cal.input_of({**progress, **counts, "new": 1}) == PROGRESS
    done = cal.input_of({"event": "done", "bundle": "/incoming/model-new", "card": card_json()})
    assert done == DONE
    failed = {"event": "failed", "error": "BudgetError", "message": "no"}
    assert cal.input_of(failed) == cal.SearchFailed("BudgetError", "no")
    limits = {"limit": "macs", "asked": 10, "smallest": 12}
    assert cal.input_of(failed | limits) == cal.SearchFailed("BudgetError", "no", "macs", 10, 12)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": "surprise"},
        {"event": "progress", "phase": "training", "fraction": 1.5},
        {"event": "progress", "phase": "dreaming", "fraction": 0.5},
        {"event": "progress", "phase": "training", "fraction": float("nan")},
        {"event": "done", "bundle": "/b", "card": {}},
        {"event": "done", "card": card_json()},
        {"event": "failed"},
    ],
)
def test_an_event_that_nobody_understands_is_a_failure(event: dict[str, Any]) -> None:
    read = cal.input_of(event)
    assert isinstance(read, cal.SearchFailed)
    assert read.error == cal.MALFORMED


# ---- laws --------------------------------------------------------------------------------------------------------

INPUTS = st.one_of(
    st.sampled_from(
        [
            cal.Continue(),
            cal.Ticked(),
            cal.TakeSaved(Path("/r.npz")),
            cal.SearchQueued(),
            PROGRESS,
            cal.SearchProgress("training", 0.2),
            "samples",
            "samples",
            "gap",
            "flat",
        ]
    ),
    st.sampled_from(
        [
            DONE,
            BETTER,
            cal.SaveFailed("disk full"),
            cal.SearchFailed("Killed", "killed"),
            cal.Deployed("model-new"),
            cal.DeployFailed("no"),
            cal.CancelRequested(),
        ]
    ),
)
STEPS = st.lists(st.tuples(INPUTS, st.sampled_from([0.0, 0.1, 1.0, 20.0])), max_size=60)
COMMANDS = st.sampled_from(
    [
        RECORD,
        Recalibrate.model_validate({**LIVE, "takes": 2}),
        Recalibrate.model_validate({**LIVE, "countdown_s": 1.0}),
        Recalibrate.model_validate({**LIVE, "classes": ["normal"], "deploy": "always"}),
        Recalibrate.model_validate(stored_command()),
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(COMMANDS, st.sampled_from([{}, {"inner": 3.0, "ball": 2.0}]), st.sampled_from([None, "model-old"]), STEPS)
def test_whatever_happens_a_job_keeps_its_promises(
    command: Recalibrate | Record,
    stored: dict[str, float],
    current_model: str | None,
    steps: list[tuple[Any, float]],
) -> None:
    running = job(command, stored=stored, current_model=current_model)
    percent = 0.0
    ended = False
    for item, seconds in steps:
        running.now += seconds
        before = len(running.wants)
        if item == "samples":
            running.stream(1.0)
        elif item in ("gap", "flat"):
            running.stream(0.1, gap=item == "gap", value=0.0 if item == "flat" else None)
        else:
            running.tell(item)
        assert not (ended and len(running.wants) > before)
        ended = any(isinstance(output, cal.Finished) for output in running.wants)
        assert ended == (running.phase in {"done", "failed", "cancelled"})
        view = running.view
        status = CalibrationStatus(ts=datetime(2026, 1, 1, tzinfo=UTC), boot="b", seq=0, **view)
        assert percent <= status.percent <= (100 if running.phase == "done" else 99)
        assert status.eta_s is None or status.eta_s >= 0
        assert running.calibration.state_phase in get_args(Phase)
        percent = status.percent
    running.tell(cal.CancelRequested(), cal.Deployed("model-new"))
    assert running.finished.status in {"done", "failed", "cancelled"}
    assert sum(isinstance(output, cal.StartSearch) for output in running.wants) <= 1
    assert sum(isinstance(output, cal.Install) for output in running.wants) <= 1
