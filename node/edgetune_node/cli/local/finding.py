"""One thing that ``edgetune doctor`` has looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    check
        What was looked at: ``broker``, ``source press``.
    level
        ``problem`` where the node cannot do its work, ``warning`` where it will do it worse than it could.
    seen
        What was found.
    advice
        What to do about it; empty where nothing has to be done.
    """

    check: str
    level: Level
    seen: str
    advice: str = ""

    def json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)
