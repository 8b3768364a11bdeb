"""When it looks as if another client used this one's client id, and how long to wait then before connecting again.

A broker knows one connection a client id: who connects throws the other out. With MQTT 5 it should say so ("session
taken over"); mosquitto 2.0.11 does not, and MQTT 3.1.1 has no words for it. What always shows is that the broker hangs
up in an orderly way (a network that is cut does not) and takes the next connection at once (a broker that is stopped
does not).
"""

from __future__ import annotations

TAKEOVERS = 5
LASTING_S = 60.0
"""So many connections in a row that a broker ended within this time look like two clients of one id."""
RESET_LASTING_S = 10.0
"""A connection that was reset or fell silent counts as one that ended soon within this time: networks are cut."""
MIN_RECONNECT_S = 0.5
MAX_RESET_S = 5.0
MAX_RECONNECT_S = 30.0
DOUBLINGS = 6
"""More would not lengthen the wait, and after a day of takeovers be more than a number holds."""


class ClientIdConflicts:
    """Counts the connections that ended soon and could be had again, and of them those that a broker ended by itself.

    Attributes
    ----------
    count
        Connections in a row that look like takeovers.
    ends, resets
        Connections in a row that ended soon, whatever was in flight: in good order, and by a reset or silence.
    """

    def __init__(self) -> None:
        self.count = 0
        self.ends = 0
        self.resets = 0
        self._up_s: float | None = None
        self._hung_up = False
        self._ended = False
        self._in_order = True

    def up(self, now_s: float) -> None:
        """Record that a connection stands."""
        self.count += self._hung_up
        self.ends += self._ended and self._in_order
        self.resets += self._ended and not self._in_order
        self._hung_up = self._ended = False
        self._up_s = now_s

    def down(self, now_s: float, *, hung_up: bool, in_flight: bool = False) -> None:
        """Record that it is gone, or that there was none to be had.

        ``hung_up`` says that the broker ended it in good order, ``in_flight`` that it had not acknowledged a message:
        that message may be why it ended.
        """
        up_s, self._up_s = self._up_s, None
        lasted = up_s is not None and now_s - up_s >= LASTING_S
        self._hung_up = hung_up and not in_flight and up_s is not None and not lasted
        self._ended = up_s is not None and now_s - up_s < (LASTING_S if hung_up else RESET_LASTING_S)
        self._in_order = hung_up
        if lasted:
            self.count = self.ends = 0
        if up_s is not None and now_s - up_s >= RESET_LASTING_S:
            self.resets = 0

    def settled(self) -> None:
        """Note that the reason of these ends was found and put right."""
        self.ends = self.resets = 0
        self._ended = False

    def lasts(self, now_s: float) -> bool:
        """Whether there is a connection, and for so long that nobody takes it over."""
        return self._up_s is not None and now_s - self._up_s >= LASTING_S

    def seen(self, now_s: float) -> int:
        """How many there were in a row; 0 where they are too few to tell, or over."""
        return self.count if self.count >= TAKEOVERS and not self.lasts(now_s) else 0

    @property
    def wait_s(self) -> float:
        """Seconds to wait before connecting again, so that nobody hammers a broker or fights another client."""
        row, longest_s = (self.ends, MAX_RECONNECT_S) if self._in_order else (self.resets, MAX_RESET_S)
        doublings = min(max(0, row - TAKEOVERS + 1), DOUBLINGS)
        return float(min(MIN_RECONNECT_S * 2**doublings, longest_s))
