"""Watches one machine's vibration over seconds: indicators, velocity trend, and which defect stands out."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from edgetune_node.contract import DefectAmplitude, OtherDefect, Vibration
from edgetune_node.monitor.stream_checks import UnitCheck
from edgetune_node.monitor.trend import Trend
from edgetune_node.monitor.vibration_parts import indicator_part, match_part, shaft_part, slope_part
from edgetune_signal import Condition, IndicatorBuffer, ShaftSpeed, diagnose
from edgetune_signal.stream import RATE_OFF
from edgetune_signal.vibration import clearer, estimated_speed, indicators

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Context
    from edgetune_node.monitor.trend import Slope
    from edgetune_node.monitor.vibration_parts import PhysicsPart
    from edgetune_signal import Chunk, Indicators
    from edgetune_signal.stream import Samples
    from edgetune_signal.vibration import Defect, DefectLine, Zone

SHORTEST_S = 1.0
LOOKED_BACK, AGREEING = 5, 3
"""Of the last five looks three must show a defect: single seconds err."""
SPEED_SPREAD = 0.015
"""Estimates of the speed that differ by more are none."""
SLIP = 0.05
"""The speed of a motor under load differs from the one it was configured with by up to this part."""
ROUNDED = 0.01
"""Speeds that differ by less are the same to the lines of a defect."""


@dataclass(frozen=True, slots=True)
class Physics:
    """What the last seconds say, without what only one of them says.

    Attributes
    ----------
    condition
        The newest look; None before the first.
    match
        Line of the defect that `AGREEING` of the last looks show.
    zone
        The zone that most of them give.
    slope
        How the velocity moves.
    others
        Defects that it may be instead of ``match``.
    """

    condition: Condition | None
    match: DefectLine | None
    zone: Zone | None
    slope: Slope | None
    others: tuple[OtherDefect, ...] = ()

    @property
    def looked(self) -> bool:
        """Whether defects could be looked for at all."""
        return self.condition is not None and bool(self.condition.lines)


class VibrationMonitor:
    """Looks at the last seconds of a machine's vibration every ``vibration_s``.

    Parameters
    ----------
    settings
        The asset's configuration.

    Attributes
    ----------
    seen
        Samples of the last look, ``(channels, n)``; None before the first.
    """

    def __init__(self, settings: AssetSection) -> None:
        self._settings = settings
        self._machine = settings.machine.machine
        self._buffer = IndicatorBuffer(settings.spec, seconds=max(SHORTEST_S, settings.vibration_s))
        self._looks: deque[Condition] = deque(maxlen=LOOKED_BACK)
        self._others: deque[tuple[OtherDefect, ...]] = deque(maxlen=LOOKED_BACK)
        self._healthy: Mapping[Defect, float] = {}
        self._speeds: deque[float] = deque(maxlen=AGREEING)
        self._unsure = 0
        self._unit = UnitCheck(settings.unit)
        self._trend = Trend()
        self._last = float("-inf")
        self.seen: Samples | None = None

    def push(self, chunk: Chunk) -> None:
        """Buffer samples."""
        self._buffer.push(chunk)

    @property
    def unit_problem(self) -> str | None:
        """That the samples show gravity in another unit than is configured; None where they do not."""
        return self._unit.problem

    def look(
        self,
        now: float,
        context: Context,
        *,
        rate_off: bool = False,
        healthy: Mapping[Defect, float] | None = None,
    ) -> Condition | None:
        """Return the condition when a look is due; None if it is not, or if samples are missing.

        With ``rate_off`` samples come at another rate than is configured: there is nothing that has a frequency then.
        ``healthy`` are the amplitudes of defects' lines in the healthy machine, where they are known.
        """
        if now - self._last < self._settings.vibration_s:
            return None
        samples = self._buffer.samples()
        if samples is None:
            return None
        self._last = now
        self.seen = samples
        self._unit.look(samples)
        if rate_off:
            self.forget()
            found = _without_rate(indicators(samples, self._settings.unit, self._settings.rate_hz))
            self._remember(found, ())
            return found
        self._healthy = healthy or {}
        told = self._speed(context)
        if context.shaft_rpm is not None:
            self._speeds.clear()  # they are old when the plant no longer says it
        found = self._diagnose(samples, told)
        others: tuple[OtherDefect, ...] = ()
        if told is None and self._machine.shaft_range_rpm is not None:
            found = self._estimated(found, samples)
        elif told is not None and told.origin == "config" and found.lines:
            found, others = self._slipped(found, samples, told.rpm)
        self._remember(found, others)
        if found.velocity_rms_mm_s is not None:
            self._trend.add(now, max(found.velocity_rms_mm_s))
        return found

    def forget(self) -> None:
        """Begin again: the machine stood still, or was changed."""
        self._looks.clear()
        self._others.clear()
        self._speeds.clear()
        self._unsure = 0

    @property
    def physics(self) -> Physics:
        """What the last looks say together."""
        if not self._looks:
            return Physics(None, None, None, self._trend.slope)
        matches = [look.match for look in self._looks if look.match is not None]
        match: DefectLine | None = None
        others: tuple[OtherDefect, ...] = ()
        if matches:
            defect, count = Counter(line.defect for line in reversed(matches)).most_common(1)[0]
            if count >= AGREEING:
                match, others = next(
                    (look.match, others)
                    for look, others in zip(reversed(self._looks), reversed(self._others), strict=True)
                    if look.match is not None and look.match.defect == defect
                )
        zones = Counter(look.zone for look in reversed(self._looks) if look.zone is not None)
        slope = None if RATE_OFF in self._looks[-1].quality else self._trend.slope
        return Physics(self._looks[-1], match, zones.most_common(1)[0][0] if zones else None, slope, others)

    def message(self, found: Condition) -> Vibration:
        """Return a look as a message."""
        basic = found.indicators
        return Vibration(
            **indicator_part(basic),
            unit=basic.unit,
            seconds=basic.seconds,
            velocity_rms_mm_s=_digits(found.velocity_rms_mm_s),
            **slope_part(None if RATE_OFF in found.quality else self._trend.slope),
            zone=found.zone,
            **shaft_part(found.shaft),
            envelope_band_hz=None if found.band_hz is None else [round(edge, 1) for edge in found.band_hz],
            channel=found.channel if found.lines else None,
            **match_part(found.match),
            other_defects=list(self._others[-1]) if found.match is not None else [],
            defects={
                line.defect: DefectAmplitude(
                    order=round(line.order, 4),
                    frequency_hz=round(line.frequency_hz, 2),
                    amplitude=round(line.amplitude, 6),
                    harmonics=[round(value, 6) for value in line.harmonics],
                    over_floor=round(line.over_floor, 2),
                )
                for line in found.lines
            },
            quality=[*found.quality, *self._unit.quality],
        )

    def evidence(self) -> PhysicsPart:
        """Return the part of `Evidence` that the last looks know."""
        physics = self.physics
        found = physics.condition
        velocity = None if found is None else found.velocity_rms_mm_s
        return {
            "velocity_rms_mm_s": None if velocity is None else round(max(velocity), 3),
            **slope_part(physics.slope),
            "zone": physics.zone,
            **shaft_part(None if found is None else found.shaft),
            **match_part(physics.match),
            "other_defects": list(physics.others),
            "quality": [] if found is None else [*found.quality, *self._unit.quality],
        }

    def _speed(self, context: Context) -> ShaftSpeed | None:
        if context.shaft_rpm is not None:
            return ShaftSpeed(context.shaft_rpm, "context")
        configured = self._settings.machine.shaft_rpm
        return None if configured is None else ShaftSpeed(configured, "config")

    def _estimated(self, found: Condition, samples: Samples) -> Condition:
        """Believe an estimated speed only where it stays."""
        rpm = self._believed(found.shaft)
        if found.shaft is None and rpm is not None:
            return self._diagnose(samples, ShaftSpeed(rpm, "estimated"))
        if found.shaft is None or rpm is not None:
            return found
        quality = (*found.quality, "no_shaft_speed")
        return replace(found, shaft=None, band_hz=None, lines=(), match=None, quality=quality)

    def _slipped(
        self, found: Condition, samples: Samples, configured: float
    ) -> tuple[Condition, tuple[OtherDefect, ...]]:
        """Examine the speed that the spectrum shows near the configured one, too; return what it may be besides.

        Where the two speeds give different defects the one with the larger line is named (`clearer`): to believe the
        configured speed was wrong as often as to believe the other.
        """
        spec = self._settings.spec
        rpm = self._believed(estimated_speed(samples, spec, ((1 - SLIP) * configured, (1 + SLIP) * configured)))
        if rpm is None or abs(rpm / configured - 1) < ROUNDED:
            return found, ()
        near = self._diagnose(samples, ShaftSpeed(rpm, "estimated"))
        if near.match is None or found.match is None:
            return (found if near.match is None else near), ()
        if near.match.defect == found.match.defect:
            return (found if found.match.score >= near.match.score else near), ()
        named, other = (near, found) if clearer(near.match, found.match) else (found, near)
        return named, (_other(other, "speed"),)

    def _diagnose(self, samples: Samples, shaft: ShaftSpeed | None) -> Condition:
        return diagnose(samples, self._settings.spec, self._machine, shaft, self._healthy)

    def _remember(self, found: Condition, others: tuple[OtherDefect, ...]) -> None:
        close = (
            OtherDefect(defect=line.defect, frequency_hz=round(line.frequency_hz, 2), because="resolution")
            for line in found.ambiguous
        )
        self._looks.append(found)
        self._others.append((*others, *close))

    def _believed(self, shaft: ShaftSpeed | None) -> float | None:
        """Return an estimated speed that has stayed; also in the few looks that show none."""
        self._unsure = self._unsure + 1 if shaft is None else 0
        if self._unsure >= LOOKED_BACK:
            self._speeds.clear()
        if shaft is not None:
            self._speeds.append(shaft.rpm)
        if len(self._speeds) < AGREEING or max(self._speeds) > (1 + SPEED_SPREAD) * min(self._speeds):
            return None
        return median(self._speeds) if shaft is None else shaft.rpm


def _other(look: Condition, because: Literal["speed", "resolution"]) -> OtherDefect:
    assert look.match is not None  # noqa: S101 - asked before
    return OtherDefect(
        defect=look.match.defect,
        frequency_hz=round(look.match.frequency_hz, 2),
        shaft_rpm=None if look.shaft is None else round(look.shaft.rpm, 1),
        because=because,
    )


def _without_rate(basic: Indicators) -> Condition:
    quality = (*basic.quality, RATE_OFF)
    return Condition(basic, None, None, None, None, 0, (), None, quality)


def _digits(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else [round(value, 4) for value in values]
