"""What this process has used of the machine."""

from __future__ import annotations

import ctypes
import re
import resource
from pathlib import Path


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
