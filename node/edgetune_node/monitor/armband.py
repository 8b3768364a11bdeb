"""Recognises from a few unlabelled signs that an armband is worn turned or mirrored."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.novelty import Novelty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.bundle import Bundle
    from edgetune_signal.stream import Samples

FEWEST, MOST_ELECTRODES = 4, 16
"""Electrodes of an armband that is looked at: fewer are no ring, more take too long."""
SIGNS: Final = 5
"""Signs that are looked at together."""
KINDS: Final = 3
"""Different signs among them that are needed: one kind alone fits another one of a turned armband too often."""
WINDOWS: Final = 12
SKIPPED: Final = 2
"""Windows at the beginning of a sign that are left out: there it is like nothing."""
SHORTEST: Final = 4
GAIN: Final = 0.3
"""How much nearer (logarithm of the distance) the signs must be if channels are turned back.

Of seven people whose armband was really moved by one electrode, 55 of 56 trials with three or four signs gain as much,
and of 56 without a move none. Of later sessions of seven others none gains more than 0.2, but those of one person, who
had put it on mirrored (0.25 to 0.62; 67 % of windows right in place of 5 % once it is turned back).
"""

HELD: Final = 0.5
"""Part of `GAIN` under which a placement that was found is given up."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How an armband is worn, against the calibration.

    Attributes
    ----------
    turn
        Electrodes by which it is turned.
    mirrored
        Whether the electrodes run the other way round, as on the other arm or with the cable at the other end.
    gain
        How sure that is; see `GAIN`.
    """

    turn: int = 0
    mirrored: bool = False
    gain: float = 0.0

    @property
    def as_before(self) -> bool:
        """Whether it is worn as at the calibration."""
        return self.turn == 0 and not self.mirrored

    def same(self, other: Placement) -> bool:
        """Whether channels stand in the same order."""
        return (self.turn, self.mirrored) == (other.turn, other.mirrored)

    def order(self, channels: int) -> NDArray[np.intp]:
        """Return which channel stands where each one stood at the calibration."""
        order = (np.arange(channels) - self.turn) % channels
        return (channels - 1 - order if self.mirrored else order).astype(np.intp)

    def then(self, found: Placement, channels: int) -> Placement:
        """Return the placement whose order is that of this one, and then of what was ``found`` in the turned stream."""
        wanted = self.order(channels)[found.order(channels)]
        [same] = [each for each in placements(channels) if np.array_equal(each.order(channels), wanted)]
        return Placement(same.turn, same.mirrored, found.gain)

    def text(self, channels: int) -> str:
        """Return for people how it is worn."""
        turned = f"turned by {abs(self.turn)} electrode{'s' * (abs(self.turn) != 1)}" if self.turn else ""
        how = " and ".join(filter(None, [turned, "mirrored" if self.mirrored else ""]))
        heard = int(np.flatnonzero(self.order(channels) == 0)[0]) + 1
        return f"the armband is worn {how} (channel 1 hears what channel {heard} heard; gain {self.gain:g})"


def placements(channels: int) -> list[Placement]:
    """Return every way in which a ring of electrodes may be worn, as before first."""
    turns = sorted(range(-((channels - 1) // 2), channels // 2 + 1), key=abs)
    return [Placement(turn, mirrored) for mirrored in (False, True) for turn in turns]


class ArmbandWatch:
    """Remembers windows of the last signs, and looks how an armband fits them best.

    Parameters
    ----------
    channels
        Number of electrodes.
    rest_class
        The class that is no sign.
    """

    def __init__(self, channels: int, rest_class: str) -> None:
        self._channels = channels
        self._rest = rest_class
        self._bundle: Bundle | None = None
        self._signs: deque[NDArray[np.float32]] = deque(maxlen=SIGNS)
        self._sign: list[Samples] = []
        self.placement = Placement()

    def use(self, bundle: Bundle | None) -> None:
        """Go on with another model, and nothing known."""
        rings = FEWEST <= self._channels <= MOST_ELECTRODES
        self._bundle = bundle if bundle is not None and bundle.novelty is not None and rings else None
        self.forget()

    def forget(self) -> None:
        """Begin again: the armband was put on anew, or its channels are turned from now on."""
        self._signs.clear()
        self._sign.clear()
        self.placement = Placement()

    def hear(self, samples: Samples, *, running: bool) -> bool:
        """Count a window, of a ``running`` sign or of rest; return whether ``placement`` has changed."""
        if self._bundle is None:
            return False
        if running:
            if len(self._sign) < SKIPPED + WINDOWS and np.isfinite(samples).all():
                self._sign.append(samples)
            return False
        sign, self._sign = self._sign[SKIPPED:], []
        if len(sign) < SHORTEST:
            return False
        self._signs.append(np.stack(sign))
        return self._look(self._bundle)

    def _look(self, bundle: Bundle) -> bool:
        if len(self._signs) < KINDS:
            return False
        found = [(each, *self._fit(bundle, each)) for each in placements(self._channels)]
        best, nearest, kinds = min(found, key=lambda one: one[1])
        if kinds < KINDS:
            return False
        as_before = found[0][1]
        held = next(distance for each, distance, _ in found if each.same(self.placement))
        if as_before - nearest > GAIN:
            now = Placement(best.turn, best.mirrored, round(as_before - nearest, 2))
        else:
            now = self.placement if as_before - held > HELD * GAIN else Placement()
        if now.same(self.placement):
            return False
        self.placement = now
        return True

    def _fit(self, bundle: Bundle, placement: Placement) -> tuple[float, int]:
        """Return the mean logarithm of the signs' distances to their nearest classes, and the number of these."""
        novelty = bundle.novelty
        if not isinstance(novelty, Novelty):
            return 0.0, 0
        order = placement.order(self._channels)
        classes = [number for number, name in enumerate(bundle.card.classes) if name != self._rest]
        nearest, logs = set(), []
        for windows in self._signs:
            features = novelty.describe.of(windows[:, order])
            distances = [np.median(novelty.classes.distances(features, np.full(len(windows), k))) for k in classes]
            nearest.add(int(np.argmin(distances)))
            logs.append(float(np.log(max(min(distances), 1e-9))))
        return float(np.mean(logs)), len(nearest)
