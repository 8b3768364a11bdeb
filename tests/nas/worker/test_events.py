"""The lines by which a search's process tells how it goes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from calibrating import DONE, PROGRESS, card_json

from edgetune_nas.errors import BudgetError, NasError
from edgetune_nas.worker.events import MALFORMED, SearchEvent, SearchFailed, event_line, read_event
from edgetune_nas.worker.job import SearchJob

if TYPE_CHECKING:
    from pathlib import Path

OVER_BUDGET = SearchFailed.of(BudgetError("macs", 10, 12))
TOLD = {"event": "done", "bundle": "/incoming/model-new", "card": json.loads(DONE.card.model_dump_json())}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            PROGRESS,
            {
                "event": "progress",
                "phase": "training",
                "fraction": 0.5,
                "seconds_left": 25.0,
                "candidates": 7,
                "rejected": 2,
                "trained": 3,
                "best_accuracy": None,
                "best_arena_bytes": None,
            },
        ),
        (DONE, {**TOLD, "seconds": 30.0, "cpu_seconds": 29.0, "peak_rss_bytes": 10**8, "workers": 1, "speedup": None}),
        (SearchFailed(error="Killed"), {"event": "failed", "error": "Killed", "message": ""}),
        (
            OVER_BUDGET,
            {
                "event": "failed",
                "error": "BudgetError",
                "message": "no network fits macs = 10; the smallest that would do is macs = 12",
                "limit": "macs",
                "asked": 10,
                "smallest": 12,
            },
        ),
    ],
)
def test_an_event_is_one_line_that_reads_as_the_same_event(event: SearchEvent, said: dict[str, Any]) -> None:
    assert event_line(event) == json.dumps(said)  # their order, too
    assert read_event(json.dumps(said)) == event
    assert read_event(json.dumps({**said, "new": 1})) == event


@pytest.mark.parametrize("line", ["", '{"event": "pro', "a library's remark", "[1]", '"done"', "{}", '{"event": 1}'])
def test_a_line_that_is_no_event_is_passed_over(line: str) -> None:
    assert read_event(line) is None


@pytest.mark.parametrize(
    "event",
    [
        {"event": "surprise"},
        {"event": "progress"},
        {"event": "progress", "phase": "training", "fraction": 1.5, "seconds_left": 1.0},
        {"event": "progress", "phase": "dreaming", "fraction": 0.5, "seconds_left": 1.0},
        {"event": "progress", "phase": "training", "fraction": float("nan"), "seconds_left": 1.0},
        {"event": "done", "bundle": "/b", "card": {}},
        {"event": "done", "card": card_json()},
        {"event": "failed"},
    ],
)
def test_an_event_that_nobody_understands_is_a_failure(event: dict[str, Any]) -> None:
    read = read_event(json.dumps(event))
    assert isinstance(read, SearchFailed)
    assert read.error == MALFORMED


def test_a_failure_is_raised_as_what_it_was() -> None:
    told = OVER_BUDGET.exception()
    assert isinstance(told, BudgetError)
    assert (told.limit, told.asked, told.smallest) == ("macs", 10, 12)
    assert [str(SearchFailed(error="X", message=message).exception()) for message in ("", "why")] == ["X", "why"]
    assert type(SearchFailed.of(NasError("why")).exception()) is NasError


def test_a_child_that_nobody_understands_is_killed_and_has_failed_once(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text('while True: print(\'{"event": "surprise"}\', flush=True)')
    child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    job = SearchJob(child, grace=60.0)
    (failed,) = job.events()
    assert isinstance(failed, SearchFailed)
    assert failed.error == MALFORMED
    assert job.poll() is not None


def test_a_child_that_was_asked_to_stop_has_the_grace_anew_once_it_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class NoTimer(threading.Timer):
        """One whose time never comes."""

        def __init__(self, interval: float, function: Any) -> None:
            super().__init__(interval, function)
            made.append(self)

        def start(self) -> None:
            pass

    monkeypatch.setattr("edgetune_nas.worker.job.threading.Timer", NoTimer)
    exporting = PROGRESS.model_copy(update={"phase": "exporting"})
    lines = [event_line(each) for each in (PROGRESS, PROGRESS, exporting, SearchFailed(error="Killed"))]
    script = tmp_path / "child.py"
    script.write_text(f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint({chr(10).join(lines)!r})")
    child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    job = SearchJob(child, grace=60.0)
    events = job.events()
    next(events)
    job.cancel()
    next(events)
    assert len(made) == 1
    next(events)
    assert [each.finished.is_set() for each in made] == [True, False]
    assert [each.error for each in events if isinstance(each, SearchFailed)] == ["Killed"]
    assert all(each.finished.is_set() for each in made)
