"""The model card: what a bundle says about its network, as it stands in ``card.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, model_validator

FORMAT: Literal[1] = 1
Task = Literal["fault", "sign"]
Precision = Literal["float", "int8"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Model):
    """The windows that the network takes."""

    channels: PositiveInt
    length: PositiveInt
    rate_hz: float = Field(gt=0)
    unit: str


class Cost(_Model):
    """Planned cost, by formula; README.md of this package defines each."""

    arena_bytes: int
    arena_bytes_deployed: int
    streamed_bytes: int
    arena_rule: str
    flash_bytes: int
    macs: int
    parameters: int


class Measured(_Model):
    """What one precision's file costs in onnxruntime on the machine that made the bundle."""

    ort_peak_bytes: int
    session_rss_bytes: int
    latency_p50_us: float
    latency_p99_us: float
    onnx_bytes: int


class Metrics(_Model):
    """How well the network does on windows that no choice was made on.

    ``accuracy_low`` and ``accuracy_high`` bound a 95 % Wilson interval. ``confusion`` has true classes in rows.
    """

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    calibration_error: float
    windows: int
    confusion: list[list[int]]
    accuracy_by_condition: dict[str, float] = {}


class Budget(_Model):
    """Limits that the network was searched under; ``None`` is no limit."""

    ram_bytes: PositiveInt | None = None
    flash_bytes: PositiveInt | None = None
    macs: PositiveInt | None = None
    search_seconds: float = Field(default=60.0, gt=0, le=86_400)


class SearchSummary(_Model):
    """What the search did."""

    seed: int
    candidates: int
    rejected: int
    trained: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    stopped_by: Literal["converged", "time", "cancelled", "candidates"]
    validation_accuracy: float


class ModelCard(_Model):
    """Everything a bundle says about itself (format 1)."""

    format: Literal[1] = FORMAT
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{3,63}$")
    created: AwareDatetime
    task: Task
    classes: list[str] = Field(min_length=2)
    input: InputSpec
    layers: list[str]
    cost: Cost
    measured: dict[Precision, Measured]
    deployed: Precision
    deployed_because: str
    metrics: Metrics
    replaced: Metrics | None = None
    budget: Budget
    search: SearchSummary
    data_fingerprint: str
    sha256: dict[str, str]
    versions: dict[str, str]
    notes: dict[str, Any] = {}

    @model_validator(mode="after")
    def _agrees(self) -> ModelCard:
        if self.deployed not in self.measured:
            raise ValueError(
                f"deployed is {self.deployed!r}, which is not among the measured ({', '.join(self.measured)})"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes names one twice")
        return self


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A candidate that no other beats in both arena and score (Pareto front); with its validation accuracy."""

    arena_bytes: int
    accuracy: float
    trained: bool
    layers: tuple[str, ...]
