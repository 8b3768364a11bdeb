"""Gathers the samples of one labelled take without a gap, and makes a recording of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal import Recording, held_out_start, window_quality
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from edgetune_signal import Chunk, StreamSpec

MAX_TAKE_BYTES = 64 * 2**20
"""What a take may occupy; more would push a small computer into swapping."""
BYTES_PER_SAMPLE = 4
JUDGED_AT_ONCE = 65_536
"""Samples per channel that are looked at for clipping in one go, which bounds the memory this takes."""


def take_samples(seconds: float, spec: StreamSpec) -> int:
    """Return the samples per channel of a take of ``seconds``."""
    return max(1, round(seconds * spec.rate_hz))


def take_bytes(seconds: float, spec: StreamSpec) -> int:
    """Return the memory that a take of ``seconds`` needs, in bytes."""
    return take_samples(seconds, spec) * spec.channels * BYTES_PER_SAMPLE


class Take:
    """Fills up with chunks until it has ``seconds`` of consecutive samples.

    Samples that are missing (a gap, a jump of the sequence) or that do not fit the stream make it start again.
    Samples that are not finite or come at another rate, or a channel that stays constant for the whole take, make it
    refuse: nothing more is taken in, and a person has to look at the sensor.

    Parameters
    ----------
    label
        Class of the take.
    seconds
        How long it is.
    spec
        The stream's channels, rate and unit.
    clip_level
        Largest magnitude the sensor can deliver, None where it is not known.

    Attributes
    ----------
    restarts
        How many times it has started again.
    restarted_by
        What made it start again the last time.
    refusal
        Why the signal cannot be used; None while it can.
    warnings
        What is doubtful about a complete take.
    """

    def __init__(self, label: str, seconds: float, spec: StreamSpec, *, clip_level: float | None = None) -> None:
        self.label = label
        self.restarts = 0
        self.restarted_by: str | None = None
        self.refusal: str | None = None
        self.warnings: tuple[str, ...] = ()
        self._spec = spec
        self._clip_level = clip_level
        self._samples = np.empty((spec.channels, take_samples(seconds, spec)), dtype=np.float32)
        self._filled = 0
        self._sequence = -1
        self._time_ns = 0

    @property
    def complete(self) -> bool:
        """Whether all samples are there and can be used."""
        return self._filled == self._samples.shape[1] and self.refusal is None

    @property
    def fraction(self) -> float:
        """How much of it is there, from 0 to 1."""
        return self._filled / self._samples.shape[1]

    def push(self, chunk: Chunk) -> None:
        """Process as much of a chunk as is still missing; nothing once complete or refused."""
        if self.complete or self.refusal is not None:
            return
        misfit = self._misfit(chunk)
        if misfit is not None:
            self._restart(misfit)
            return
        if self._filled and (chunk.gap or chunk.sequence != self._sequence + 1):
            self._restart("samples were lost")
        if RATE_OFF in chunk.quality:
            self.refusal = f"samples come at another rate than {self._spec.rate_hz:g} Hz: look at health"
            return
        count = min(chunk.samples.shape[1], self._samples.shape[1] - self._filled)
        fresh = chunk.samples[:, :count]
        if not np.isfinite(fresh).all():
            self.refusal = "samples are not finite (NaN or infinity)"
            return
        if self._filled == 0:
            self._time_ns = chunk.time_ns
        self._sequence = chunk.sequence
        self._samples[:, self._filled : self._filled + count] = fresh
        self._filled += count
        if self.complete:
            self._judge()

    def recording(
        self,
        take: int,
        takes: int,
        *,
        subject: str = "",
        condition: str = "",
        sensor: str = "",
        shaft_rpm: float | None = None,
    ) -> Recording:
        """Make the recording of a complete take, with what is held out of it decided for ever.

        Parameters
        ----------
        take, takes
            Which take of its class this is, from 0, and how many there will be.
        subject, condition, sensor
            Who or what was recorded, under which circumstances, by what.
        shaft_rpm
            Speed of the shaft, where it is known.

        Raises
        ------
        ValueError
            The take is not complete.
        """
        if not self.complete:
            raise ValueError(f"the take of {self.label!r} is not complete ({self.fraction:.0%}): push more chunks")
        return Recording(
            samples=self._samples,
            rate_hz=self._spec.rate_hz,
            label=self.label,
            unit=self._spec.unit,
            time_ns=self._time_ns,
            sensor=sensor,
            subject=subject,
            condition=condition,
            group=f"{self.label}-{self._time_ns}-{take}",
            held_out_from=held_out_start(self._samples.shape[1], take, takes),
            shaft_rpm=shaft_rpm,
        )

    def _misfit(self, chunk: Chunk) -> str | None:
        channels = chunk.samples.shape[0]
        if channels != self._spec.channels:
            return f"samples had {channels} channels instead of {self._spec.channels}"
        if chunk.rate_hz != self._spec.rate_hz:
            return f"samples came at {chunk.rate_hz:g} Hz instead of {self._spec.rate_hz:g} Hz"
        return None

    def _restart(self, reason: str) -> None:
        if self._filled or self.restarted_by != reason:
            self.restarts += 1
        self.restarted_by = reason
        self._filled = 0

    def _judge(self) -> None:
        samples = self._samples
        if (samples.min(axis=1) == samples.max(axis=1)).any():
            self.refusal = "a channel is constant (flat)"
            return
        starts = range(0, samples.shape[1], JUDGED_AT_ONCE)
        if any("clipped" in window_quality(samples[:, at : at + JUDGED_AT_ONCE], self._clip_level) for at in starts):
            self.warnings = ("samples are clipped: lower the gain or choose a sensor with a larger range",)
