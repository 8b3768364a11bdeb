"""Which message a broker hangs up on, told from what was on its way when connections ended.

Some brokers end the connection on a publish that they do not permit or cannot take, and say nothing. A message of QoS 1
is then not acknowledged; one of QoS 0 was written just before. After such an end every topic that may be to blame is
suspected: its messages go alone and with an acknowledgement, so that the next end names one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDS = 3
"""Connections that end in a row with a message on its way, before it is set aside."""
WATCHED = 20
"""Messages of a suspected topic that must be acknowledged; no more can have been on their way with the culprit."""
SUSPECTED_S = 10.0
"""Time after which a topic that was only suspected, and never alone on its way, is so no more."""
RETRY_S = 3600.0
"""Time after which a topic on which messages were set aside is tried again: permissions change."""
RECENT_S = 2.0
"""How long before the end a message without acknowledgement may have been written that the broker hung up on."""
NAMED = 5
GOOD_ANSWERS = 100
"""Response topics that are remembered because the broker has taken answers there."""


@dataclass(slots=True)
class _Suspect:
    ends: int
    since_s: float
    acknowledged: int = 0

    @property
    def guilty(self) -> bool:
        return self.ends >= ENDS


class Culprits:
    """The topics that connections seem to end for; used by one thread.

    Parameters
    ----------
    known
        Topics of which messages were set aside before the process began; they are tried again at once.
    own
        What the node's own topics begin with. Others are response topics, which anybody may make up: once one is to
        blame, only those that the broker is known to take are used for an hour.
    """

    def __init__(self, known: Iterable[str], *, own: str = "") -> None:
        self._own = own
        self._good: dict[str, None] = {}
        self._wary_until_s = float("-inf")
        self._suspects = {topic: _Suspect(ENDS, float("-inf")) for topic in known}
        self._written: dict[str, float] = {}

    def alone(self, topic: str) -> bool:
        """Whether a message on this topic must go alone, and be acknowledged."""
        return topic in self._suspects

    def barred(self, topic: str, now_s: float) -> bool:
        """Whether nothing goes out on this topic for now: more than one message has ended connections."""
        if now_s < self._wary_until_s and not topic.startswith(self._own) and topic not in self._good:
            return True
        suspect = self._suspects.get(topic)
        return suspect is not None and suspect.ends > ENDS and now_s < suspect.since_s + RETRY_S

    def due(self, topic: str, now_s: float) -> bool:
        """Whether what was set aside of this topic may be tried again."""
        if self.barred(topic, now_s):
            return False
        suspect = self._suspects.get(topic)
        return suspect is None or not suspect.guilty or now_s >= suspect.since_s + RETRY_S

    def suspect(self, topic: str, now_s: float) -> None:
        """Try a message that was set aside: it goes alone, and one more end sets it aside again."""
        suspect = self._suspects.setdefault(topic, _Suspect(ENDS - 1, now_s))
        suspect.ends, suspect.since_s = max(suspect.ends, ENDS - 1), now_s

    def written(self, topic: str, now_s: float) -> None:
        """Note that a message without acknowledgement has left."""
        self._written[topic] = now_s

    def acknowledged(self, topic: str) -> None:
        """Note that the broker has taken a message on this topic."""
        if not topic.startswith(self._own):
            self._good[topic] = None
            if len(self._good) > GOOD_ANSWERS:
                del self._good[next(iter(self._good))]
        suspect = self._suspects.get(topic)
        if suspect is None:
            return
        suspect.ends = 0
        suspect.acknowledged += 1
        if suspect.acknowledged >= WATCHED:
            del self._suspects[topic]

    def ended(self, flying: Iterable[str], now_s: float) -> str | None:
        """Record that a connection ended while messages on these topics were on their way.

        Returns the topic whose message is to be set aside, if there is one.
        """
        topics = list(dict.fromkeys(flying))
        if len(topics) == 1 and topics[0] in self._suspects:
            suspect = self._suspects[topics[0]]
            suspect.ends += 1
            suspect.acknowledged, suspect.since_s = 0, now_s
            if not suspect.guilty:
                return None
            if not topics[0].startswith(self._own):
                self._wary_until_s = now_s + RETRY_S
                self._good.pop(topics[0], None)
            return topics[0]
        recent = [topic for topic, at_s in self._written.items() if now_s - at_s <= RECENT_S]
        self._written.clear()
        for topic in (*topics, *recent):
            suspect = self._suspects.setdefault(topic, _Suspect(1, now_s))
            suspect.ends, suspect.acknowledged, suspect.since_s = max(suspect.ends, 1), 0, now_s
        return None

    def forget_idle(self, now_s: float) -> None:
        """Suspect no longer what was never alone on its way, or was acknowledged since."""
        for topic, suspect in list(self._suspects.items()):
            if suspect.ends <= 1 and now_s - suspect.since_s >= SUSPECTED_S:
                del self._suspects[topic]

    @property
    def guilty(self) -> list[str]:
        """Topics on which messages were set aside, and none was taken since."""
        return [topic for topic, suspect in self._suspects.items() if suspect.guilty]


def name_topics(topics: Iterable[str]) -> str:
    """Name a few topics."""
    names = [topic[:200] for topic in topics]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
