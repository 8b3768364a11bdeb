"""Starts the search child, reads what it reports, and ends it: the node's side of `edgetune_nas.job`."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from edgetune_nas.job import Job, SearchJob, Source
from edgetune_node.errors import NodeError
from edgetune_node.events import SearchReported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_node.config import AssetSection, Settings
    from edgetune_node.events import Event, StartSearch
    from edgetune_node.store import ModelStore
    from edgetune_signal import RecordingInfo, RecordingStore

CLOSE_S = 1.5
OVERRUN_S = 30.0
"""A child that is so much later than its budget hangs."""

log = structlog.get_logger()


class SearchRunner:
    """Runs one search at a time in a process group of its own.

    Parameters
    ----------
    settings
        Windows, budgets and memory bounds of the assets.
    folder
        Gives an asset's folder of a name.
    post
        Takes what the child reports, from another thread.
    """

    def __init__(self, settings: Settings, folder: Callable[[str, str], Path], post: Callable[[Event], None]) -> None:
        self._sections = {section.id: section for section in settings.asset}
        self._folder = folder
        self._post = post
        self._running: SearchJob | None = None
        self._reader: threading.Thread | None = None

    def start(self, wanted: StartSearch, recordings: RecordingStore, store: ModelStore) -> None:
        """Start the child; its events arrive as `SearchReported`. To be called from the thread that lives longest.

        Raises
        ------
        NodeError
            Where no stored recording fits the stream.
        OSError
            Where the child cannot be started.
        """
        section = self._sections[wanted.asset]
        fitting = [
            info.path for info in recordings.list() if info.label in wanted.classes and misfit(info, section) is None
        ]
        if not fitting:
            raise NodeError(f"no recording in {recordings.folder} fits the stream; record again with this sensor")
        out = self._folder(wanted.asset, "search")
        shutil.rmtree(out, ignore_errors=True)
        job = Job(
            data=Source(recordings=tuple(fitting), window=section.window.length, hop=section.window.hop),
            task=section.task,
            budget=wanted.budget,
            out=out,
            replaced=store.current(),
            max_rss_bytes=section.search_max_rss_bytes,
        )
        self._running = SearchJob.start(job)
        log.info("search started", asset=wanted.asset, job=wanted.job, recordings=len(fitting), pid=self._running.pid)
        self._reader = threading.Thread(target=self._read, args=(self._running, wanted, store), daemon=True)
        self._reader.start()

    def cancel(self) -> None:
        """Ask the child to end; it is killed if it does not."""
        if self._running is not None:
            self._running.cancel()

    def close(self) -> None:
        """End the child now."""
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
        if self._reader is not None:
            self._reader.join(CLOSE_S)

    def _read(self, job: SearchJob, wanted: StartSearch, store: ModelStore) -> None:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            job.cancel()

        overrun = threading.Timer(wanted.budget.search_seconds + OVERRUN_S, give_up)
        overrun.daemon = True
        overrun.start()
        for event in job.events():
            reported = _kept(event, store) if event["event"] == "done" else event
            if reported["event"] == "failed" and late.is_set():
                reported = {**reported, "message": "the search hung far beyond its time budget and was killed"}
            if reported["event"] != "progress":
                reason = reported.get("message", "")
                log.info("search ended", asset=wanted.asset, job=wanted.job, how=reported["event"], reason=reason)
            self._post(SearchReported(wanted.asset, wanted.job, reported))
        overrun.cancel()


def misfit(info: RecordingInfo, section: AssetSection) -> str | None:
    """Why a stored recording is not of the asset's stream; None where it is."""
    found = {"channels": info.channels, "rate_hz": info.rate_hz, "unit": info.unit}
    wrong = [f"{name} is {value}" for name, value in found.items() if value != getattr(section, name)]
    return f"{info.path.name} ({info.label}) is left out: {', '.join(wrong)}" if wrong else None


def _kept(event: Mapping[str, Any], store: ModelStore) -> Mapping[str, Any]:
    """Move the bundle into the model store, where it can be deployed later too; it is not current yet."""
    bundle = Path(event["bundle"])
    try:
        kept = store.keep(bundle)
        shutil.rmtree(bundle.parent, ignore_errors=True)
    except OSError as error:
        message = f"{bundle} cannot be moved to {store.folder}: {error.strerror}"
        return {"event": "failed", "error": "OSError", "message": message}
    return {**event, "bundle": str(kept)}
