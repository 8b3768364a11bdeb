"""The payload of topic ``spectrum``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgetune_node.contract.message import Message
from edgetune_node.contract.parts import CaptureReason


class Spectrum(Message):
    """Spectrum and envelope spectrum of a signal that was kept, of the channel that is loudest or shows a defect.

    A spectrum is its highest line in each of at most 96 bands whose edges lie apart logarithmically: where it is, and
    its amplitude in ``unit``. ``event`` is that of the fault, null where the signal was asked for; ``reason`` says why
    it was kept. ``ts`` is the time of its first sample.
    """

    topic: ClassVar[str] = "spectrum"
    qos: ClassVar[int] = 0
    schema_: Literal["spectrum/1"] = Field("spectrum/1", alias="schema")
    event: str | None = None
    number: int = 0
    reason: CaptureReason
    class_: str | None = Field(None, alias="class")
    severity: str | None = None
    seconds: float
    rate_hz: float
    unit: str
    channel: int
    shaft_rpm: float | None = None
    frequency_hz: list[float]
    amplitude: list[float]
    envelope_band_hz: list[float] | None = None
    envelope_hz: list[float]
    envelope_amplitude: list[float]
    quality: list[str]
