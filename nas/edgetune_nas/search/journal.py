"""The search's journal: append-only JSON lines, each on disk before the search goes on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Self

from edgetune_nas.errors import JournalError
from edgetune_signal.durable import sync

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

FORMAT = 1


class Journal:
    """A journal open for appending; ``records`` are those that stood in it, without the header.

    A line that the power cut short stands at the end and is cut off; the search evaluates that candidate again.

    Parameters
    ----------
    path
        The file; made if it is not there.
    header
        What the search is about. A journal of anything else is refused.

    Raises
    ------
    JournalError
        When the header differs (the message names the fields), or a line before the last is damaged.
    OSError
        When the file cannot be read or written.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        wanted = {"journal": FORMAT, **header}
        lines, size = _read(path)
        self.records = lines[1:]
        if lines:
            _check_header(path, lines[0], wanted)
        self._file = path.open("ab")
        self._file.truncate(size)
        if not lines:
            self.append(wanted)
            sync(path.parent)

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is on disk when this returns."""
        self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; the journal stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Whole records and the bytes they take; what follows the last of them is a torn tail."""
    data = path.read_bytes() if path.exists() else b""
    records: list[dict[str, Any]] = []
    size = 0
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # the last piece has no newline: torn, or empty
        record = _parsed(line)
        if record is None:
            if number < len(lines) - 1:
                raise JournalError(f"{path}: line {number} is damaged; move the journal away to search anew")
            break
        records.append(record)
        size += len(line) + 1
    return records, size


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _check_header(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    wrong = [
        f"{name} is {found.get(name)!r}, now {wanted.get(name)!r}"
        for name in dict.fromkeys((*wanted, *found))
        if found.get(name) != wanted.get(name)
    ]
    if wrong:
        raise JournalError(
            f"{path} belongs to another search ({'; '.join(wrong)}); take another output folder or move it away"
        )
