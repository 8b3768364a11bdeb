"""Effects: what the node wants done, each a typed value that the service carries out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgetune_node.events.evidence import EvidenceEffect

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from edgetune_nas.card import Budget
    from edgetune_node.contract import Message
    from edgetune_signal import Recording


class Durability(Enum):
    """How much is done for a message to arrive."""

    RARE = "rare"
    """On disk before it is published and until the broker acknowledges it."""
    SIGN = "sign"
    """On disk only while the broker is away."""
    TELEMETRY = "telemetry"
    """In memory only; of a retained topic the newest wins, others are dropped while the broker is away."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Send ``message`` to ``topic``."""

    topic: str
    message: Message
    durability: Durability
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeepCommand:
    """Put an accepted command on disk with its first answer, then acknowledge it to the broker.

    ``final`` says that the answer is the last one, ``note`` is what a restart must know to go on with it.
    """

    asset: str | None
    name: str
    command_id: str
    payload: bytes
    answer: bytes
    ack: int | None
    final: bool = False
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class NoteCommand:
    """Replace what is kept beside an accepted command, so that a restart can go on with it."""

    asset: str | None
    command_id: str
    note: bytes


@dataclass(frozen=True, slots=True)
class AckCommand:
    """Acknowledge a command to the broker that leaves no trace on disk (rejected or repeated)."""

    ack: int


@dataclass(frozen=True, slots=True)
class FinishCommand:
    """A kept command has ended; after a restart it is not reported as interrupted."""

    asset: str | None
    name: str
    command_id: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class SaveRecording:
    """Write a recording; answered by `RecordingSaved`. One that is a ``pause`` is no take that a job waits for."""

    asset: str
    job: str
    recording: Recording
    pause: bool = False


@dataclass(frozen=True, slots=True)
class KeepNovel:
    """Keep a stretch of the unknown until somebody gives it a name; answered by `NovelChanged`."""

    asset: str
    recording: Recording
    distance: float


@dataclass(frozen=True, slots=True)
class LabelNovel:
    """Make recordings of ``label`` of what is kept of an event; answered by `NovelChanged`."""

    asset: str
    job: str
    event: str
    label: str


@dataclass(frozen=True, slots=True)
class StartSearch:
    """Search a network on the asset's recordings, of signs ``subject``'s; answered by `SearchReported` events.

    ``collected`` are the recordings that the job has just made.
    """

    asset: str
    job: str
    classes: tuple[str, ...]
    budget: Budget
    subject: str = ""
    collected: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelSearch:
    """End the search of ``job``; the child still reports how it ended."""

    asset: str
    job: str


@dataclass(frozen=True, slots=True)
class Install:
    """Change the model in use, or (``profile``) whose models are used; answered by `ModelReady`.

    With ``point`` it is that network of the front which the model called ``name`` keeps.
    """

    asset: str
    job: str
    action: Literal["install", "rollback", "deploy", "profile"]
    bundle: Path | None = None
    name: str | None = None
    point: int | None = None


@dataclass(frozen=True, slots=True)
class ForgetPerson:
    """Erase what is kept of ``subject``; answered by `PersonForgotten`. Doing it twice is no error."""

    asset: str
    job: str
    subject: str


@dataclass(frozen=True, slots=True)
class MakeBackup:
    """Write a backup of the node and keep so many in all; answered by `BackupMade`."""

    job: str
    keep: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process after the outbox has drained."""

    code: int = 0


Effect: TypeAlias = (
    Publish
    | KeepCommand
    | NoteCommand
    | AckCommand
    | FinishCommand
    | SaveRecording
    | KeepNovel
    | LabelNovel
    | StartSearch
    | CancelSearch
    | Install
    | EvidenceEffect
    | ForgetPerson
    | MakeBackup
    | Exit
)
