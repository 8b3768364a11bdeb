"""What a node says: the payload of every topic it publishes, as pydantic models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from edgetune_nas.card import FrontNetwork, Kind, TestedOn
from edgetune_nas.search import SearchPhase
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.message import Message
from edgetune_node.contract.parts import (
    Armband,
    AssetHealth,
    AssetInfo,
    BrokerInfo,
    DefectAmplitude,
    Drift,
    OtherDefect,
    SpeedOrigin,
    Timestamp,
    TrendWord,
)
from edgetune_node.contract.sign_messages import Emg, Sign, SignStart
from edgetune_node.contract.spectrum import Spectrum

Phase = Literal["uncalibrated", "monitoring", "recording", "queued", "searching", "deploying", "failed"]
CalibrationPhase = Literal[
    "idle",
    "waiting",
    "countdown",
    "recording",
    "saving",
    "queued",
    "searching",
    "deploying",
    "done",
    "failed",
    "cancelled",
]
Reply = Literal["accepted", "progress", "done", "failed", "rejected"]


class Status(Message):
    """Whether the node is there; its last will says ``offline``."""

    topic: ClassVar[str] = "status"
    retained: ClassVar[bool] = True
    owner: ClassVar[Literal["node", "asset"]] = "node"
    schema_: Literal["status/1"] = Field("status/1", alias="schema")
    status: Literal["online", "stopped", "offline"]


class Info(Message):
    """What the node is and can do."""

    topic: ClassVar[str] = "info"
    retained: ClassVar[bool] = True
    owner: ClassVar[Literal["node", "asset"]] = "node"
    schema_: Literal["info/1"] = Field("info/1", alias="schema")
    versions: dict[str, str]
    assets: list[AssetInfo]
    capabilities: list[str]
    insecure: list[str]
    broker: BrokerInfo | None = None
    config: dict[str, Any]


class Health(Message):
    """How the node is doing; telemetry, newest wins."""

    topic: ClassVar[str] = "health"
    retained: ClassVar[bool] = True
    qos: ClassVar[int] = 0
    owner: ClassVar[Literal["node", "asset"]] = "node"
    schema_: Literal["health/1"] = Field("health/1", alias="schema")
    uptime_s: float
    rss_bytes: int
    cpu_percent: float
    temperature_c: float | None
    queue_depth: int
    dropped_chunks: int
    reconnects: int
    outbox_depth: int
    outbox_dropped: int
    outbox_dropped_faults: int = 0
    outbox_set_aside: int = 0
    log_lines_lost: int = 0
    disk_free_bytes: int
    problems: list[str] = Field([])
    assets: list[AssetHealth]


class State(Message):
    """What an asset is doing, why, and since when; ``job`` is the command id of the running job.

    ``subject`` is the person who wears the sensor, or the machine it is on.
    """

    topic: ClassVar[str] = "state"
    retained: ClassVar[bool] = True
    schema_: Literal["state/1"] = Field("state/1", alias="schema")
    phase: Phase
    reason: str
    since: Timestamp
    job: str | None = None
    model: str | None = None
    subject: str = ""
    classifying: bool = False


class Classification(Message):
    """One window's verdict; ``class`` is ``unknown`` where the samples do not allow one.

    ``distance`` is how far the window is from what the model knows, over the limit: more than 1 is unlike it. It is
    null where no distance was computed. A health model gives a distance and no ``probabilities``. Of signs, to drive
    something with: ``smoothed`` is the class of most windows in ``smooth_ms``; ``strength`` is the effort over that at
    calibration, 0 to 1, null outside a known sign.
    """

    topic: ClassVar[str] = "classification"
    qos: ClassVar[int] = 0
    schema_: Literal["classification/1"] = Field("classification/1", alias="schema")
    window: int
    class_: str = Field(alias="class")
    confidence: float
    probabilities: dict[str, float]
    model: str
    quality: list[str]
    distance: float | None = None
    smoothed: str | None = None
    strength: float | None = None


class Vibration(Message):
    """Condition indicators, one value a channel; null where the signal does not allow a value (``quality`` says why).

    ``defect`` is the one whose line stands out in ``channel``; ``defects`` has all that can be resolved.
    """

    topic: ClassVar[str] = "vibration"
    qos: ClassVar[int] = 0
    schema_: Literal["vibration/1"] = Field("vibration/1", alias="schema")
    rms: list[float | None]
    peak: list[float | None]
    crest_factor: list[float | None]
    kurtosis: list[float | None]
    unit: str
    seconds: float
    velocity_rms_mm_s: list[float] | None = None
    velocity_trend: TrendWord | None = None
    velocity_trend_mm_s_per_h: float | None = None
    zone: str | None = None
    shaft_rpm: float | None = None
    shaft_rpm_from: SpeedOrigin | None = None
    envelope_band_hz: list[float] | None = None
    channel: int | None = None
    defect: str | None = None
    defect_order: float | None = None
    defect_hz: float | None = None
    defect_amplitude: float | None = None
    defect_over_floor: float | None = None
    other_defects: list[OtherDefect] = Field([], description="Defects that it may be instead of `defect`.")
    defects: dict[str, DefectAmplitude] = Field({})
    quality: list[str]


class Model(Message):
    """The model in use; every figure is null while there is none. Never one number called RAM.

    Of ``kind`` ``health`` it was made from healthy data alone: every accuracy is null, ``false_alarms`` is the share of
    held-out healthy windows over its limit, and ``healthy_seconds`` of health support at most ``supported_per_month``
    false alarms.

    Of signs it is ``subject``'s, and so is ``previous``.
    """

    topic: ClassVar[str] = "model"
    retained: ClassVar[bool] = True
    schema_: Literal["model/1"] = Field("model/1", alias="schema")
    id: str | None = None
    sha256: str | None = None
    created: Timestamp | None = None
    classes: list[str] = Field([])
    precision: str | None = None
    arena_bytes: int | None = None
    arena_bytes_deployed: int | None = None
    streamed_bytes: int | None = None
    arena_rule: str | None = None
    flash_bytes: int | None = None
    macs: int | None = None
    parameters: int | None = None
    ort_peak_bytes: int | None = None
    session_rss_bytes: int | None = None
    latency_p50_us: float | None = None
    latency_p99_us: float | None = None
    onnx_bytes: int | None = None
    kind: Kind | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    false_alarms: float | None = None
    healthy_seconds: float | None = None
    supported_per_month: float | None = None
    recordings: int | None = None
    tested_on: TestedOn | None = None
    tested_in_parts: list[str] = Field([])
    chance: float | None = None
    measured_before_refit: bool | None = None
    macro_f1: float | None = None
    false_per_minute_of_rest: float | None = None
    front: list[FrontNetwork] = Field([])
    front_point: int | None = None
    previous: str | None = None
    subject: str = ""


class CalibrationStatus(Message):
    """Where a recalibration stands, and what the operator should do now; ``suggested`` says why there should be one.

    ``drift`` is how the healthy machine was after the last one, null until that is known; of ratios the logarithm.
    ``armband`` is how a turned armband's channels are turned back, null where they are as they come.
    """

    topic: ClassVar[str] = "calibration"
    retained: ClassVar[bool] = True
    schema_: Literal["calibration/1"] = Field("calibration/1", alias="schema")
    job: str | None = None
    phase: CalibrationPhase
    instruction: str
    percent: float = Field(ge=0, le=100)
    eta_s: float | None = None
    class_: str | None = Field(None, alias="class")
    take: int | None = None
    takes: int | None = None
    moving: bool = False
    remaining_s: float | None = None
    refusal: str | None = None
    search_phase: SearchPhase | None = None
    candidates: int | None = None
    rejected: int | None = None
    trained: int | None = None
    best_accuracy: float | None = None
    best_arena_bytes: int | None = None
    suggested: list[str] = Field([])
    drift: Drift | None = None
    armband: Armband | None = None


class Response(Message):
    """Answer to one command, echoing its ``id``; ``detail`` depends on the command."""

    topic: ClassVar[str] = "resp/+"
    schema_: Literal["resp/1"] = Field("resp/1", alias="schema")
    id: str | None
    command: str
    status: Reply
    reason: str = ""
    errors: list[str] = Field([])
    detail: dict[str, Any] = Field({})


MESSAGES: tuple[type[Message], ...] = (
    Status,
    Info,
    Health,
    State,
    Classification,
    Fault,
    SignStart,
    Sign,
    Emg,
    Vibration,
    Spectrum,
    Model,
    CalibrationStatus,
    Response,
)
