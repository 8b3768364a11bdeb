"""Reads samples from text files with one line per instant and one column per channel."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.options import column_number
from edgetune_signal.recordings import Recording, check_recording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_BYTES = 1 << 30
MAX_HEADER_LINES = 100
SEPARATORS = (";", "\t", ",")


def read_csv(path: Path, *, rate_hz: float, columns: Sequence[str], channels: int) -> Recording:
    """Read columns of a CSV file.

    Separators are semicolons (then a comma may stand for the decimal point), tabs, commas or spaces, whichever the
    first line of numbers has. Lines before it are a heading, whose last may name the columns; lines that begin with
    ``#`` are comments.

    Parameters
    ----------
    path
        The file.
    rate_hz
        Its rate, which it does not say.
    columns
        Names of the columns, or their numbers from 1; empty for all of them.
    channels
        How many columns are wanted.

    Returns
    -------
    Recording
        ``(channels, n)`` without unit; label and group are the file's stem.

    Raises
    ------
    RecordingError
        The file cannot be read, lacks a column or has others than wanted, or a value is no finite number.
    """
    text = _text(path)
    skipped, separator, names, count = _layout(path, text)
    try:
        chosen = [column_number(column, names, count) for column in columns] or list(range(count))
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    if len(chosen) != channels:
        named = ", ".join(names or (str(number + 1) for number in range(count)))
        raise RecordingError(
            f"{path}: has {count} columns ({named}) where the stream has {channels} channels: "
            "set columns of the source to those wanted"
        )
    if separator == ";":
        text = text.replace(",", ".")
    try:
        values = np.loadtxt(
            io.StringIO(text), np.float64, delimiter=separator, skiprows=skipped, usecols=chosen, ndmin=2
        )
    except ValueError as error:
        raise RecordingError(f"{path}: after its first {skipped} lines: {error}") from error
    samples = np.ascontiguousarray(values.T.astype(np.float32))
    recording = Recording(samples, rate_hz, path.stem, group=path.stem)
    check_recording(str(path), recording)
    return recording


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordingError(f"{path}: is larger than {MAX_BYTES} bytes: cut it, or save it as .npz")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: is no UTF-8 text: byte {error.start} cannot be read") from error


def _layout(path: Path, text: str) -> tuple[int, str | None, list[str], int]:
    """Return lines to skip, separator (None for spaces), names of the columns where there are any, and their number."""
    before: list[str] = []
    for number, line in enumerate(io.StringIO(text)):
        if number > MAX_HEADER_LINES:
            break
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        separator = next((mark for mark in SEPARATORS if mark in bare), None)
        words = _words(bare, separator)
        if all(_is_number(word.replace(",", ".") if separator == ";" else word) for word in words):
            names = [word.strip("\"' ") for word in _words(before[-1], separator)] if before else []
            return number, separator, names if len(names) == len(words) else [], len(words)
        before.append(bare)
    raise RecordingError(f"{path}: none of its first {MAX_HEADER_LINES} lines is of numbers")


def _words(line: str, separator: str | None) -> list[str]:
    return line.split(separator) if separator else line.split()


def _is_number(word: str) -> bool:
    return re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf)\s*", word) is not None
