"""What a node said last before it ended, so that a fault keeps its event and a baseline is not begun anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from edgetune_node.contract import CalibrationStatus, Fault
from edgetune_node.monitor.alarm_state import AlarmState

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.contract import Armband, Drift
    from edgetune_node.monitor.heard import Heard

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Restored:
    """An asset's alarm, drift and turned armband as they were, and what was learned of its health; None if unknown.

    ``fault`` is the message that ``alarm`` was read from. ``problem`` is why something that was kept cannot be used.
    """

    alarm: AlarmState | None = None
    drift: Drift | None = None
    armband: Armband | None = None
    heard: Heard | None = None
    problem: str | None = None
    fault: Fault | None = None


def restored(
    asset: str, last: Callable[[str], bytes | None], kept: tuple[Heard | None, str | None] = (None, None)
) -> Restored:
    """Read what was said of ``asset``.

    Parameters
    ----------
    asset
        Its id.
    last
        Gives the payload said last on one of its topics.
    kept
        What was learned of its health, and what is wrong with the file.
    """
    heard, problem = kept
    if problem is not None:
        log.warning("what was learned of health is lost", asset=asset, reason=problem)
    fault, calibration = last(Fault.topic), last(CalibrationStatus.topic)
    alarm = drift = armband = said = None
    try:
        if fault is not None:
            said = Fault.model_validate_json(fault)
            alarm = AlarmState.from_message(said)
        if calibration is not None:
            status = CalibrationStatus.model_validate_json(calibration)
            drift, armband = status.drift, status.armband
    except ValidationError as error:  # written by another version
        log.warning("what was said last is not understood", asset=asset, reason=str(error))
    return Restored(alarm, drift, armband, heard, problem, said)
