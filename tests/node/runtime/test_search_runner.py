"""The node's side of a search child: what it is given, and what happens when it hangs."""

from __future__ import annotations

import itertools
import os
import queue
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.card import Budget
from edgetune_nas.search.progress import SearchProgress
from edgetune_nas.worker.events import SearchDone, SearchFailed
from edgetune_node.config.settings import AssetSection, Settings
from edgetune_node.errors import NodeError
from edgetune_node.events.effects import StartSearch
from edgetune_node.events.events import SearchReported
from edgetune_node.runtime import search_runner as searches
from edgetune_node.runtime.search_runner import SearchRunner
from edgetune_node.storage.models import ModelStore
from edgetune_signal import Recording, RecordingStore, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE = 1000.0


class Bench:
    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.settings = Settings(
            node={"id": "n"}, asset=[{"id": "a", "rate_hz": RATE, "window": {"length": 64, "hop": 64}}]
        )
        self.reported: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.restart()
        self.recordings = RecordingStore(tmp_path / "a" / "recordings", 10**8)
        self.store = ModelStore(tmp_path / "a" / "models", StreamSpec(1, RATE, "g"), 64, "fault")

    def record(self, label: str, frequency_hz: float, rate_hz: float = RATE) -> None:
        time_s = np.arange(4000) / RATE
        noise = np.random.default_rng(0).normal(0, 0.1, 4000)
        samples = (np.sin(2 * np.pi * frequency_hz * time_s) + noise).astype(np.float32)[np.newaxis]
        self.recordings.add(
            Recording(samples=samples, rate_hz=rate_hz, label=label, unit="g", group=label, held_out_from=3000)
        )

    def restart(self) -> None:
        """Forget everything that is not on disk, as the end of the process does."""
        self.runner = SearchRunner(self.settings, lambda asset, name: self.folder / asset / name, self.reported.put)

    def start(self, seconds: float) -> None:
        wanted = StartSearch("a", "job", ("low", "high"), Budget(ram_bytes=4096, search_seconds=seconds))
        self.runner.start(wanted, self.recordings, self.store)

    def left(self) -> list[Path]:
        """What is on disk of any search."""
        return list((self.folder / "a" / "search").glob("*/*"))

    def journal(self) -> list[str]:
        return [line for path in self.left() if path.suffix == ".jsonl" for line in path.read_text().splitlines()]

    def end(self) -> SearchDone | SearchFailed:
        while True:
            report = self.reported.get(timeout=120)
            assert isinstance(report, SearchReported)
            if not isinstance(report.event, SearchProgress):
                return report.event


def recorded(tmp_path: Path) -> Bench:
    """A bench with recordings of two classes."""
    bench = Bench(tmp_path)
    bench.record("low", 20.0)
    bench.record("high", 200.0)
    return bench


@pytest.mark.slow
def test_the_bundle_of_a_search_ends_in_the_store_and_nothing_else_stays(tmp_path: Path) -> None:
    bench = recorded(tmp_path)
    bench.start(6.0)
    event = bench.end()
    assert isinstance(event, SearchDone), event
    assert event.card.notes["hum"]["mains_hz"] == bench.settings.asset[0].mains_hz
    assert bench.store.find(event.card.id, tmp_path) == bench.store.folder / f"model-{event.card.id}"
    assert bench.store.current() is None
    bench.runner.forget("a", "job")
    assert bench.left() == []


@pytest.mark.slow
def test_a_hung_search_is_killed_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "OVERRUN_S", 0.5)
    bench = recorded(tmp_path)
    bench.start(1.0)
    running = bench.runner._running
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    event = bench.end()
    assert isinstance(event, SearchFailed)
    assert "hung" in event.message


@pytest.mark.slow
def test_a_search_that_uses_no_processor_time_is_killed_long_before_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "LOOK_S", 0.1)
    bench = recorded(tmp_path)
    bench.start(3600.0)
    running = bench.runner._running
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    event = bench.end()
    assert isinstance(event, SearchFailed)
    assert "hung without any processor time" in event.message


@pytest.mark.slow
def test_a_killed_search_goes_on_from_its_journal(tmp_path: Path, until: Callable[..., None]) -> None:
    bench = recorded(tmp_path)
    bench.start(30.0)
    until(lambda: len(bench.journal()) > 3)
    bench.runner.close()
    killed = bench.end()
    assert isinstance(killed, SearchFailed)
    assert killed.error == "SIGKILL"
    kept = bench.journal()
    bench.record("later", 400.0)  # what came after the search began is not what it is about
    bench.restart()
    bench.runner.sweep({("a", "job")})
    bench.start(30.0)
    event = bench.end()
    assert isinstance(event, SearchDone), event
    assert bench.journal()[: len(kept)] == kept
    assert event.card.search.candidates >= len(kept) - 1


@pytest.mark.slow
def test_a_search_that_had_ended_before_the_restart_is_not_made_again(tmp_path: Path) -> None:
    bench = recorded(tmp_path)
    bench.start(6.0)
    event = bench.end()
    assert isinstance(event, SearchDone), event
    for _ in range(2):
        bench.restart()
        bench.start(6.0)
        assert bench.runner._running is None
        assert bench.end() == event
    (bench.folder / "a" / "models" / f"model-{event.card.id}").rename(
        next((bench.folder / "a" / "search").iterdir()) / f"model-{event.card.id}"
    )  # as if the kill had come before it was moved into the store
    bench.restart()
    bench.start(6.0)
    assert bench.end() == event
    assert bench.store.models() == [bench.store.folder / f"model-{event.card.id}"]


def test_what_no_job_needs_is_swept_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in ("job", "other"):
        place = bench.runner._place("a", name)
        place.mkdir(parents=True)
        (place / "journal.jsonl").touch()
    (tmp_path / "a" / "search" / "job.json").touch()
    bench.runner.sweep({("a", "job"), (None, "x"), ("gone", "y")})
    assert bench.left() == [bench.runner._place("a", "job") / "journal.jsonl"]
    bench.runner.forget("a", "job")
    assert list((tmp_path / "a" / "search").iterdir()) == []


def test_a_person_s_recordings_are_the_data_and_those_of_others_the_library(tmp_path: Path) -> None:
    section = AssetSection(
        id="a", task="sign", subject="anna", rate_hz=RATE, window={"length": 64, "hop": 16}, source={"type": "mqtt"}
    )
    store = RecordingStore(tmp_path, 10**8)
    paths = {
        (subject, label): store.add(
            Recording(np.full((1, 200), number, np.float32), RATE, label, "g", subject=subject, time_ns=number)
        )
        for number, (subject, label) in enumerate(itertools.product(("anna", "ben", ""), ("fist", "rest", "wave")))
    }
    wanted = StartSearch("a", "job", ("fist", "rest"), Budget(), subject="ben")
    data, library = searches.learned_from(wanted, store, section)
    assert library is not None
    assert (data.hop, library.hop) == (16, 64)
    assert set(data.recordings) == {paths["ben", "fist"], paths["ben", "rest"]}
    assert set(library.recordings) == {paths[who, label] for who in ("anna", "") for label in ("fist", "rest")}
    data, _ = searches.learned_from(replace(wanted, subject="anna"), store, section)
    assert set(data.recordings) == set(library.recordings)
    data, library = searches.learned_from(
        replace(wanted, subject=""), store, section.model_copy(update={"task": "fault"})
    )
    assert (len(data.recordings), library) == (6, None)
    with pytest.raises(NodeError, match="fits the stream"):
        searches.learned_from(replace(wanted, subject="carl"), store, section)


@pytest.mark.parametrize(("task", "subject", "others"), [("fault", "", 0), ("sign", "ben", 2)])
def test_older_recordings_are_the_library_where_every_class_was_collected_again(
    tmp_path: Path, task: str, subject: str, others: int
) -> None:
    section = AssetSection(id="a", task=task, rate_hz=RATE, window={"length": 64, "hop": 64}, source={"type": "mqtt"})
    store = RecordingStore(tmp_path, 10**8)

    def add(label: str, samples: int, whose: str = subject) -> Path:
        number = len(store.list())
        return store.add(
            Recording(np.full((1, samples), number, np.float32), RATE, label, "g", subject=whose, time_ns=number)
        )

    for label in ("fist", "rest") if others else ():
        add(label, 600, "anna")
    older = [add(label, 600) for label in ("fist", "rest", "fist")]
    fist, rest, short = add("fist", 8 * 64), add("rest", 8 * 64), add("rest", 8 * 64 - 1)

    def sources(*collected: Path) -> tuple[set[Path], int]:
        wanted = StartSearch("a", "job", ("fist", "rest"), Budget(), subject=subject, collected=collected)
        data, library = searches.learned_from(wanted, store, section)
        return set(data.recordings), 0 if library is None else len(library.recordings)

    own = {*older, fist, rest, short}
    assert sources(fist, rest) == ({fist, rest}, 4 + others)
    assert sources(fist, rest, short) == ({fist, rest, short}, 3 + others)
    assert sources(fist, short) == (own, others)
    assert sources(fist) == (own, others)
    assert sources() == (own, others)


def test_a_search_whose_recordings_went_meanwhile_does_not_begin(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    section = bench.settings.asset[0]
    for label in ("low", "high", "high"):
        bench.record(label, 20.0)
    high, again, low = sorted(info.path for info in bench.recordings.list())
    wanted = StartSearch("a", "job", ("high", "low"), Budget(), collected=(again, low))
    assert len(searches.learned_from(wanted, bench.recordings, section)[0].recordings) == 2
    again.write_bytes(b"")
    with pytest.raises(NodeError, match=f"gone, damaged or of another stream: {again.name}; record again"):
        searches.learned_from(wanted, bench.recordings, section)
    assert searches.learned_from(replace(wanted, collected=(high,)), bench.recordings, section)
    low.unlink()
    with pytest.raises(NodeError, match="gone, damaged or of another stream: every recording of 'low'; record again"):
        searches.learned_from(replace(wanted, collected=(high,)), bench.recordings, section)


def test_recordings_of_another_stream_are_no_data(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.record("low", 20.0, rate_hz=48_000.0)
    with pytest.raises(NodeError, match="fits the stream"):
        bench.start(1.0)
