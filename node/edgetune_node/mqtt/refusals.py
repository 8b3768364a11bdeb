"""The messages that the broker refuses in words: which topics, and why, until it takes one there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REFUSALS = 100


class Refusals:
    """Remembers the refused topics, newest last; ``report`` is told topic and reason, once for each.

    Attributes
    ----------
    count
        Messages that were refused.
    newest
        Topic and reason of the newest refusal, of topics on which none has been taken since.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._reasons: dict[str, str] = {}
        self.count = 0
        self.newest: str | None = None

    def refused(self, topic: str, reason: str) -> None:
        """Note that a message on a topic was refused."""
        self.count += 1
        if self._reasons.pop(topic, None) is None:
            self._report(topic, reason)
        self._reasons[topic] = reason  # now the newest
        if len(self._reasons) > MAX_REFUSALS:
            del self._reasons[next(iter(self._reasons))]
        self.newest = f"{topic}: {reason}"

    def taken(self, topic: str) -> None:
        """Note that the broker has taken a message on a topic."""
        if self._reasons and self._reasons.pop(topic, None) is not None:
            self.newest = next((f"{name}: {why}" for name, why in reversed(self._reasons.items())), None)
