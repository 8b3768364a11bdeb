"""The backup that a node makes of itself, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.contract import Response
from edgetune_node.core.resumption import JobNote
from edgetune_node.events import Answer, FinishCommand, MakeBackup, Origin

if TYPE_CHECKING:
    from edgetune_node.contract import BackupCommand
    from edgetune_node.events import BackupMade, Effect, Publisher

NAME = "backup"


class NodeBackup:
    """Answers `cmd/backup`.

    Parameters
    ----------
    publisher
        Stamps the answers.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._origin: Origin | None = None

    def command(self, command: BackupCommand, origin: Origin) -> tuple[Answer, list[Effect]]:
        """Begin a backup; return the first answer and what is to be done."""
        if self._origin is not None:
            return Answer("rejected", "a backup is being made: wait for its answer"), []
        self._origin = origin
        return Answer("accepted", final=False), [MakeBackup(command.id, command.keep, self._publisher.clock.utc())]

    @property
    def note(self) -> bytes:
        """What a restart must know, so that it can say how the backup ended."""
        origin = self._origin
        if origin is None:
            return b""
        return JobNote(response_topic=origin.response_topic, correlation=origin.correlation).json_bytes()

    def made(self, event: BackupMade) -> list[Effect]:
        """Answer how a backup ended."""
        origin, self._origin = self._origin, None
        if origin is None or origin.command_id != event.job:
            return []
        response = Response(
            id=event.job,
            command=NAME,
            status="failed" if event.error else "done",
            reason=event.error[:1000],
            detail=event.detail or {},
        )
        replies = self._publisher.respond(
            None, response, response_topic=origin.response_topic, correlation=origin.correlation
        )
        return [*replies, FinishCommand(None, NAME, event.job, replies[0].message.json_bytes())]
