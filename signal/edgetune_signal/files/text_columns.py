"""What each column of a text file is: a channel, the time, a counter, labels, or nothing of use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files import times
from edgetune_signal.files.signal_file import ColumnUse, ReadOptions, label_index
from edgetune_signal.files.text_layout import MISSING, Layout, is_number
from edgetune_signal.files.units_written import seconds_named, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TIME_NAMES: Final = frozenset(
    word
    for words in (
        "t time times timestamp timestamps ts clock epoch unixtime elapsed x_value",
        "second seconds sec secs date datetime date/time zeit uhrzeit datum temps tiempo tempo",
    )
    for word in words.split()
)
_CHANNEL_NAMES: Final = frozenset({"t", "tempo", "temps", "x_value"})
"""Names of times that a channel may have too, as a temperature."""
_COUNTER_NAMES: Final = frozenset(
    word
    for words in ("sample samples index idx n no nr number num counter count", "seq sequence id row frame packet #")
    for word in words.split()
)
EVEN_STEPS: Final = 8
"""Steps that a first column without a telling name must have, all alike, to be taken for the time."""


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A time column, or a date and a clock beside each other.

    Attributes
    ----------
    columns
        One, or two.
    words
        Whether they are dates or clocks; else numbers.
    scale
        Seconds of one unit of the numbers; None where nobody says the unit of whole numbers.
    step
        Median step of the numbers.
    epoch
        Whether the numbers count from 1970.
    day_leads, undated
        Whether the day is the first number of a date; whether nothing tells that, and the dates stay unused.
    """

    columns: tuple[int, ...]
    words: bool
    scale: float | None = 1.0
    step: float = 1.0
    epoch: bool = False
    day_leads: bool = False
    undated: bool = False


def column_uses(path: Path, layout: Layout, options: ReadOptions) -> list[ColumnUse]:
    """Return what each column is, from its name and the first rows."""
    label = None
    if options.label_column is not None:
        label = label_index(path, options.label_column, layout.names, _texts(layout))
    uses = []
    for index, name in enumerate(layout.names):
        words = [row[index] for row in layout.rows]
        said = [word for word in words if word.strip().casefold() not in MISSING]
        if index == label:
            uses.append(ColumnUse(name, "label", "asked for"))
        elif not said:
            uses.append(ColumnUse(name, "unused", "empty"))
        elif all(times.is_clock(word) for word in said):
            uses.append(ColumnUse(name, "time", "clock or date"))
        elif not all(is_number(word, comma=layout.comma) for word in said):
            uses.append(ColumnUse(name, "unused", "text"))
        else:
            uses.append(_number_use(name, layout, index, said))
    return uses


def _texts(layout: Layout) -> list[int]:
    """Return the columns that hold words: neither numbers nor times."""
    return [
        index
        for index in range(len(layout.names))
        if any(
            row[index].strip().casefold() not in MISSING
            and not is_number(row[index], comma=layout.comma)
            and not times.is_clock(row[index])
            for row in layout.rows
        )
    ]


@np.errstate(invalid="ignore", over="ignore")  # an infinite value is refused with its line later
def _number_use(name: str, layout: Layout, index: int, words: Sequence[str]) -> ColumnUse:
    values = np.array([layout.number(word) for word in words], dtype=np.float64)
    bare = re.sub(r"\.\d+$", "", name.casefold().strip().replace(" ", "_"))  # a name that comes twice has a number
    first_word = bare.split("_")[0] if layout.named else ""
    steps = np.diff(values)
    rises = len(steps) > 0 and bool((steps >= 0).all()) and bool(steps.any())
    timed = seconds_of(layout.units[index]) is not None or seconds_named(bare.split("_")[0]) is not None
    forward = len(steps) > 0 and bool(steps.any()) and float(np.mean(steps >= 0)) >= times.MOST
    if layout.named and (bare in _TIME_NAMES or first_word in _TIME_NAMES or timed) and forward:
        return ColumnUse(name, "time", f"named {name!r}")
    if layout.named and bare in _TIME_NAMES - _CHANNEL_NAMES:
        return ColumnUse(name, "unused", f"named {name!r}, and does not go forward")
    whole = bool((values == np.round(values)).all())
    counts = whole and len(steps) > (EVEN_STEPS if index == 0 else 1) and float(np.mean(steps == 1)) > 0.9  # noqa: PLR2004 - it may start again
    if counts and (bare in _COUNTER_NAMES or first_word in _COUNTER_NAMES or index == 0):
        return ColumnUse(name, "counter", "counts the rows")
    even = (
        rises
        and len(steps) > EVEN_STEPS
        and float(np.ptp(steps)) <= 1e-3 * float(np.median(steps)) + 2 * _step(layout, words)
    )
    if even and index == 0 and len(layout.names) > 1:
        return ColumnUse(name, "time", "rises evenly")
    return ColumnUse(name, "channel")


def _step(layout: Layout, words: Sequence[str]) -> float:
    points = [word.replace(",", ".") for word in words] if layout.comma else words
    return 10.0 ** -times.decimals(points)


def time_column(path: Path, layout: Layout, uses: list[ColumnUse]) -> TimeColumn | None:
    """Return the time column that is used; others are marked as unused."""
    found = [index for index, use in enumerate(uses) if use.use == "time"]
    if not found:
        return None
    texts = [index for index in found if uses[index].why == "clock or date"]
    numbers = [index for index in found if index not in texts]
    if numbers:
        index = numbers[0]
        for other in found:
            if other != index:
                uses[other] = ColumnUse(uses[other].name, "unused", f"{uses[index].name} has the time")
        words = [row[index] for row in layout.rows if row[index].strip().casefold() not in MISSING]
        values = np.array([layout.number(word) for word in words], dtype=np.float64)
        written = seconds_of(layout.units[index]) or seconds_named(uses[index].name)
        scale, epoch = times.numeric_scale(values, written)
        step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
        if written is None and not epoch and step >= 1 and bool((values == np.round(values)).all()):
            uses[index] = ColumnUse(uses[index].name, "time", "whole numbers, and nobody says of what unit")
            return TimeColumn((index,), words=False, scale=None, step=step)
        return TimeColumn((index,), words=False, scale=scale, step=step, epoch=epoch)
    pair = texts[:1]
    first = [row[texts[0]] for row in layout.rows]
    if len(texts) > 1 and not any(times.has_clock(word) for word in first):
        pair = texts[:2]  # a date, and a clock beside it
    elif len(texts) > 1 and not any(times.has_clock(row[texts[1]]) for row in layout.rows):
        pair = [texts[1], texts[0]]
    for other in texts:
        if other not in pair:
            uses[other] = ColumnUse(uses[other].name, "unused", f"{uses[pair[0]].name} has the time")
    if not any(times.has_clock(row[pair[-1]]) for row in layout.rows):
        raise RecordingError(f"{path}: column {uses[pair[0]].name} has dates without a time of day: remove that column")
    return TimeColumn(tuple(pair), words=True)


def refuse_words(path: Path, layout: Layout, channels: Sequence[int]) -> None:
    """Raise `RecordingError` where a column that is a channel holds a word in the first rows."""
    for index in channels:
        for row in layout.rows:
            word = row[index]
            if word.strip().casefold() not in MISSING and not is_number(word, comma=layout.comma):
                raise RecordingError(
                    f"{path}: column {layout.names[index]} holds {word[:40]!r}, no number: choose other columns"
                )
