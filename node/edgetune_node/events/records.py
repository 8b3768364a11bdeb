"""What stands around a command at an asset's desk: where it came from, what is stored or missed, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
    the classes of other people's recordings.
    """

    seconds: Mapping[str, float]
    passed_over: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    doubts: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Missed:
    """Samples of an asset that never came in: chunks that found no room, blocks that were lost on the way."""

    dropped_chunks: int = 0
    lost_blocks: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """First answer to a command; ``final`` when nothing more follows."""

    status: str
    reason: str = ""
    detail: dict[str, Any] | None = None
    final: bool = True
