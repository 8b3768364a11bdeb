"""Whether a time budget leaves time to train networks in, told before a search begins."""

from __future__ import annotations

NEVER_SECONDS, SURE_SECONDS = 11.0, 20.0
"""Seconds of a whole search below which no network is ever trained, and from which on a machine may also be busy.

Loading torch may take 8 s, and writing the bundle takes 3 s; on a busy processor up to four times that.
"""


def short_time(seconds: float) -> str | None:
    """Return a warning where a search of so many seconds may only try closed forms; None where it is long enough."""
    if seconds >= SURE_SECONDS:
        return None
    how = "is too short to train networks" if seconds < NEVER_SECONDS else "may be too short to train any network"
    return f"{seconds:g} s {how}, so that only closed forms are tried; allow {SURE_SECONDS:g} s or more"
