"""Ties the life of a process to its parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
OOM_FIRST = "1000"


def die_with(parent: int) -> None:
    """Be killed when the parent ends, whichever way it ends; where the system offers that."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)


def die_first() -> None:
    """Let the kernel end this process, not the node that started it, where memory runs out."""
    with suppress(OSError):  # not on every system
        Path("/proc/self/oom_score_adj").write_text(OOM_FIRST)
