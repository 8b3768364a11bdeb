"""What a node says of a machine's condition: topic ``fault``."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgetune_node.contract.message import Message
from edgetune_node.contract.parts import ClassShare, Evidence, ModeWord, NovelKind, SeverityWord, Shelf, Timestamp

OLD_SCHEMA = "fault/1"
OLD_LEVELS = {"none": 0, "warning": 2, "alarm": 3}
"""``severity_level`` of the severities of `OLD_SCHEMA`."""


class Fault(Message):
    """The debounced condition of a machine; retained, sent on change and as a heartbeat.

    ``event`` names one episode from raise to clear and stays the same over restarts, whatever becomes of its class and
    severity. While ``active`` is false, ``class`` is the healthy class and ``event`` the last episode. What is not
    ``judged`` is never called healthy: ``class`` is null then and ``severity`` ``unknown``, unless an event is active.
    """

    topic: ClassVar[str] = "fault"
    retained: ClassVar[bool] = True
    schema_: Literal["fault/2"] = Field("fault/2", alias="schema")
    judged: bool = Field(
        True,
        description="Whether the machine is judged now. False without a model, without usable samples and while the "
        "machine does not run; `reason` says why.",
        examples=[True],
    )
    reason: str = Field(
        "", description="Why the machine is not judged; empty while it is.", examples=["the machine does not run"]
    )
    active: bool = Field(description="Whether there is a fault, present or latched.", examples=[True])
    event: str | None = Field(
        description="Name of the episode, from raise to clear; while `active` is false of the last one, null if there "
        "was none.",
        examples=["0630fd6a7596"],
    )
    class_: str | None = Field(
        alias="class",
        description="Class of the fault; the healthy class without one; null while nothing is judged and no event is "
        "active. It may be revised within an event.",
        examples=["inner"],
    )
    class_since: Timestamp | None = Field(
        None, description="Since when the event has its class.", examples=["2026-01-31T12:00:00.000Z"]
    )
    candidates: list[ClassShare] = Field(
        [], description="Classes that the last windows named, with their shares, the largest first."
    )
    kind: NovelKind | None = Field(
        None,
        description="Of class `novel`: `changed` (another mode of operation, or a fault) or `impulsive` (fault-like: "
        "unlike everything known and impulsive).",
        examples=["changed"],
    )
    mode: ModeWord | None = Field(
        None,
        description="Whether the machine was heard healthy at this speed and load since the model is in use; null if "
        "`context` does not tell.",
        examples=["known"],
    )
    severity: SeverityWord = Field(
        description="How bad it is; `none` without a fault, `unknown` while nothing is judged and no event is active.",
        examples=["alarm"],
    )
    severity_level: int | None = Field(
        None,
        ge=0,
        le=4,
        description="The severity as a number: 0 none, 1 watch, 2 warning, 3 alarm, 4 danger; null if it is unknown.",
        examples=[3],
    )
    severity_from: list[str] = Field(
        [], description="What the severity comes from: `class`, `zone`, `growth`, `physics`.", examples=[["class"]]
    )
    first_seen: Timestamp | None
    last_seen: Timestamp | None
    cleared: Timestamp | None = None
    votes: int = Field(description="Windows that voted for some fault, of the last `of`.", examples=[190])
    of: int = Field(description="Windows judged in the last `raise_after_s` seconds.", examples=[234])
    confidence: float | None
    model: str | None
    latched: bool = False
    acknowledged: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: Timestamp | None = None
    comment: str | None = None
    shelved: bool = False
    shelves: list[Shelf] = Field([])
    evidence: Evidence = Evidence()

    @model_validator(mode="before")
    @classmethod
    def _of_old(cls, data: Any) -> Any:
        """Read ``fault/1``, which called a machine healthy before there was a model for it."""
        if not isinstance(data, dict) or data.get("schema") != OLD_SCHEMA:
            return data
        new = {**data, "schema": "fault/2"}
        new["judged"] = data.get("model") is not None
        if data.get("active") is True or new["judged"]:
            new["severity_level"] = OLD_LEVELS.get(data.get("severity", ""))
        else:
            new |= {"class": None, "severity": "unknown", "reason": "the node has no model"}
        return new
