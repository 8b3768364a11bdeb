"""Memory of this process: what it has used, what it returns, and batches that bound it."""

from __future__ import annotations

import ctypes
import re
import resource
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_BYTES: Final = 1 << 20
"""Bytes of the windows of a batch. A network's first operations may need several times as much for their output."""


def batches(x: NDArray[Any], limit: int = BATCH_BYTES) -> list[NDArray[Any]]:
    """Return views of ``x (windows, ...)``, in order: of at most ``limit`` bytes, or of one window that is larger."""
    step = max(1, limit // max(1, prod(x.shape[1:]) * x.itemsize))
    return [x[at : at + step] for at in range(0, max(1, len(x)), step)]


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process since it began to run its program.

    ``getrusage`` would count what the parent had resident when it started this process, so it is only the fallback.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def give_back() -> None:
    """Return freed memory to the system where the C library can; it would keep most of it for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
