"""Decides which stretches of novel signal are kept, so that somebody can label them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_node.contract import NOVEL
from edgetune_node.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime

    from edgetune_node.config import AssetSection
    from edgetune_node.events import NovelSegment
    from edgetune_node.monitor.alarm_state import AlarmState
    from edgetune_signal import Window

STRETCH_S, SHORTEST_S = 5.0, 1.0
"""How long a stretch is, and how long at least where the condition ended before."""
MOST_RATIOS = 1000
"""Newest windows of a stretch whose distances are averaged."""
AT_ONCE, REFILL_S = 6, 1800.0
"""So many stretches may be kept one after the other, then one in so many seconds: SD cards wear."""


NEAR_NS = 1_000_000_000
"""As near to a sample that is recorded as this its signal has a name."""


@dataclass(frozen=True, slots=True)
class Span:
    """A segment to be kept: first sample at ``start_ns``, last at ``end_ns``; the rest as in `NovelSegment`."""

    event: str
    start_ns: int
    end_ns: int
    distance: float


class NoveltyRecorder:
    """Follows the novel windows or unknown signs of one asset, and knows what is kept of them.

    Parameters
    ----------
    settings
        The asset's configuration; ``novel_max_bytes`` 0 keeps nothing.

    Attributes
    ----------
    kept
        What is on disk, oldest first.
    problem
        Why the last stretch could not be kept; None where it was.
    """

    def __init__(self, settings: AssetSection) -> None:
        self.kept: tuple[NovelSegment, ...] = ()
        self.problem: str | None = None
        self._granted: list[Span] = []
        self._named_ns = 0
        self._wanted = settings.novel_max_bytes > 0
        self._window_ns = round((settings.window.length - 1) / settings.rate_hz * 1e9)
        self._tokens = float(AT_ONCE)
        self._refilled_s: float | None = None
        self.forget()

    def stored(self, kept: tuple[NovelSegment, ...]) -> None:
        """Note what is on disk now."""
        self.kept = kept

    def failed(self, problem: str | None) -> None:
        """Note why the last stretch could not be kept; None where it was."""
        self.problem = problem

    def take(self) -> list[Span]:
        """Return the stretches that are to be kept, once."""
        granted, self._granted = self._granted, []
        return granted

    def gap(self) -> None:
        """Begin anew after a gap: a stretch has none, and what comes now is not near what was recorded before."""
        self._named_ns = 0
        self.forget()

    def move(self, by_ns: int) -> None:
        """Move what is remembered in time: the clock was set by ``by_ns`` between the last window and the next."""
        self._named_ns += by_ns
        self._start_ns += by_ns
        self._end_ns += by_ns

    def forget(self) -> None:
        """End the running stretch, and keep nothing of it."""
        self._start_ns = self._end_ns = 0
        self._ratios: deque[float] = deque(maxlen=MOST_RATIOS)
        self._event: str | None = None

    def record(self, time_ns: int) -> None:
        """Note that the sample at ``time_ns`` is recorded with a label. Nothing near it need be kept."""
        self._named_ns = time_ns + NEAR_NS

    def hear(self, window: Window, ratio: float | None, state: AlarmState, now: float) -> None:
        """Count a window; a stretch that it completes is granted, see `take`.

        Parameters
        ----------
        window
            The newest one.
        ratio
            Its distance to everything known over the limit; None where it was not judged.
        state
            The alarm with this window counted.
        now
            Monotonic seconds.
        """
        if not self._wanted:
            return
        if ratio is None:  # unusable samples, or a machine that does not run: a stretch has neither
            self.forget()
            return
        if window.time_ns <= self._named_ns:
            self.forget()
            return
        active = state.event if state.active and state.class_ == NOVEL and not state.latched else None
        if ratio > 1:
            if not self._ratios:
                self._start_ns = window.time_ns - self._window_ns
            self._end_ns = window.time_ns
            self._ratios.append(ratio)
            if active is None and self._seconds > STRETCH_S:  # a fault takes its time to be raised; the newest is kept
                self._start_ns = self._end_ns - round(STRETCH_S * 1e9)
        if active is not None:
            self._event = active
            if self._seconds >= STRETCH_S:
                self._end(active, now)
        elif self._event is not None:
            if self._seconds >= SHORTEST_S:
                self._end(self._event, now)
            self.forget()
        elif ratio <= 1:
            self.forget()

    def gesture(self, event: str, start: datetime, end: datetime, distance: float, now: float) -> None:
        """Count an unknown sign, which is granted as a whole; see `take`."""
        span = Span(event, round(start.timestamp() * 1e9), round(end.timestamp() * 1e9), distance)
        if self._wanted and span.start_ns > self._named_ns:
            self._grant(span, now)

    def seconds_of(self, event: str | None) -> float:
        """Seconds kept of one event."""
        return sum(each.seconds for each in self.kept if each.event == event)

    def check_kept(self, event: str, labelled: frozenset[str] = frozenset()) -> None:
        """Raise `Refused` if nothing is kept of an event, and nothing of it was ``labelled`` before."""
        if event in labelled:
            return
        events = list(dict.fromkeys(each.event for each in self.kept))
        if event not in events:
            there = f"there is something of {', '.join(events)}" if events else "nothing is kept at all"
            raise Refused(f"event: nothing is kept of {event!r}; {there}")

    def suggestion(self, subject: str | None = None) -> str | None:
        """Return what to do about what is kept, of one ``subject`` if given; its amount does not change the text."""
        events = [each.event for each in self.kept if subject is None or each.subject in {"", subject}]
        if not events:
            return None
        return (
            f"a signal unlike everything known is kept of event {events[-1]}: name it "
            f'(cmd/label with event "{events[-1]}"), then recalibrate'
        )

    @property
    def _seconds(self) -> float:
        return (self._end_ns - self._start_ns) / 1e9 if self._ratios else 0.0

    def _end(self, event: str, now: float) -> None:
        """End the running stretch, and begin the next."""
        span = Span(event, self._start_ns, self._end_ns, sum(self._ratios) / len(self._ratios))
        self.forget()
        self._grant(span, now)

    def _grant(self, span: Span, now: float) -> None:
        """Have a stretch kept, unless too many were of late."""
        if self._refilled_s is not None:
            self._tokens = min(float(AT_ONCE), self._tokens + (now - self._refilled_s) / REFILL_S)
        self._refilled_s = now
        if self._tokens >= 1:
            self._tokens -= 1
            self._granted.append(span)
