"""Decides which signals are kept as evidence: around a raise of a fault, a rise of its severity, and on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_node.contract import Fault
from edgetune_node.errors import Refused
from edgetune_node.events import Capture
from edgetune_node.monitor.severity import LEVEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import CaptureReason, Severity
    from edgetune_node.events import Effect
    from edgetune_signal import Chunk

BEFORE_S, AFTER_S = 10.0, 10.0
"""Seconds of signal before and after a raise or a rise."""
MOST_BYTES = 16 * 2**20
"""Of a signal that would take more, the seconds before and after shrink alike."""
AT_ONCE, REFILL_S = 6, 600.0
"""As many signals may be kept one after the other, then one in so many seconds: SD cards wear."""
MOST_RUNNING = 4
"""Signals whose last seconds are awaited at the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A complete signal: it ends with the last of ``chunks``, and ``samples`` of each channel are wanted."""

    wanted: Capture
    chunks: tuple[Chunk, ...]
    samples: int


@dataclass(slots=True)
class _Running:
    """A signal that is not complete: ``samples`` are wanted so far, ``missing`` are to come."""

    wanted: Capture
    chunks: list[Chunk]
    samples: int
    missing: int

    def add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self.samples += chunk.samples.shape[1]
        self.missing -= chunk.samples.shape[1]


class CaptureRecorder:
    """Follows the faults that an asset publishes, and its samples.

    Parameters
    ----------
    settings
        The asset's configuration; ``evidence_max_bytes`` 0 keeps nothing.
    event, severity
        The fault that was active when the node stopped, if one was: its signal was kept then.

    Attributes
    ----------
    skipped
        Signals that were not kept because too many were of late.
    """

    def __init__(self, settings: AssetSection, event: str | None = None, severity: Severity = "none") -> None:
        self.skipped = 0
        self._rate_hz = settings.rate_hz
        self._keeps = settings.evidence_max_bytes > 0
        self._most_s = MOST_BYTES / (4 * settings.channels * settings.rate_hz)
        self._event, self._level = event, LEVEL.get(severity, 0)
        self._running: list[_Running] = []
        self._done: list[Captured] = []
        self._empty: list[str] = []
        self._sequence: int | None = None
        self._tokens = float(AT_ONCE)
        self._refilled_s: float | None = None

    def push(self, chunk: Chunk) -> None:
        """Add samples to every signal that waits for them; a gap ends these before it."""
        if chunk.gap or chunk.sequence - 1 != self._sequence:
            self.end()
        self._sequence = chunk.sequence
        for each in self._running:
            each.add(chunk)
        self._settle()

    def faults(self, effects: Iterable[Effect], recent: Callable[[], Sequence[Chunk]], now_s: float) -> None:
        """Begin to keep the signal of each fault that is raised, or whose severity rises, among what is published.

        Parameters
        ----------
        effects
            What is published of the newest samples.
        recent
            Returns the last seconds of the stream without a gap, those samples included, oldest first.
        now_s
            Monotonic time.
        """
        for effect in effects:
            message = getattr(effect, "message", None)
            if not isinstance(message, Fault) or not message.active or message.event is None:
                continue
            level = message.severity_level or 0
            raised = message.event != self._event
            if raised or level > self._level:
                reason: CaptureReason = "raised" if raised else "risen"
                wanted = Capture(message.event, reason, message.class_ or "", message.severity, level)
                self._event, self._level = message.event, level
                self._begin(wanted, recent(), now_s)

    def ask(self, job: str, before_s: float, after_s: float, recent: Sequence[Chunk]) -> None:
        """Keep the signal around this moment for a command, or raise `Refused`."""
        if not self._keeps:
            raise Refused("evidence_max_bytes is 0: this asset keeps no signals")
        if len(self._running) >= MOST_RUNNING:
            raise Refused(f"{MOST_RUNNING} signals are being kept; send it again in {AFTER_S:g} s")
        if not recent:
            raise Refused("there are no samples")
        if round(before_s * self._rate_hz) + round(after_s * self._rate_hz) < 1:
            raise Refused(f"before_s: and after_s are together less than one sample at {self._rate_hz:g} Hz")
        self._start(Capture(job, "asked", job=job), recent, before_s, after_s)

    def end(self) -> None:
        """Let every signal end with what there is of it."""
        for each in self._running:
            each.missing = 0
        self._settle()

    def drop(self) -> list[str]:
        """Keep nothing of any signal that waits for samples; return the commands that asked for one."""
        dropped, self._running = self._running, []
        return [each.wanted.job for each in dropped if each.wanted.job]

    @property
    def waiting(self) -> bool:
        """Whether a signal waits for samples."""
        return bool(self._running)

    def take_empty(self) -> list[str]:
        """Return the commands for whose signals no sample came, once."""
        empty, self._empty = self._empty, []
        return empty

    def take(self) -> list[Captured]:
        """Return the signals that are complete, once."""
        done, self._done = self._done, []
        return done

    def _begin(self, wanted: Capture, recent: Sequence[Chunk], now_s: float) -> None:
        if not self._keeps:
            return
        if self._refilled_s is not None:
            self._tokens = min(float(AT_ONCE), self._tokens + (now_s - self._refilled_s) / REFILL_S)
        self._refilled_s = now_s
        if self._tokens < 1 or len(self._running) >= MOST_RUNNING:
            self.skipped += 1
            return
        self._tokens -= 1
        self._start(wanted, recent, BEFORE_S, AFTER_S)

    def _start(self, wanted: Capture, recent: Sequence[Chunk], before_s: float, after_s: float) -> None:
        share = min(1.0, self._most_s / (before_s + after_s))
        have = sum(chunk.samples.shape[1] for chunk in recent)
        before = min(have, round(share * before_s * self._rate_hz))
        self._running.append(_Running(wanted, list(recent), before, round(share * after_s * self._rate_hz)))
        self._settle()

    def _settle(self) -> None:
        for each in [each for each in self._running if each.missing <= 0]:
            self._running.remove(each)
            if each.samples > 0:
                self._done.append(Captured(each.wanted, tuple(each.chunks), each.samples + min(0, each.missing)))
            elif each.wanted.job:
                self._empty.append(each.wanted.job)
