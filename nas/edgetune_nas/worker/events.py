"""Events of a search: one JSON object a line of the child's output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from edgetune_nas.card import ModelCard
from edgetune_nas.errors import BudgetError, NasError
from edgetune_nas.search import SearchProgress

MALFORMED = "MalformedEvent"
"""Name of the error of a line that is no event."""


class SearchDone(BaseModel):
    """The search has written its winner to the folder ``bundle``; what that took, in all."""

    model_config = SearchProgress.model_config

    event: Literal["done"] = "done"
    bundle: Path
    card: ModelCard
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    workers: int = 1
    speedup: float | None = None
    """How many times as fast as one worker, their start included; None where there is one."""


class SearchFailed(BaseModel):
    """The search ended without a winner.

    If no network fits the budget, ``limit`` is the field of the budget that is to blame, ``asked`` its value, and
    ``smallest`` the value that would admit a network.
    """

    model_config = SearchProgress.model_config

    event: Literal["failed"] = "failed"
    error: str
    message: str = ""
    limit: str | None = None
    asked: int | None = None
    smallest: int | None = None

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Describe an exception."""
        failed = cls(error=type(error).__name__, message=str(error))
        if not isinstance(error, BudgetError):
            return failed
        return failed.model_copy(update={"limit": error.limit, "asked": error.asked, "smallest": error.smallest})

    def exception(self) -> NasError:
        """Return the exception that tells the same."""
        if self.limit is None or self.asked is None or self.smallest is None:
            return NasError(self.message or self.error)
        return BudgetError(self.limit, self.asked, self.smallest)


SearchEvent: TypeAlias = SearchProgress | SearchDone | SearchFailed
_EVENT: TypeAdapter[SearchEvent] = TypeAdapter(Annotated[SearchEvent, Field(discriminator="event")])


def event_line(event: SearchEvent) -> str:
    """Return the event as one line of JSON, without its end."""
    return json.dumps(event.model_dump(mode="json", exclude_none=isinstance(event, SearchFailed)))


def read_event(line: str) -> SearchEvent | None:
    """Read a line of the child's output.

    Returns
    -------
    SearchProgress, SearchDone, SearchFailed or None
        None for a line that was cut short, or that some library printed. An object that is no event of this version is
        a failure called `MALFORMED`. Fields that are not known are ignored.
    """
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("event"), str):
        return None
    try:
        return _EVENT.validate_python(said)
    except ValidationError as error:
        return SearchFailed(
            error=MALFORMED, message=f"the search said something not understood: {list_problems(error)}"
        )


def list_problems(error: ValidationError) -> str:
    """Return every problem that a validation found, each with the name of its field."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
