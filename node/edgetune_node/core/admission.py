"""Which commands come in: read, proven, and neither a repeat nor a replay; and how each of them is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgetune_node.contract import (
    BackupCommand,
    Command,
    Ping,
    Response,
    check_signature,
    parse_command,
    read_id,
    unseal,
)
from edgetune_node.errors import CommandError, OutboxError, Refused
from edgetune_node.events import AckCommand, Durability, KeepCommand
from edgetune_node.ops import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from pydantic import SecretStr

    from edgetune_node.events import Answer, CommandArrived, Effect, Publisher

REJECTIONS_KEPT = 256
DURABLE_REJECTIONS, DURABLE_PER_S = 20, 1.0
"""Rejections that go through the disk: so many, then so many a second. A flood of garbage must not wear an SD card."""
NO_ROOM = "more commands came than the node can handle, and this one was not carried out; send it again later"


class CommandAdmission:
    """Lets a command in, or answers it there and then.

    Parameters
    ----------
    key
        Secret with which commands are signed; None where they need no signature.
    assets
        Names of those there are.
    publisher
        Stamps the answers.
    answer_of
        Gives what a command of an asset (None: of the node) and id was answered, if it came before.
    first_use
        Remembers the signature of a command, and until when that is good; tells whether it came for the first time.
    """

    def __init__(
        self,
        key: SecretStr | None,
        assets: Collection[str],
        publisher: Publisher,
        *,
        answer_of: Callable[[str | None, str], bytes | None],
        first_use: Callable[[str, datetime], bool],
    ) -> None:
        self._key = None if key is None else key.get_secret_value().encode()
        self._assets = assets
        self._publisher = publisher
        self._answer_of = answer_of
        self._first_use = first_use
        self._rejected: dict[tuple[str | None, str], bytes] = {}
        self._durable = Rate(DURABLE_PER_S, DURABLE_REJECTIONS, publisher.clock.monotonic)

    def admit(
        self, event: CommandArrived, carry_out: Callable[[CommandArrived, Command], list[Effect]]
    ) -> list[Effect]:
        """Let a command be carried out, or answer it if it is refused or came before.

        ``carry_out`` gets the event out of its envelope, and its command; it returns all that is to be done.
        """
        event = self._unsealed(event)
        now = self._publisher.clock.utc()
        try:
            command = parse_command(event.name, event.payload, now=now, retained=event.retained)
        except CommandError as error:
            return self.reject(event, error.command_id, error.problems)
        try:
            self._check_signature(event, command, now)
            self._check_topic(event, command)
            before = self._answer_of(event.asset, command.id) or self._rejected.get((event.asset, command.id))
            if before is not None:
                return self._repeat(event, before)
            self._check_replay(event, command)
        except Refused as refused:
            return self.reject(event, command.id, [str(refused)])
        return carry_out(event, command)

    def turn_away(self, event: CommandArrived, reason: str, *, in_memory: bool = False) -> list[Effect]:
        """Refuse a command for a reason that lies with the node; with ``in_memory`` the answer skips the disk."""
        return self.reject(event, read_id(self._unsealed(event).payload), [reason], in_memory=in_memory)

    def reject(
        self,
        event: CommandArrived,
        command_id: str | None,
        errors: list[str],
        *,
        remember: bool = False,
        in_memory: bool = False,
    ) -> list[Effect]:
        """Refuse a command; one that was well-formed (``remember``) gets the same answer when its id comes again."""
        durable = not in_memory and self._durable.take()
        replies = self._publisher.respond(
            event.asset,
            Response(
                id=command_id,
                command=event.name[:64],
                status="rejected",
                reason="; ".join(errors)[:1000],
                errors=errors[:20],
            ),
            response_topic=event.response_topic,
            correlation=event.correlation,
            durability=Durability.RARE if durable else Durability.TELEMETRY,
        )
        if remember and command_id is not None:
            self._rejected[event.asset, command_id] = replies[0].message.json_bytes()
            while len(self._rejected) > REJECTIONS_KEPT:
                del self._rejected[next(iter(self._rejected))]
        return [*replies, *_acknowledge(event)]

    def answer(
        self, event: CommandArrived, command: Command, answer: Answer, effects: list[Effect], note: Callable[[], bytes]
    ) -> list[Effect]:
        """Return the first answer to a command that was let in, in its place among the ``effects`` it has.

        ``note`` is called for what shall be kept beside a command that goes on.
        """
        if answer.status == "rejected":
            return [*self.reject(event, command.id, [answer.reason], remember=True), *effects]
        replies = self._publisher.respond(
            event.asset,
            Response(
                id=command.id,
                command=event.name,
                status=answer.status,
                reason=answer.reason,
                detail=answer.detail or {},
            ),
            response_topic=event.response_topic,
            correlation=event.correlation,
        )
        payload = replies[0].message.json_bytes()
        keep = KeepCommand(event.asset, event.name, command.id, event.payload, payload, event.ack, final=answer.final)
        if answer.final:  # kept last: after a kill in between the broker sends it again, and it is done again
            return [*effects, *replies, keep]
        return [replace(keep, note=note()), *replies, *effects]

    def _unsealed(self, event: CommandArrived) -> CommandArrived:
        if self._key is None or event.signature is not None:
            return event
        payload, signature = unseal(event.payload)
        return replace(event, payload=payload, signature=signature)

    def _check_signature(self, event: CommandArrived, command: Command, now: datetime) -> None:
        if self._key is None:
            return
        topics, leaf = self._publisher.topics, f"cmd/{event.name}"
        topic = topics.node(leaf) if event.asset is None else topics.asset(event.asset, leaf)
        check_signature(self._key, topic, event.payload, event.signature, command, now)

    def _check_topic(self, event: CommandArrived, command: Command) -> None:
        if event.asset is not None and event.asset not in self._assets:
            raise Refused(f"no asset is called {event.asset!r}; there are: {', '.join(self._assets)}")
        if isinstance(command, Ping | BackupCommand) != (event.asset is None):
            place = "its asset" if event.asset is None else "the node"
            raise Refused(f"{event.name} is a command to {place}, not to this topic")

    def _check_replay(self, event: CommandArrived, command: Command) -> None:
        """Refuse a signed command a second time; one that was accepted gets its answer again."""
        if self._key is None or event.signature is None or command.expires is None:
            return
        try:
            first = self._first_use(event.signature, command.expires)
        except OutboxError as error:
            raise Refused(f"whether it is a replay cannot be remembered: {error}") from error
        if not first:
            raise Refused(
                "this signed command came before, and was not accepted or was interrupted; sign it again under a new id"
            )

    def _repeat(self, event: CommandArrived, answer: bytes) -> list[Effect]:
        """Repeat the answer of a command that came before."""
        first = Response.model_validate_json(answer)
        again = Response(
            id=first.id,
            command=first.command,
            status=first.status,
            reason=first.reason,
            errors=first.errors,
            detail=first.detail,
        )
        replies = self._publisher.respond(
            event.asset,
            again,
            name=event.name,
            response_topic=event.response_topic,
            correlation=event.correlation,
        )
        return [*replies, *_acknowledge(event)]


def _acknowledge(event: CommandArrived) -> list[Effect]:
    return [] if event.ack is None else [AckCommand(event.ack)]
