"""Converts the alarm's settings of 0.1.0, which counted windows, to seconds."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

VOTES: Final = {"votes": 8, "window": 10, "clear_votes": 3}
"""The settings that there were, with their defaults."""
TIMES: Final = ("raise_after_s", "clear_after_s")


def convert_votes(asset: Any) -> tuple[Any, str]:
    """Return an asset's table with ``votes``, ``window`` and ``clear_votes`` converted to seconds, and what was done.

    A fault was raised by ``votes`` windows and ended when fewer than ``clear_votes`` of the last ``window`` were left.
    What contradicts itself stays for `refuse_votes`. Without any of them the text is empty.
    """
    alarm = asset.get("alarm") if isinstance(asset, dict) else None
    if not isinstance(alarm, dict) or not VOTES.keys() & alarm.keys() or _contradiction(alarm) is not None:
        return asset, ""
    kept = {name: value for name, value in alarm.items() if name not in VOTES}
    hop_s = _hop_s(asset)
    if hop_s is None:
        return {**asset, "alarm": kept}, ""
    values = {**VOTES, **alarm}
    times = {
        "raise_after_s": values["votes"] * hop_s,
        "clear_after_s": (values["window"] - values["clear_votes"] + 1) * hop_s,
    }
    times = {name: float(f"{seconds:.4g}") for name, seconds in times.items()}
    old = ", ".join(name for name in VOTES if name in alarm)
    new = ", ".join(f"{name} = {seconds:g}" for name, seconds in times.items())
    told = (
        f"asset {asset.get('id')}: alarm.{old} of version 0.1.0 became {new}; write that (the defaults are 10 and 60)"
    )
    return {**asset, "alarm": {**kept, **times}}, told


def refuse_votes(alarm: Any) -> Any:
    """Return the alarm's table; raise ``ValueError`` where the old settings in it could not be converted."""
    if isinstance(alarm, dict) and VOTES.keys() & alarm.keys():
        raise ValueError(_contradiction(alarm) or "votes, window and clear_votes need the rate of their asset")
    return alarm


def _contradiction(alarm: dict[str, Any]) -> str | None:
    old = ", ".join(name for name in VOTES if name in alarm)
    both = ", ".join(name for name in TIMES if name in alarm)
    if both:
        return f"{old} counted windows, and {both} replaces that; leave out {old}"
    values = {**VOTES, **alarm}
    votes, window, clear_votes = (values[name] for name in VOTES)
    for name in VOTES:
        if not isinstance(values[name], int) or isinstance(values[name], bool) or values[name] < 1:
            return f"{name} must be a whole number of 1 or more, not {values[name]!r}"
    if not clear_votes <= votes <= window:
        return f"needs clear_votes <= votes <= window, not {clear_votes}, {votes}, {window}"
    return None


def _hop_s(asset: dict[str, Any]) -> float | None:
    """Seconds from window to window; None where what it follows from is wrong, which is reported elsewhere."""
    window = asset.get("window", {})
    hop = window.get("hop", 512) if isinstance(window, dict) else None
    try:
        seconds = float(hop) / float(asset["rate_hz"])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return seconds if isfinite(seconds) and seconds > 0 else None
