"""A search in a process of its own: real processes, real signals."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.progress import SearchProgress
from edgetune_nas.worker.events import SearchDone, SearchFailed
from edgetune_nas.worker.job import DataSource, Job, SearchJob

DEADLINE_S = 120.0

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
pytestmark = pytest.mark.slow


def _write_windows(path: Path, each: int = 40, length: int = 256) -> Path:
    rng = np.random.default_rng(0)
    label = np.arange(3 * each) % 3
    tone = np.sin((0.2 + 0.35 * label[:, None]) * np.arange(length) + rng.uniform(0, 6.28, (3 * each, 1)))
    x = (rng.normal(size=(3 * each, 1, length)) + tone[:, None]).astype(np.float32)
    np.savez(path, x=x, label=label, classes=np.array(["a", "b", "c"]), rate_hz=1000.0, unit="g")
    return path


def _job(folder: Path, **changes: Any) -> Job:
    data = DataSource(path=_write_windows(folder / "windows.npz"))
    values = {"data": data, "task": "fault", "budget": Budget(), "out": folder / "out", **changes}
    return Job.model_validate(values)


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not _gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        os.sched_yield()


def test_a_search_reports_progress_and_ends_with_its_bundle(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path, candidates=16, max_rss_bytes=512 << 20))
    events = list(job.events())
    done = events[-1]
    assert isinstance(done, SearchDone), done
    assert job.poll() == 0
    told = [each for each in events if isinstance(each, SearchProgress)]
    assert [*told, done] == events
    assert [each.phase for each in told[:2]] == ["loading", "closed_form"]
    card = done.card
    assert load_bundle(done.bundle).card == card
    assert 0 < card.search.cpu_seconds <= done.cpu_seconds
    assert 20 << 20 < card.search.peak_rss_bytes <= done.peak_rss_bytes < 1 << 30
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "job.json",
        "journal.jsonl",
        f"model-{card.id}",
    ]


def test_recordings_are_cut_into_windows_by_the_child(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    paths = []
    for index, label in enumerate(("quiet", "loud")):
        path = tmp_path / f"{label}.npz"
        samples = (rng.normal(size=(2, 20_000)) * (1 + 3 * index)).astype(np.float32)
        np.savez(path, samples=samples, rate_hz=1000.0, label=label, unit="g")
        paths.append(path)
    source = DataSource(recordings=tuple(paths), window=128, hop=128)
    job = SearchJob.start(_job(tmp_path, data=source, candidates=3))
    *_, done = job.events()
    assert isinstance(done, SearchDone), done
    assert done.card.classes == ["loud", "quiet"]
    expected = {"channels": 2, "length": 128, "rate_hz": 1000.0, "unit": "g", "scale": None}
    assert done.card.input.model_dump() == expected


def test_a_hopeless_budget_fails_with_the_smallest_that_would_do(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path, budget=Budget(ram_bytes=10)))
    *_, failed = job.events()
    assert isinstance(failed, SearchFailed)
    assert (failed.error, failed.limit, failed.asked) == ("BudgetError", "ram_bytes", 10)
    assert (failed.smallest or 0) > 256
    assert job.poll() == 1


def test_data_that_cannot_be_read_fail_with_their_name(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path, data=DataSource(path=tmp_path / "nowhere.npz")))
    *_, failed = job.events()
    assert isinstance(failed, SearchFailed)
    assert failed.error == "RecordingError"
    assert "nowhere.npz" in failed.message


@needs_torch
def test_a_cancelled_search_keeps_its_best_and_leaves_no_temporary_files(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path, budget=Budget(search_seconds=3600)), grace=DEADLINE_S)
    events = []
    for event in job.events():
        events.append(event)
        if isinstance(event, SearchProgress) and event.phase == "training":
            job.cancel()
    done = events[-1]
    assert isinstance(done, SearchDone), done
    assert done.card.search.stopped_by == "cancelled"
    assert job.poll() == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"job.json", "journal.jsonl", done.bundle.name}


def test_a_killed_search_fails_with_the_signals_name_and_can_be_continued(tmp_path: Path) -> None:
    wanted = _job(tmp_path, candidates=16)
    job = SearchJob.start(wanted)
    events = job.events()
    for event in events:
        if isinstance(event, SearchProgress) and event.best_accuracy is not None:
            os.kill(job.pid, signal.SIGKILL)
            break
    *_, failed = events
    assert isinstance(failed, SearchFailed)
    assert failed.error == "SIGKILL"
    assert job.poll() == -signal.SIGKILL
    *_, done = SearchJob.start(wanted).events()
    assert isinstance(done, SearchDone), done


def test_a_child_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path), grace=0.2)
    events = job.events()
    next(events)
    os.kill(job.pid, signal.SIGSTOP)
    job.cancel()
    *_, failed = events
    assert isinstance(failed, SearchFailed)
    assert failed.error == "SIGKILL"


def test_a_search_dies_with_its_parent(tmp_path: Path) -> None:
    job = _job(tmp_path)
    (tmp_path / "wanted.json").write_text(job.model_dump_json())
    code = """
import sys
from pathlib import Path
from edgetune_nas.worker.job import Job, SearchJob
job = SearchJob.start(Job.model_validate_json(Path(sys.argv[1]).read_bytes()))
next(job.events())
print(job.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "wanted.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    _wait_until_gone(child)


def test_a_job_file_that_is_wrong_fails_with_every_field_named(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"data": {}, "task": "dance", "out": str(tmp_path)}))
    done = subprocess.run(
        [sys.executable, "-m", "edgetune_nas.worker.child", str(path)], capture_output=True, text=True, check=False
    )
    event = json.loads(done.stdout)
    assert (done.returncode, event["event"], event["error"]) == (1, "failed", "JobError")
    assert "task: " in event["message"]
    assert "data: " in event["message"]


@pytest.mark.parametrize(
    "values", [{}, {"path": "a", "recordings": ["b"], "window": 5}, {"recordings": ["a"]}, {"path": "a", "window": 0}]
)
def test_a_source_is_one_path_or_recordings_with_a_window(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataSource.model_validate(values)


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="this system has no out-of-memory score")
def test_where_memory_runs_out_the_kernel_ends_the_search_first(tmp_path: Path) -> None:
    job = SearchJob.start(_job(tmp_path, candidates=16))
    try:
        assert Path(f"/proc/{job.pid}/oom_score_adj").read_text().strip() == "1000"  # before it has loaded anything
        events = job.events()
        assert isinstance(next(events), SearchProgress)
    finally:
        job.kill()
    *_, failed = events
    assert isinstance(failed, SearchFailed)
    assert "ended by SIGKILL" in failed.message
