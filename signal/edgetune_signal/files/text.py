"""Reads samples from text files, one instant a line: comma, semicolon, tab or spaces, in whatever dialect."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from dataclasses import dataclass, replace
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
    as_samples,
    chosen,
)
from edgetune_signal.files.text_columns import TimeColumn, column_uses, refuse_words, time_column
from edgetune_signal.files.text_layout import SNIFFED_LINES, Layout, find_layout
from edgetune_signal.files.units_written import known_unit

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


@dataclass(slots=True)
class TextFile:
    """A text file of samples; see `SignalFile`. ``fraction`` tells how much of it `blocks` has read."""

    path: Path
    info: SignalInfo
    _encoding: str
    _layout: Layout
    _channels: list[int]
    _time: TimeColumn | None
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
            while block := _more(lines, self.path, number):
                self.fraction = min(1.0, _position(lines) / size)
                _check_lines(self.path, number, block)
                rows = [line for line in block if self._layout.is_row(line)]
                if rows:
                    samples = self._samples(rows, block, number)
                    seconds = None if self._time is None else _seconds(self._time, self._layout, rows, self.path)
                    if self._time is not None and seconds is not None:
                        seconds = unwrapped(seconds, self.resolution_s) if self._time.words else seconds
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
        return as_samples(values.T)

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
    uses = column_uses(path, layout, options)
    asked = chosen(path, options.columns, layout.names) if options.columns else []
    for index in asked:
        uses[index] = ColumnUse(layout.names[index], "channel", "asked for")
    time = time_column(path, layout, uses)
    channels = asked or [index for index, use in enumerate(uses) if use.use == "channel"]
    if not channels:
        listed = ", ".join(f"{use.name} ({use.use})" for use in uses)
        raise RecordingError(f"{path}: has no column of samples ({listed}): name the columns that are channels")
    refuse_words(path, layout, channels)
    label = next((index for index, use in enumerate(uses) if use.use == "label"), None)
    found = [known_unit(layout.units[index]) for index in channels]
    unit = found[0] if found and len(set(found)) == 1 else ""
    bare = TextFile(path, SignalInfo((), None), encoding, layout, channels, time, label)
    clock, time_ns = None, 0
    tells = time is not None and (time.words or time.scale is not None)
    if time is not None:
        time = _settled(bare, time, layout.rate_hz or options.rate_hz)
        bare = replace(bare, _time=time)
        clock, time_ns = _clock(bare, time) if time is not None else (None, 0)
    said = layout.rate_hz if layout.rate_hz is not None else (clock.rate_hz if clock and tells else None)
    if layout.rate_hz is not None and clock is not None and abs(clock.rate_hz - layout.rate_hz) > 0.02 * layout.rate_hz:
        raise RecordingError(
            f"{path}: says {layout.rate_hz:g} Hz, and its time column {clock.rate_hz:g} Hz: correct one of them"
        )
    rate_hz = agreed_rate(path, said, options.rate_hz)
    rate_from = "" if rate_hz is None else "option"
    if said is not None:
        rate_from = "file" if layout.rate_hz is not None else "time column"
    told = tuple(
        replace(use, use="unused", why="not asked for") if use.use == "channel" and index not in channels else use
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
    except (OSError, EOFError, zlib.error) as error:
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
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise RecordingError(f"{path}: cannot be read after line {len(taken)}: {error}: copy it again") from error
    return taken


def _more(lines: io.TextIOWrapper, path: Path, number: int) -> list[str]:
    try:
        return lines.readlines(BLOCK_CHARS)
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise RecordingError(f"{path}: cannot be read after line {number}: {error}: copy it again") from error


def _check_lines(path: Path, number: int, block: Sequence[str]) -> None:
    for offset, line in enumerate(block):
        if len(line) > MAX_LINE:
            raise RecordingError(
                f"{path}: line {number + offset + 1} is longer than {MAX_LINE} characters: no row of samples"
            )


def _seconds(time: TimeColumn, layout: Layout, rows: Sequence[str], path: Path) -> NDArray[np.float64]:
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
            return np.array([np.nan if number is None else number for number in numbers]) * (time.scale or 1.0)
        return values[:, 0] * (time.scale or 1.0)
    split = [layout.words(row.strip("\r\n")) for row in rows]
    joined = [" ".join(each[column] for column in time.columns if column < len(each)) for each in split]
    try:
        return times.clock_seconds(joined, day_leads=time.day_leads)[0]
    except ValueError as error:
        raise RecordingError(f"{path}: its time column: {error}: mend that line") from None


def _first_rows(file: TextFile) -> list[str]:
    with _open(file.path, file._encoding) as lines:  # noqa: SLF001 - a part of `open_text`
        _take(lines, file._layout.skipped, file.path)  # noqa: SLF001
        return [line for line in _take(lines, CLOCK_ROWS, file.path) if file._layout.is_row(line)]  # noqa: SLF001


def _settled(file: TextFile, time: TimeColumn, rate_hz: float | None) -> TimeColumn | None:
    """Return a time column with what its first rows settle: the order of day and month, the unit of whole numbers.

    The unit follows from the rate that is said elsewhere; without one such a column is of no use, and None.
    """
    if time.words:
        date = time.columns[0]
        split = (file._layout.words(row.strip("\r\n")) for row in _first_rows(file))  # noqa: SLF001
        leads = times.day_first([words[date] for words in split if date < len(words)])
        return replace(time, day_leads=leads is not False, undated=leads is None)
    if time.scale is not None:
        return time
    return None if rate_hz is None else replace(time, scale=1.0 / (rate_hz * time.step))


def _clock(file: TextFile, time: TimeColumn) -> tuple[times.RowClock | None, int]:
    """Return what the first rows of a file's time column say, and UTC of the first row."""
    layout = file._layout  # noqa: SLF001 - a part of `open_text`
    taken = _first_rows(file)
    if not time.words:
        seconds = _seconds(time, layout, taken, file.path)
        seconds = seconds[np.isfinite(seconds)]
        words = [row[time.columns[0]] for row in layout.rows]
        points = [word.replace(",", ".") for word in words] if layout.comma else words
        resolution_s = max(
            10.0 ** -times.decimals(points) * (time.scale or 1.0), 4 * float(np.spacing(abs(seconds).max(initial=1.0)))
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
    found = times.clock_of(times.Unwrapped()(seconds, resolution_s), resolution_s)
    return found, 0 if time.undated else time_ns


def _table(layout: Layout, rows: Sequence[str], columns: list[int]) -> NDArray[np.float64] | None:
    """Return columns of rows as numbers, at numpy's pace; None where a word is missing or no number."""
    text: Sequence[str] = [row.replace(",", ".") for row in rows] if layout.comma else rows
    try:
        return np.loadtxt(
            text, np.float64, delimiter=layout.separator, usecols=columns, ndmin=2, comments=None, quotechar='"'
        )
    except (ValueError, IndexError):
        return None
