"""Time columns: what they say of the rate, of jitter and of gaps."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GAP: Final = 1.5
"""Median intervals after which a sample is missing; a clock's resolution is added."""
NEAR: Final = 16
"""Rows on both sides of a long step that are compared; more make a gap sure, fewer find two that are close."""
MOVED: Final = 0.6
MOVED_BY_RESOLUTION: Final = 0.35
"""Intervals, and resolutions of the clock, by which the rows after a gap are late at least."""
DIGITS: Final = 7
MOST: Final = 0.9
"""Share of the steps of a clock that go forward; the others are places where samples are missing."""
_SPANS: Final = (1.0, 60.0, 3600.0, 43_200.0, 86_400.0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK: Final = re.compile(
    r"^(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})((?:[.,]\d+|:\d{3}(?:\d{3})?)?)\s*(am|pm)?$", re.IGNORECASE
)
_PACKED: Final = re.compile(r"^((?:19|20)\d\d)([01]\d)([0-3]\d)[T _-]?([0-2]\d)([0-5]\d)([0-5]\d)((?:[.,]\d+)?)(Z?)$")
_NAMED: Final = re.compile(r"^(\d{1,2})[-/. ]+([a-zä]{3})[a-z]*[-/., ]+(\d{4}|\d\d)(?=$|[T :,])", re.IGNORECASE)
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ["jan", "feb", "mar/mär/mrz", "apr", "may/mai", "jun", "jul", "aug", "sep", "oct/okt", "nov", "dec/dez"],
        start=1,
    )
    for name in names.split("/")
}
_SEPARATED: Final = re.compile(r"^(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})$")
_WHOLE: Final = re.compile(
    r"^(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})(?:[T ]+|\s*,\s*)([\d:.,]+\s*(?:am|pm)?)\s*(Z|UTC|[+-]\d\d:?\d\d)?$",
    re.IGNORECASE,
)
_UNIX: Final = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))
"""A number from here on is a time since 1970, in units of so many seconds."""


@dataclass(frozen=True, slots=True)
class RowClock:
    """What a time column says.

    Attributes
    ----------
    rate_hz
        Samples per second.
    jitter_s
        Standard deviation of the intervals, gaps left out, seconds.
    resolution_s
        Smallest step that the column can show, seconds.
    """

    rate_hz: float
    jitter_s: float
    resolution_s: float


class Unwrapped:
    """Times of day that begin again, at midnight or where a clock shows only a part of itself, made to go on.

    A step back is such a beginning where the clock would be one interval on, had it gone on to the next second, minute,
    hour or day.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._ahead = 0.0
        self._interval = 0.0

    def __call__(self, seconds: NDArray[np.float64], resolution_s: float) -> NDArray[np.float64]:
        """Return the next times; ``seconds`` are those that the file says."""
        steps = np.diff(seconds, prepend=seconds[:1] if self._last is None else self._last)
        if not self._interval and (steps > 0).any():
            self._interval = float(np.median(steps[steps > 0]))
        added = np.zeros(len(seconds))
        for index in np.flatnonzero(steps < -resolution_s / 2):
            for span in _SPANS:
                if abs(steps[index] % span - self._interval) <= self._interval / 2 + resolution_s:
                    added[index] = span * np.ceil(-steps[index] / span)
                    break
        ahead = self._ahead + np.cumsum(added)
        if len(seconds):
            self._last, self._ahead = float(seconds[-1]), float(ahead[-1])
        unwrapped: NDArray[np.float64] = seconds + ahead
        return unwrapped


def clock_of(seconds: NDArray[np.float64], resolution_s: float) -> RowClock | None:
    """Return what times say of the rate; None where most do not go forward.

    The rate is that of the mean interval; intervals that differ from the median by half of it are left out. It is
    rounded to the plainest value that the clock's resolution and jitter allow. Where several rows share a time, as with
    a clock of whole seconds, rows are counted between its changes.
    """
    steps = np.diff(seconds)
    if not len(steps) or np.mean(steps >= -resolution_s / 2) < MOST or not steps.any():
        return None
    middle = float(np.percentile(steps, 50, method="lower"))  # one of the steps: no step may be near to a mean of two
    if middle <= 0:
        changes = np.flatnonzero(steps > 0) + 1
        if len(changes) < 3:  # noqa: PLR2004 - the first and the last stretch may be cut
            return None
        rows = int(changes[-1] - changes[0])
        interval_s = float(seconds[changes[-1]] - seconds[changes[0]]) / rows
        burst_s = float(np.median(steps[changes - 1]))
        return RowClock(plain(1.0 / interval_s, interval_s / rows), 0.0, max(resolution_s, burst_s))
    near = steps[np.abs(steps - middle) <= (GAP - 1) * middle + resolution_s]
    jitter_s = float(np.std(near))
    within_s = 2 * resolution_s / len(near) + 3 * jitter_s / len(near) ** 0.5
    return RowClock(plain(1.0 / float(np.mean(near)), min(within_s, resolution_s + jitter_s)), jitter_s, resolution_s)


def plain(rate_hz: float, within_s: float) -> float:
    """Return the rate of the fewest digits whose interval differs by at most ``within_s`` seconds."""
    for digits in range(1, DIGITS + 1):
        rounded = float(f"{rate_hz:.{digits}g}")
        if abs(1.0 / rounded - 1.0 / rate_hz) <= max(within_s, 1e-7 / rate_hz):
            return rounded
    return rate_hz


def gaps(
    seconds: NDArray[np.float64], before: NDArray[np.float64], clock_rate_hz: float, resolution_s: float
) -> list[int]:
    """Return the rows before which samples are missing.

    A step that is too long, or backward, may be jitter of the clock. Samples are missing where the rows that follow are
    later than those before let expect: the medians of `NEAR` rows on both sides are compared.

    Parameters
    ----------
    seconds
        Times of rows.
    before
        Times of the rows right before them: as many as there are, or `NEAR`.
    clock_rate_hz, resolution_s
        As `RowClock` has them.
    """
    interval_s = 1.0 / clock_rate_hz
    coarse = resolution_s > 1.01 * interval_s
    every = np.concatenate([before, seconds])
    steps = np.diff(every)
    far = (steps > GAP * interval_s + (resolution_s if coarse else 0.0)) | (steps < -resolution_s)
    at = np.flatnonzero(far) + 1
    at = at[at >= len(before)]
    if not len(at):
        return []
    least = MOVED * interval_s + (0.0 if coarse else MOVED_BY_RESOLUTION * resolution_s)
    late = every - interval_s * np.arange(len(every))
    rows = np.clip(at[:, None] + np.arange(-NEAR, NEAR), 0, len(every) - 1)
    sure = np.abs(_moved(late[rows])) > least
    at, rows = at[sure], rows[sure]
    found: dict[int, float] = {}
    for each in np.argsort(-np.abs(steps[at - 1]), kind="stable").tolist():  # a long step may only be near a gap
        window = late[rows[each]]
        for row in range(int(at[each]) - NEAR, int(at[each]) + NEAR):
            if row in found:
                window = np.where(rows[each] >= row, window - found[row], window)
        by = float(_moved(window[None])[0])
        if abs(by) > least:
            found[int(at[each])] = by
    return sorted(row - len(before) for row in found)


def _moved(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the second half of each row is later than the first."""
    moved: NDArray[np.float64] = np.nanmedian(windows[:, NEAR:], axis=1) - np.nanmedian(windows[:, :NEAR], axis=1)
    return moved


def numeric_scale(values: NDArray[np.float64], written: float | None) -> tuple[float, bool]:
    """Return seconds of one unit of a column of numbers, and whether it counts from 1970."""
    first = abs(float(values[0]))
    for least, scale in _UNIX:
        if first >= least:
            return scale, True
    return written or 1.0, False


def decimals(words: Sequence[str]) -> int:
    """Return the most digits after the point of some numbers, as they are written."""
    return max((len(word.strip().partition(".")[2].partition("e")[0].partition("E")[0]) for word in words), default=0)


def is_clock(word: str) -> bool:
    """Whether a word is a time of day, a date, or both."""
    bare = _plain_date(word.strip())
    return bool(_CLOCK.match(bare) or _SEPARATED.match(bare) or _WHOLE.match(bare))


def has_clock(word: str) -> bool:
    """Whether a date or a clock has a time of day."""
    return ":" in _plain_date(word.strip())


def _plain_date(word: str) -> str:
    """Return a date with a month's name, or without anything between its parts, in numbers with something between."""
    packed = _PACKED.match(word)
    if packed:
        year, month, day, hours, minutes, whole, fraction, zone = packed.groups()
        return f"{year}-{month}-{day} {hours}:{minutes}:{whole}{fraction}{zone}"
    named = _NAMED.match(word)
    month_number = _MONTHS.get(named[2].casefold()) if named else None
    if named is None or month_number is None:
        return word
    clock = word[named.end() :].lstrip(" T:,")
    return f"{int(named[1])}.{month_number}.{named[3]} {clock}".rstrip()


def day_first(words: Sequence[str]) -> bool | None:
    """Return whether dates begin with the day; None where they may begin with either.

    A number over 12 is the day, points stand behind a day, am and pm are written where the month leads. Where one of
    the two goes on alone, that is the day.
    """
    dates = list(dict.fromkeys(_plain_date(word.strip()).split(" ")[0].split("T")[0] for word in words))
    found = [match for match in map(_SEPARATED.match, dates) if match and len(match[1]) <= 2]  # noqa: PLR2004
    if not found:
        return False
    if any("." in match[0] or int(match[1]) > 12 for match in found):  # noqa: PLR2004 - months
        return True
    if any(int(match[2]) > 12 for match in found) or words[0].strip()[-1:] in "mM":  # noqa: PLR2004
        return False
    firsts, seconds = ({int(match[number]) for match in found} for number in (1, 2))
    return None if (len(firsts) > 1) == (len(seconds) > 1) else len(firsts) > 1


def clock_seconds(words: Sequence[str], *, day_leads: bool) -> tuple[NDArray[np.float64], int, float]:
    """Return times of day or dates as seconds, UTC of the first in nanoseconds (0 without a date), and the resolution.

    Seconds count from the epoch, or from midnight where there is no date; see `Unwrapped`.

    Raises
    ------
    ValueError
        A word is no time.
    """
    try:  # the common form, all at once
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns of a zone that it leaves out
            stamps = np.array([word.strip().removesuffix("Z").replace(",", ".") for word in words], "datetime64[ns]")
        digits = max(len(word.strip().removesuffix("Z").replace(",", ".").partition(".")[2]) for word in words[:100])
        if not np.isnat(stamps).any() and all(word.strip()[4:5] == "-" for word in words[:1]):
            counts = stamps.astype(np.int64)
            return (counts - counts[0]) / 1e9 + float(counts[0] // 10**9), int(counts[0]), 10.0**-digits
    except (ValueError, OverflowError, UserWarning, DeprecationWarning):
        pass
    seconds = np.empty(len(words))
    dated = False
    digits = 0
    for index, word in enumerate(words):
        date, clock, zone_s = _parts(_plain_date(word.strip()), day_leads=day_leads)
        dated = dated or date is not None
        digits = max(digits, clock[1])
        days = 0.0 if date is None else (date - _EPOCH).total_seconds()
        seconds[index] = days + clock[0] - zone_s
    return seconds, round(seconds[0] * 1e9) if dated else 0, 10.0**-digits


def _parts(word: str, *, day_leads: bool) -> tuple[datetime | None, tuple[float, int], float]:
    """Return date, time of day in seconds with its digits, and offset of the zone in seconds."""
    whole = _WHOLE.match(word)
    zone_s = 0.0
    if whole:
        date_word, clock_word = whole[1], whole[2]
        zone = (whole[3] or "").upper()
        if zone and zone not in {"Z", "UTC"}:
            sign = -1.0 if zone[0] == "-" else 1.0
            bare = zone[1:].replace(":", "")
            zone_s = sign * (3600.0 * int(bare[:2]) + 60.0 * int(bare[2:]))
        return _date(date_word, day_leads=day_leads), _clock(clock_word), zone_s
    if _SEPARATED.match(word):
        return _date(word, day_leads=day_leads), (0.0, 0), 0.0
    return None, _clock(word), 0.0


def _date(word: str, *, day_leads: bool) -> datetime:
    found = _SEPARATED.match(word)
    if found is None:
        raise ValueError(f"{word!r} is no date")
    first, second, third = (int(found[number]) for number in (1, 2, 3))
    if len(found[1]) == len("2026"):
        year, month, day = first, second, third
    elif day_leads:
        year, month, day = third, second, first
    else:
        year, month, day = third, first, second
    return datetime(year if year > 99 else 2000 + year, month, day, tzinfo=UTC)  # noqa: PLR2004 - two digits


def _clock(word: str) -> tuple[float, int]:
    found = _CLOCK.match(word.strip())
    if found is None:
        raise ValueError(f"{word!r} is no time")
    hours, minutes, whole = int(found[1] or 0), int(found[2]), int(found[3])
    fraction = found[4].replace(",", ".").replace(":", ".")
    if found[1] is None and not fraction and not found[5]:  # 14:11 with nothing behind it is hours and minutes
        hours, minutes, whole = minutes, whole, 0
    if found[5]:
        hours = hours % 12 + (12 if found[5].lower() == "pm" else 0)
    span = timedelta(hours=hours, minutes=minutes, seconds=whole).total_seconds()
    return span + float(fraction or 0), len(fraction.partition(".")[2])
