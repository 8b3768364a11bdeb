"""What a calibration job is told besides events of the node and of the search, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from edgetune_nas.worker import SearchEvent
from edgetune_node.events import Effect, ModelReady, RecordingSaved

if TYPE_CHECKING:
    from edgetune_signal import Chunk


@dataclass(frozen=True, slots=True)
class ContinueRequested:
    """The person has done what the instruction asked for (``cmd/continue``)."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants the job to end (``cmd/cancel``)."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The asset's source delivered.

    ``shaft_rpm`` is what the plant says of the speed, None where it says nothing; ``paused`` why the machine is taken
    to stand still, empty while it runs.
    """

    chunk: Chunk
    shaft_rpm: float | None = None
    paused: str = ""


@dataclass(frozen=True, slots=True)
class SearchQueued:
    """Another asset's search is running; this one starts when that has ended."""


Input: TypeAlias = (
    ContinueRequested | CancelRequested | Ticked | Samples | RecordingSaved | SearchQueued | SearchEvent | ModelReady
)


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has ended; the last thing it wants. ``detail`` is for the command's answer."""

    status: Literal["done", "failed", "cancelled"]
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


Output: TypeAlias = Effect | Finished
