"""``[asset.source] duty``: how often a sensor with a battery measures, and for how long."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DutySection(BaseModel):
    """``[asset.source] duty``: a sensor that measures for ``on_s`` every ``every_s`` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    on_s: float = Field(gt=0, le=86_400)
    every_s: float = Field(gt=0, le=7 * 86_400)

    @model_validator(mode="after")
    def _pauses(self) -> DutySection:
        if self.on_s >= self.every_s:
            raise ValueError(f"on_s must be less than every_s, not {self.on_s:g} of {self.every_s:g}")
        return self
