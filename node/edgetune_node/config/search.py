"""``[search]``: who evaluates the candidates of a search."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SearchSection(BaseModel):
    """``[search]``: who evaluates candidates; this process's child alone, its workers, or those of a Dask cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    workers: int = Field(1, ge=1, le=64)
    cluster: str | None = Field(None, pattern=r"^[a-z]+://\S+$")

    @model_validator(mode="after")
    def _either(self) -> SearchSection:
        if self.cluster is not None and self.workers != 1:
            raise ValueError("give workers (of this machine) or cluster (of others), and not both")
        return self
