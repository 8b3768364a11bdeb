"""Starts the search child, reads what it reports, and ends it: the node's side of `edgetune_nas.worker.job`."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import structlog
from pydantic import ValidationError

from edgetune_nas.search import SearchProgress
from edgetune_nas.worker import JOB_FILE, DataSource, Job, SearchDone, SearchFailed, SearchJob
from edgetune_node.errors import NodeError
from edgetune_node.events import SearchReported
from edgetune_node.storage import is_of, misfit

if TYPE_CHECKING:
    from collections.abc import Callable, Set as AbstractSet

    from edgetune_node.config import AssetSection, Settings
    from edgetune_node.events import Event, StartSearch
    from edgetune_node.storage import ModelStore
    from edgetune_signal import RecordingInfo, RecordingStore

CLOSE_S = 0.5
OVERRUN_S = 30.0
"""A child that is so much later than its budget hangs."""
LOOK_S = 2.0
IDLE_LOOKS = 15
"""A child that used no processor time between so many looks hangs too; looks, since a paused container has no time."""
FEWEST_NEW_WINDOWS = 8
"""Windows side by side that a job must have collected of every class for older recordings to be a library."""
DONE_FILE = "done.json"

log = structlog.get_logger()


class SearchRunner:
    """Runs one search at a time in a process group of its own, in a folder that outlives it until `forget`.

    So a search whose node was killed goes on where it stood: from its journal; or, where it had ended already, with
    what it had found.

    Parameters
    ----------
    settings
        Windows, budgets and memory bounds of the assets.
    folder
        Gives an asset's folder of a name.
    post
        Takes what the child reports, from another thread.
    """

    def __init__(self, settings: Settings, folder: Callable[[str, str], Path], post: Callable[[Event], object]) -> None:
        self._sections = {section.id: section for section in settings.asset}
        self._search = settings.search
        self._folder = folder
        self._post = post
        self._running: SearchJob | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._in_use: Path | None = None
        self._unwanted = False

    def start(self, wanted: StartSearch, recordings: RecordingStore, store: ModelStore) -> None:
        """Start the child, or go on with what an earlier one left; its events arrive as `SearchReported`.

        To be called from the thread that lives longest.

        Raises
        ------
        NodeError
            Where no stored recording fits the stream.
        OSError
            Where the child cannot be started.
        """
        section = self._sections[wanted.asset]
        out = self._place(wanted.asset, wanted.job)
        ended = _ended(out, store)
        if ended is not None:
            log.info("search had ended before the restart", asset=wanted.asset, job=wanted.job)
            self._post(SearchReported(wanted.asset, wanted.job, ended))
            return
        begun = _begun(out)
        if begun is None:
            shutil.rmtree(out, ignore_errors=True)
        data, library = learned_from(wanted, recordings, section) if begun is None else (begun.data, begun.library)
        job = Job(
            data=data,
            library=library,
            task=section.task,
            budget=wanted.budget,
            out=out,
            replaced=store.current(),
            workers=self._search.workers,
            cluster=self._search.cluster,
            mains_hz=section.mains_hz,
            max_rss_bytes=section.search_max_rss_bytes,
            false_alarms_per_month=section.alarm.false_alarms_per_month,
        )
        logged = log.bind(asset=wanted.asset, job=wanted.job)
        # through this process, whose log never blocks: a child that waits for the log's reader would hang
        self._running = SearchJob.start(job, log=lambda line: logged.info("search says", line=line))
        with self._lock:
            self._in_use, self._unwanted = out, False
        log.info(
            "search started",
            asset=wanted.asset,
            job=wanted.job,
            recordings=len(data.recordings),
            library=0 if library is None else len(library.recordings),
            resumed=begun is not None,
            pid=self._running.pid,
        )
        self._reader = threading.Thread(target=self._read, args=(self._running, wanted, out, store), daemon=True)
        self._reader.start()

    def cancel(self) -> None:
        """Ask the child to end; it is killed if it does not."""
        if self._running is not None:
            self._running.cancel()

    def close(self) -> None:
        """End the child now; what it has found so far stays in its folder."""
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
        if self._reader is not None:
            self._reader.join(CLOSE_S)

    def forget(self, asset: str | None, job: str) -> None:
        """Delete what is left of a job's search, once its child has ended."""
        if asset is None:
            return
        out = self._place(asset, job)
        with self._lock:
            if out == self._in_use:
                self._unwanted = True
                return
        shutil.rmtree(out, ignore_errors=True)

    def sweep(self, wanted: AbstractSet[tuple[str | None, str]]) -> None:
        """Delete what is left of all searches but those of ``wanted`` (asset, job)."""
        kept = {self._place(asset, job) for asset, job in wanted if asset is not None}
        for asset in self._sections:
            for found in self._folder(asset, "search").glob("*"):
                if found in kept:
                    continue
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink(missing_ok=True)

    def _place(self, asset: str, job: str) -> Path:
        """Return the folder of a job's search; a command's id may hold anything, so its hash is the name."""
        return self._folder(asset, "search") / hashlib.blake2b(job.encode(), digest_size=8).hexdigest()

    def _read(self, job: SearchJob, wanted: StartSearch, out: Path, store: ModelStore) -> None:
        ended = threading.Event()
        hung: list[str] = []
        watched = (job, wanted.budget.search_seconds + OVERRUN_S, ended, hung)
        threading.Thread(target=_watch, args=watched, name="search-watch", daemon=True).start()
        for event in job.events():
            reported = _kept(event, out, store) if isinstance(event, SearchDone) else event
            if isinstance(reported, SearchFailed) and hung:
                reported = SearchFailed(error=reported.error, message=f"the search hung {hung[0]} and was killed")
            if not isinstance(reported, SearchProgress):
                reason = reported.message if isinstance(reported, SearchFailed) else ""
                log.info("search ended", asset=wanted.asset, job=wanted.job, how=reported.event, reason=reason)
                with self._lock:
                    self._in_use = None
                    if self._unwanted:
                        shutil.rmtree(out, ignore_errors=True)
            self._post(SearchReported(wanted.asset, wanted.job, reported))
        ended.set()


def _watch(job: SearchJob, at_most_s: float, ended: threading.Event, hung: list[str]) -> None:
    """End a child that hangs, and say in ``hung`` how that was seen."""
    give_up_s = time.monotonic() + at_most_s
    spent_s, idle = -1.0, 0
    while not ended.wait(LOOK_S):
        before_s, spent_s = spent_s, _processor_s(job.pid)
        idle = idle + 1 if spent_s == before_s else 0
        if time.monotonic() > give_up_s:
            hung.append("far beyond its time budget")
        elif idle >= IDLE_LOOKS:
            hung.append(f"without any processor time for {IDLE_LOOKS * LOOK_S:g} s")
        if hung:
            job.cancel()
            return


def _processor_s(pid: int) -> float:
    """Return the processor time of a process and its children; it falls where one of them ends."""
    try:
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.Error:  # one of them has just ended
        return -1.0
    return float(sum(spent.user + spent.system for spent in times))


def learned_from(
    wanted: StartSearch, store: RecordingStore, section: AssetSection
) -> tuple[DataSource, DataSource | None]:
    """Return what a search learns from, and its library: other people's recordings, and older ones after a change.

    Where a job has collected enough of every class, machine or armband may have changed since: what is older is a
    library then. Else all recordings are data, for a class that nobody made again stands in the older ones alone.

    Raises
    ------
    NodeError
        Nothing fits the stream, or a recording of the job or the last one of a class is gone. A model would not know
        it.
    """
    fitting = [info for info in store.list() if info.label in wanted.classes and misfit(info, section) is None]
    own = [info for info in fitting if is_of(info, section, wanted.subject)]
    if not own:
        raise NodeError(f"no recording in {store.folder} fits the stream; record again with this sensor")
    length, hop = section.window.length, section.window.hop
    collected = [info for info in own if info.path in wanted.collected]
    classes = {info.label for info in own}
    lost = sorted({path.name for path in wanted.collected} - {info.path.name for info in collected})
    lost += [f"every recording of {name!r}" for name in wanted.classes if name not in classes]
    if lost:
        raise NodeError(f"in {store.folder} is gone, damaged or of another stream: {', '.join(lost)}; record again")
    if _stands_alone(collected, classes, length):
        own = collected
    data = DataSource(recordings=tuple(info.path for info in own), window=length, hop=hop)
    older = tuple(info.path for info in fitting if info.path not in data.recordings)
    return data, DataSource(recordings=older, window=length, hop=max(length, hop)) if older else None


def _stands_alone(collected: list[RecordingInfo], classes: set[str], length: int) -> bool:
    """Return whether recordings have windows enough of every one of ``classes`` to learn, choose and test."""
    samples = dict.fromkeys(classes, 0.0)
    for info in collected:
        samples[info.label] += info.seconds * info.rate_hz
    return len(classes) > 1 and min(samples.values()) >= FEWEST_NEW_WINDOWS * length


def _begun(out: Path) -> Job | None:
    """Return the job that an earlier child began; None where there was none or its recordings are gone."""
    try:
        job = Job.model_validate_json((out / JOB_FILE).read_bytes())
    except (OSError, ValidationError):  # none, or cut short by the kill: nothing was searched yet
        return None
    used = (*job.data.recordings, *(() if job.library is None else job.library.recordings))
    return job if job.data.recordings and all(path.is_file() for path in used) else None


def _kept(done: SearchDone, out: Path, store: ModelStore) -> SearchDone | SearchFailed:
    """Move the bundle into the model store, where it can be deployed later too; it is not current yet."""
    try:
        noted = done.model_copy(update={"bundle": Path(done.bundle.name)})
        (out / DONE_FILE).write_text(noted.model_dump_json(), encoding="utf-8")
        kept = store.keep(done.bundle)
    except OSError as error:
        message = f"{done.bundle} cannot be moved to {store.folder}: {error.strerror}"
        return SearchFailed(error="OSError", message=message)
    return done.model_copy(update={"bundle": kept})


def _ended(out: Path, store: ModelStore) -> SearchDone | SearchFailed | None:
    """Return what an earlier child reported at its end; None if it had not ended."""
    try:
        done = SearchDone.model_validate_json((out / DONE_FILE).read_bytes())
    except (OSError, ValidationError):  # not there, or cut short: the journal gives it again
        return None
    name = done.bundle.name
    if (store.folder / name / "card.json").is_file():
        return done.model_copy(update={"bundle": store.folder / name})
    if (out / name / "card.json").is_file():
        return _kept(done.model_copy(update={"bundle": out / name}), out, store)
    return None
