"""What messages are made of: how times are written, words with a meaning, and what stands inside a payload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

TrendWord = Literal["rising", "steady", "falling"]
SpeedOrigin = Literal["context", "config", "estimated"]
TimeOrigin = Literal["signal", "windows"]
TrendStep = Literal["minute", "hour", "day"]
TrendFigure = Literal["rms", "peak", "crest_factor", "kurtosis", "velocity_rms_mm_s", "distance"]
CaptureReason = Literal["raised", "risen", "asked"]
PhysicsWord = Literal["agrees", "disagrees", "suggests", "silent", "unavailable"]
Severity = Literal["none", "watch", "warning", "alarm", "danger"]
SeverityWord = Literal["none", "watch", "warning", "alarm", "danger", "unknown"]
NovelKind = Literal["changed", "impulsive"]
ModeWord = Literal["known", "unseen"]


def iso(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: ``2026-01-31T12:00:00.000Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class AssetInfo(BaseModel):
    """One asset in ``info``."""

    id: str
    task: Literal["fault", "sign"]
    channels: int
    rate_hz: float
    unit: str
    window: int
    hop: int
    source: str
    subject: str = ""


class AssetHealth(BaseModel):
    """One asset in ``health``; ``sample_age_s`` is the time since its last samples.

    ``gaps`` counts places where samples are missing, ``lost_blocks`` the blocks, frames or lines that never came, as
    the sender's numbers tell, ``dropped_chunks`` what came and could not be taken in time.
    ``novel_events`` are the ``novel`` faults of which signal is kept for ``cmd/label``, ``novel_kept_s`` in all.

    With ``healthy_seconds`` of health, recorded for the model and heard since, and ``raised`` faults since the model is
    in use, at most ``supported_per_month`` false alarms a month are possible at 95 % confidence. They are null where no
    model is in use, or of signs.
    """

    id: str
    samples: int
    windows: int
    dropped_chunks: int
    gaps: int
    lost_blocks: int = 0
    sample_age_s: float | None
    inference_p50_us: float | None
    inference_p99_us: float | None
    source_error: str | None
    novel_kept_s: float = 0.0
    novel_events: list[str] = []
    novel_problem: str | None = None
    healthy_seconds: float | None = None
    raised: int | None = None
    supported_per_month: float | None = None


class OtherDefect(BaseModel):
    """A defect that the envelope may show instead of the one that is named, and why that is not sure."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)
    defect: str = Field(description="`bpfo` outer race, `bpfi` inner race, `bsf2` rolling element.", examples=["bpfo"])
    frequency_hz: float = Field(description="Frequency of its line, in hertz.", examples=[68.71])
    shaft_rpm: float | None = Field(
        None, description="Speed of the shaft at which it would be this one, in rpm.", examples=[1150.0]
    )
    because: Literal["speed", "resolution"] = Field(
        description="`speed`: at another speed the line is this defect's. `resolution`: both lines lie within one "
        "resolution step.",
        examples=["speed"],
    )


class Evidence(BaseModel):
    """What speaks for a fault, or against it.

    Acceleration indicators are of the newest windows heard as ``class``, one value a channel; velocity, zone, defect
    and speed are of the last seconds. ``physics`` holds the network's class against them, ``note`` says it in words.
    While the fault of an active event is not heard, as after a repair, all of it stays as it was.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, json_schema_serialization_defaults_required=True)
    rms: list[float | None] = []
    peak: list[float | None] = []
    crest_factor: list[float | None] = []
    kurtosis: list[float | None] = []
    unit: str | None = None
    seconds: float | None = None
    windows: int = 0
    class_: str | None = Field(None, alias="class")
    velocity_rms_mm_s: float | None = None
    velocity_trend: TrendWord | None = None
    velocity_trend_mm_s_per_h: float | None = None
    zone: str | None = None
    defect: str | None = None
    defect_order: float | None = None
    defect_hz: float | None = None
    defect_amplitude: float | None = None
    defect_over_floor: float | None = None
    other_defects: list[OtherDefect] = Field([], description="Defects that it may be instead of `defect`.")
    shaft_rpm: float | None = None
    shaft_rpm_from: SpeedOrigin | None = None
    novel_kept_s: float = 0.0
    quality: list[str] = []
    physics: PhysicsWord = "unavailable"
    note: str = ""
    action: str = ""


class BrokerInfo(BaseModel):
    """What the broker offers: retained messages, a highest QoS, and which last will of the node it has taken.

    ``retain`` is false as well where the configuration says ``retain = "never"``.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)
    retain: bool
    max_qos: Literal[0, 1, 2]
    will: Literal["retained", "not retained", "none"]


class Shelf(BaseModel):
    """A class whose faults shall alarm nobody until then, who said so, why, and for how many seconds in all.

    ``until`` is moved where the node's clock is set: what counts is how long it has been.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, json_schema_serialization_defaults_required=True)
    class_: str = Field(alias="class")
    until: Timestamp
    by: str
    comment: str = ""
    seconds: float | None = None


class ClassShare(BaseModel):
    """A class that the windows of the last seconds named, and its share of those that named a fault, 0 to 1."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    class_: str = Field(alias="class", description="Class of a fault, or `novel`.", examples=["inner"])
    share: float = Field(description="Share of the votes for some fault, 0 to 1.", examples=[0.9])


class DefectAmplitude(BaseModel):
    """One defect's line in the envelope spectrum: its amplitude, those of its harmonics, its ratio to the floor."""

    order: float
    frequency_hz: float
    amplitude: float
    harmonics: list[float]
    over_floor: float


UNKNOWN, NOVEL = "unknown", "novel"


NO_CLASSES = (UNKNOWN, NOVEL)
"""What the node says where it cannot tell; no network may learn it."""


class Figure(BaseModel):
    """One figure: its mean over the baseline, the standard deviation of single minutes, and why it is no longer so."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    mean: float
    spread: float
    changed: str | None = None


class Armband(BaseModel):
    """How a node turns the channels of an armband back while ``model`` is in use."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    model: str
    turn: int
    mirrored: bool
    gain: float


class Drift(BaseModel):
    """The baseline of the healthy machine since ``model`` is in use, and what has left it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str
    figures: dict[str, Figure]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What has changed, for people."""
        return tuple(figure.changed for figure in self.figures.values() if figure.changed is not None)
