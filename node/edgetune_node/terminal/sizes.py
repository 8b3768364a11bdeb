"""Sizes and durations as people type them: ``720``, ``3.5KiB``, ``4KiB``; ``90``, ``60s``, ``2m``."""

from __future__ import annotations

import re

import typer

_BYTES = {"": 1, "b": 1, "kb": 1000, "kib": 1024, "k": 1024, "mb": 10**6, "mib": 2**20, "m": 2**20, "gib": 2**30}
_SECONDS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"^\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-z]*)\s*$", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of ``text``; `typer.BadParameter` where it is none."""
    return round(_parse(text, _BYTES, "a size, such as 720, 3.5KiB or 1MiB"))


def parse_seconds(text: str) -> float:
    """Seconds of ``text``; `typer.BadParameter` where it is none."""
    return _parse(text, _SECONDS, "a time, such as 90, 60s, 2m or 1ms")


def parse_seconds_or_none(text: str) -> float:
    """Seconds of ``text``, which may be 0; `typer.BadParameter` where it is no time."""
    return _parse(text, _SECONDS, "a time, such as 0, 5s or 1m", may_be_zero=True)


def parse_count(text: str) -> int:
    """Whole number of ``text``, ``1e6`` included; `typer.BadParameter` where it is none."""
    return round(_parse(text, {"": 1, "k": 1000, "m": 10**6}, "a number, such as 20000, 1e6 or 500k"))


def _parse(text: str, units: dict[str, float] | dict[str, int], expected: str, *, may_be_zero: bool = False) -> float:
    found = _NUMBER.match(text)
    if not found or found[2].lower() not in units:
        raise typer.BadParameter(f"{text!r} is not {expected}")
    value = float(found[1]) * units[found[2].lower()]
    if value <= 0 and not may_be_zero:
        raise typer.BadParameter(f"{text!r} must be more than zero")
    return value
