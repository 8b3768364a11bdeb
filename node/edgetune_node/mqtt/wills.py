"""Which last will a broker takes: the retained one, or as much of it as it has.

MQTT 5 brokers say what they lack. Those of 3.1.1 hang up on a will that they cannot keep, as they would for many other
reasons. So the wills are tried one after another. A lesser one that is taken counts only once the full one has been
refused after it: the broker may merely have been starting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B
PATIENCE = 2
"""Tries with the full will before a lesser one is tried."""


@dataclass(frozen=True, slots=True)
class Will:
    """How the last will is asked for."""

    qos: int
    retain: bool


class Wills:
    """Chooses the will of the next connection.

    Parameters
    ----------
    retain
        Whether a retained will is wanted at all.
    """

    def __init__(self, *, retain: bool) -> None:
        self._ladder: list[Will | None] = [Will(1, True)] if retain else []
        self._ladder += [Will(1, False), *([Will(0, True)] if retain else []), Will(0, False), None]
        self._step = 0
        self._failures = 0
        self._candidate: int | None = None
        self._proven = False
        self._round = 0

    @property
    def will(self) -> Will | None:
        """The will to ask for; None for a connection without one."""
        return self._ladder[self._step]

    @property
    def searching(self) -> bool:
        """Whether the next try may well succeed, so that it should come soon."""
        return self._round == 0 and (self._failures > 0 or self._step > 0 or self._candidate is not None)

    def lacks(self, reason: int) -> bool:
        """Record why a broker refused the connection; return whether it lacks what the will asks for."""
        fewer = [
            will
            for will in self._ladder
            if will is None
            or not ((reason == RETAIN_NOT_SUPPORTED and will.retain) or (reason == QOS_NOT_SUPPORTED and will.qos))
        ]
        found = len(fewer) < len(self._ladder)
        if found:
            self._ladder, self._step, self._failures, self._candidate = fewer, 0, 0, None
        return found

    def failed(self) -> None:
        """Record that a connection was refused, or ended without an answer."""
        if self._candidate is not None:
            self._step, self._candidate, self._proven = self._candidate, None, True
            return
        self._failures += 1
        if self._failures >= (PATIENCE if self._step == 0 else 1):
            self._failures = 0
            self._proven = False
            self._step = (self._step + 1) % len(self._ladder)
            self._round += self._step == 0

    def accepted(self) -> bool:
        """Record that the broker let the node in; return False where the full will is to be tried once more instead."""
        self._failures = self._round = 0
        if self._step == 0 or self._proven:
            self._candidate = None
            return True
        self._candidate, self._step = self._step, 0
        return False
