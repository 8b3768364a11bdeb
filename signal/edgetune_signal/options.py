"""Reads a source's options one by one and reports everything that is wrong with them at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgetune_signal.errors import SourceOptionsError
from edgetune_signal.hints import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OptionReader:
    """Check options and collect problems, one sentence per option, each starting with the option's name.

    Every reader method returns the option's value, or its default where the option is absent or wrong;
    `finish` raises where anything was wrong or unknown.

    Parameters
    ----------
    source
        Kind of the source, for the message.
    options
        What the configuration says.
    """

    def __init__(self, source: str, options: Mapping[str, object]) -> None:
        self._source = source
        self._options = options
        self._known: list[str] = []
        self.problems: list[str] = []

    def given(self, name: str) -> bool:
        """Return whether the option is there."""
        return name in self._options

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        """Read a finite number from ``minimum`` to ``maximum``."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.problem(name, f"must be a number, not {value!r}")
            return default
        if not minimum <= value <= maximum:
            self.problem(name, f"must be from {minimum:g} to {maximum:g}, not {value!r}")
            return default
        return float(value)

    def optional_number(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """Read a finite number from ``minimum`` to ``maximum``; None where the option is absent."""
        value = self.number(name, minimum, minimum=minimum, maximum=maximum)
        return value if self.given(name) else None

    def integer(self, name: str, default: int) -> int:
        """Read a whole number that is not negative."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.problem(name, f"must be a whole number from 0, not {value!r}")
            return default
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self.problem(name, f"must be true or false, not {value!r}")
            return default
        return value

    def text(self, name: str, default: str | None) -> str | None:
        """Read a text that is not empty (a path counts as text)."""
        value = self._take(name, default)
        if value is default:
            return default
        text = str(value) if hasattr(value, "__fspath__") else value
        if not isinstance(text, str) or not text:
            self.problem(name, f"must be a text that is not empty, not {value!r}")
            return default
        return text

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """Read one of the ``allowed`` names."""
        value = self._take(name, default)
        if not isinstance(value, str) or value not in allowed:
            near = did_you_mean(str(value), allowed)
            self.problem(name, f"must be one of {', '.join(allowed)}, not {value!r}{near}")
            return default
        return value

    def texts(self, name: str, default: Sequence[str]) -> tuple[str, ...]:
        """Read a list of texts, none of them empty."""
        value = self._take(name, default)
        if value is default:
            return tuple(default)
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(t, str) and t for t in value):
            self.problem(name, f"must be a list of texts, not {value!r}")
            return tuple(default)
        return tuple(value)

    def problem(self, name: str, sentence: str) -> None:
        """Note that something is wrong with an option (or with the stream's ``channels``, ``rate_hz`` or ``unit``)."""
        self.problems.append(f"{name} {sentence}")

    def finish(self) -> None:
        """Raise `SourceOptionsError` with every problem noted and every unknown option."""
        known = ", ".join(sorted(self._known)) or "none"
        self.problems.extend(
            f"{name} is not an option of this source (its options: {known}){did_you_mean(name, self._known)}"
            for name in self._options
            if name not in self._known
        )
        if self.problems:
            raise SourceOptionsError(self._source, self.problems)

    def _take(self, name: str, default: object) -> object:
        self._known.append(name)
        return self._options.get(name, default)


def column_number(column: str, names: Sequence[str], count: int) -> int:
    """Return the index of a column given by its name, or by its number from 1; `ValueError` names those there are."""
    if column in names:
        return list(names).index(column)
    if column.isdecimal() and 1 <= int(column) <= count:
        return int(column) - 1
    there = f"{', '.join(names)}, or " if names else ""
    raise ValueError(f"there is no column {column!r}: set columns of the source to some of {there}1 to {count}")
