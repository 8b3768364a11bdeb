"""What a calibration job is told, and what it wants done: the typed messages on both sides of `Calibration.handle`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edgetune_nas.card import ModelCard
from edgetune_node.contract import SearchPhase, problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_nas.card import Budget
    from edgetune_signal import Chunk, Recording

MALFORMED = "MalformedEvent"
"""Name of the error when the search's process says something that nobody understands."""

# ---- inputs: what a job is told ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Continue:
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
class TakeSaved:
    """The recording of the last `Save` is on disk."""

    path: Path


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """The recording of the last `Save` could not be written."""

    error: str


@dataclass(frozen=True, slots=True)
class SearchQueued:
    """Another asset's search is running; this one starts when that has ended."""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far the search is; ``fraction`` from 0 to 1, ``seconds_left`` None where it cannot be said."""

    phase: SearchPhase
    fraction: float
    seconds_left: float | None = None
    candidates: int | None = None
    rejected: int | None = None
    trained: int | None = None
    best_accuracy: float | None = None
    best_arena_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SearchDone:
    """The search has left its winner in a folder."""

    bundle: Path
    card: ModelCard


@dataclass(frozen=True, slots=True)
class SearchFailed:
    """The search ended without a winner.

    Where no network fits the budget, ``limit`` is the field of the budget that is to blame, ``asked`` its value, and
    ``smallest`` the value that would have let some network in.
    """

    error: str
    message: str
    limit: str | None = None
    asked: int | None = None
    smallest: int | None = None


@dataclass(frozen=True, slots=True)
class Deployed:
    """The new model is in use."""

    model_id: str


@dataclass(frozen=True, slots=True)
class DeployFailed:
    """The new model could not be installed; the old one stays."""

    error: str


SearchInput: TypeAlias = SearchProgress | SearchDone | SearchFailed
Input: TypeAlias = (
    Continue
    | CancelRequested
    | Ticked
    | Samples
    | TakeSaved
    | SaveFailed
    | SearchQueued
    | SearchInput
    | Deployed
    | DeployFailed
)

# ---- outputs: what a job wants done ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Save:
    """Write a recording; answered by `TakeSaved` or `SaveFailed`."""

    recording: Recording


@dataclass(frozen=True, slots=True)
class StartSearch:
    """Search a network on the asset's recordings of ``classes``; answered by `SearchQueued` and `SearchInput`."""

    classes: tuple[str, ...]
    budget: Budget


@dataclass(frozen=True, slots=True)
class StopSearch:
    """End the search, or take it out of the queue; nothing needs to be answered."""


@dataclass(frozen=True, slots=True)
class Install:
    """Put the bundle into use; answered by `Deployed` or `DeployFailed`."""

    bundle: Path


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has ended; the last thing it wants. ``detail`` is for the command's answer."""

    status: Literal["done", "failed", "cancelled"]
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


Output: TypeAlias = Save | StartSearch | StopSearch | Install | Finished

# ---- the search's process speaks JSON ----------------------------------------------------------------------------


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Progress(_Event):
    event: Literal["progress"]
    phase: SearchPhase
    fraction: float = Field(ge=0, le=1)
    seconds_left: float | None = Field(None, ge=0)
    candidates: int | None = None
    rejected: int | None = None
    trained: int | None = None
    best_accuracy: float | None = None
    best_arena_bytes: int | None = None


class _Done(_Event):
    event: Literal["done"]
    bundle: Path
    card: ModelCard


class _Failed(_Event):
    event: Literal["failed"]
    error: str
    message: str = ""
    limit: str | None = None
    asked: int | None = None
    smallest: int | None = None


_EVENT: TypeAdapter[_Progress | _Done | _Failed] = TypeAdapter(
    Annotated[_Progress | _Done | _Failed, Field(discriminator="event")]
)


def input_of(event: Mapping[str, Any]) -> SearchInput:
    """Read one event of the search's process.

    Parameters
    ----------
    event
        ``{"event": "progress", "phase": ..., "fraction": ...}``, ``{"event": "done", "bundle": ..., "card": {...}}`` or
        ``{"event": "failed", "error": ..., "message": ..., "limit": ..., "asked": ..., "smallest": ...}``, the last
        three only where no network fits the budget. Further fields are ignored.

    Returns
    -------
    SearchProgress, SearchDone or SearchFailed
        An event that nobody understands is a failure with ``error`` `MALFORMED`.
    """
    try:
        read = _EVENT.validate_python(event)
    except ValidationError as error:
        return SearchFailed(MALFORMED, "the search said something not understood: " + "; ".join(problems(error)))
    match read:
        case _Progress():
            return SearchProgress(**read.model_dump(exclude={"event"}))
        case _Done():
            return SearchDone(read.bundle, read.card)
        case _Failed():
            return SearchFailed(**read.model_dump(exclude={"event"}))
