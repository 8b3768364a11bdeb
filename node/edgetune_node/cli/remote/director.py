"""Decides which condition a simulated machine is in: the person's choice, or what a guided calibration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.operator import COLLECTING
from edgetune_signal import SourceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def find_condition(name: str, conditions: Sequence[str]) -> str:
    """Find the condition that is meant by ``name``.

    Parameters
    ----------
    name
        A condition, or what several begin with: ``inner`` is the middle one of ``inner_slight``, ``inner_moderate``
        and ``inner_severe``.
    conditions
        What there is.

    Raises
    ------
    SourceError
        None is meant; the message lists what there is.
    """
    if name in conditions:
        return name
    family = [condition for condition in conditions if condition.startswith(f"{name}_")]
    if not family:
        raise SourceError(
            f"there is no condition {name!r}; there are {', '.join(conditions)}{did_you_mean(name, conditions)}"
        )
    return family[(len(family) - 1) // 2]


class Director:
    """Which condition the machine has to be in.

    Parameters
    ----------
    conditions
        What can be selected.
    home
        The condition outside of a calibration.

    Attributes
    ----------
    condition
        The condition it has to be in now.
    asked
        The class that a calibration is asking for; None while none does.
    """

    def __init__(self, conditions: Sequence[str], home: str) -> None:
        self.conditions = tuple(conditions)
        self.condition = home
        self.asked: str | None = None
        self._home = home
        self._continued: tuple[Any, ...] = ()

    def choose(self, name: str) -> str:
        """Go where a person wants it; this stays its condition after a calibration too.

        Raises
        ------
        SourceError
            There is no such condition; nothing changes.
        """
        self.condition = self._home = find_condition(name, self.conditions)
        return self.condition

    def follow(self, calibration: Mapping[str, Any]) -> str:
        """Go where the payload of a ``calibration`` topic asks for, and home when it asks for nothing any more.

        Raises
        ------
        SourceError
            A class is asked for that is none of the conditions; nothing changes.
        """
        asked = calibration.get("class")
        if calibration.get("phase") not in COLLECTING or not isinstance(asked, str):
            self.asked, self.condition = None, self._home
            return self.condition
        self.asked = asked
        self.condition = find_condition(asked, self.conditions)
        return self.condition

    def must_continue(self, calibration: Mapping[str, Any]) -> bool:
        """Whether a take waits for ``cmd/continue`` that has not been answered yet; true once for each take."""
        if calibration.get("phase") != "waiting":
            self._continued = ()  # a take that could not be used is waited for again
            return False
        take = tuple(calibration.get(name) for name in ("job", "class", "take"))
        if take == self._continued:
            return False
        self._continued = take
        return True
