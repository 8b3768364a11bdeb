"""Base of every payload that a node publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticSerializationError

from edgetune_node.contract.parts import Timestamp

STAMP = ("ts", "boot", "seq")
"""Fields that the publisher sets: a payload has them, a message that is not yet published has placeholders."""


class Message(BaseModel):
    """Base of every payload.

    ``ts`` is when it happened (UTC), ``boot`` names the process' life, ``seq`` counts per topic within that life.
    ``clock_synced`` is false while the clock has not been set; ``historical`` marks what could not be sent in time.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,
    )
    topic: ClassVar[str]
    retained: ClassVar[bool] = False
    qos: ClassVar[int] = 1
    owner: ClassVar[Literal["node", "asset"]] = "asset"

    schema_: str = Field(alias="schema")
    # Default factories, unlike defaults, are not shown by the schemas: those require these fields of every payload.
    ts: Timestamp = Field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    boot: str = Field(default_factory=str)
    seq: int = Field(ge=0, default_factory=int)
    clock_synced: bool = True
    historical: bool = False

    @model_validator(mode="before")
    @classmethod
    def _needs_stamp(cls, data: Any) -> Any:
        """Keep a payload, which unlike a new message names its schema, from getting placeholders: null is refused."""
        return {**dict.fromkeys(STAMP), **data} if isinstance(data, dict) and "schema" in data else data

    def json_bytes(self) -> bytes:
        """UTF-8 JSON as it goes to the broker, with question marks for what is none, as in the name of some file."""
        try:
            return self.model_dump_json(by_alias=True).encode()
        except PydanticSerializationError:
            return self.model_validate(_readable(self.model_dump())).model_dump_json(by_alias=True).encode()


def _readable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_readable(name): _readable(each) for name, each in value.items()}
        case list() | tuple():
            return [_readable(each) for each in value]
    return value
