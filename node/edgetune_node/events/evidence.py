"""Signals that are kept around a moment, and the trend: what those who decide and those who write hand each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from edgetune_node.contract import CaptureReason, TrendFigure, TrendStep
    from edgetune_signal import Chunk, Recording

TrendRow: TypeAlias = tuple[float, tuple[float | None, ...]]
"""Start of a step, seconds since the epoch, and the mean of each figure; None where there is none."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Why a signal is kept.

    Attributes
    ----------
    event
        The fault's, or the id of the command that asked for it.
    reason
        ``raised``, ``risen`` (its severity), or ``asked``.
    class_, severity
        Of the fault at that moment; empty where there was none.
    level
        Severity as a number from 0 to 4.
    job
        Id of the command that asked for it; empty where none did.
    """

    event: str
    reason: CaptureReason
    class_: str = ""
    severity: str = ""
    level: int = 0
    job: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class KeepEvidence:
    """Keep a signal, which ends with the last of ``chunks`` and has ``samples`` of each channel.

    Answered by `EvidenceKept`.
    """

    asset: str
    wanted: Capture
    chunks: tuple[Chunk, ...]
    samples: int
    shaft_rpm: float | None = None
    subject: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """Read a kept signal of an event, the newest without ``number``; answered by `EvidenceRead`."""

    asset: str
    job: str
    event: str
    number: int | None = None
    samples: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class KeptSignal:
    """A kept signal, and its number among those of its event."""

    number: int
    reason: CaptureReason
    severity: str
    recording: Recording


@dataclass(frozen=True, slots=True)
class KeepTrend:
    """Append rows to the trend, in the form of `edgetune_node.monitor.TrendRecorder`; answered by `TrendKept`.

    With ``ending`` the node is about to end, and it is done at once.
    """

    asset: str
    rows: bytes
    ending: bool = False


@dataclass(frozen=True, slots=True)
class KeepHeard:
    """Keep what is learned of a healthy machine, the JSON of a `edgetune_node.monitor.Heard`; answered by `HeardKept`.

    With ``ending`` the node is about to end, and it is done at once.
    """

    asset: str
    content: bytes
    ending: bool = False


@dataclass(frozen=True, slots=True)
class ReadTrend:
    """Read the history between two times, seconds since the epoch; answered by `TrendRead`.

    ``pending`` are rows that are not on disk yet.
    """

    asset: str
    job: str
    since_s: float
    until_s: float
    step: TrendStep | None
    figures: tuple[TrendFigure, ...]
    pending: bytes


EvidenceEffect: TypeAlias = KeepEvidence | ReadEvidence | KeepTrend | ReadTrend | KeepHeard
