"""The lower bound of any arena, against which plans of arenas are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgetune_nas.model.arena import Tensor


def live_elements(tensors: Iterable[Tensor]) -> list[int]:
    """Elements alive in each operation, unaligned; the largest is the lower bound of any arena."""
    known = list(tensors)
    return [
        sum(size for size, first, last in known if first <= operation <= last)
        for operation in range(1 + max(tensor.last for tensor in known))
    ]
