"""The running process: threads that read, one that decides, and the hands that carry out what was decided."""

from __future__ import annotations

import importlib.util
import os
import time
import uuid
from typing import TYPE_CHECKING

import structlog

from edgetune_nas.errors import NasError
from edgetune_nas.worker import SearchFailed
from edgetune_node.config import insecure
from edgetune_node.contract import Status, Topics
from edgetune_node.core import InterruptedCommand, Node
from edgetune_node.errors import NodeError
from edgetune_node.events import (
    AckCommand,
    CancelSearch,
    CommandArrived,
    CommandRefused,
    Durability,
    Effect,
    Event,
    Exit,
    FinishCommand,
    ForgetPerson,
    Install,
    KeepCommand,
    KeepEvidence,
    KeepHeard,
    KeepNovel,
    KeepTrend,
    LabelNovel,
    LinkChanged,
    LostSamples,
    MakeBackup,
    ModelReady,
    NoteCommand,
    NovelChanged,
    Publish,
    Publisher,
    ReadEvidence,
    ReadTrend,
    SaveRecording,
    SearchReported,
    StartSearch,
    StopRequested,
    Tick,
)
from edgetune_node.monitor import restored
from edgetune_node.mqtt import Link, Outbox, machine_boot, since_boot_ns
from edgetune_node.ops import AuditLog, Vitals, Watchdog, disk_problem, log_rare
from edgetune_node.runtime.data_folder import DataFolder
from edgetune_node.runtime.file_worker import FileWorker
from edgetune_node.runtime.flood import Flood
from edgetune_node.runtime.inbox import Inbox
from edgetune_node.runtime.plant_systems import PlantSystems
from edgetune_node.runtime.search_runner import SearchRunner
from edgetune_node.runtime.source_thread import open_sources
from edgetune_node.runtime.sources import SourceReaders
from edgetune_node.storage import INCOMING, asset_folder, finish_restore, list_recordings, prepare_folders
from edgetune_signal import SignalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_node.clock import Clock
    from edgetune_node.config import Settings
    from edgetune_node.events import HealthFigures, Stored
    from edgetune_node.ops import LogWriter

TICK_S = 0.25
FOLDER_S = 1.0
"""Seconds between two looks whether the data folder is still there."""
READERS_S = 0.5
DRAIN_S = 2.5
CLOSED_S = 4.0

log = structlog.get_logger()


class Service:
    """One node process.

    Parameters
    ----------
    settings
        The configuration.
    clock
        The machine's clock.
    log_writer
        Writes the log; ``health`` tells whether it can.

    Raises
    ------
    ConfigError
        Where sources have wrong options.
    OutboxError
        Where the data folder cannot be used.
    """

    def __init__(self, settings: Settings, clock: Clock, log_writer: LogWriter) -> None:
        self._settings = settings
        self._log_writer = log_writer
        self._clock = clock
        self._boot = uuid.uuid4().hex[:8]
        self._data = settings.node.data_dir
        sources = open_sources(settings.asset)
        kinds = ("models", "recordings", "novel", "evidence")
        folders = [self._folder(section.id, kind) for section in settings.asset for kind in kinds]
        folders.insert(0, self._data / INCOMING)
        if finish_restore(self._data):
            log.warning("restore finished", data_dir=str(self._data))
        prepare_folders(self._data, folders)
        self._outbox = Outbox(  # first of all files: it is locked, so a second node on this folder ends here
            self._data / "outbox.sqlite",
            max_bytes=settings.mqtt.outbox_max_bytes,
            max_age_s=settings.mqtt.outbox_max_age_s,
            clock=time.time_ns,
            steady=since_boot_ns,
            machine_boot=machine_boot(),
        )
        self._inbox = Inbox()
        self._readers = SourceReaders(settings.asset, self._inbox, sources)
        self._vitals = Vitals(self._data)
        self._defect: str | None = None
        self._flood = Flood()
        topics = Topics(settings.node.namespace, settings.node.id)
        self._audit = AuditLog(self._data, topics, self._boot, monotonic=clock.monotonic)
        snapshots: dict[str, Callable[[Path], object]] = {"outbox.sqlite": self._outbox.copy_to}
        self._files = FileWorker(settings, self._inbox.put, self._erase_name, snapshots)
        self._data_folder = DataFolder(self._data, folders, self._outbox, self._files.profiles)
        self._publisher = Publisher(topics, self._boot, clock)
        self._node = Node(
            settings,
            publisher=self._publisher,
            new_id=lambda: uuid.uuid4().hex[:12],
            environment=self,
            first_use=self._outbox.commands.first_use,
            restored={
                asset: restored(
                    asset,
                    lambda leaf, asset=asset: self._outbox.current(topics.asset(asset, leaf)),  # type: ignore[misc]
                    heard.read(),
                )
                for asset, heard in self._files.heard.items()
            },
            capabilities=_capabilities(),
        )
        will = self._publisher.publish(Status(status="offline"), None, Durability.TELEMETRY)
        self._link = Link(
            settings.mqtt,
            topics,
            self._outbox,
            post=self._inbox.put,
            boot=self._boot,
            assets=self._node.assets,
            sample_feeds=self._readers.feeds(),
            will=will.message.json_bytes(),
        )
        self._plant = PlantSystems(settings, topics, self._link, post=self._inbox.put)
        snapshots.update(self._plant.snapshots)
        self._searches = SearchRunner(settings, self._folder, self._inbox.put)
        self._watchdog = Watchdog(
            os.environ, health_interval_s=settings.node.health_interval_s, keepalive_s=settings.mqtt.keepalive_s
        )
        self._exit: int | None = None
        self._asked_to_stop: str | None = None

    # ---- what the node asks of the world (Environment) ----------------------------------------------------------

    def vitals(self) -> HealthFigures:
        """Return the figures of ``health`` that the process and the machine know."""
        link, outbox, audit = self._link, self._outbox, self._audit
        vitals = self._vitals.read()
        audit.catch_up(self._clock.utc(), self._inbox.refused)
        folder = self._data_folder
        disk = folder.problem or disk_problem(vitals["disk_free_bytes"], self._settings.node.disk_reserve_bytes)
        wire = link.refusal, link.set_aside, link.willless, link.flapping, link.incident
        log_problem, log_lines_lost = self._log_writer.told
        ours = audit.failure, self._inbox.problem, log_problem, self._defect
        told = (folder.notice, *outbox.problems, disk, link.disk_error, *wire, *ours, *self._plant.problems)
        return {
            **vitals,
            "queue_depth": len(self._inbox),
            "reconnects": link.reconnects,
            "outbox_depth": link.depth,
            "outbox_dropped": link.dropped,
            "outbox_dropped_faults": outbox.dropped_faults,
            "outbox_set_aside": outbox.aside,
            "log_lines_lost": log_lines_lost,
            "problems": [problem for problem in told if problem],
        }

    def missed(self, asset: str) -> LostSamples:
        """Return what of an asset's samples was never taken in."""
        return LostSamples(self._inbox.dropped[asset], self._readers.lost(asset))

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        """Return the answer that a command of this id got, if there was one."""
        return self._outbox.commands.answer_of(asset, command_id)

    def stored(self, asset: str) -> Stored:
        """Return what is stored of an asset."""
        [section] = [section for section in self._settings.asset if section.id == asset]
        return list_recordings(self._files.recordings[asset], section, self._files.profiles[asset].subject)

    def _erase_name(self, asset: str, subject: str) -> dict[str, int]:
        """Erase a person from the messages that wait and from the audit log; called by the thread of files."""
        messages = self._outbox.erase(self._publisher.topics.asset(asset, ""), asset, subject)
        return {"messages": messages, "audit_lines": self._audit.forget(asset, subject)}

    # ---- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until `stop`; give the exit code."""
        self._open_models()
        self._take_up_jobs()
        self._link.start()
        self._plant.start()
        self._readers.start()
        for problem in insecure.unasked(self._settings.mqtt):
            log.warning("insecure", problem=problem)
        for section in self._settings.asset:
            if section.replaced:
                log.warning("old settings", problem=section.replaced)
        self._watchdog.ready()
        log.info("node started", node=self._settings.node.id, assets=list(self._node.assets), boot=self._boot)
        next_tick = next_look = self._clock.monotonic()
        try:
            while self._exit is None:
                if self._asked_to_stop is not None:
                    self._take(StopRequested(self._asked_to_stop))
                    continue
                event = self._inbox.get(max(0.0, next_tick - self._clock.monotonic()))
                if event is not None:
                    began = self._clock.monotonic()
                    self._take(event)
                    self._inbox.took(event, self._clock.monotonic() - began)
                if self._clock.monotonic() >= next_tick:
                    next_tick = self._clock.monotonic() + TICK_S
                    if next_tick >= next_look:
                        next_look = next_tick + FOLDER_S
                        self._look_at_folder()
                    self._take(Tick())
                    if self._flood.has_ended(self._inbox.refused, self._clock.monotonic()):
                        log.info("connecting anew after a flood")
                        self._link.renew()
                    self._readers.check()
                    heard = {name: asset.heard for name, asset in self._node.assets.items()}
                    self._watchdog.check(self._readers.readings(heard), self._link.publishing, self._clock.monotonic())
        finally:
            self._watchdog.stopping()
            self._close()
        return self._exit

    def _look_at_folder(self) -> None:
        if self._data_folder.look():
            for name, store in self._files.novel.items():
                self._take(NovelChanged(name, store.kept()))
        self._plant.look()

    def _take(self, event: Event) -> None:
        """Handle one event; a defect of ours is logged and shown in ``health``, and the next event is handled."""
        if isinstance(event, LinkChanged):
            log.info("broker", connected=event.connected, reason=event.reason)
            self._plant.linked(connected=event.connected)
        if isinstance(event, StopRequested):
            log.info("stopping", reason=event.reason)
        try:
            self._carry_out(self._node.handle(event), event)
        except Exception as error:  # monitoring must go on, and a command that fails must not come back for ever
            defect = f"{type(event).__name__} failed: {error!r}; the log says more"
            if defect != self._defect:
                log.exception("event failed", kind=type(event).__name__)
            self._defect = defect
            try:
                self._carry_out(self._node.broken(event, repr(error)), event)
            except Exception:  # what began as one message must not end the process
                log.exception("failure not answered", kind=type(event).__name__)

    def stop(self, reason: str) -> None:
        """Ask it to end, before anything else that waits; from any thread, and from a handler of signals.

        A handler may have interrupted this thread in the inbox or in a log line, so it takes no lock.
        """
        self._asked_to_stop = reason

    def _close(self) -> None:
        """End what runs, each within its time, so that all of it ends in less than five seconds."""
        began = self._clock.monotonic()
        self._readers.stop()
        self._plant.stop(DRAIN_S)
        self._searches.close()
        self._files.stop()
        self._readers.join(READERS_S)
        stopped = self._publisher.publish(Status(status="stopped"), None, Durability.TELEMETRY)
        self._link.stop(stopped, DRAIN_S)
        self._plant.join(max(0.0, began + CLOSED_S - self._clock.monotonic()))
        self._files.join(max(0.0, began + CLOSED_S - self._clock.monotonic()))
        self._data_folder.close()
        self._outbox.close()
        log.info("node stopped")

    # ---- carrying out --------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect], event: Event | None = None) -> None:
        self._write_down(effects, event)
        for effect in effects:
            match effect:
                case Publish():
                    self._link.publish(effect)
                    self._plant.heard(effect)
                    log_rare(effect)
                case KeepCommand():
                    self._link.keep_command(effect)
                case NoteCommand():
                    self._link.note_command(effect)
                case FinishCommand():
                    self._link.finish_command(effect)
                    self._searches.forget(effect.asset, effect.command_id)
                case AckCommand():
                    self._link.ack(effect.ack)
                case SaveRecording() | KeepNovel() | LabelNovel() | Install() | ForgetPerson() | MakeBackup():
                    self._files.take(effect)
                case KeepEvidence() | ReadEvidence() | KeepTrend() | ReadTrend() | KeepHeard():
                    self._files.take(effect)
                case StartSearch():
                    self._search(effect)
                case CancelSearch():
                    self._searches.cancel()
                case Exit():
                    self._exit = effect.code

    def _write_down(self, effects: list[Effect], event: Event | None) -> None:
        """Note in the audit log what is asked and answered, before it happens; what was turned away is counted."""
        if isinstance(event, CommandArrived):
            self._audit.command(event, effects, self._clock.utc())
        elif not isinstance(event, CommandRefused):
            for effect in effects:
                if isinstance(effect, Publish):
                    self._audit.published(effect)

    def _search(self, effect: StartSearch) -> None:
        try:
            self._files.check_space(0)
            self._searches.start(effect, self._files.recordings[effect.asset], self._files.profiles[effect.asset].store)
        except Exception as error:  # whatever it is, a job whose end nobody hears of would be busy for ever
            if not isinstance(error, NasError | NodeError | SignalError | OSError):
                log.exception("search failed to start")
            self._inbox.put(SearchReported(effect.asset, effect.job, SearchFailed.of(error)))

    # ---- start ---------------------------------------------------------------------------------------------------

    def _folder(self, asset: str, name: str) -> Path:
        return asset_folder(self._data, asset) / name

    def _take_up_jobs(self) -> None:
        interrupted = [
            InterruptedCommand(kept.asset, kept.name, kept.command_id, kept.payload, kept.note)
            for kept in self._outbox.commands.interrupted()
        ]
        self._searches.sweep({(job.asset, job.command_id) for job in interrupted})
        self._carry_out(self._node.start(interrupted))

    def _open_models(self) -> None:
        for name, profiles in self._files.profiles.items():
            bundle, warnings = profiles.open()
            for warning in warnings:
                log.warning("model store", asset=name, problem=warning)
            if warnings:
                self._node.jobs[name].remark("; ".join(warnings))
            self._take(NovelChanged(name, self._files.novel[name].kept()))
            if bundle is not None or profiles.people:
                previous = profiles.store.previous_id()
                subject = profiles.subject if profiles.people else None
                self._take(ModelReady(name, "", bundle, previous, subject=subject))


def _capabilities() -> list[str]:
    trained = importlib.util.find_spec("torch") is not None
    return ["search:closed-form", *(["search:trained"] if trained else [])]
