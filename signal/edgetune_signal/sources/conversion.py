"""Brings what a sensor gives to the unit and the rate of a stream, where that was asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import SourceError
from edgetune_signal.stream import MAX_PHASES, NS_PER_S, Chunk, Continuity, Decimator, rate_ratio, unit_factor

if TYPE_CHECKING:
    from fractions import Fraction

    from edgetune_signal.options import OptionReader
    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import Samples, StreamSpec

CONVERSION_OPTIONS = ("sensor_rate_hz", "sensor_unit", "sensitivity", "zero")
MAX_RATE_HZ = 1e7


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is done to a sensor's samples.

    Attributes
    ----------
    sensor
        What the sensor gives.
    zero
        What it says where there is nothing, in its unit.
    factor
        Value in the stream's unit = (value - zero) times factor.
    ratio
        The stream's rate over the sensor's.
    """

    sensor: StreamSpec
    zero: float
    factor: float
    ratio: Fraction


def read_conversion(reader: OptionReader, spec: StreamSpec) -> Conversion | None:
    """Read ``sensor_rate_hz``, ``sensor_unit``, ``sensitivity`` (sensor's units per unit of the stream) and ``zero``.

    Returns
    -------
    Conversion or None
        None where something is wrong; ``reader.problems`` says what.
    """
    rate_hz = reader.number("sensor_rate_hz", spec.rate_hz, minimum=1e-3, maximum=MAX_RATE_HZ)
    unit = reader.text("sensor_unit", spec.unit) or spec.unit
    sensitivity = reader.number("sensitivity", 1.0, minimum=-1e15, maximum=1e15)
    zero = reader.number("zero", 0.0, minimum=-1e15, maximum=1e15)
    ratio = rate_ratio(spec.rate_hz, rate_hz)
    factor = unit_factor(unit, spec.unit)
    if rate_hz < spec.rate_hz:
        reader.problem(
            "sensor_rate_hz", f"must be at least the stream's {spec.rate_hz:g}, not {rate_hz:g}: nothing can raise it"
        )
    elif ratio is None:
        reader.problem(
            "sensor_rate_hz",
            f"{rate_hz:g} cannot be brought to {spec.rate_hz:g} Hz: their ratio must be a fraction of whole numbers, "
            f"the upper one at most {MAX_PHASES}; {rate_hz / round(rate_hz / spec.rate_hz):g} Hz could be reached",
        )
    if factor is None and not reader.given("sensitivity"):
        reader.problem("sensitivity", f"is missing: how many {unit} of the sensor are one {spec.unit}?")
    elif factor is not None and reader.given("sensitivity"):
        reader.problem("sensitivity", f"is not wanted: it is known how many {unit} are one {spec.unit}; remove it")
    elif sensitivity == 0:
        reader.problem("sensitivity", "must not be 0")
    if reader.problems or ratio is None:
        return None
    factor = 1 / sensitivity if factor is None else factor
    return Conversion(replace(spec, rate_hz=rate_hz, unit=unit), zero, factor, ratio)


def check_chunk(chunk: Chunk, spec: StreamSpec) -> None:
    """Make sure that a source keeps its promise.

    Raises
    ------
    SourceError
        The chunk has another rate or other channels: what is learnt from one rate is wrong at another.
    """
    if chunk.rate_hz != spec.rate_hz or chunk.samples.shape[0] != spec.channels:
        raise SourceError(
            f"the source gave {chunk.samples.shape[0]} channels at {chunk.rate_hz:g} Hz where {spec.channels} at "
            f"{spec.rate_hz:g} Hz are configured: set channels and rate_hz, or sensor_rate_hz of the source"
        )


class ConvertedSource:
    """A source whose samples are brought to another unit or rate; everything else it has is the inner one's.

    Parameters
    ----------
    source
        What the sensor gives.
    spec
        What it is brought to.
    conversion
        How.
    """

    def __init__(self, source: Source, spec: StreamSpec, conversion: Conversion) -> None:
        self.spec = spec
        self._source = source
        self._conversion = conversion
        self._decimator = Decimator(spec.channels, spec.rate_hz, conversion.ratio) if conversion.ratio != 1 else None
        self._continuity = Continuity(spec.channels)
        self._sequence = 0
        self._gap = False

    def __getattr__(self, name: str) -> Any:
        """Return what only some sources have: ``last_error``, ``feed``, counters."""
        return getattr(self._source, name)

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next chunk, or None when none came within ``timeout_s``.

        Raises
        ------
        SourceEnded, SourceError
            As the inner source.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            chunk = self._source.read(max(0.0, left))
            if chunk is None:
                return None
            converted = self._converted(chunk)
            if converted is not None:
                return converted

    def select(self, name: str) -> None:
        """Switch the inner source."""
        self._source.select(name)

    def close(self) -> None:
        """Close the inner source."""
        self._source.close()

    def _converted(self, chunk: Chunk) -> Chunk | None:
        conversion = self._conversion
        check_chunk(chunk, conversion.sensor)
        if self._continuity.broken_by(chunk):
            self._gap = True
            if self._decimator is not None:
                self._decimator.reset()
        samples: Samples = chunk.samples
        if conversion.zero or conversion.factor != 1:
            samples = ((samples.astype(np.float64) - conversion.zero) * conversion.factor).astype(np.float32)
        time_ns = chunk.time_ns
        if self._decimator is not None:
            samples, first = self._decimator.push(samples)
            time_ns += round(float(first) / chunk.rate_hz * NS_PER_S)
        if samples.shape[1] == 0:
            return None
        gap = self._gap and self._sequence > 0
        made = Chunk(
            samples,
            time_ns,
            self.spec.rate_hz,
            self._sequence,
            gap=gap,
            quality=chunk.quality,
            measured_hz=None if chunk.measured_hz is None else chunk.measured_hz * self.spec.rate_hz / chunk.rate_hz,
        )
        self._sequence += 1
        self._gap = False
        return made
