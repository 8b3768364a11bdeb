"""The node: one function from an event to what shall be done, and all the state there is."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from edgetune_node import insecure
from edgetune_node.asset import Asset
from edgetune_node.clock_watch import ClockWatch
from edgetune_node.commands import Command, Ping, parse_command
from edgetune_node.context import parse_context
from edgetune_node.desk import Desk
from edgetune_node.errors import CommandError, OutboxError, PayloadError
from edgetune_node.events import (
    AckCommand,
    CancelSearch,
    ChunkArrived,
    CommandArrived,
    ContextArrived,
    Durability,
    Effect,
    Event,
    Exit,
    FinishCommand,
    KeepCommand,
    LinkChanged,
    ModelReady,
    NovelChanged,
    RecordingSaved,
    SearchReported,
    SourceChanged,
    SourceRefused,
    StartSearch,
    StopRequested,
    Tick,
)
from edgetune_node.messages import Health, Info, Response, Status
from edgetune_node.requests import Answer, Origin
from edgetune_node.resumption import NO_ASSET, Interrupted, resumable
from edgetune_node.signing import refusal, unseal
from edgetune_node.telling import info_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from edgetune_node.clock import Clock
    from edgetune_node.config import Settings
    from edgetune_node.emitter import Emitter
    from edgetune_node.requests import Missed, Stored
    from edgetune_node.restoring import Restored

SEARCH_ENDED = frozenset({"done", "failed"})
REJECTIONS_KEPT = 256
MAX_TOLD = 500


class Surroundings(Protocol):
    """What the node asks of the world outside: figures, memory of commands, stored recordings."""

    def vitals(self) -> Mapping[str, Any]:
        """Give the fields of ``health`` that the process and the machine know."""
        ...

    def missed(self, asset: str) -> Missed:
        """Give what of an asset's samples was never taken in."""
        ...

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        """Give the answer that a command of this id got, if there was one."""
        ...

    def stored(self, asset: str) -> Stored:
        """Give what is stored of an asset."""
        ...


class Node:
    """Everything that the node decides; see `handle`.

    Parameters
    ----------
    settings
        The configuration.
    new_id, surroundings
        The world, passed in.
    first_use
        Remembers the signature of a command, and until when that is good; tells whether it came for the first time.
    boot
        Names this life of the process.
    emitter
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
        emitter: Emitter,
        new_id: Callable[[], str],
        surroundings: Surroundings,
        first_use: Callable[[str, datetime], bool],
        restored: Mapping[str, Restored],
        capabilities: Sequence[str],
    ) -> None:
        self._settings = settings
        self._emitter = emitter
        self._clock: Clock = emitter.clock
        self._clock_watch = ClockWatch(emitter.clock)
        self._world = surroundings
        self._first_use = first_use
        self._capabilities = list(capabilities)
        self._started = emitter.clock.monotonic()
        self._last_health = float("-inf")
        self._connected = False
        self.assets = {
            section.id: Asset(section, emitter, new_id, restored.get(section.id)) for section in settings.asset
        }
        self.desks = {
            name: Desk(asset, emitter, lambda name=name: surroundings.stored(name))  # type: ignore[misc]
            for name, asset in self.assets.items()
        }
        self._searching: tuple[str, str] | None = None
        self._waiting: deque[StartSearch] = deque()
        self._rejected: dict[tuple[str | None, str], bytes] = {}

    def start(self, interrupted: Sequence[Interrupted]) -> list[Effect]:
        """Go on with the jobs of the process' last life, or say how they ended."""
        effects: list[Effect] = []
        for job in interrupted:
            desk = None if job.asset is None else self.desks.get(job.asset)
            outcome: list[Effect] | str = NO_ASSET
            if desk is not None:
                found = resumable(job)
                outcome = found if isinstance(found, str) else desk.take_up(job.name, *found)
            if not isinstance(outcome, str):
                effects += outcome
                continue
            note = job.read_note()
            replies = self._emitter.respond(
                job.asset,
                {"id": job.command_id, "command": job.name, "status": "failed", "reason": outcome},
                response_topic=note.response_topic,
                correlation=note.correlation,
            )
            effects += replies
            effects.append(FinishCommand(job.asset, job.name, job.command_id, replies[0].message.json_bytes()))
            if desk is not None:
                desk.remark(f"{job.name} was interrupted by a restart")
        return self._settle(effects)

    def handle(self, event: Event) -> list[Effect]:
        """Take in one event; give what shall be done about it, in order."""
        match event:
            case ChunkArrived():
                effects = [*self.assets[event.asset].listen(event.chunk), *self.desks[event.asset].samples(event.chunk)]
            case Tick():
                effects = self._tick()
            case CommandArrived():
                effects = self._command(event)
            case ContextArrived():
                effects = self._context(event)
            case LinkChanged():
                self._connected = event.connected
                effects = self.announce() if event.connected else []
            case SourceChanged():
                self.assets[event.asset].source_error = "the recording has ended" if event.ended else event.error
                effects = []
            case SourceRefused():
                self.assets[event.asset].refused = event.reason
                effects = []
            case SearchReported():
                effects = self._searched(event)
            case RecordingSaved() | NovelChanged():
                effects = self.desks[event.asset].saved(event)
            case ModelReady():
                effects = self._model_ready(event)
            case StopRequested():
                effects = self._stop()
        return self._settle(effects, event)

    def announce(self) -> list[Effect]:
        """Say everything that is retained; ``online`` last, so that what it vouches for is already there."""
        effects: list[Effect] = [self._info(), self._health()]
        for name, asset in self.assets.items():
            effects += asset.announce()
            effects += self.desks[name].state(always=True)
            effects += self.desks[name].progress(always=True)
        return [*effects, self._emitter.publish(Status, None, Durability.TELEMETRY, status="online")]

    # ---- events ------------------------------------------------------------------------------------------------

    def _tick(self) -> list[Effect]:
        effects: list[Effect] = []
        for name, asset in self.assets.items():
            effects += asset.tick()
            effects += self.desks[name].tick()
        due = self._clock.monotonic() - self._last_health >= self._settings.node.health_interval_s
        if self._clock_watch.look() or due:
            effects.append(self._health())
        return effects

    def _command(self, event: CommandArrived) -> list[Effect]:
        key = self._settings.mqtt.command_key
        if key is not None and event.signature is None:
            payload, signature = unseal(event.payload)
            event = replace(event, payload=payload, signature=signature)
        try:
            command = parse_command(event.name, event.payload, now=self._clock.utc(), retained=event.retained)
        except CommandError as error:
            return self._reject(event, error.command_id, error.problems)
        if key is not None:
            refused = self._unproven(key.get_secret_value().encode(), event, command)
            if refused is not None:
                return self._reject(event, command.id, [refused])
        if event.asset is not None and event.asset not in self.assets:
            return self._reject(
                event, command.id, [f"no asset is called {event.asset!r}; there are: {', '.join(self.assets)}"]
            )
        if isinstance(command, Ping) != (event.asset is None):
            place = "its asset" if event.asset is None else "the node"
            return self._reject(event, command.id, [f"{event.name} is a command to {place}, not to this topic"])
        origin = Origin(event.name, command.id, event.response_topic, event.correlation)
        before = self._world.answer_of(event.asset, command.id) or self._rejected.get((event.asset, command.id))
        if before is not None:
            return [*self._repeat(event, before), *self._acknowledge(event)]
        replayed = self._replayed(event, command)
        if replayed is not None:
            return self._reject(event, command.id, [replayed])
        if event.asset is None:
            detail = {"version": version("edgetune"), "uptime_s": round(self._clock.monotonic() - self._started, 1)}
            answer = Answer("done", detail=detail)
            effects: list[Effect] = []
        else:
            answer, effects = self.desks[event.asset].command(command, origin)
        if answer.status == "rejected":
            return [*self._reject(event, command.id, [answer.reason], remember=True), *effects]
        replies = self._emitter.respond(
            event.asset,
            {
                "id": command.id,
                "command": event.name,
                "status": answer.status,
                "reason": answer.reason,
                "detail": answer.detail or {},
            },
            response_topic=event.response_topic,
            correlation=event.correlation,
        )
        payload = replies[0].message.json_bytes()
        keep = KeepCommand(event.asset, event.name, command.id, event.payload, payload, event.ack, final=answer.final)
        if answer.final:  # kept last: after a kill in between the broker sends it again, and it is done again
            return [*effects, *replies, keep]
        desk = self.desks[event.asset or ""]
        return [replace(keep, note=desk.job_note), *replies, *effects, *desk.tick()]

    def _unproven(self, key: bytes, event: CommandArrived, command: Command) -> str | None:
        topics, leaf = self._emitter.topics, f"cmd/{event.name}"
        topic = topics.node(leaf) if event.asset is None else topics.asset(event.asset, leaf)
        return refusal(key, topic, event.payload, event.signature, command, self._clock.utc())

    def _replayed(self, event: CommandArrived, command: Command) -> str | None:
        """Say why a signed command is not carried out a second time; one that was accepted gets its answer again."""
        if self._settings.mqtt.command_key is None or event.signature is None or command.expires is None:
            return None
        try:
            first = self._first_use(event.signature, command.expires)
        except OutboxError as error:
            return f"whether it is a replay cannot be remembered: {error}"
        return (
            None if first else "it came before, and was not accepted or was interrupted; send it anew, under a new id"
        )

    def _context(self, event: ContextArrived) -> list[Effect]:
        asset = self.assets.get(event.asset)
        if asset is not None:
            try:
                asset.context, asset.misunderstood = parse_context(event.payload), None
            except PayloadError as error:
                asset.misunderstood = f"context refused, what it said before still counts: {error}"[:MAX_TOLD]
        return []

    def _searched(self, event: SearchReported) -> list[Effect]:
        effects: list[Effect] = []
        if event.event.get("event") in SEARCH_ENDED and self._searching == (event.asset, event.job):
            self._searching = None
        effects += self.desks[event.asset].searched(event.job, event.event)
        if self._searching is None and self._waiting:
            effects.append(self._waiting.popleft())
        return effects

    def _model_ready(self, event: ModelReady) -> list[Effect]:
        effects = self.desks[event.asset].model_ready(event)
        return [*effects, self._info()] if event.subject is not None and self._connected else effects

    @staticmethod
    def _stop() -> list[Effect]:
        """End; a search is not asked to finish early, since the next start goes on with it."""
        return [Exit()]

    # ---- inside ------------------------------------------------------------------------------------------------

    def _settle(self, effects: list[Effect], event: Event | None = None) -> list[Effect]:
        """Let one search run at a time, and say what changed; samples change nothing but their own asset."""
        settled: list[Effect] = []
        for effect in effects:
            if isinstance(effect, StartSearch):
                if self._searching is not None:
                    self._waiting.append(effect)
                    settled += self.desks[effect.asset].queued()
                    continue
                self._searching = (effect.asset, effect.job)
            elif isinstance(effect, CancelSearch) and self._searching != (effect.asset, effect.job):
                self._waiting = deque(waiting for waiting in self._waiting if waiting.job != effect.job)
                continue
            settled.append(effect)
        for desk in [self.desks[event.asset]] if isinstance(event, ChunkArrived) else self.desks.values():
            settled += desk.state()
            settled += desk.progress()
        return settled

    def _reject(
        self, event: CommandArrived, command_id: str | None, errors: list[str], *, remember: bool = False
    ) -> list[Effect]:
        """Refuse a command; one that was well-formed gets the same answer when its id comes again."""
        replies = self._emitter.respond(
            event.asset,
            {
                "id": command_id,
                "command": event.name[:64],
                "status": "rejected",
                "reason": "; ".join(errors)[:1000],
                "errors": errors[:20],
            },
            response_topic=event.response_topic,
            correlation=event.correlation,
        )
        if remember and command_id is not None:
            self._rejected[event.asset, command_id] = replies[0].message.json_bytes()
            while len(self._rejected) > REJECTIONS_KEPT:
                del self._rejected[next(iter(self._rejected))]
        return [*replies, *self._acknowledge(event)]

    def broken(self, event: Event, reason: str) -> list[Effect]:
        """Answer a command that a defect of ours kept from being carried out, so that its sender does not wait."""
        if not isinstance(event, CommandArrived):
            return []
        return self._reject(event, None, [f"the node failed over it: {reason}; its log says more"])

    def _repeat(self, event: CommandArrived, answer: bytes) -> list[Effect]:
        first = Response.model_validate_json(answer)
        fields = first.model_dump(include={"id", "command", "status", "reason", "errors", "detail"})
        return list(
            self._emitter.respond(
                event.asset,
                fields,
                name=event.name,
                response_topic=event.response_topic,
                correlation=event.correlation,
            )
        )

    def _acknowledge(self, event: CommandArrived) -> list[Effect]:
        return [] if event.ack is None else [AckCommand(event.ack)]

    def _info(self) -> Effect:
        fields = info_fields(self._settings, {name: asset.subject for name, asset in self.assets.items()})
        return self._emitter.publish(Info, None, Durability.TELEMETRY, capabilities=self._capabilities, **fields)

    def _health(self) -> Effect:
        self._last_health = self._clock.monotonic()
        vitals = dict(self._world.vitals())
        refused = [
            f"{name}: {problem}"
            for name, asset in self.assets.items()
            for problem in (asset.refused, asset.misunderstood)
            if problem
        ]
        problems = *vitals.get("problems", ()), *self._clock_watch.problems, *refused
        vitals["problems"] = [*problems, *insecure.unasked(self._settings.mqtt)]
        missed = {name: self._world.missed(name) for name in self.assets}
        return self._emitter.publish(
            Health,
            None,
            Durability.TELEMETRY,
            uptime_s=round(self._clock.monotonic() - self._started, 1),
            dropped_chunks=sum(each.dropped_chunks for each in missed.values()),
            assets=[asset.health(missed[name]) for name, asset in self.assets.items()],
            **vitals,
        )
