"""Records that rooms hand each other: a command's origin and answer, what is stored or missed, figures of health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgetune_node.contract import Reply


@dataclass(frozen=True, slots=True)
class Origin:
    """Which command started something, and where its answers go."""

    name: str
    command_id: str
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Recordings of an asset: seconds per class of those that fit the stream, their files, why others are left out.

    ``doubts`` names healthy recordings that lie in ISO zone C or D. Of signs it is all of one person; ``elsewhere`` are
    the classes of other people's recordings. ``named`` are the events that a label made recordings of.
    """

    seconds: Mapping[str, float]
    passed_over: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    doubts: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LostSamples:
    """Samples of an asset that never came in: chunks that found no room, blocks that were lost on the way."""

    dropped_chunks: int = 0
    lost_blocks: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """First answer to a command; ``final`` when nothing more follows."""

    status: Reply
    reason: str = ""
    detail: dict[str, Any] | None = None
    final: bool = True


class MachineFigures(TypedDict):
    """Fields of ``health`` that the operating system knows."""

    rss_bytes: int
    cpu_percent: float
    temperature_c: float | None
    disk_free_bytes: int


class HealthFigures(MachineFigures):
    """Fields of ``health`` that the process knows."""

    queue_depth: int
    reconnects: int
    outbox_depth: int
    outbox_dropped: int
    outbox_dropped_faults: NotRequired[int]
    outbox_set_aside: NotRequired[int]
    log_lines_lost: NotRequired[int]
    problems: NotRequired[list[str]]
