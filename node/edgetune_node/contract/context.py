"""What the plant says of a machine on its ``context`` topic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgetune_node.contract.json_input import parse_object
from edgetune_node.contract.validation import problems
from edgetune_node.errors import PayloadError


class Context(BaseModel):
    """What the plant says of a machine on its ``context`` topic; every field is optional."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    shaft_rpm: float | None = Field(None, ge=0, le=1e6)
    load: float | None = None
    running: bool | None = None


def parse_context(payload: bytes) -> Context:
    """Read one; an empty payload, with which a retained one is removed from the broker, says nothing.

    Raises
    ------
    PayloadError
        Naming every problem.
    """
    if not payload:
        return Context()
    data = parse_object(payload)
    try:
        return Context.model_validate(data)
    except ValidationError as error:
        raise PayloadError("; ".join(problems(error, Context))) from None
