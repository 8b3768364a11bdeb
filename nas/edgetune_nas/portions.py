"""Cuts windows into portions, so that what is computed of all of them never stands in memory at once."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

PORTION_BYTES: Final = 1 << 20
"""Windows of a portion; a network's first operations may need several times as much for what they give."""


def portions(x: NDArray[Any], limit: int = PORTION_BYTES) -> list[NDArray[Any]]:
    """Return views of ``x (windows, ...)``, in order: of at most ``limit`` bytes, or of one window that is larger."""
    step = max(1, limit // max(1, prod(x.shape[1:]) * x.itemsize))
    return [x[at : at + step] for at in range(0, max(1, len(x)), step)]
