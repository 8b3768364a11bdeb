"""Units as people write them into headings, and the names that we have for them."""

from __future__ import annotations

import re

_SPELLINGS = {
    "g": ("g", "gs", "g-force", "gee", "gn"),
    "mg": ("mg",),
    "m/s2": ("m/s2", "m/s^2", "m/s²", "ms-2", "m/s/s", "m/sec2", "m/sec^2", "m.s-2", "m·s-2", "m s-2"),
    "V": ("v", "volt", "volts"),
    "mV": ("mv", "millivolt", "millivolts"),
    "uV": ("uv", "µv", "μv", "microvolt", "microvolts"),
    "mm/s": ("mm/s", "mm/sec"),
    "counts": ("counts", "count", "adc", "raw"),
}
_KNOWN = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_TIMES = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millis": 1e-3,
    "milliseconds": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "microseconds": 1e-6,
    "micros": 1e-6,
    "usec": 1e-6,
    "ns": 1e-9,
    "nanoseconds": 1e-9,
    "nanos": 1e-9,
    "nsec": 1e-9,
    "min": 60.0,
    "h": 3600.0,
}
_SHORT = ("s", "h", "min")
"""Units that are other things where they are a column's whole name."""
_RATES = {"hz": 1.0, "sps": 1.0, "s/s": 1.0, "khz": 1e3, "ksps": 1e3, "mhz": 1e6}
_BRACKETS = re.compile(r"[\[(]\s*([^\[\]()]*?)\s*[\])]\s*$")


def split_heading(word: str) -> tuple[str, str]:
    """Return a column's name and what stands in brackets at its end: ``acc [g]`` is ``("acc", "g")``."""
    found = _BRACKETS.search(word)
    if found is None:
        return word.strip(), ""
    return word[: found.start()].strip() or word.strip(), found[1]


def known_unit(written: str) -> str:
    """Return our name of a unit; empty where it is none that we know."""
    return _KNOWN.get(written.strip().strip("[]()").casefold(), "")


def is_written_unit(written: str) -> bool:
    """Whether a word may stand in a row of units: a unit that we know, a time, or a word in brackets."""
    bare = written.strip()
    return bool(known_unit(bare) or seconds_of(bare) or re.fullmatch(r"[\[(].{0,12}[\])]", bare))


def seconds_of(written: str) -> float | None:
    """Return how many seconds a unit of time has; None where it is none."""
    return _TIMES.get(written.strip().strip("[]()").casefold())


def seconds_named(name: str) -> float | None:
    """Return how many seconds the unit in a column's name has, as in ``time_ms`` or ``millis``; None without one."""
    words = re.split(r"[_. -]+", name.strip().casefold())
    return _TIMES.get(words[-1]) if len(words) > 1 or words[0] not in _SHORT else None


def hertz_of(written: str) -> float | None:
    """Return how many hertz a unit of rate has; None where it is none."""
    return _RATES.get(written.strip().strip("[]()").casefold())
