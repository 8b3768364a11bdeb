"""Who looks at the page: sessions in memory only, and how often somebody may try."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

IDLE_S = 8 * 3600.0
"""A shift without an open page; after that a login is asked for again."""
MOST_SESSIONS = 200
_NO_LABEL = re.compile(r"[^A-Za-z0-9_.+-]+")


@dataclass(slots=True)
class Session:
    """One browser.

    Attributes
    ----------
    csrf
        What its posts must carry.
    user
        Name for the log and for ``by``; empty before a login.
    login
        The broker's settings with that user's password; None before a login.
    """

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    user: str = ""
    login: Any = field(default=None, repr=False)
    seen: float = 0.0


class Sessions:
    """Sessions by their cookie; the one that was idle longest makes room."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def find(self, cookie: str | None, now: float) -> Session | None:
        """Return a session that is known and not too old."""
        session = self._sessions.get(cookie or "")
        if session is None or cookie is None:
            return None
        if now - session.seen > IDLE_S:
            del self._sessions[cookie]
            return None
        session.seen = now
        self._sessions.move_to_end(cookie)
        return session

    def new(self, now: float) -> tuple[str, Session]:
        """Return a new session and its cookie."""
        if len(self._sessions) >= MOST_SESSIONS:
            nobody = next((key for key, each in self._sessions.items() if each.login is None), None)
            self._sessions.pop(nobody if nobody is not None else next(iter(self._sessions)))
        cookie, session = secrets.token_urlsafe(24), Session(seen=now)
        self._sessions[cookie] = session
        return cookie, session

    def end(self, cookie: str | None) -> None:
        """Forget a session and its password."""
        self._sessions.pop(cookie or "", None)


class RateLimit:
    """At most ``most`` times in ``seconds`` for each key, and ten times as often for all together."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._times: dict[str, deque[float]] = {}

    def allows(self, key: str, now: float) -> bool:
        """Count one more, unless it is one too many."""
        for each, times in list(self._times.items()):
            while times and now - times[0] > self._seconds:
                times.popleft()
            if not times:
                del self._times[each]
        own = self._times.get(key, deque())
        if len(own) >= self._most or sum(map(len, self._times.values())) >= 10 * self._most:
            return False
        own.append(now)
        self._times[key] = own
        return True


def as_label(user: str) -> str:
    """Return a user's name in the characters that ``by`` may have."""
    return _NO_LABEL.sub("-", user).lstrip("_.+-")[:64] or "operator"
