"""Parts that the messages `Vibration` and `Fault` share, as keyword arguments that mypy checks."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgetune_node.contract import OtherDefect, SpeedOrigin, TrendWord
    from edgetune_node.monitor.trend import Slope
    from edgetune_signal import Indicators, ShaftSpeed
    from edgetune_signal.vibration import DefectLine


class IndicatorPart(TypedDict):
    """Condition indicators, one value a channel; null where there is none, as of a constant channel."""

    rms: list[float | None]
    peak: list[float | None]
    crest_factor: list[float | None]
    kurtosis: list[float | None]


class ShaftPart(TypedDict):
    """The shaft's speed and its origin."""

    shaft_rpm: float | None
    shaft_rpm_from: SpeedOrigin | None


class MatchPart(TypedDict):
    """The defect that stands out."""

    defect: str | None
    defect_order: float | None
    defect_hz: float | None
    defect_amplitude: float | None
    defect_over_floor: float | None


class SlopePart(TypedDict):
    """How the velocity moves."""

    velocity_trend: TrendWord | None
    velocity_trend_mm_s_per_h: float | None


class PhysicsPart(SlopePart, ShaftPart, MatchPart):
    """What the last seconds of vibration say to a fault."""

    velocity_rms_mm_s: float | None
    zone: str | None
    other_defects: list[OtherDefect]
    quality: list[str]


class WindowsPart(IndicatorPart):
    """Indicators of the newest windows of one class."""

    unit: str
    seconds: float
    windows: int
    class_: str


def indicator_part(value: Indicators) -> IndicatorPart:
    """Return indicators as JSON has them."""
    return {
        "rms": _digits(value.rms),
        "peak": _digits(value.peak),
        "crest_factor": _digits(value.crest_factor),
        "kurtosis": _digits(value.kurtosis),
    }


def shaft_part(shaft: ShaftSpeed | None) -> ShaftPart:
    """Return the speed and where it is from."""
    if shaft is None:
        return {"shaft_rpm": None, "shaft_rpm_from": None}
    return {"shaft_rpm": round(shaft.rpm, 1), "shaft_rpm_from": shaft.origin}


def match_part(match: DefectLine | None) -> MatchPart:
    """Return the defect that stands out."""
    return {
        "defect": None if match is None else match.defect,
        "defect_order": None if match is None else round(match.order, 4),
        "defect_hz": None if match is None else round(match.frequency_hz, 2),
        "defect_amplitude": None if match is None else round(match.amplitude, 6),
        "defect_over_floor": None if match is None else round(match.over_floor, 2),
    }


def slope_part(slope: Slope | None) -> SlopePart:
    """Return the trend in a word and as a figure."""
    if slope is None:
        return {"velocity_trend": None, "velocity_trend_mm_s_per_h": None}
    return {"velocity_trend": slope.word, "velocity_trend_mm_s_per_h": round(slope.per_hour, 4)}


def _digits(values: Iterable[float]) -> list[float | None]:
    return [round(number, 6) if isfinite(number) else None for number in values]
