"""From the takes over the search to the model in use; cancelled where it can be; and what always holds."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from calibrating import (
    BETTER,
    BUDGET,
    CANCEL_SEARCH,
    DONE,
    INSTALL,
    LIVE,
    PROGRESS,
    RECORD,
    SPEC,
    Job,
    card,
    deployed,
    job,
    saved,
    search_done,
    searching,
    start_search,
    stored_command,
)
from hypothesis import HealthCheck, given, settings, strategies as st

from edgetune_nas.search.progress import SearchProgress
from edgetune_nas.worker.events import SearchFailed
from edgetune_node.calibration import inputs as cal
from edgetune_node.calibration.job import Calibration
from edgetune_node.calibration.rules import decide_deployment
from edgetune_node.contract.commands import Recalibrate, Record
from edgetune_node.contract.messages import CalibrationPhase
from edgetune_node.errors import Refused
from edgetune_node.events.effects import Install, StartSearch


def test_stored_recordings_are_searched_at_once() -> None:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0})
    assert running.wants == [start_search("inner", "normal")]


def test_a_search_behind_another_asset_says_so_and_gives_no_eta() -> None:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0})
    running.tell(cal.SearchQueued())
    assert running.phase == "queued"
    assert "another asset" in running.view.instruction
    assert running.view.eta_s is None
    running.tell(PROGRESS)
    assert running.view.eta_s == pytest.approx(27.0)


def test_progress_of_the_search_is_passed_on() -> None:
    running = searching()
    assert running.phase == "searching"
    assert running.view.search_phase == "training"
    assert (running.view.candidates, running.view.rejected, running.view.trained) == (7, 2, 3)
    assert running.view.percent == pytest.approx(100 * 30 / 62, abs=0.1)
    running.now += 20
    assert running.view.eta_s == pytest.approx(7.0)


def test_the_first_model_is_deployed_and_announced() -> None:
    running = searching()
    assert running.tell(DONE) == [INSTALL]
    assert running.phase == "deploying"
    running.tell(deployed())
    assert running.finished.status == "done"
    assert running.finished.detail == {
        "recordings": [],
        "warnings": [],
        "bundle": "/incoming/model-new",
        "model": "model-new",
        "accuracy": 0.95,
        "accuracy_low": 0.9,
        "accuracy_high": 0.98,
        "test_recordings": None,
        "tested_on": None,
        "tested_in_parts": [],
        "chance": 0.5,
        "measured_before_refit": False,
        "library": None,
        "replaced_accuracy": None,
        "arena_bytes": 720,
        "arena_bytes_deployed": 1440,
        "front": [],
        "front_point": None,
        "deployed": True,
        "reason": "the asset had no model, so the new one is in use",
    }
    assert running.view.percent == 100


def test_a_better_model_replaces_the_current_one() -> None:
    running = searching(current_model="model-old")
    assert running.tell(BETTER) == [INSTALL]


@pytest.mark.parametrize("replaced", [0.95, 0.96])
def test_a_model_that_is_no_better_leaves_the_current_one(replaced: float) -> None:
    running = searching(current_model="model-old")
    running.tell(search_done(card(0.95, replaced)))
    assert running.finished.status == "done"
    assert running.finished.detail["deployed"] is False
    assert running.finished.detail["replaced_accuracy"] == replaced
    assert running.finished.reason.startswith("no better: accuracy 0.9500 against")


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
    assert running.tell(search_done(new)) == [INSTALL]


def test_a_model_that_could_not_be_compared_is_not_proven_better() -> None:
    install, reason = decide_deployment("if_better", card(), "model-old")
    assert not install
    assert "cmd/deploy" in reason


@pytest.mark.parametrize(("policy", "installed"), [("always", True), ("never", False)])
def test_the_command_can_decide_about_deployment(policy: str, installed: bool) -> None:  # noqa: FBT001
    running = job(stored_command(deploy=policy), stored={"a": 1.0, "b": 1.0}, current_model="model-old")
    outputs = running.tell(search_done(card(0.5, 0.9)))
    assert (outputs == [INSTALL]) == installed
    _, reason = decide_deployment(policy, card(0.5, 0.9), "model-old")
    assert f"as asked (deploy: {policy})" in reason
    assert reason.startswith("the new model is ")
    assert (running.phase == "done") == (not installed)


def test_a_model_that_cannot_be_installed_fails_the_job() -> None:
    running = searching(current_model="model-old")
    running.tell(BETTER, deployed(error="hash does not match"))
    assert running.finished.status == "failed"
    assert "hash does not match" in running.finished.reason
    assert running.finished.detail["deployed"] is False


def test_a_budget_that_nothing_fits_names_the_smallest_arena() -> None:
    running = searching()
    running.tell(
        SearchFailed(error="BudgetError", message="nothing fits 100 bytes", limit="ram_bytes", asked=100, smallest=412)
    )
    detail = running.finished.detail
    assert running.finished.status == "failed"
    assert (detail["limit"], detail["asked"], detail["smallest"]) == ("ram_bytes", 100, 412)
    assert detail["smallest_arena_bytes"] == 412
    assert running.finished.reason == "nothing fits 100 bytes; the smallest that would do is ram_bytes = 412"


@pytest.mark.parametrize("limit", ["flash_bytes", "macs"])
def test_a_limit_that_is_no_arena_is_not_called_one(limit: str) -> None:
    running = searching()
    said = f"no network fits {limit} = 9; the smallest that would do is {limit} = 77"
    running.tell(SearchFailed(error="BudgetError", message=said, limit=limit, asked=9, smallest=77))
    detail = running.finished.detail
    assert (detail["limit"], detail["asked"], detail["smallest"]) == (limit, 9, 77)
    assert "smallest_arena_bytes" not in detail
    assert running.finished.reason == said


def test_a_killed_search_fails_the_job_with_its_reason() -> None:
    running = searching()
    assert CANCEL_SEARCH not in running.tell(SearchFailed(error="Killed"))
    assert running.finished.reason == "the search ended with Killed"


# ---- cancel ----------------------------------------------------------------------------------------------------------


def waiting() -> Job:
    return job()


def counting_down() -> Job:
    return job({**LIVE, "countdown_s": 3.0})


def recording() -> Job:
    running = job()
    running.tell(cal.ContinueRequested())
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
    running.calibration.check_request(cal.CancelRequested())
    outputs = running.tell(cal.CancelRequested())
    assert (CANCEL_SEARCH in outputs) == stops
    assert running.finished.status == "cancelled"
    assert running.finished.reason == "what was recorded stays; there is no model yet"  # the status says the rest
    assert running.tell(saved("/r"), DONE, SearchFailed(error="Cancelled"), cal.Ticked()) == []


def test_who_cancels_is_told_that_the_old_model_stays() -> None:
    running = searching(current_model="model-old")
    running.tell(cal.CancelRequested())
    assert running.finished.reason == "what was recorded stays, and so does the old model"


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
    with pytest.raises(Refused, match="cmd/rollback"):
        running.calibration.check_request(cal.CancelRequested())
    assert running.tell(cal.CancelRequested()) == []
    assert running.phase == "deploying"


def test_continue_is_refused_where_nobody_waits_for_it() -> None:
    running = waiting()
    running.calibration.check_request(cal.ContinueRequested())
    running.tell(cal.ContinueRequested())
    with pytest.raises(Refused, match="'recording'"):
        running.calibration.check_request(cal.ContinueRequested())


# ---- laws ------------------------------------------------------------------------------------------------------------


INPUTS = st.one_of(
    st.sampled_from(
        [
            cal.ContinueRequested(),
            cal.Ticked(),
            saved(),
            cal.SearchQueued(),
            PROGRESS,
            SearchProgress(phase="training", fraction=0.2, seconds_left=48.0),
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
            saved(error="disk full"),
            SearchFailed(error="Killed", message="killed"),
            deployed(),
            deployed(error="no"),
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
        status = running.view
        assert percent <= status.percent <= (100 if running.phase == "done" else 99)
        assert status.eta_s is None or status.eta_s >= 0
        assert running.phase in get_args(CalibrationPhase)
        percent = status.percent
    running.tell(cal.CancelRequested(), deployed())
    assert running.finished.status in {"done", "failed", "cancelled"}
    assert sum(isinstance(output, StartSearch) for output in running.wants) <= 1
    assert sum(isinstance(output, Install) for output in running.wants) <= 1
