"""Every kind of message that a node publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.contract.messages import (
    CalibrationStatus,
    Classification,
    Fault,
    Health,
    Info,
    Model,
    Response,
    State,
    Status,
    Vibration,
)
from edgetune_node.contract.sign_messages import Emg, Sign, SignStart

if TYPE_CHECKING:
    from edgetune_node.contract.messages import Message

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
    Model,
    CalibrationStatus,
    Response,
)
