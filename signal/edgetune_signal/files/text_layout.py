"""The layout of a text file: separator, decimal sign, heading, units, what is said before the rows, and the columns."""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.times import is_clock
from edgetune_signal.files.units_written import hertz_of, is_written_unit, known_unit, split_heading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SNIFFED_LINES: Final = 400
TABBED: Final = 0.4
"""What a row of numbers between spaces counts for where most lines have tabs: the first column may be empty."""
LONE_COMMA: Final = 0.8
"""What a row of one number with a comma counts for beside a row of two numbers with a comma between them."""
DECIMAL: Final = 0.4
"""What a row of numbers between commas counts for where most lines have semicolons: the commas are in the numbers."""
SEPARATORS: Final = ("\t", ";", ",", "|", None)
"""None is any run of spaces."""
COMMENTS: Final = ("#", "%", "//")
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "---", "?", "missing", "#n/a"})
_BEGINS: Final = frozenset("0123456789.+-")
"""Characters that a row of numbers begins with; any other line may be the heading again."""
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(?a:inf(inity)?)", re.IGNORECASE)
_COMMA: Final = re.compile(r"[-+]?(\d+,\d*|,\d+|\d+)([eE][-+]?\d+)?")
_RATE: Final = re.compile(
    r"(sampl\w*|acquisition|scan|data)[\s_-]*(rate|freq\w*|interval)|abtast(rate|frequenz)|^(rate|freq(uency)?|fs|f_s|sps)$"
    r"|^(delta_?x|dt)$",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(r"([-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)\s*([a-zA-Zµ/²^]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file is written.

    Attributes
    ----------
    separator
        Character between columns; None for spaces.
    comma
        Whether a comma is the decimal sign.
    skipped
        Lines before the first row.
    names, units
        Of each column; names are numbers from 1 where there is no heading.
    named
        Whether there is a heading.
    rate_hz, unit
        What the lines before the rows say of the whole file.
    before
        Lines before the rows; one that comes again among them, as where files were joined, is no row.
    rows
        Some rows, as words.
    """

    separator: str | None
    comma: bool
    skipped: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    named: bool
    rate_hz: float | None
    unit: str
    before: frozenset[str]
    rows: tuple[tuple[str, ...], ...]

    def is_row(self, line: str) -> bool:
        """Whether a line after the heading is a row: not empty, no comment, and no heading again."""
        bare = line.strip()
        if not bare or bare.startswith(COMMENTS):
            return False
        return bare not in self.before and (bare[0] in _BEGINS or _spaceless(bare) not in self.spaceless)

    @property
    def spaceless(self) -> frozenset[str]:
        """Lines before the rows, without spaces and quotes."""
        return _all_spaceless(self.before)

    def words(self, line: str) -> list[str]:
        """Return a row's words."""
        return words_of(line, self.separator)

    def number(self, word: str) -> float | None:
        """Return a word's number; None where it is missing. `ValueError` where it is neither."""
        bare = word.strip()
        if bare.casefold() in MISSING:
            return None
        return float(bare.replace(",", ".")) if self.comma else float(bare)


def words_of(line: str, separator: str | None) -> list[str]:
    """Return a line's words; quotes are taken off."""
    if separator is None:
        return line.split()
    if '"' not in line:
        return [word.strip() for word in line.split(separator)]
    return [word.strip() for word in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def _spaceless(line: str) -> str:
    return re.sub(r"[\s\"]+", "", line)


@functools.lru_cache(maxsize=4)
def _all_spaceless(lines: frozenset[str]) -> frozenset[str]:
    return frozenset(map(_spaceless, lines))


def find_layout(path: Path, lines: Sequence[str]) -> Layout:
    """Return the layout of a file, from its first lines.

    Raises
    ------
    RecordingError
        No line looks like a row of numbers.
    """
    best: tuple[tuple[float, int], str | None, bool, int] | None = None
    tabbed = 2 * sum("\t" in line for line in lines) > len(lines)
    semicolons = 2 * sum(";" in line for line in lines) > len(lines)
    for separator in SEPARATORS:
        split = [_split(line, separator) for line in lines]
        for comma in (False, True):
            if comma and separator == ",":
                continue
            start, width, numbers = _rows(split, comma=comma)
            if comma and width == 1:
                numbers *= LONE_COMMA
            if separator is None and tabbed:
                numbers *= TABBED
            if separator == "," and semicolons:
                numbers *= DECIMAL
            if numbers and (best is None or (numbers, width) > best[0]):
                best = (numbers, width), separator, comma, start
    if best is None:
        shown = next((line.strip() for line in lines if line.strip()), "")
        raise RecordingError(
            f"{path}: none of its first {len(lines)} lines is a row of numbers; the first reads {shown[:60]!r}:"
            " is it a text file of samples, one instant a line?"
        )
    (_, width), separator, comma, start = best
    rows = [words for line in lines[start:] if (words := _split(line, separator)) is not None]
    width = _used_width(rows, width)
    names, units, before = _heading(lines[:start], separator, width)
    rate_hz, unit = _said(before)
    return Layout(
        separator,
        comma,
        start,
        tuple(names or (str(number + 1) for number in range(width))),
        tuple(units or [""] * width),
        bool(names),
        rate_hz,
        unit,
        frozenset(line.strip() for line in lines[:start]),
        tuple(tuple(row[:width]) for row in rows if len(row) >= width),
    )


def is_number(word: str, *, comma: bool) -> bool:
    """Whether a word is a number."""
    return (_COMMA if comma else _NUMBER).fullmatch(word.strip()) is not None


def _split(line: str, separator: str | None) -> list[str] | None:
    """Return a line's words; None for an empty line or a comment."""
    bare = line.strip("\r\n")
    if not bare.strip() or bare.lstrip().startswith(COMMENTS):
        return None
    return words_of(bare.lstrip() if separator is None else bare, separator)


def _rows(split: Sequence[list[str] | None], *, comma: bool) -> tuple[int, int, float]:
    """Return where rows begin, how wide they are, and how many words of numbers there are in them.

    The longest run of rows shows which columns are of numbers. Rows begin where the first line fits that: a line of
    something else after it is not passed over in silence.
    """
    widths = Counter(len(words) for words in split if words is not None and _is_row(words, comma=comma))
    if not widths:
        return 0, 0, 0.0
    width = max(widths, key=lambda found: (widths[found], found))
    run: list[list[str]] = []
    longest: list[list[str]] = []
    for words in split:
        if words is None:
            continue
        if len(words) == width and _is_row(words, comma=comma):
            run.append(words)
            longest = max(longest, run, key=len)
        else:
            run = []
    numeric = [
        column
        for column in range(width)
        if 2 * sum(_may_be_number(row[column], comma=comma) for row in longest) > len(longest)
    ]
    fits = [
        words is not None
        and len(words) == width
        and all(_may_be_number(words[column], comma=comma) for column in numeric)
        and any(is_number(word, comma=comma) for word in words)
        for words in split
    ]
    numbers = sum(
        sum(is_number(word, comma=comma) for word in words) / width
        for words, row in zip(split, fits, strict=True)
        if words is not None and row
    )
    return (fits.index(True), width, numbers) if any(fits) else (0, 0, 0.0)


def _may_be_number(word: str, *, comma: bool) -> bool:
    return word.casefold() in MISSING or is_number(word, comma=comma)


def _is_row(words: Sequence[str], *, comma: bool) -> bool:
    """Whether words may be a row: at least one number, and no word of letters where all others are missing."""
    numbers = sum(is_number(word, comma=comma) for word in words)
    others = sum(word.casefold() not in MISSING and not is_clock(word) for word in words) - numbers
    return numbers > 0 and numbers + sum(is_clock(word) for word in words) >= others


def _used_width(rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many columns are left where the last ones are empty in every row."""
    while width > 1 and all(len(row) < width or not row[width - 1].strip() for row in rows):
        width -= 1
    return width


def _heading(lines: Sequence[str], separator: str | None, width: int) -> tuple[list[str], list[str], list[str]]:
    """Return names and units of the columns, and the lines that are neither."""
    rest = [line.strip() for line in lines if line.strip()]
    units: list[str] = []
    last = _padded(rest, separator, width)
    if last and any(last) and all(not word or is_written_unit(word) for word in last):
        above = _padded(rest[:-1], separator, width)
        if above and any(re.search(r"[^\W\d]", word) for word in above):
            units = [word.strip("[]() ") for word in last]
            rest = rest[:-1]
            last = above
    if not last or not any(re.search(r"[^\W\d]", word) for word in last):
        return [], [], rest
    parts = [split_heading(word) for word in last]
    names = [name or str(number + 1) for number, (name, _) in enumerate(parts)]
    written = [given or own for (_, own), given in zip(parts, units or [""] * width, strict=True)]
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):  # a heading may have one name twice
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}.{seen[name]}"
    return names, written, rest[:-1]


def _padded(lines: Sequence[str], separator: str | None, width: int) -> list[str] | None:
    """Return the words of the last line where it has as many as the rows (empty ones at its end count for nothing)."""
    if not lines:
        return None
    line = lines[-1].lstrip("#%/ ") if lines[-1].startswith(COMMENTS) else lines[-1]
    words = words_of(line, separator)
    while len(words) > width and words[-1].casefold() in {"", "comment"}:  # LabVIEW's, which no row need have
        words.pop()
    if len(words) < width and len(words) >= max(1, width - 1) and lines[-1].startswith(COMMENTS):
        return None
    return words if len(words) == width else None


def _said(lines: Sequence[str]) -> tuple[float | None, str]:
    """Return the rate and the unit that lines before the rows tell."""
    rate_hz, unit = None, ""
    for line in lines:
        bare = line.lstrip("#%/ ").strip().strip('"')
        key, mark, value = _pair(bare)
        if not mark:
            continue
        name, written = split_heading(key)
        if rate_hz is None and _RATE.search(name):
            found = _VALUE.search(value)
            scale = hertz_of(found[2]) or hertz_of(written) if found else None
            if found and (scale or not found[2]):
                number = float(found[1].replace(",", "."))
                interval = name.casefold().replace("_", "") in {"deltax", "dt"} or "interval" in name.casefold()
                if number > 0:
                    rate_hz = 1.0 / number if interval else number * (scale or 1.0)
        if not unit and re.fullmatch(r"(y[_ ]?)?(units?|einheit|unit[_ ]label)", name.strip(), re.IGNORECASE):
            unit = known_unit(re.split(r"[,;\t]", value)[0].strip(" \"'"))
    return rate_hz, unit


def _pair(line: str) -> tuple[str, str, str]:
    """Cut a line that says something at ``:``, ``=``, tab, semicolon or comma, whichever comes first."""
    found = re.search(r"\s*[:=]\s*[,;\t]?|[,;\t]", line)
    if found is None:
        return line, "", ""
    return line[: found.start()].strip(' "'), found[0], line[found.end() :].strip(' "')
