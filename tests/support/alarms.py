"""An alarm that raises and clears after five seconds, with a window each second."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edgetune_node.config.settings import AlarmSection
from edgetune_node.monitor.alarm import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgetune_node.monitor.alarm_state import AlarmChange, AlarmState

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIVE_SECONDS = AlarmSection(raise_after_s=5, clear_after_s=5)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def numbered() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: f"e{next(count)}"


def alarm_of(settings: AlarmSection = FIVE_SECONDS, restored: AlarmState | None = None, hop_s: float = 1.0) -> Alarm:
    return Alarm(settings, "normal", numbered(), restored, hop_s=hop_s)


def changes(
    alarm: Alarm, classes: Iterable[str], confidence: float = 0.9, *, start_s: float = 0.0, step_s: float = 1.0
) -> list[AlarmChange]:
    """Play one window every ``step_s``; return what the alarm would publish."""
    found = [alarm.observe(class_, confidence, at(start_s + number * step_s)) for number, class_ in enumerate(classes)]
    return [change for change in found if change is not None]


def play(alarm: Alarm, classes: Iterable[str], confidence: float = 0.9, *, start_s: float = 0.0) -> list[AlarmState]:
    return [change.state for change in changes(alarm, classes, confidence, start_s=start_s)]
