"""Every message that a node publishes."""

from __future__ import annotations

from edgetune_node.contract.messages import (
    CalibrationStatus,
    Classification,
    Emg,
    Fault,
    Health,
    Info,
    Message,
    Model,
    Response,
    Sign,
    State,
    Status,
    Vibration,
)
from edgetune_node.contract.spectrum import Spectrum

MESSAGES: tuple[type[Message], ...] = (
    Status,
    Info,
    Health,
    State,
    Classification,
    Fault,
    Sign,
    Emg,
    Vibration,
    Spectrum,
    Model,
    CalibrationStatus,
    Response,
)
