"""What a node publishes of a person: signs, and features of the muscles."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgetune_node.contract.message import Message
from edgetune_node.contract.parts import TimeOrigin, Timestamp


class SignStart(Message):
    """A sign has begun: as early as it is sure, while it lasts.

    Its `Sign` follows with the same ``event``, when it has ended, and may correct ``class``. ``start`` is when the
    muscles began to be active (``signal``), or the edge of a window (``windows``).
    """

    topic: ClassVar[str] = "sign_start"
    qos: ClassVar[int] = 0
    schema_: Literal["sign_start/1"] = Field("sign_start/1", alias="schema")
    event: str
    class_: str = Field(alias="class")
    confidence: float
    start: Timestamp
    start_from: TimeOrigin = "windows"
    distance: float | None = None
    model: str
    subject: str = ""


class Sign(Message):
    """One recognised sign, told when it has ended: one for each gesture, however long it is held.

    ``start`` and ``end`` are when the muscles began and ended to be active (``signal``), or the edges of the windows
    (``windows``) where the signal does not tell: without a class of rest, from sign to sign, at a gap. ``windows`` said
    ``class``, of ``of`` that said some sign. ``distance`` is the median of theirs to that sign, 1 at the limit; beyond
    it ``class`` is ``unknown`` and ``confidence`` 0.
    """

    topic: ClassVar[str] = "sign"
    schema_: Literal["sign/1"] = Field("sign/1", alias="schema")
    event: str
    class_: str = Field(alias="class")
    confidence: float
    start: Timestamp
    start_from: TimeOrigin = "windows"
    end: Timestamp
    end_from: TimeOrigin = "windows"
    windows: int
    of: int | None = None
    distance: float | None = None
    model: str
    subject: str = ""


class Emg(Message):
    """Features of a person's muscles over the last ``seconds``, one value a channel; null where there is none.

    ``electrodes`` names what is wrong with each: ``dead``, ``saturated``, ``hum``, ``offset``; nothing if it is well.
    ``turn`` and ``mirrored`` say how the channels are turned back by the node; 0 and false if they are as they come.
    ``rms``, ``mean_absolute`` and ``envelope`` (its largest value) are in ``unit``, ``waveform_length`` in ``unit`` per
    second, ``zero_crossings`` per second; docs/reference/indicators.md defines them.
    """

    topic: ClassVar[str] = "emg"
    qos: ClassVar[int] = 0
    schema_: Literal["emg/1"] = Field("emg/1", alias="schema")
    rms: list[float | None]
    mean_absolute: list[float | None]
    envelope: list[float | None]
    waveform_length: list[float | None]
    zero_crossings: list[float | None]
    median_frequency_hz: list[float | None]
    unit: str
    seconds: float
    quality: list[str]
    electrodes: list[list[str]] = Field([])
    turn: int = 0
    mirrored: bool = False
