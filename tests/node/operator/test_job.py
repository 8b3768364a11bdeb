"""What an operator is told of a job follows from its messages alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st
from scripted_node import BASE, SENT, calibration, reply

from edgetune_node.operator.job import ENDED, follow, summary

STATUSES = ["accepted", "progress", "done", "failed", "rejected", "nonsense"]
PHASES = ["idle", "waiting", "recording", "searching", "done", "failed", "cancelled", "nonsense"]


def messages(job: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.sampled_from([reply(status, job) for status in STATUSES] + [calibration(phase, job) for phase in PHASES])


@given(st.lists(messages("another")))
def test_what_is_said_of_other_jobs_changes_nothing(heard: list[tuple[str, dict[str, Any]]]) -> None:
    job = SENT
    for message in heard:
        job = follow(job, *message)
    assert job == SENT


@given(st.lists(messages("mine")))
def test_a_job_whose_final_reply_is_here_does_not_change_any_more(heard: list[tuple[str, dict[str, Any]]]) -> None:
    job = SENT
    for message in heard:
        before, job = job, follow(job, *message)
        if before.answered:
            assert job == before
        if before.ended:
            assert job.ended


@given(st.dictionaries(st.sampled_from(["id", "status", "reason", "errors", "detail", "job", "phase"]), st.none()))
def test_payloads_with_nothing_in_them_are_survived(payload: dict[str, Any]) -> None:
    for leaf in ("calibration", "model", "status", "resp/recalibrate", "state"):
        follow(SENT, f"{BASE}/{leaf}", payload)


def test_a_rejection_names_every_error_once() -> None:
    job = follow(SENT, *reply("rejected", reason="takes: too few", errors=["takes: too few", "classes: none"]))
    assert job.status == "rejected"
    assert job.reason == "takes: too few; classes: none"


def test_a_job_waits_for_a_take_until_it_begins() -> None:
    job = follow(SENT, *calibration("waiting", **{"class": "inner"}, take=2, takes=3))
    assert job.waiting_for == ("inner", 2)
    assert follow(job, *calibration("recording", **{"class": "inner"}, take=2, takes=3)).waiting_for is None


def test_the_figures_of_a_model_come_from_its_topic_where_the_reply_lacks_them() -> None:
    job = follow(SENT, *reply("done", detail={"model": "m-2", "deployed": True}))
    job = follow(job, f"{BASE}/model", {"id": "m-2", "accuracy": 0.9, "arena_bytes": 512})
    assert summary(job, 1.0)["accuracy"] == 0.9
    assert summary(job, 1.0)["arena_bytes"] == 512


def test_the_model_that_stays_is_not_taken_for_the_new_one() -> None:
    job = follow(SENT, f"{BASE}/model", {"id": "m-1", "accuracy": 0.9, "arena_bytes": 512})
    job = follow(job, *reply("done", reason="the old one is as good", detail={"model": "m-2", "deployed": False}))
    result = summary(job, 1.0)
    assert (result["model"], result["accuracy"], result["deployed"]) == ("m-2", None, False)
    assert job.status in ENDED
