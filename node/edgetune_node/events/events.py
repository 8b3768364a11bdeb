"""Events: what threads report to the node, each a typed value in its inbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgetune_nas.bundle import Bundle
    from edgetune_nas.worker import SearchEvent
    from edgetune_node.contract import BrokerInfo, Spectrum, TrendFigure, TrendStep
    from edgetune_node.events.evidence import Capture, KeptSignal, TrendRow
    from edgetune_signal import Chunk


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    """A source delivered samples; the first to be dropped under load, oldest first."""

    asset: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A source failed (``error`` says how), came back (None), or has ended."""

    asset: str
    error: str | None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class SourceRefused:
    """A source would not take something, such as a block or a name, and goes on; None when that is past."""

    asset: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class CommandArrived:
    """A message on a ``cmd/`` topic; ``ack`` is the token that acknowledges it to the broker.

    ``signature`` is that of its user property; the one of an envelope is still in the payload.
    """

    asset: str | None
    name: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    ack: int | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A command for which there was no room, to be answered so; it is acknowledged already."""

    command: CommandArrived


@dataclass(frozen=True, slots=True)
class ContextArrived:
    """A message on an asset's ``context`` topic."""

    asset: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The connection to the broker came up, with what that offers, or went down."""

    connected: bool
    reason: str = ""
    broker: BrokerInfo | None = None


@dataclass(frozen=True, slots=True)
class SearchReported:
    """One event of the search of ``job``."""

    asset: str
    job: str
    event: SearchEvent


@dataclass(frozen=True, slots=True)
class RecordingSaved:
    """A recording is on disk, or could not be written (``error``)."""

    asset: str
    job: str
    path: Path | None
    error: str | None = None
    pause: bool = False


@dataclass(frozen=True, slots=True)
class NovelChanged:
    """What is kept of the unknown, after something was kept or (by ``job``) labelled; ``error`` where that failed."""

    asset: str
    kept: tuple[NovelSegment, ...]
    job: str = ""
    recordings: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ModelReady:
    """A bundle is installed, verified and warm, or could not be (``error``); ``job`` asked for it.

    ``subject`` is set where another person wears the sensor now; without a bundle they have no model yet.
    """

    asset: str
    job: str
    bundle: Bundle | None
    previous: str | None
    error: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class EvidenceKept:
    """The signal of ``wanted`` is on disk, with the spectra of one channel, or could not be written (``error``)."""

    asset: str
    wanted: Capture
    spectrum: Spectrum | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EvidenceRead:
    """What ``job`` asked for of the kept signals, with how many are kept of its event; or why not (``error``)."""

    asset: str
    job: str
    signal: KeptSignal | None = None
    count: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TrendKept:
    """Rows of the trend are on disk, or could not be written (``error``)."""

    asset: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class HeardKept:
    """What is learned of a healthy machine is on disk, or could not be written (``error``)."""

    asset: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TrendRead:
    """The history that ``job`` asked for: rows of a time and a mean for each figure; or why not (``error``)."""

    asset: str
    job: str
    step: TrendStep | None = None
    figures: tuple[TrendFigure, ...] = ()
    rows: tuple[TrendRow, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PersonForgotten:
    """A person was erased, or could not be erased completely (``error``).

    Attributes
    ----------
    erased
        Number of things erased, by kind.
    remains
        What somebody has to see to, such as a name in the configuration.
    model
        Who wears the sensor now, with their model; None if that has not changed.
    """

    asset: str
    job: str
    erased: Mapping[str, int] = field(default_factory=dict)
    remains: tuple[str, ...] = ()
    error: str | None = None
    model: ModelReady | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes; sent a few times a second."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """SIGTERM or SIGINT."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A backup of the node is there, or could not be made."""

    job: str
    detail: dict[str, Any] | None = None
    error: str = ""


Event: TypeAlias = (
    ChunkArrived
    | SourceChanged
    | SourceRefused
    | CommandArrived
    | CommandRefused
    | ContextArrived
    | LinkChanged
    | SearchReported
    | RecordingSaved
    | NovelChanged
    | ModelReady
    | EvidenceKept
    | EvidenceRead
    | TrendKept
    | HeardKept
    | TrendRead
    | PersonForgotten
    | BackupMade
    | Tick
    | StopRequested
)


@dataclass(frozen=True, slots=True)
class NovelSegment:
    """A stretch on disk.

    Attributes
    ----------
    event
        The ``novel`` fault, or the unknown sign, it was heard in.
    seconds
        Its duration.
    distance
        Mean distance of its windows to everything known; 1 is the limit between known and unknown.
    subject
        Who wore the sensor.
    """

    event: str
    seconds: float
    distance: float
    subject: str = ""
