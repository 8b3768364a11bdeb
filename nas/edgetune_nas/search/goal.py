"""What a search is after within its budget: the most accurate network or the smallest that is accurate enough."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Goal(BaseModel):
    """What the winner must be.

    Attributes
    ----------
    objective
        ``accuracy``: the most accurate network, the smaller of equal ones. ``smallest``: the smallest arena whose
        validation accuracy is at least ``accuracy``; while none is, the most accurate.
    accuracy
        Share of validation windows, in their worst condition; used by ``smallest`` only.
    latency_us
        Most microseconds that onnxruntime may take for a window on this device (median); None for any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["accuracy", "smallest"] = "accuracy"
    accuracy: float = Field(default=0.99, gt=0, le=1)
    latency_us: float | None = Field(default=None, gt=0)

    @property
    def floor(self) -> float | None:
        """Validation accuracy from which on only the size counts; None where accuracy always does."""
        return self.accuracy if self.objective == "smallest" else None

    def to_json(self) -> dict[str, Any]:
        """Return what was asked for beyond the default, as plain JSON; empty for the default."""
        asked = self.model_dump(exclude_defaults=True)
        return {**asked, "accuracy": self.accuracy} if self.objective == "smallest" else asked
