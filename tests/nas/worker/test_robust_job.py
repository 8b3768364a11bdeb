"""What users and power cuts do to a search: kill -9 at any moment, hard limits of time, and data of every odd shape."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.journal import Journal
from edgetune_nas.search.progress import SearchProgress
from edgetune_nas.search.run import search
from edgetune_nas.worker.events import SearchDone, SearchEvent, SearchFailed
from edgetune_nas.worker.job import DataSource, Job, SearchJob
from edgetune_signal.datasets.load import load_dataset

if TYPE_CHECKING:
    from pathlib import Path

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
HEADER = {"fingerprint": "abc", "seed": 0}
CANDIDATES = 28
UNHURRIED = 3600.0


def _write(path: Path, x: np.ndarray, label: np.ndarray, classes: int, rate_hz: float = 1000.0) -> Path:
    names = np.array([f"class {index}" for index in range(classes)])
    np.savez(path, x=x.astype(np.float32), label=label, classes=names, rate_hz=rate_hz, unit="g")
    return path


def _tones(path: Path, *, windows: int, channels: int, length: int, classes: int = 3, noise: float = 1.0) -> Path:
    """Tones in noise, one frequency a class, each channel with a phase of its own."""
    rng = np.random.default_rng(0)
    label = np.arange(windows) % classes
    phase = rng.uniform(0, 6.28, (windows, channels, 1))
    step = (2.2 * (label + 1) / (classes + 1))[:, None, None]
    x = rng.normal(size=(windows, channels, length)).astype(np.float32) * noise
    x += np.sin(step * np.arange(length) + phase).astype(np.float32)
    return _write(path, x, label, classes)


def _job(data: Path, out: Path, **changes: Any) -> Job:
    values = {"data": DataSource(path=data), "task": "fault", "budget": Budget(search_seconds=UNHURRIED), "out": out}
    return Job.model_validate({**values, **changes})


def _ended(job: Job) -> SearchEvent:
    *_, last = SearchJob.start(job).events()
    return last


# ---- power cuts ----------------------------------------------------------------------------------------------------


def test_a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    records = [{"number": number, "genotype": {"head": "é" * number}, "elapsed": 0.1 * number} for number in range(12)]
    ends = []
    with Journal(path, HEADER) as journal:
        header_end = len(path.read_bytes())
        for record in records:
            journal.append(record)
            ends.append(len(path.read_bytes()))
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        with Journal(path, HEADER) as journal:
            whole = sum(end <= cut for end in ends)
            assert journal.records == records[:whole], cut
        assert path.read_bytes() == data[: max([header_end, *ends[:whole]])], cut


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(3600)  # five searches, which a busy machine stretches
def test_a_search_killed_three_times_while_it_trains_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    data = _tones(tmp_path / "windows.npz", windows=160, channels=1, length=256, classes=4, noise=1.5)
    unbroken = _ended(_job(data, tmp_path / "unbroken", candidates=CANDIDATES))
    assert isinstance(unbroken, SearchDone), unbroken
    out = tmp_path / "cut"
    wanted = _job(data, out, candidates=CANDIDATES)
    for more in range(1, 4):
        job = SearchJob.start(wanted)
        for event in job.events():
            if isinstance(event, SearchProgress) and event.trained >= more:
                os.kill(job.pid, signal.SIGKILL)
        assert job.poll() == -signal.SIGKILL
    done = _ended(wanted)
    assert isinstance(done, SearchDone), done
    cards = unbroken.card, done.card
    assert cards[0].layers == cards[1].layers
    for name in ("model.onnx", "model.int8.onnx"):  # the metrics are those of the one that ran faster
        assert cards[0].sha256[name] == cards[1].sha256[name]
    assert cards[0].notes["front"] == cards[1].notes["front"]
    journals = [(tmp_path / name / "journal.jsonl").read_text().splitlines() for name in ("unbroken", "cut")]
    told = [[_timeless(line) for line in journal[1:]] for journal in journals]
    assert told[0] == told[1]


def _timeless(line: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(line).items() if name not in ("elapsed", "seconds")}


# ---- limits --------------------------------------------------------------------------------------------------------


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize("seconds", [10.0, 25.0])
def test_the_time_budget_is_kept_within_two_seconds_of_a_processor_of_its_own(tmp_path: Path, seconds: float) -> None:
    """The search is given processor seconds as its clock, so that other load on the machine does not matter."""
    data = load_dataset(_tones(tmp_path / "windows.npz", windows=600, channels=1, length=512, classes=6, noise=3.0))
    began = time.process_time()
    card = search(
        data, task="fault", budget=Budget(search_seconds=seconds), out=tmp_path / "out", clock=time.process_time
    ).card
    assert time.process_time() - began <= seconds + max(0.05 * seconds, 2.0)
    assert card.search.stopped_by in ("time", "converged")


# ---- data of every shape -------------------------------------------------------------------------------------------


def test_one_sign_alone_is_refused_saying_that_telling_apart_takes_two(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = _write(tmp_path / "one.npz", rng.normal(size=(40, 1, 128)), np.zeros(40, int), 1)
    failed = _ended(_job(data, tmp_path / "out", task="sign"))
    assert isinstance(failed, SearchFailed)
    assert failed.error == "RecordingError"
    assert "telling apart takes two" in failed.message
    assert "one.npz" in failed.message


def test_two_windows_are_refused_saying_how_many_more_would_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = _write(tmp_path / "two.npz", rng.normal(size=(2, 1, 128)), np.arange(2), 2)
    failed = _ended(_job(data, tmp_path / "out"))
    assert isinstance(failed, SearchFailed)
    assert failed.error == "DataError"
    assert "it has 1 windows, add 2 or more" in failed.message


def test_one_new_window_a_class_is_refused_with_a_library_too(tmp_path: Path) -> None:
    new = _tones(tmp_path / "new.npz", windows=3, channels=1, length=128)
    old = _tones(tmp_path / "old.npz", windows=90, channels=1, length=128, noise=0.5)
    failed = _ended(_job(new, tmp_path / "out", library=DataSource(path=old)))
    assert isinstance(failed, SearchFailed)
    assert failed.error == "DataError"
    assert "no new window is left to test on" in failed.message
    assert "three or more of each class" in failed.message


def test_windows_of_one_sample_are_refused(tmp_path: Path) -> None:
    data = _tones(tmp_path / "short.npz", windows=60, channels=4, length=1)
    failed = _ended(_job(data, tmp_path / "out"))
    assert isinstance(failed, SearchFailed)
    assert failed.error == "DataError"
    assert "a window has 1 sample" in failed.message


def test_values_that_are_no_numbers_are_refused_with_their_place(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2, 128))
    x[7, 1, 99] = np.nan
    data = _write(tmp_path / "nan.npz", x, np.arange(40) % 2, 2)
    failed = _ended(_job(data, tmp_path / "out"))
    assert isinstance(failed, SearchFailed)
    assert failed.error == "RecordingError"
    assert "nan.npz: x[7, 1, 99] is not a finite number" in failed.message


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("windows", "channels", "length", "seconds"),
    [(120, 1, 16, 60), (90, 64, 4096, 20), (10_000, 1, 128, 20)],
    ids=["a short window", "many long channels", "many windows"],
)
def test_data_of_odd_shapes_give_a_good_bundle_within_the_budget(
    tmp_path: Path, windows: int, channels: int, length: int, seconds: int
) -> None:
    data = _tones(tmp_path / "windows.npz", windows=windows, channels=channels, length=length, noise=0.3)
    done = _ended(_job(data, tmp_path / "out", budget=Budget(search_seconds=seconds)))
    assert isinstance(done, SearchDone), done
    assert done.card.metrics.accuracy >= 0.9
    bundle = load_bundle(done.bundle)
    assert (bundle.card.input.channels, bundle.card.input.length) == (channels, length)


@pytest.mark.slow
@pytest.mark.parametrize("constant", [0.0, 1e-30, 1e30])
def test_windows_without_any_signal_give_a_bundle_that_guesses_and_says_so(tmp_path: Path, constant: float) -> None:
    data = _write(tmp_path / "flat.npz", np.full((60, 1, 64), constant), np.arange(60) % 2, 2)
    done = _ended(_job(data, tmp_path / "out", candidates=3))
    assert isinstance(done, SearchDone), done
    assert done.card.metrics.accuracy == pytest.approx(0.5, abs=0.2)
    assert done.card.metrics.accuracy_low < 0.5
