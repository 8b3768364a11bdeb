"""Decides the phase of an asset, in this one place: what it does, why, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from edgetune_node.clock import Clock
    from edgetune_node.contract import CalibrationPhase, Phase
    from edgetune_node.monitor import Asset

WHILE_CALIBRATING: Final[Mapping[CalibrationPhase, Phase]] = {
    "waiting": "recording",
    "countdown": "recording",
    "recording": "recording",
    "saving": "recording",
    "queued": "queued",
    "searching": "searching",
    "deploying": "deploying",
}
"""The asset's phase while its calibration is in one; a calibration that has ended leaves the asset its own phase."""
MODEL_CHANGES: Final = frozenset({"rollback", "deploy", "profile", "forget"})
"""Commands that only change the model, or take it away."""


@dataclass(frozen=True, slots=True)
class CurrentPhase:
    """A phase, its reason for people, and when it began (UTC)."""

    phase: Phase
    reason: str
    since: datetime


class AssetPhase:
    """Owns the phase of one asset.

    Parameters
    ----------
    asset
        Whose model and samples decide while no job runs.
    clock
        Tells when a phase begins.
    """

    def __init__(self, asset: Asset, clock: Clock) -> None:
        self._asset = asset
        self._clock = clock
        self._phase: Phase | None = None
        self._since = clock.utc()

    def current(self, calibration: CalibrationPhase | None, job: str, remark: str) -> CurrentPhase:
        """Return the phase.

        Parameters
        ----------
        calibration
            Phase of the running calibration; None if none runs.
        job
            Name of the command whose job runs; empty if none does.
        remark
            What was said of the last job.
        """
        phase, reason = self._decide(calibration, job, remark)
        if phase != self._phase:
            self._phase, self._since = phase, self._clock.utc()
        return CurrentPhase(phase, reason, self._since)

    def _decide(self, calibration: CalibrationPhase | None, job: str, remark: str) -> tuple[Phase, str]:
        calibrating = None if calibration is None else WHILE_CALIBRATING.get(calibration)
        if calibrating is not None:
            return calibrating, job
        if job in MODEL_CHANGES:
            return "deploying", job
        trouble = self._asset.trouble
        if self._asset.bundle is None:
            return "uncalibrated", trouble or remark or "no model yet: publish recalibrate"
        return ("failed", trouble) if trouble else ("monitoring", self._asset.paused or remark)
