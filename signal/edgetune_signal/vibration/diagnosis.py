"""Everything that a second of vibration says about a machine: indicators, velocity and zone, defects, and how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgetune_signal.vibration.condition_indicators import indicators
from edgetune_signal.vibration.defects import HARMONICS, ambiguous, defect_lines, defect_orders, matched
from edgetune_signal.vibration.envelope import envelope_spectrum, kurtosis_band
from edgetune_signal.vibration.shaft_speed import estimate_shaft_hz
from edgetune_signal.vibration.velocity import velocity_problem, velocity_rms, zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.stream import Samples, StreamSpec
    from edgetune_signal.vibration.bearing import DefectOrders
    from edgetune_signal.vibration.condition_indicators import Indicators
    from edgetune_signal.vibration.defects import Defect, DefectLine
    from edgetune_signal.vibration.envelope import Band
    from edgetune_signal.vibration.velocity import Zone


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine; everything is optional.

    Attributes
    ----------
    orders
        Of its bearing.
    band_hz
        Band of the envelope; chosen by spectral kurtosis where it is None.
    shaft_range_rpm
        Between which speeds to look for the shaft where nobody says its speed.
    zone_limits_mm_s
        Limits A/B, B/C and C/D of the velocity RMS.
    """

    orders: DefectOrders | None = None
    band_hz: Band | None = None
    shaft_range_rpm: tuple[float, float] | None = None
    zone_limits_mm_s: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class ShaftSpeed:
    """Speed of the shaft, and who says so."""

    rpm: float
    origin: Literal["context", "config", "estimated"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A machine's condition.

    Attributes
    ----------
    indicators
        Of the acceleration, one value a channel.
    velocity_rms_mm_s
        From 10 to 1000 Hz, one value a channel; None where rate, unit or length do not allow it.
    zone
        Of the channel that moves most; None without a velocity or limits, or where a channel is ``flat``: nobody knows
        how much it moves.
    shaft
        None where the speed is not known.
    band_hz
        Band of the envelope in which ``lines`` were found.
    channel
        Channel in which they are clearest.
    lines
        One for each defect that the signal resolves; empty without a bearing or a speed.
    match
        The line of a defect that stands out, None where none does.
    ambiguous
        Lines of other defects that stand out as well, within one resolution step of ``match``: it may be any of them.
    quality
        What is wrong: the flags of the samples, ``velocity_unit``, ``velocity_rate``, ``velocity_length``,
        ``no_shaft_speed``, ``envelope_rate`` (no band is wide enough), ``envelope_band`` (the configured one does not
        fit rate and length), and ``bpfo_unresolved`` and the like.
    """

    indicators: Indicators
    velocity_rms_mm_s: tuple[float, ...] | None
    zone: Zone | None
    shaft: ShaftSpeed | None
    band_hz: Band | None
    channel: int
    lines: tuple[DefectLine, ...]
    match: DefectLine | None
    quality: tuple[str, ...]
    ambiguous: tuple[DefectLine, ...] = ()


def diagnose(
    samples: Samples,
    spec: StreamSpec,
    machine: Machine,
    shaft: ShaftSpeed | None = None,
    healthy: Mapping[Defect, float] | None = None,
) -> Condition:
    """Compute a machine's condition; a value that the signal does not allow is left out, and ``quality`` says so.

    Parameters
    ----------
    samples
        ``(channels, n)``, a second or more.
    spec
        The stream's rate and unit.
    machine
        What is known of it.
    shaft
        Its speed where somebody says it; else it is estimated within ``machine.shaft_range_rpm``.
    healthy
        Amplitudes of the defects' lines when it was healthy, where they are known: a line that has not grown to
        `edgetune_signal.vibration.defects.GROWTH` times that is no match.
    """
    basic = indicators(samples, spec.unit, spec.rate_hz)
    quality = list(basic.quality)
    usable = "nan" not in quality
    velocity: tuple[float, ...] | None = None
    problem = velocity_problem(spec.unit, spec.rate_hz, basic.seconds)
    if problem is not None:
        quality.append(problem)
    elif usable:
        velocity = tuple(velocity_rms(samples, spec.unit, spec.rate_hz).tolist())
    limits = machine.zone_limits_mm_s
    found = _Found(None, 0, (), None, (), ())
    if usable and machine.orders is not None:
        if shaft is None and machine.shaft_range_rpm is not None:
            shaft = estimated_speed(samples, spec, machine.shaft_range_rpm)
        if shaft is None:
            quality.append("no_shaft_speed")
        elif shaft.rpm > 0:
            found = _defects(samples, spec, machine.orders, machine.band_hz, shaft, healthy)
            quality += found.problems
    return Condition(
        indicators=basic,
        velocity_rms_mm_s=velocity,
        zone=None if velocity is None or limits is None or "flat" in quality else zone(max(velocity), limits),
        shaft=shaft,
        band_hz=found.band_hz,
        channel=found.channel,
        lines=found.lines,
        match=found.match,
        quality=tuple(quality),
        ambiguous=found.ambiguous,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    band_hz: Band | None
    channel: int
    lines: tuple[DefectLine, ...]
    match: DefectLine | None
    ambiguous: tuple[DefectLine, ...]
    problems: tuple[str, ...]


def estimated_speed(samples: Samples, spec: StreamSpec, between_rpm: tuple[float, float]) -> ShaftSpeed | None:
    """Speed that the spectra of channels ``(channels, n)`` show, the median where they differ; None where none does."""
    low, high = between_rpm
    guesses = [
        estimate_shaft_hz(channel.astype(np.float64), spec.rate_hz, (low / 60, high / 60)) for channel in samples
    ]
    known = [guess for guess in guesses if guess is not None]
    return ShaftSpeed(60 * float(np.median(known)), "estimated") if known else None


def _defects(
    samples: Samples,
    spec: StreamSpec,
    orders: DefectOrders,
    band_hz: Band | None,
    shaft: ShaftSpeed,
    healthy: Mapping[Defect, float] | None,
) -> _Found:
    """Examine every channel; the one whose clearest line is clearest speaks for the machine."""
    shaft_hz = shaft.rpm / 60
    narrowest = HARMONICS * max(defect_orders(orders).values()) * shaft_hz
    best = _Found(None, 0, (), None, (), ("envelope_rate",))
    for number, channel in enumerate(samples.astype(np.float64)):
        band = band_hz or kurtosis_band(channel, spec.rate_hz, narrowest)
        if band is None:
            continue
        try:
            spectrum = envelope_spectrum(channel, spec.rate_hz, band)
        except ValueError:  # a band that was configured without a look at rate and length
            return _Found(None, 0, (), None, (), ("envelope_band",))
        lines, unresolved = defect_lines(spectrum, shaft_hz, orders)
        problems = tuple(f"{defect}_unresolved" for defect in unresolved)
        match = matched(lines, healthy)
        others = () if match is None else ambiguous(match, lines, spectrum.step_hz, healthy)
        found = _Found(spectrum.band_hz, number, tuple(lines), match, others, problems)
        if best.band_hz is None or _clearest(found) > _clearest(best):
            best = found
    return best


def _clearest(found: _Found) -> float:
    return max((line.score for line in found.lines if line.defect != "ftf"), default=0.0)


def defect_of_class(name: str) -> Defect | None:
    """Defect that the name of a class speaks of, None where it speaks of none: ``inner_severe`` is ``bpfi``."""
    words: dict[str, Defect] = {"inner": "bpfi", "outer": "bpfo", "ball": "bsf2", "roller": "bsf2", "cage": "ftf"}
    return next((defect for word, defect in words.items() if word in name.lower()), None)
