"""Which files an import takes, and what their names, folders or a table say of them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.registry import find_files
from edgetune_signal.files.signal_file import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_TABLE_BYTES: Final = 1 << 26
SHOWN: Final = 200
"""Characters of a class at most, and of a word of a table in an error."""
_FIELD: Final = re.compile(r"\{(label|condition|subject|skip)\}")
LabelFrom = Literal["folder", "name"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a file besides its samples; None where nothing is."""

    label: str | None = None
    condition: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How files are imported.

    Attributes
    ----------
    read
        What a person says of the files.
    label
        Class of all of them; it wins over a column of labels.
    label_from
        Where else a class is from: the folder's name, or the file's name; ``read.label_column`` names a column.
    pattern
        How names are made, with ``{label}``, ``{condition}``, ``{subject}`` and ``{skip}``, as ``{label}_{condition}``;
        by default a name is a label, without a number at its end.
    condition_from
        ``folder`` where the folder's name is the condition.
    table
        A text file with columns ``file`` and ``label``, and optionally ``condition`` and ``subject``.
    sensor, subject
        Of all recordings.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    label: str | None = None
    label_from: LabelFrom | None = None
    pattern: str | None = None
    condition_from: Literal["folder"] | None = None
    table: Path | None = None
    sensor: str = ""
    subject: str = ""


def plan_labels(places: Sequence[Path], options: ImportOptions) -> dict[Path, Labels]:
    """Return the files to import, and what their names, folders or a table say of them.

    Raises
    ------
    RecordingError
        A place is not there, a pattern fits no name, or the table names files that are not there.
    """
    if options.table is not None:
        return _table(options.table, places)
    return {path: _labels(path, options) for path in find_files(places)}


def _labels(path: Path, options: ImportOptions) -> Labels:
    found = Labels(condition=path.parent.name if options.condition_from == "folder" else "")
    if options.pattern is not None:
        return _by_pattern(path, options.pattern, found)
    if options.label_from == "folder":
        return replace(found, label=path.parent.name)
    if options.label_from == "name":
        return replace(found, label=re.sub(r"[_\-. ]*\d+$", "", path.name.split(".")[0]) or path.name.split(".")[0])
    return found


def _by_pattern(path: Path, pattern: str, found: Labels) -> Labels:
    parts = _FIELD.split(pattern)
    fields = parts[1::2]
    if len(set(fields) - {"skip"}) != len([each for each in fields if each != "skip"]) or not fields:
        raise RecordingError(f"--pattern {pattern}: each of {{label}}, {{condition}}, {{subject}} may stand in it once")
    groups = [rf"(?P<{each}>.+?)" if each != "skip" else ".+?" for each in fields]
    expression = "".join(re.escape(text) + group for text, group in zip(parts[::2], [*groups, ""], strict=True))
    stem = path.name.split(".")[0]
    match = re.fullmatch(expression, stem)
    if match is None:
        raise RecordingError(f"{path}: its name {stem!r} does not fit --pattern {pattern}: change the pattern")
    told = match.groupdict()
    return Labels(told.get("label"), told.get("condition", found.condition), told.get("subject", found.subject))


def _table(table: Path, places: Sequence[Path]) -> dict[Path, Labels]:
    try:
        if table.stat().st_size > MAX_TABLE_BYTES:
            raise RecordingError(f"{table}: is larger than {MAX_TABLE_BYTES} bytes: is it the table of labels?")
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{table}: cannot be read: {error}") from error
    separator = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    try:
        rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    except csv.Error as error:
        raise RecordingError(f"{table}: is no table: {error}: is it the table of labels?") from error
    if not rows or not {"file", "label"} <= {str(key).strip() for key in rows[0]}:
        raise RecordingError(f"{table}: has no columns file and label: put them into its first line")
    roots = [place for place in places if place.is_dir()] or [table.parent]
    found: dict[Path, Labels] = {}
    for number, row in enumerate(rows, start=2):
        said = {str(key).strip(): str(value or "").strip() for key, value in row.items()}
        there = next((root / said["file"] for root in roots if _is_file(root / said["file"])), None)
        if there is None:
            raise RecordingError(
                f"{table}: line {number} names {said['file'][:SHOWN]!r}, which is not in {roots[0]}: correct it"
            )
        if not said["label"]:
            raise RecordingError(f"{table}: line {number} has no label: give one")
        labels = Labels(said["label"], said.get("condition", ""), said.get("subject", ""))
        if found.setdefault(there, labels) != labels:
            raise RecordingError(
                f"{table}: line {number} has {said['label'][:SHOWN]!r} for {there.name}, and a line before it has other"
                " labels: leave one"
            )
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False
