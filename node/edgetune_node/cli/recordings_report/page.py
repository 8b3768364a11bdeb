"""One page of HTML about a folder of recordings, bounded however many there are."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import TYPE_CHECKING, Any

from edgetune_nas.bundle import page, table
from edgetune_node.cli.recordings_report.figures import by_class
from edgetune_node.cli.recordings_report.pictures import picture, trend_picture
from edgetune_signal.files import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edgetune_node.cli.recordings_report.figures import Found, RecordingFigures
    from edgetune_node.config import MachineSection
    from edgetune_signal.files import ReadOptions

MOST_ROWS, MOST_PICTURES, MOST_TRENDS, MOST_REASONS = 200, 24, 20, 50
COLUMNS = {
    "file": "file",
    "label": "class",
    "time": "time",
    "seconds": "s",
    "held_out_s": "held out, s",
    "rms": "RMS",
    "crest_factor": "crest",
    "kurtosis": "kurtosis",
    "velocity_rms_mm_s": "mm/s",
    "zone": "zone",
    "shaft_rpm": "rpm",
    "defect": "defect",
    "defect_over_floor": "over floor",
}


def recordings_page(
    folder: Path,
    figures: Mapping[Found, RecordingFigures],
    broken: Mapping[Found, str],
    machines: Callable[[str], MachineSection],
    track: Callable[[list[Found]], Iterable[Found]],
    reading: ReadOptions,
) -> str:
    """Write the page: class counts, trends, pictures of the newest of each class, a table of the newest.

    Parameters
    ----------
    track
        Shows how far the drawing is.
    reading
        What a person says of the files.
    """
    newest = sorted(figures, key=lambda found: (figures[found].time or "", found.path.name), reverse=True)
    body = [f"<h1>Recordings</h1><p class='lead'>{escape(str(folder))}: {len(figures)} recordings</p>"]
    body += ["<h2>Classes</h2>", _classes(figures.values())]
    body += _trends(figures.values())
    chosen = for_pictures(newest, figures)
    body.append(f"<h2>Signals</h2><p>{_some(len(chosen), len(newest), 'drawn, the newest of each class')}</p>")
    for found in track(chosen):
        drawing, caption = picture(read_file(found.path, reading), machines(found.asset))
        title = " / ".join(each for each in (found.asset, figures[found].label, found.path.name) if each)
        body.append(f"<h3>{escape(title)}</h3><figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>")
    rows = newest[:MOST_ROWS]
    body.append(f"<h2>Recordings</h2><p>{_some(len(rows), len(newest), 'listed, the newest first')}</p>")
    body.append(table([list(COLUMNS.values()), *(_row(figures[found]) for found in rows)]))
    if broken:
        body.append(f"<h2>Not readable</h2><p>{_some(min(len(broken), MOST_REASONS), len(broken), 'listed')}</p>")
        body.append(table((str(found.path), reason) for found, reason in list(broken.items())[:MOST_REASONS]))
    return page(f"Recordings in {folder.name}", body)


def for_pictures(newest: list[Found], figures: Mapping[Found, RecordingFigures]) -> list[Found]:
    """Choose what is drawn: of each class of each asset in turn the newest that is left, up to `MOST_PICTURES`."""
    waiting: defaultdict[tuple[str, str], list[Found]] = defaultdict(list)
    for found in newest:
        waiting[found.asset, figures[found].label].append(found)
    chosen: list[Found] = []
    for turn in range(MOST_PICTURES):
        chosen += [queue[turn] for _, queue in sorted(waiting.items()) if turn < len(queue)]
        if len(chosen) >= MOST_PICTURES:
            break
    return chosen[:MOST_PICTURES]


def _classes(figures: Iterable[RecordingFigures]) -> str:
    rows = by_class(figures)
    total = sum(row["seconds"] for row in rows)
    shares = (f"{row['seconds'] / total:.0%}" if total else "" for row in rows)
    counts = [[*row.values(), share] for row, share in zip(rows, shares, strict=True)]
    return table([["asset", "class", "recordings", "s", "held out, s", "of the time"], *counts])


def _trends(figures: Iterable[RecordingFigures]) -> list[str]:
    assets: defaultdict[str, list[RecordingFigures]] = defaultdict(list)
    for each in figures:
        assets[each.asset].append(each)
    pictures = {asset: trend_picture(each) for asset, each in sorted(assets.items())[:MOST_TRENDS]}
    drawn = [
        f"<figure>{drawing}<figcaption>{escape(asset)}</figcaption></figure>"
        for asset, drawing in pictures.items()
        if drawing
    ]
    return ["<h2>Trends</h2>", *drawn] if drawn else []


def _row(figures: RecordingFigures) -> list[Any]:
    fields = figures.fields()
    return ["" if fields[name] is None else fields[name] for name in COLUMNS]


def _some(shown: int, there: int, how: str) -> str:
    return f"All {there} are {how}." if shown == there else f"{shown} of {there} are {how}."
