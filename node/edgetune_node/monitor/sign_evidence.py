"""Sums what the windows of a stream say for each sign, against rest and against one another."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FULL_RATE: Final = 30.0
"""Evidence of a second of windows that are all sure: 1.5 of a window each 50 ms. It gives evidence its unit."""
SURE: Final = 8.0
"""Logarithm of the odds at which a window's vote is full. Windows overlap, so one alone must not decide.

Chosen on six people of ``foreign/myo41`` (4.5, 6, 8, 10): with 4.5 one sign in thirty is wrong in the same session
and signs begin 0.05 s sooner; 10 misses more of the next session.
"""
LEAD: Final = 2.0
"""Evidence that a sign must have more than any other to begin; with 4 signs begin 0.05 to 0.1 s later."""
END: Final = 3.0
"""Evidence of rest that ends a sign; with 5 or more, signs in a row are taken for one more often."""
HEARD_REST: Final = 4.0
"""Evidence of rest after which there may be signs: what a sensor says before it is worn is none."""
LEAST_SHARE: Final = 1e-12


class Sums:
    """Named sums that never fall under zero, each with the number of windows since it left zero."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._windows: dict[str, int] = {}

    def change(self, by: Mapping[str, float]) -> None:
        """Count one window."""
        for name, value in by.items():
            total = self._sums.get(name, 0.0) + value
            if total > 0:
                self._sums[name] = total
            else:
                self._sums.pop(name, None)
        self._windows = {name: self._windows.get(name, 0) + 1 for name in self._sums}

    def of(self, name: str) -> float:
        """Return a sum."""
        return self._sums.get(name, 0.0)

    def windows(self, name: str) -> int:
        """Return the number of windows since a sum left zero, that one included."""
        return self._windows.get(name, 0)

    @property
    def longest(self) -> int:
        """Windows since the first of the sums above zero left it."""
        return max(self._windows.values(), default=0)

    def over(self, least: float) -> list[str]:
        """Return the names of sums of at least so much, the largest first."""
        return sorted((name for name in self._sums if self._sums[name] >= least), key=self.of, reverse=True)

    def clear(self) -> None:
        """Set all to zero."""
        self._sums.clear()
        self._windows.clear()


class Votes:
    """What one window says, in units of evidence.

    Parameters
    ----------
    rest_class
        The class that is no sign.
    hop_s
        Seconds from one window to the next.

    Attributes
    ----------
    full
        The largest vote.
    """

    def __init__(self, rest_class: str, hop_s: float) -> None:
        self.rest: Final = rest_class
        self.full: Final = FULL_RATE * hop_s

    def between(self, shares: Mapping[str, float], one: str, other: str) -> float:
        """Return the vote for one class against another."""
        odds = log(max(shares.get(one, 0.0), LEAST_SHARE)) - log(max(shares.get(other, 0.0), LEAST_SHARE))
        return self.full * max(-1.0, min(1.0, odds / SURE))

    def signs(self, shares: Mapping[str, float]) -> list[str]:
        """Return the classes that are signs, the most probable first."""
        return sorted((name for name in shares if name != self.rest), key=lambda name: shares[name], reverse=True)

    def of_rest(self, shares: Mapping[str, float]) -> float:
        """Return the vote for rest; negative where it is a sign, 0 without a class of rest."""
        signs = self.signs(shares)
        return self.between(shares, self.rest, signs[0]) if signs and self.rest in shares else 0.0

    def behind(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Return for each sign how much less it is than the most probable one; 0 for that."""
        signs = self.signs(shares)
        return {name: min(0.0, self.between(shares, name, signs[0])) for name in signs}

    def of_signs(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Return the vote for each sign: against rest, and against signs that are more probable.

        Without a class of rest it is the vote against the most probable other sign.
        """
        signs = self.signs(shares)
        if self.rest not in shares:
            rivals = {name: signs[0] if name != signs[0] else signs[min(1, len(signs) - 1)] for name in signs}
            return {name: self.between(shares, name, rival) for name, rival in rivals.items()}
        behind = self.behind(shares)
        return {name: max(-self.full, self.between(shares, name, self.rest) + behind[name]) for name in signs}


class SignEvidence(Sums):
    """Evidence for each sign while none is running.

    Parameters
    ----------
    votes
        How a window votes.

    Attributes
    ----------
    unheard
        Windows that were counted while rest had not been heard.
    """

    def __init__(self, votes: Votes) -> None:
        super().__init__()
        self._votes = votes
        self._heard = 0.0
        self.unheard = 0

    def armed(self, shares: Mapping[str, float]) -> bool:
        """Count a window before there are signs; return whether rest has been heard for long enough."""
        if self._heard >= HEARD_REST or (shares and self._votes.rest not in shares):
            self.unheard = 0
            return True
        self.unheard += 1
        self._heard = max(0.0, self._heard + self._votes.of_rest(shares))
        return False

    def add(self, shares: Mapping[str, float], *, doubtful: bool, strange: str, is_strange: bool | None) -> None:
        """Count a window.

        Parameters
        ----------
        shares
            Probabilities of the classes; empty where the window was not judged.
        doubtful
            Whether it can only speak against signs.
        strange
            Name of what is none of the signs.
        is_strange
            Whether it speaks for that; None if neither for nor against.
        """
        gains = self._votes.of_signs(shares)
        if doubtful:
            gains = {name: min(0.0, gain) for name, gain in gains.items()}
        if is_strange is not None:
            gains[strange] = self._votes.full if is_strange else -self._votes.full
        self.change(gains)

    def ready(self, least: float, strange: str) -> Iterator[str]:
        """Return signs with enough evidence and lead; what is ``strange`` comes last and needs no lead."""
        over = self.over(least)
        known = [name for name in self.over(0.0) if name != strange]
        if known and known[0] in over:
            second = self.of(known[1]) if len(known) > 1 else 0.0
            if self.of(known[0]) - second >= LEAD:
                yield known[0]
        if strange in over:
            yield strange


class Rivals(Sums):
    """Evidence that a running sign is, or has become, another one.

    Parameters
    ----------
    votes
        How a window votes.
    """

    def __init__(self, votes: Votes) -> None:
        super().__init__()
        self._votes = votes

    def add(self, shares: Mapping[str, float], says: str, running: str, *, strange: str, far: bool) -> None:
        """Count a window that ``says`` the name of a sign, what is ``strange``, or nothing (empty).

        One that is ``far`` from the sign that it names is no evidence that a strange one has become that.
        """
        full = self._votes.full
        if says == strange:
            self.change({strange: full} if running != strange else dict.fromkeys(self._votes.signs(shares), -full))
        elif says and running == strange and far:
            self.change({})
        elif says and running == strange:
            self.change({name: full if name == says else -full for name in self._votes.signs(shares)})
        elif says:
            signs = [name for name in self._votes.signs(shares) if name != running]
            self.change({strange: -full, **{name: self._votes.between(shares, name, running) for name in signs}})
        else:
            self.change({})
