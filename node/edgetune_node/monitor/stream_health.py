"""Keeps how an asset's stream is doing: when samples came, whether they were usable, what its source reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.monitor.labelling import UNUSABLE
from edgetune_node.monitor.stream_checks import RateCheck

if TYPE_CHECKING:
    from edgetune_node.clock import Clock
    from edgetune_node.config import AssetSection
    from edgetune_signal import Chunk, Window

STALE_S = 5.0
"""Seconds without usable samples that are no trouble yet; more where three windows take longer."""

SNAPSHOTS_MISSED = 3
"""Snapshots that may be missing in a row: radio sensors lose one now and then."""
PAUSE_S = 1.0
"""Seconds without samples that are a pause; less is jitter of a network."""
SHORT = 0.5
"""Part of the time up to which a sensor that sends now and then is one that sends snapshots."""


class SnapshotInterval:
    """Knows how often a sensor sends snapshots, from how its samples come.

    Parameters
    ----------
    every_s
        Seconds from one to the next as configured; 0 where that is not told.

    Attributes
    ----------
    every_s
        Seconds from one to the next: the shorter of the last two. 0 of a sensor that sends all the time.
    """

    def __init__(self, every_s: float) -> None:
        self._told_s = self.every_s = every_s
        self._sending_s = 0.0
        self._before_s = 0.0

    def hear(self, silence_s: float, samples_s: float) -> None:
        """Count samples that last ``samples_s`` and came ``silence_s`` after those before."""
        if silence_s <= max(PAUSE_S, samples_s):
            self._sending_s += silence_s
            if self._sending_s > SHORT * self.every_s:
                self.every_s = self._told_s
            return
        interval_s = self._sending_s + silence_s
        snapshots = self._sending_s <= SHORT * interval_s
        self.every_s = max(self._told_s, min(self._before_s, interval_s) if snapshots else 0.0)
        self._before_s = interval_s if snapshots else 0.0
        self._sending_s = 0.0


class StreamHealth:
    """Counts samples, windows and gaps, and says what is wrong with a stream.

    Parameters
    ----------
    settings
        The asset's configuration.
    clock
        Tells how long samples have been missing.

    Attributes
    ----------
    samples, windows, gaps
        How many there were.
    source_error
        Why the source delivers nothing; None while it does.
    """

    def __init__(self, settings: AssetSection, clock: Clock) -> None:
        self.samples = self.windows = self.gaps = 0
        self.source_error: str | None = None
        self._refused: str | None = None
        self._clock = clock
        self._unbroken_s = max(STALE_S, 3 * max(settings.window.length, settings.window.hop) / settings.rate_hz)
        duty = settings.source.duty
        self._snapshots = SnapshotInterval(0.0 if duty is None else duty.every_s)
        self._rate = RateCheck(settings)
        self._last_sample = self._last_usable = clock.monotonic()
        self._quality: tuple[str, ...] = ()

    def hear(self, chunk: Chunk) -> None:
        """Count samples."""
        now = self._clock.monotonic()
        if self.samples:
            self._snapshots.hear(now - self._last_sample, chunk.samples.shape[1] / chunk.rate_hz)
        self._last_sample = now
        self.samples += chunk.samples.shape[1]
        self.gaps += chunk.gap
        self._rate.hear(chunk)

    def window(self, window: Window) -> bool:
        """Count a window; return whether its samples are usable."""
        self.windows += 1
        self._quality = window.quality
        usable = UNUSABLE.isdisjoint(window.quality)
        if usable:
            self._last_usable = self._last_sample
        return usable

    def source_changed(self, error: str | None) -> None:
        """Note why the source delivers nothing; None where it does again."""
        self.source_error = error

    def source_refused(self, reason: str | None) -> None:
        """Note what the source would not take; None where that is past."""
        self._refused = reason

    @property
    def _longest_s(self) -> float:
        """Seconds without usable samples that are no trouble yet."""
        return max(self._unbroken_s, SNAPSHOTS_MISSED * self._snapshots.every_s)

    @property
    def rate_off(self) -> bool:
        """Whether samples come at another rate than is configured."""
        return self._rate.off

    @property
    def sample_age_s(self) -> float | None:
        """Seconds since the last samples; None where there were none yet."""
        return round(self._clock.monotonic() - self._last_sample, 2) if self.samples else None

    @property
    def problems(self) -> tuple[str | None, str | None]:
        """What was refused, and another rate while samples come, for ``health``."""
        fresh = self._clock.monotonic() - self._last_sample <= self._longest_s
        return self._refused, self._rate.problem if fresh else None

    def trouble(self, *, paused: bool) -> str:
        """Return what is wrong with the samples for longer than a moment or a few windows; empty if nothing is.

        While the machine is ``paused``, unusable samples are no trouble.
        """
        now, longest_s = self._clock.monotonic(), self._longest_s
        if self.source_error:
            return self.source_error
        if self._rate.problem is not None and now - self._last_sample <= longest_s:
            return self._rate.problem
        if now - self._last_sample > longest_s:
            return f"no samples for more than {longest_s:g} s: check the sensor and its source"
        unusable = not UNUSABLE.isdisjoint(self._quality)  # of the last window: there may be none yet after a silence
        if unusable and now - self._last_usable > longest_s and not paused:
            return f"unusable samples ({', '.join(self._quality)}) for more than {longest_s:g} s: check the sensor"
        return ""
