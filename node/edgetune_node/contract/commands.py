"""What a node can be told: every command's payload, and the rules by which one is read."""

from __future__ import annotations

import json
from datetime import datetime  # noqa: TC003 - pydantic reads it
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from edgetune_nas.card import Budget
from edgetune_node.contract.json_input import parse_object
from edgetune_node.contract.parts import NO_CLASSES, TrendFigure, TrendStep
from edgetune_node.contract.validation import problems
from edgetune_node.errors import CommandError, PayloadError

MAX_ID = 64
Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
Text = Annotated[str, Field(max_length=500)]


def _not_unknown(label: str) -> str:
    if label in NO_CLASSES:
        raise ValueError(f"{label!r} is what the node says where it cannot tell; choose another name")
    return label


ClassLabel = Annotated[Label, AfterValidator(_not_unknown)]


class Command(BaseModel):
    """Base of every command: an ``id`` that the answer echoes, and optionally when it ``expires``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)
    id: str = Field(min_length=1, max_length=MAX_ID)
    expires: AwareDatetime | None = Field(None, strict=False)


class BudgetWish(Budget):
    """Limits as a command gives them; what it does not name comes from the configuration, null is no limit."""

    model_config = ConfigDict(strict=True)


class Ping(Command):
    """Answered at once with the node's version and time."""


class BackupCommand(Command):
    """Write all that makes this node itself into a file in ``data_dir/backups``; of older ones ``keep`` stay in all."""

    keep: int = Field(
        3, ge=1, le=100, description="Backups that stay in the data folder, this one included.", examples=[3]
    )


class Recalibrate(Command):
    """Collect data, search a network within ``budget`` and swap it in.

    ``live`` guides the collection of ``classes``, ``takes`` times ``seconds_per_take`` each, and takes every other
    class from stored recordings; ``stored`` uses what is on the node. With ``countdown_s`` each take starts by itself
    after so many seconds; without, it waits for ``cmd/continue``. Healthy data in ISO zone C or D is refused, unless
    ``accept_zone`` says that this is how the machine is. A person's last take is ``rest_seconds`` of rest with slight
    movements. By default that is 30 where rest is collected and less than 30 s of it are stored, else 0.
    """

    source: Literal["live", "stored"]
    classes: list[ClassLabel] = Field(default=[], max_length=64)
    takes: int = Field(1, ge=1, le=50)
    seconds_per_take: float = Field(5.0, gt=0, le=3600)
    pace: Literal["continue", "countdown"] = "continue"
    countdown_s: float = Field(3.0, ge=0, le=600)
    rest_seconds: float | None = Field(None, ge=0, le=600)
    budget: BudgetWish | None = None
    deploy: Literal["if_better", "always", "never"] = "if_better"
    accept_zone: bool = False

    @model_validator(mode="before")
    @classmethod
    def _countdown(cls, data: Any) -> Any:
        """``countdown_s`` alone, or as ``pace: {"countdown_s": 3}``, asks for a countdown."""
        if not isinstance(data, dict):
            return data
        pace = data.get("pace")
        if isinstance(pace, dict) and set(pace) == {"countdown_s"}:
            return {**data, "pace": "countdown", **pace}
        if pace is None and "countdown_s" in data:
            return {**data, "pace": "countdown"}
        return data

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) != len(classes):
            raise ValueError("names a class twice")
        return classes

    @model_validator(mode="after")
    def _live_has_classes(self) -> Recalibrate:
        if self.source == "live" and not self.classes:
            raise ValueError("classes: source live needs the classes to collect")
        if self.source == "stored" and self.classes:
            raise ValueError("classes: source stored takes every stored class; leave classes out")
        if self.source == "stored" and self.rest_seconds:
            raise ValueError("rest_seconds: source stored records nothing; leave rest_seconds out")
        return self


class Continue(Command):
    """Start the take that the calibration waits for."""


class Record(Command):
    """Add a labelled recording of the running stream."""

    label: ClassLabel
    seconds: float = Field(gt=0, le=3600)


class Cancel(Command):
    """End the running job; what was recorded stays, the old model stays."""


class Rollback(Command):
    """Go back to the previous model."""


class Acknowledge(Command):
    """A person has seen the fault; ``event`` guards against acknowledging a newer one."""

    event: str | None = Field(None, max_length=64)
    by: Label
    comment: Text = ""


class Shelve(Command):
    """Alarm nobody by faults of ``class`` (by default the active one) for ``seconds``, a week at most; 0 ends it."""

    seconds: float = Field(ge=0, le=7 * 86_400)
    by: Label
    class_: ClassLabel | None = Field(None, alias="class")
    comment: Text = ""


class LabelCommand(Command):
    """Make recordings of ``label``: of the last ``seconds`` of the stream, or of what is kept of a novel ``event``."""

    label: ClassLabel
    seconds: float | None = Field(None, gt=0, le=10)
    event: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _one_of_them(self) -> LabelCommand:
        if (self.seconds is None) == (self.event is None):
            raise ValueError("seconds: give either it (the last seconds) or event (of a novel fault or unknown sign)")
        return self


class Profile(Command):
    """Who wears the sensor or which machine it is on, and under which condition; marks recordings from now on.

    Of signs, ``subject``'s model is in use at once; somebody who has none is calibrated, guided.
    """

    subject: Label | None = None
    condition: Label | None = None


class Forget(Command):
    """Erase ``subject``: recordings, models, kept unknown signs, waiting messages, the name in logs of commands."""

    subject: Label


class Deploy(Command):
    """Put a bundle into use: a model id of the store, or a folder's name in ``data_dir/incoming``.

    With ``point`` it is another network of the Pareto front that this model keeps, which becomes a model of its own.
    """

    model: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    point: int | None = Field(None, ge=0, le=999)


class CaptureCommand(Command):
    """Send the signal that is kept of a fault's ``event``, or (``now``) keep and send that around this moment.

    Of an event there is the signal of its raise and of each rise of its severity, the newest by default; ``number``
    asks for another, 0 for the raise. ``samples`` false leaves the waveform out of the answer.
    """

    event: str | None = Field(None, min_length=1, max_length=64)
    now: bool = False
    number: int | None = Field(None, ge=0, le=999)
    before_s: float = Field(10.0, ge=0, le=10)
    after_s: float = Field(10.0, ge=0, le=10)
    samples: bool = True

    @model_validator(mode="after")
    def _one_of_them(self) -> CaptureCommand:
        if (self.event is not None) == self.now:
            raise ValueError("event: give either it (what is kept of a fault) or now: true")
        if self.now and self.number is not None:
            raise ValueError("number: goes with event")
        if self.now and self.before_s + self.after_s <= 0:
            raise ValueError("before_s: and after_s are both 0, which is no signal")
        return self


class History(Command):
    """Send means of the indicators over time; ``from`` and ``to`` are times with a zone, by default all that is kept.

    Without ``step`` it is the finest that gives at most 2,000 rows. ``figures`` are those wanted, by default all.
    """

    from_: AwareDatetime | None = Field(None, alias="from", strict=False)
    to: AwareDatetime | None = Field(None, strict=False)
    step: TrendStep | None = None
    figures: list[TrendFigure] = Field(default=[], max_length=16)

    @model_validator(mode="after")
    def _in_order(self) -> History:
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise ValueError("from: must be before to")
        return self


COMMANDS: dict[str, type[Command]] = {
    "ping": Ping,
    "backup": BackupCommand,
    "recalibrate": Recalibrate,
    "continue": Continue,
    "record": Record,
    "cancel": Cancel,
    "rollback": Rollback,
    "acknowledge": Acknowledge,
    "shelve": Shelve,
    "label": LabelCommand,
    "profile": Profile,
    "deploy": Deploy,
    "capture": CaptureCommand,
    "history": History,
    "forget": Forget,
}


def read_id(payload: bytes) -> str | None:
    """Return the ``id`` of a command, so that whoever sent it knows the answer; None where it has none."""
    try:
        return _id_of(parse_object(payload))
    except PayloadError:
        return None


def _id_of(data: dict[str, Any]) -> str | None:
    """Return the ``id``, a number as text: it is refused, and its sender must learn that."""
    given = data.get("id")
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = json.dumps(given)
    return given if isinstance(given, str) and 1 <= len(given) <= MAX_ID else None


def parse_command(name: str, payload: bytes, *, now: datetime, retained: bool = False) -> Command:
    """Read one command.

    Parameters
    ----------
    name
        Last level of its topic.
    payload
        Bytes as they came; of too long a one the first `MAX_PAYLOAD_BYTES` and one more are enough.
    now
        Against which ``expires`` is held.
    retained
        Whether the broker kept it: such a command is refused, since nobody can tell how old it is.

    Raises
    ------
    CommandError
        With every problem named, and the command's ``id`` where one could be read.
    """
    try:
        data = parse_object(payload)
    except PayloadError as error:
        raise CommandError(name, None, [str(error)]) from None
    command_id = _id_of(data)
    model = COMMANDS.get(name)
    if model is None:
        raise CommandError(name, command_id, [f"no command is called {name!r}; there are: {', '.join(COMMANDS)}"])
    if retained:
        raise CommandError(name, command_id, ["retained commands are refused; publish it without the retain flag"])
    try:
        command = model.model_validate(data)
    except ValidationError as error:
        raise CommandError(name, command_id, problems(error, model)) from None
    if command.expires is not None and command.expires <= now:
        raise CommandError(name, command_id, [f"expires: it expired at {command.expires.isoformat()}"])
    return command
