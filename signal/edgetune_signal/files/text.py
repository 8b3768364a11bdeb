"""Reads samples from text files, one instant a line: comma, semicolon, tab or spaces, in whatever dialect."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files import times
from edgetune_signal.files.signal_file import (
    ColumnUse,
    ReadOptions,
    SignalBlock,
    SignalInfo,
    agreed_rate,
    agreed_unit,
    chosen,
    label_index,
)
from edgetune_signal.files.text_layout import MISSING, SNIFFED_LINES, Layout, find_layout, is_number
from edgetune_signal.files.units_written import known_unit, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES: Final = (".csv", ".txt", ".tsv", ".asc", ".lvm", ".dat", "")
MAX_LINE: Final = 1 << 20
"""Characters of a line at most: a longer one is no row of samples."""
BLOCK_CHARS: Final = 1 << 22
CLOCK_ROWS: Final = 65_536
"""Rows at the start of a file whose clock tells its rate."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TIME_NAMES: Final = frozenset(
    word
    for words in (
        "t time times timestamp timestamps ts clock epoch unixtime elapsed x_value",
        "second seconds sec secs date datetime date/time zeit uhrzeit datum temps tiempo tempo",
    )
    for word in words.split()
)
_COUNTER_NAMES: Final = frozenset(
    word
    for words in ("sample samples index idx n no nr number num counter count", "seq sequence id row frame packet #")
    for word in words.split()
)
EVEN_STEPS: Final = 8
"""Steps that a first column without a telling name must have, all alike, to be taken for the time."""


@dataclass(frozen=True, slots=True)
class _Time:
    """A time column, or a date and a clock beside each other."""

    columns: tuple[int, ...]
    words: bool
    scale: float = 1.0
    epoch: bool = False
    day_leads: bool = False


@dataclass(slots=True)
class TextFile:
    """A text file of samples; see `SignalFile`. ``fraction`` tells how much of it `blocks` has read."""

    path: Path
    info: SignalInfo
    _encoding: str
    _layout: Layout
    _channels: list[int]
    _time: _Time | None
    _label: int | None
    resolution_s: float = 0.0
    fraction: float = 0.0

    def blocks(self) -> Iterator[SignalBlock]:
        """Return the rows, a few MiB of text at once."""
        with _open(self.path, self._encoding) as lines:
            number = self._layout.skipped
            _take(lines, number, self.path)
            first_s: float | None = None
            unwrapped = times.Unwrapped()
            size = max(1, self.path.stat().st_size)
            while block := lines.readlines(BLOCK_CHARS):
                self.fraction = min(1.0, _position(lines) / size)
                _check_lines(self.path, number, block)
                rows = [line for line in block if self._layout.is_row(line)]
                if rows:
                    samples = self._samples(rows, block, number)
                    seconds = None if self._time is None else _seconds(self._time, self._layout, rows, self.path)
                    if seconds is not None:
                        seconds = unwrapped(seconds, self.resolution_s)
                        first_s = seconds[0] if first_s is None else first_s
                        seconds = seconds - first_s
                    labels = None if self._label is None else [self._word(row, self._label) for row in rows]
                    yield SignalBlock(samples, seconds, labels)
                number += len(block)

    def _word(self, row: str, column: int) -> str:
        words = self._layout.words(row.strip("\r\n"))
        return words[column] if column < len(words) else ""

    def _samples(self, rows: Sequence[str], block: Sequence[str], number: int) -> NDArray[np.float32]:
        values = _table(self._layout, rows, self._channels)
        if values is None:
            values = self._one_by_one(block, number)
        if np.isinf(values).any():
            row = int(np.argwhere(np.isinf(values))[0][0])
            raise RecordingError(
                f"{self.path}: a value near line {number + row + 1} is infinite: mend or remove that line"
            )
        return np.ascontiguousarray(values.T.astype(np.float32))

    def _one_by_one(self, block: Sequence[str], number: int) -> NDArray[np.float64]:
        """Read rows of which some have words missing; name line and column of what is no number."""
        found = []
        for offset, line in enumerate(block):
            if not self._layout.is_row(line):
                continue
            words = self._layout.words(line.strip("\r\n"))
            row = []
            for column in self._channels:
                word = words[column] if column < len(words) else ""
                try:
                    value = self._layout.number(word)
                except ValueError:
                    raise RecordingError(
                        f"{self.path}: line {number + offset + 1}, column {self._layout.names[column]}:"
                        f" {word[:40]!r} is no number: mend that line, or choose other columns"
                    ) from None
                row.append(np.nan if value is None else value)
            found.append(row)
        return np.array(found, dtype=np.float64)


def open_text(path: Path, options: ReadOptions) -> TextFile:
    """Open a text file of samples.

    Parameters
    ----------
    path
        Text, also compressed by gzip: UTF-8, UTF-16, UTF-32 or Windows-1252.
    options
        What a person says of it.

    Returns
    -------
    TextFile
        A time column gives the rate and is no channel; neither is a counter, nor a column of text.

    Raises
    ------
    RecordingError
        No line looks like a row of numbers, a column is not there or not of numbers, or file and options contradict
        each other.
    """
    encoding = _encoding(path)
    with _open(path, encoding) as lines:
        first = _take(lines, SNIFFED_LINES, path)
    layout = find_layout(path, first)
    uses = _uses(path, layout, options)
    time = _time_column(path, layout, uses)
    channels = [index for index, use in enumerate(uses) if use.use == "channel"]
    if options.columns:
        channels = chosen(path, options.columns, layout.names)
    if not channels:
        listed = ", ".join(f"{use.name} ({use.use})" for use in uses)
        raise RecordingError(f"{path}: has no column of samples ({listed}): name the columns that are channels")
    _refuse_words(path, layout, channels)
    label = next((index for index, use in enumerate(uses) if use.use == "label"), None)
    found = [known_unit(layout.units[index]) for index in channels]
    unit = found[0] if found and len(set(found)) == 1 else ""
    bare = TextFile(path, SignalInfo((), None), encoding, layout, channels, time, label)
    clock, time_ns = _clock(bare) if time is not None else (None, 0)
    said = layout.rate_hz if layout.rate_hz is not None else (clock.rate_hz if clock else None)
    if layout.rate_hz is not None and clock is not None and abs(clock.rate_hz - layout.rate_hz) > 0.02 * layout.rate_hz:
        raise RecordingError(
            f"{path}: says {layout.rate_hz:g} Hz, and its time column {clock.rate_hz:g} Hz: correct one of them"
        )
    rate_hz = agreed_rate(path, said, options.rate_hz)
    rate_from = "" if rate_hz is None else "option"
    if said is not None:
        rate_from = "file" if layout.rate_hz is not None else "time column"
    asked = set(channels)
    told = tuple(
        replace(use, use="channel" if index in asked else "unused", why="" if index in asked else "not asked for")
        if options.columns and use.use != "time" and (index in asked or use.use == "channel")
        else use
        for index, use in enumerate(uses)
    )
    return replace(
        bare,
        resolution_s=clock.resolution_s if clock else 0.0,
        info=SignalInfo(
            names=tuple(layout.names[index] for index in channels),
            rate_hz=rate_hz,
            rate_from=rate_from,
            unit=agreed_unit(path, unit or layout.unit, options.unit),
            time_ns=time_ns,
            jitter_s=clock.jitter_s if clock else None,
            columns=told,
        ),
    )


def _encoding(path: Path) -> str:
    """Return how a file's characters are written: its mark, else UTF-8, else Windows-1252."""
    try:
        with _bytes(path) as file:
            start = file.read(1 << 20)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"{path}: cannot be read: {reason}") from error
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if b"\x00" in start[:4096]:
        raise RecordingError(f"{path}: is no text: it holds zero bytes")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _bytes(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _open(path: Path, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(_bytes(path), encoding=encoding, errors="replace" if encoding == "cp1252" else "strict")


def _position(lines: io.TextIOWrapper) -> int:
    """Return how many bytes of the file have been read, packed ones where it is packed."""
    buffer: Any = lines.buffer
    return int(getattr(buffer, "fileobj", buffer).tell())


def _take(lines: io.TextIOWrapper, count: int, path: Path) -> list[str]:
    """Return the next lines; a line without an end is refused before it fills the memory."""
    taken: list[str] = []
    try:
        for _ in range(count):
            line = lines.readline(MAX_LINE)
            if not line:
                break
            if len(line) >= MAX_LINE:
                raise RecordingError(
                    f"{path}: line {len(taken) + 1} is longer than {MAX_LINE} characters: no row of samples"
                )
            taken.append(line)
    except (OSError, EOFError, UnicodeError) as error:
        raise RecordingError(f"{path}: cannot be read after line {len(taken)}: {error}") from error
    return taken


def _check_lines(path: Path, number: int, block: Sequence[str]) -> None:
    for offset, line in enumerate(block):
        if len(line) > MAX_LINE:
            raise RecordingError(
                f"{path}: line {number + offset + 1} is longer than {MAX_LINE} characters: no row of samples"
            )


def _uses(path: Path, layout: Layout, options: ReadOptions) -> list[ColumnUse]:
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


def _number_use(name: str, layout: Layout, index: int, words: Sequence[str]) -> ColumnUse:
    values = np.array([layout.number(word) for word in words], dtype=np.float64)
    bare = name.casefold().strip().replace(" ", "_")
    first_word = bare.split("_")[0] if layout.named else ""
    steps = np.diff(values)
    rises = len(steps) > 0 and bool((steps >= 0).all()) and bool(steps.any())
    timed = seconds_of(layout.units[index]) is not None
    if layout.named and (bare in _TIME_NAMES or first_word in _TIME_NAMES or timed) and rises:
        return ColumnUse(name, "time", f"named {name!r}")
    whole = bool((values == np.round(values)).all())
    counts = whole and len(steps) > 1 and float(np.mean(steps == 1)) > 0.9  # noqa: PLR2004 - it may start again
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


def _time_column(path: Path, layout: Layout, uses: list[ColumnUse]) -> _Time | None:
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
        scale, epoch = times.numeric_scale(values, seconds_of(layout.units[index]))
        return _Time((index,), words=False, scale=scale, epoch=epoch)
    pair = texts[:1]
    first = [row[texts[0]] for row in layout.rows]
    if len(texts) > 1 and all(":" not in word for word in first):
        pair = texts[:2]  # a date, and a clock beside it
    elif len(texts) > 1 and all(":" not in row[texts[1]] for row in layout.rows):
        pair = [texts[1], texts[0]]
    for other in texts:
        if other not in pair:
            uses[other] = ColumnUse(uses[other].name, "unused", f"{uses[pair[0]].name} has the time")
    if all(":" not in row[pair[-1]] for row in layout.rows):
        raise RecordingError(f"{path}: column {uses[pair[0]].name} has dates without a time of day: remove that column")
    return _Time(tuple(pair), words=True, day_leads=times.day_first([row[pair[0]] for row in layout.rows]))


def _refuse_words(path: Path, layout: Layout, channels: Sequence[int]) -> None:
    for index in channels:
        for row in layout.rows:
            word = row[index]
            if word.strip().casefold() not in MISSING and not is_number(word, comma=layout.comma):
                raise RecordingError(
                    f"{path}: column {layout.names[index]} holds {word[:40]!r}, no number: choose other columns"
                )


def _seconds(time: _Time, layout: Layout, rows: Sequence[str], path: Path) -> NDArray[np.float64]:
    """Return the time of rows in seconds; a missing one is not a number."""
    if not time.words:
        values = _table(layout, rows, list(time.columns))
        if values is None:
            split = [layout.words(row.strip("\r\n")) for row in rows]
            words = [each[time.columns[0]] if time.columns[0] < len(each) else "" for each in split]
            try:
                numbers = [layout.number(word) for word in words]
            except ValueError as error:
                raise RecordingError(f"{path}: its time column: {error}: mend that line") from None
            return np.array([np.nan if number is None else number for number in numbers]) * time.scale
        return values[:, 0] * time.scale
    split = [layout.words(row.strip("\r\n")) for row in rows]
    joined = [" ".join(each[column] for column in time.columns if column < len(each)) for each in split]
    try:
        return times.clock_seconds(joined, day_leads=time.day_leads)[0]
    except ValueError as error:
        raise RecordingError(f"{path}: its time column: {error}: mend that line") from None


def _clock(file: TextFile) -> tuple[times.Clock | None, int]:
    """Return what the first rows of a file's time column say, and UTC of the first row."""
    time, layout = file._time, file._layout  # noqa: SLF001 - a part of `open_text`
    if time is None:
        return None, 0
    with _open(file.path, file._encoding) as lines:  # noqa: SLF001
        _take(lines, layout.skipped, file.path)
        taken: list[str] = [line for line in islice(lines, CLOCK_ROWS) if layout.is_row(line)]
    if not time.words:
        seconds = _seconds(time, layout, taken, file.path)
        seconds = seconds[np.isfinite(seconds)]
        words = [row[time.columns[0]] for row in layout.rows]
        points = [word.replace(",", ".") for word in words] if layout.comma else words
        resolution_s = max(
            10.0 ** -times.decimals(points) * time.scale, 4 * float(np.spacing(abs(seconds).max(initial=1.0)))
        )
        time_ns = round(float(seconds[0]) * 1e9) if time.epoch and len(seconds) else 0
        return times.clock_of(seconds, resolution_s), time_ns
    split = [layout.words(row.strip("\r\n")) for row in taken]
    joined = [" ".join(each[column] for column in time.columns if column < len(each)) for each in split]
    try:
        seconds, time_ns, resolution_s = times.clock_seconds(joined, day_leads=time.day_leads)
    except ValueError as error:
        raise RecordingError(f"{file.path}: its time column: {error}: mend that line") from None
    resolution_s = max(resolution_s, 4 * float(np.spacing(abs(seconds).max(initial=1.0))))
    return times.clock_of(times.Unwrapped()(seconds, resolution_s), resolution_s), time_ns


def _table(layout: Layout, rows: Sequence[str], columns: list[int]) -> NDArray[np.float64] | None:
    """Return columns of rows as numbers, at numpy's pace; None where a word is missing or no number."""
    text: Sequence[str] = [row.replace(",", ".") for row in rows] if layout.comma else rows
    try:
        return np.loadtxt(
            text, np.float64, delimiter=layout.separator, usecols=columns, ndmin=2, comments=None, quotechar='"'
        )
    except (ValueError, IndexError):
        return None
