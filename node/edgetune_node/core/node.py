"""The node: one function from an event to what shall be done, and all the state there is."""

from __future__ import annotations

from collections import deque
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from edgetune_nas.search import SearchProgress
from edgetune_node.clock import ClockMonitor
from edgetune_node.config import insecure
from edgetune_node.contract import BackupCommand, CaptureCommand, Forget, Health, History, Response, Status
from edgetune_node.core.admission import NO_ROOM, CommandAdmission
from edgetune_node.core.backup import NodeBackup
from edgetune_node.core.evidence import AssetEvidence
from edgetune_node.core.jobs import AssetJobs
from edgetune_node.core.resumption import NO_ASSET, NO_BACKUP, InterruptedCommand, resumable
from edgetune_node.errors import Refused
from edgetune_node.events import (
    AckCommand,
    Answer,
    BackupMade,
    CancelSearch,
    ChunkArrived,
    CommandArrived,
    CommandRefused,
    ContextArrived,
    Durability,
    Effect,
    Event,
    EvidenceKept,
    EvidenceRead,
    Exit,
    FinishCommand,
    HeardKept,
    LinkChanged,
    ModelReady,
    NovelChanged,
    Origin,
    PersonForgotten,
    RecordingSaved,
    SearchReported,
    SourceChanged,
    SourceRefused,
    StartSearch,
    StopRequested,
    Tick,
    TrendKept,
    TrendRead,
)
from edgetune_node.monitor import Asset, info_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from edgetune_node.clock import Clock
    from edgetune_node.config import Settings
    from edgetune_node.contract import BrokerInfo, Command
    from edgetune_node.events import HealthFigures, LostSamples, Publisher, Stored
    from edgetune_node.monitor import Restored


class Environment(Protocol):
    """What the node asks of the world outside: figures, memory of commands, stored recordings."""

    def vitals(self) -> HealthFigures:
        """Return the fields of ``health`` that the process and the machine know."""
        ...

    def missed(self, asset: str) -> LostSamples:
        """Return what of an asset's samples was never taken in."""
        ...

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        """Return the answer that a command of this id got, if there was one."""
        ...

    def stored(self, asset: str) -> Stored:
        """Return what is stored of an asset."""
        ...


class Node:
    """Everything that the node decides; see `handle`.

    Parameters
    ----------
    settings
        The configuration.
    new_id, environment
        The world, passed in.
    first_use
        Remembers the signature of a command, and until when that is good; tells whether it came for the first time.
    boot
        Names this life of the process.
    publisher
        Stamps messages.
    restored
        What was said last before the process ended, by asset.
    capabilities
        What ``info`` says the node can do.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        publisher: Publisher,
        new_id: Callable[[], str],
        environment: Environment,
        first_use: Callable[[str, datetime], bool],
        restored: Mapping[str, Restored],
        capabilities: Sequence[str],
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._clock: Clock = publisher.clock
        self._clock_watch = ClockMonitor(publisher.clock)
        self._environment = environment
        self._capabilities = list(capabilities)
        self._started = publisher.clock.monotonic()
        self._last_health = float("-inf")
        self._connected = False
        self._broker: BrokerInfo | None = None
        self.assets = {
            section.id: Asset(section, publisher, new_id, restored.get(section.id)) for section in settings.asset
        }
        self.jobs = {
            name: AssetJobs(asset, publisher, lambda name=name: environment.stored(name))  # type: ignore[misc]
            for name, asset in self.assets.items()
        }
        self._evidence = {
            name: AssetEvidence(asset, publisher, restored.get(name)) for name, asset in self.assets.items()
        }
        self._admission = CommandAdmission(
            settings.mqtt.command_key, self.assets, publisher, answer_of=environment.answer_of, first_use=first_use
        )
        self._backup = NodeBackup(publisher)
        self._at_work: tuple[str, str | None] | None = None
        self._searching: tuple[str, str] | None = None
        self._waiting: deque[StartSearch] = deque()

    def start(self, interrupted: Sequence[InterruptedCommand]) -> list[Effect]:
        """Go on with the jobs of the process' last life, or say how they ended."""
        effects: list[Effect] = []
        for job in interrupted:
            try:
                effects += self._resume(job)
            except Refused as refused:
                effects += self._not_resumed(job, str(refused))
        return self._settle(effects)

    def handle(self, event: Event) -> list[Effect]:
        """Process one event; return the effects, in order."""
        self._at_work = None
        match event:
            case ChunkArrived():
                effects = self._listen(event)
            case Tick():
                effects = self._tick()
            case CommandArrived():
                effects = self._admission.admit(event, self._command)
            case CommandRefused():
                effects = self._admission.turn_away(event.command, NO_ROOM, in_memory=True)
            case ContextArrived():
                effects = self._context(event)
            case LinkChanged():
                self._connected = event.connected
                self._broker = event.broker or self._broker
                effects = self.announce() if event.connected else []
            case SourceChanged() | SourceRefused():
                self.assets[event.asset].source_changed(event)
                effects = []
            case _:
                effects = self._came_of(event)
        return self._settle(effects, event)

    def announce(self) -> list[Effect]:
        """Return everything that is retained; ``online`` last, so that what it vouches for is already there."""
        effects: list[Effect] = [self._info(), self._health()]
        for name, asset in self.assets.items():
            effects += asset.announce()
            effects += self.jobs[name].state(always=True)
            effects += self.jobs[name].progress(always=True)
        return [*effects, self._publisher.publish(Status(status="online"), None, Durability.TELEMETRY)]

    # ---- events ------------------------------------------------------------------------------------------------

    def _listen(self, event: ChunkArrived) -> list[Effect]:
        at_work = self.jobs[event.asset].job is not None
        chunk = self.assets[event.asset].as_calibrated(event.chunk, held=at_work)
        told = list[Effect](self.assets[event.asset].listen(chunk))
        jobs = self._jobs_of(event.asset)
        told += jobs.samples(chunk)
        self._at_work = None
        return [*told, *self._evidence[event.asset].samples(chunk, told, jobs.condition)]

    def _tick(self) -> list[Effect]:
        effects: list[Effect] = []
        for name, asset in self.assets.items():
            effects += asset.tick()
            effects += self._jobs_of(name).tick()
            self._at_work = None
            effects += self._evidence[name].tick(self.jobs[name].condition)
        due = self._clock.monotonic() - self._last_health >= self._settings.node.health_interval_s
        if self._clock_watch.look() or due:
            again = self._connected and self._broker is not None and not self._broker.retain
            effects += self.announce() if again else [self._health()]  # else who comes later would know nothing
        return effects

    def _command(self, event: CommandArrived, command: Command) -> list[Effect]:
        origin = Origin(event.name, command.id, event.response_topic, event.correlation)
        if isinstance(command, BackupCommand):
            answer, effects = self._backup.command(command, origin)
            return self._admission.answer(event, command, answer, effects, lambda: self._backup.note)
        if event.asset is None:
            detail = {"version": version("edgetune"), "uptime_s": round(self._clock.monotonic() - self._started, 1)}
            return self._admission.answer(event, command, Answer("done", detail=detail), [], bytes)
        jobs = self._jobs_of(event.asset)
        if isinstance(command, CaptureCommand | History):
            evidence = self._evidence[event.asset]
            answer, effects = evidence.command(command, origin, jobs.condition)
            return self._admission.answer(event, command, answer, effects, lambda: evidence.note(origin))
        answer, effects = jobs.command(command, origin)
        if isinstance(command, Forget) and not answer.final:
            effects += self._evidence[event.asset].forget(command.subject)
        told = self._admission.answer(event, command, answer, effects, lambda: jobs.job_note)
        return told if answer.final else [*told, *jobs.tick()]

    def _context(self, event: ContextArrived) -> list[Effect]:
        asset = self.assets.get(event.asset)
        return [] if asset is None else [*asset.context_arrived(event.payload)]

    def _came_of(
        self,
        event: SearchReported
        | RecordingSaved
        | NovelChanged
        | ModelReady
        | PersonForgotten
        | EvidenceKept
        | EvidenceRead
        | TrendKept
        | HeardKept
        | TrendRead
        | BackupMade
        | StopRequested,
    ) -> list[Effect]:
        """Go on after what was asked of others, or end."""
        match event:
            case SearchReported():
                return self._searched(event)
            case RecordingSaved() | NovelChanged():
                return self.jobs[event.asset].saved(event)
            case ModelReady() | PersonForgotten():
                return self._model_ready(event)
            case BackupMade():
                return self._backup.made(event)
            case StopRequested():
                return self._stop()
        return self._evidence[event.asset].handle(event)

    def _searched(self, event: SearchReported) -> list[Effect]:
        if not isinstance(event.event, SearchProgress) and self._searching == (event.asset, event.job):
            self._searching = None
        return self.jobs[event.asset].searched(event.job, event.event)

    def _model_ready(self, event: ModelReady | PersonForgotten) -> list[Effect]:
        jobs = self.jobs[event.asset]
        if isinstance(event, PersonForgotten):
            return [*jobs.forgotten(event), *([self._info()] if self._connected else [])]
        effects = jobs.model_ready(event)
        return [*effects, self._info()] if event.subject is not None and self._connected else effects

    def _stop(self) -> list[Effect]:
        """End; a search is not asked to finish early, since the next start goes on with it."""
        kept = [effect for name, each in self._evidence.items() for effect in each.stop(self.jobs[name].condition)]
        return [*kept, Exit()]

    # ---- inside ------------------------------------------------------------------------------------------------

    def _resume(self, job: InterruptedCommand) -> list[Effect]:
        jobs = None if job.asset is None else self.jobs.get(job.asset)
        if jobs is None:
            raise Refused(NO_BACKUP if job.asset is None else NO_ASSET)
        return jobs.take_up(job.name, *resumable(job))

    def _not_resumed(self, job: InterruptedCommand, reason: str) -> list[Effect]:
        if job.asset in self.jobs:
            self.jobs[job.asset].remark(f"{job.name} was interrupted by a restart")
        note = job.read_note()
        replies = self._publisher.respond(
            job.asset,
            Response(id=job.command_id, command=job.name, status="failed", reason=reason),
            response_topic=note.response_topic,
            correlation=note.correlation,
        )
        return [*replies, FinishCommand(job.asset, job.name, job.command_id, replies[0].message.json_bytes())]

    def _jobs_of(self, asset: str) -> AssetJobs:
        """Return the jobs of an asset, and remember that they are at work and which one ran; see `broken`."""
        jobs = self.jobs[asset]
        self._at_work = asset, jobs.job
        return jobs

    def _settle(self, effects: list[Effect], event: Event | None = None) -> list[Effect]:
        """Let one search run at a time, and say what changed."""
        settled: list[Effect] = []
        for effect in effects:
            if isinstance(effect, StartSearch):
                if self._searching is not None:
                    self._waiting.append(effect)
                    settled += self.jobs[effect.asset].queued()
                    continue
                self._searching = (effect.asset, effect.job)
            elif isinstance(effect, CancelSearch) and self._searching != (effect.asset, effect.job):
                gone = effect.asset, effect.job
                self._waiting = deque(each for each in self._waiting if (each.asset, each.job) != gone)
                continue
            settled.append(effect)
        if self._searching is None and self._waiting:
            search = self._waiting.popleft()
            self._searching = (search.asset, search.job)
            settled.append(search)
        for jobs in self._concerned(event):
            settled += jobs.state()
            settled += jobs.progress()
        return settled

    def _concerned(self, event: Event | None) -> Iterable[AssetJobs]:
        """Return the jobs that an event may have changed: of what comes for one asset, that asset's."""
        match event:
            case ChunkArrived() | ContextArrived() | CommandArrived():
                return [self.jobs[event.asset]] if event.asset in self.jobs else []
            case CommandRefused():
                return []
        return self.jobs.values()

    def broken(self, event: Event, reason: str) -> list[Effect]:
        """Answer a command, or end a job, that a defect of ours keeps from going on, so that nobody waits for ever.

        A command ends the job that it has begun, samples and time end one that failed over them.
        """
        told = f"the node failed over it: {reason}; its log says more"
        asset, before = self._at_work or ("", None)
        job = self.jobs[asset].job if asset else None
        match event:
            case CommandArrived() if job is not None and job != before:
                ended = self._settle(self.jobs[asset].broke(job, told))
                return [*ended, *([] if event.ack is None else [AckCommand(event.ack)])]
            case CommandArrived():
                return self._admission.turn_away(event, told)
            case ModelReady() | PersonForgotten() | RecordingSaved() | NovelChanged() | SearchReported():
                return self._settle(self.jobs[event.asset].broke(event.job, told))
            case BackupMade():
                return self._backup.made(BackupMade(event.job, error=told))
            case EvidenceRead() | TrendRead():
                return self._evidence[event.asset].broke(event.job, told)
            case EvidenceKept():
                return self._evidence[event.asset].broke(event.wanted.job, told)
            case ChunkArrived() | Tick() if job is not None:
                return self._settle(self.jobs[asset].broke(job, told))
        return []

    def _info(self) -> Effect:
        subjects = {name: asset.subject for name, asset in self.assets.items()}
        info = info_message(self._settings, subjects, self._capabilities, self._broker)
        return self._publisher.publish(info, None, Durability.TELEMETRY)

    def _health(self) -> Effect:
        self._last_health = self._clock.monotonic()
        figures = self._environment.vitals()
        refused = [f"{name}: {problem}" for name, asset in self.assets.items() for problem in asset.problems]
        refused += [f"{name}: {problem}" for name, each in self._evidence.items() for problem in each.problems]
        problems = *figures.get("problems", ()), *self._clock_watch.problems, *refused
        figures["problems"] = [*problems, *insecure.unasked(self._settings.mqtt)]
        missed = {name: self._environment.missed(name) for name in self.assets}
        health = Health(
            **figures,
            uptime_s=round(self._clock.monotonic() - self._started, 1),
            dropped_chunks=sum(each.dropped_chunks for each in missed.values()),
            assets=[asset.health(missed[name]) for name, asset in self.assets.items()],
        )
        return self._publisher.publish(health, None, Durability.TELEMETRY)
