"""The demo's operator knows where a job stands, and the summary says what happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_nas.bundle.read import read_card
from edgetune_node.contract.messages import CalibrationStatus
from edgetune_node.demo.operator import chapter_of, progress_sentence
from edgetune_node.demo.scada import SeenFault, SeenSign
from edgetune_node.demo.summary import Summary, last_switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def calibration(phase: str, **fields: Any) -> CalibrationStatus:
    return CalibrationStatus(
        ts=datetime(2026, 1, 31, tzinfo=UTC), boot="b", seq=0, phase=phase, instruction="wait", percent=1.0, **fields
    )


@pytest.mark.parametrize(
    ("phase", "chapter"),
    [
        ("waiting", "collect"),
        ("countdown", "collect"),
        ("recording", "collect"),
        ("saving", "collect"),
        ("queued", "search"),
        ("searching", "search"),
        ("deploying", "deploy"),
        ("done", "as before"),
        ("failed", "as before"),
        ("idle", "as before"),
    ],
)
def test_every_phase_belongs_to_a_chapter(phase: str, chapter: str) -> None:
    assert chapter_of(calibration(phase), "as before") == chapter


def test_the_search_is_told_in_figures() -> None:
    told = progress_sentence(
        calibration(
            "searching",
            search_phase="closed_form",
            candidates=30,
            rejected=4,
            trained=2,
            best_accuracy=0.975,
            best_arena_bytes=976,
            eta_s=12.4,
        )
    )
    assert told == (
        "closed form: 30 candidates seen, 4 over budget, 2 trained, best 97.5% with an arena of 976 B, 12 s left"
    )
    assert progress_sentence(calibration("recording")) == "wait"


def test_a_fault_is_counted_from_the_last_switch_before_it() -> None:
    spans = [(1.0, "normal"), (5.0, "inner"), (9.0, "normal")]
    assert last_switch(spans, 5.4) == (5.0, "inner")
    assert last_switch(spans, 20.0) == (9.0, "normal")


def test_the_summary_keeps_the_contracts_keys(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> None:
    card = read_card(write_tiny_bundle(tmp_path))
    summary = Summary(
        faults=[SeenFault("inner", "2026-01-31T12:00:00.000Z", 5.25, "2026-01-31T12:00:04.000Z", 9.5)],
        signs=[SeenSign("e1", "unknown", "2026-01-31T12:00:01.000Z", 5.5, "fist", "2026-01-31T12:00:03.000Z")],
        spans=[(1.0, "normal"), (5.0, "inner"), (9.0, "normal")],
        model=card,
        announced={},
        live_accuracy=0.5,
        seconds={"total": 12.345},
        windows=100,
        lost_windows=0,
        broker="mosquitto",
    ).as_json()
    assert set(summary) >= {"faults", "model", "accuracy", "seconds", "windows", "lost_windows"}
    assert summary["signs"] == [
        {
            "class": "fist",
            "first_class": "unknown",
            "started_ts": "2026-01-31T12:00:01.000Z",
            "ended_ts": "2026-01-31T12:00:03.000Z",
            "latency_s": 0.5,
            "made": "inner",
        }
    ]
    assert summary["faults"] == [
        {
            "class": "inner",
            "raised_ts": "2026-01-31T12:00:00.000Z",
            "cleared_ts": "2026-01-31T12:00:04.000Z",
            "latency_s": 0.25,
            "machine": "inner",
        }
    ]
    assert summary["accuracy"] == card.metrics.accuracy
    assert json.loads(json.dumps(summary))["model"]["id"] == card.id
