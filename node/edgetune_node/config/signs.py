"""Settings of signs: how sure they are, what is unknown, how an armband is worn."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgetune_nas.novelty import NEXT_SESSION

UNKNOWN_TIMES = {"few": 3.0, "balanced": NEXT_SESSION, "many": 1.75}
"""Times the calibrated limit of the distance at which a sign is unknown.

Levels, electrodes and effort change from session to session. Chosen on the eleven people of ``foreign/myo41`` (seven
gestures, three takes; 1 to 3 tried), so that the default calls less than one known gesture in fifty unknown in the same
session. `make bench-signs` plays the same people, so its figures are no test of this choice.
"""


class SignSection(BaseModel):
    """``[asset.sign]``: how sure a sign is that begins, and windows that are needed at least.

    ``change_windows`` make two signs without rest between; by default four times ``min_windows``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    start_evidence: float = Field(8.0, ge=0.5, le=100)
    unknown: Literal["few", "balanced", "many"] = "balanced"
    armband: Literal["as worn", "ring"] = "as worn"
    smooth_ms: float = Field(250.0, ge=0, le=5000)
    min_windows: int = Field(3, ge=1)
    change_windows: int | None = Field(None, ge=1)
    min_confidence: float = Field(0.6, ge=0, le=1)

    @property
    def lasting_windows(self) -> int:
        """``change_windows`` or its default."""
        return 4 * self.min_windows if self.change_windows is None else self.change_windows
