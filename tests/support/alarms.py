"""An alarm of three votes in five, and a second for each of its windows."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edgetune_node.config.settings import AlarmSection
from edgetune_node.monitor.alarm import Alarm, AlarmState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
THREE_OF_FIVE = AlarmSection(votes=3, window=5, clear_votes=2)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def numbered() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: f"e{next(count)}"


def alarm_of(settings: AlarmSection = THREE_OF_FIVE, restored: AlarmState | None = None) -> Alarm:
    return Alarm(settings, "normal", numbered(), restored)


def play(alarm: Alarm, classes: Iterable[str], confidence: float = 0.9) -> list[AlarmState]:
    return [state for second, class_ in enumerate(classes) for state in alarm.observe(class_, confidence, at(second))]
