"""``edgetune report``: a bundle's report as a file to open, or an overview of a folder of recordings."""

from __future__ import annotations

from io import StringIO
from math import isfinite
from pathlib import Path  # noqa: TC003 - typer reads it
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgetune_nas.bundle import CARD, REPORT, read_card
from edgetune_nas.bundle_files import read_verified
from edgetune_nas.errors import BundleError
from edgetune_node.cli.bundle import card_table
from edgetune_node.cli.json_output import json_errors, print_json
from edgetune_signal import Recording, RecordingError, read_recording
from edgetune_signal.indicators import indicators

if TYPE_CHECKING:
    from collections.abc import Iterable

HTML = '<!doctype html>\n<meta charset="utf-8">\n<title>Recordings</title>\n<pre>{code}</pre>\n'
PAGE_WIDTH = 140
INDICATORS = ("rms", "peak", "crest_factor", "kurtosis")


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A bundle's folder, or a folder of recordings.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Write the report, a page of HTML, to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a bundle's report says and where it is; or what a folder of recordings holds."""
    with json_errors(wanted=as_json):
        content: dict[str, Any]
        if (folder / CARD).exists():
            card = read_card(folder)
            page = read_verified(folder, {REPORT: card.sha256[REPORT]}, {})[REPORT]
            table, content = card_table(card), {"card": card.model_dump(mode="json")}
            where = folder / REPORT
        else:
            found = _figures(folder)
            table, content = _overview(folder, found), {"recordings": found}
            page, where = _page(table), None
        if out is not None:
            try:
                out.write_bytes(page)
            except OSError as error:
                raise BundleError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
            where = out
    if as_json:
        print_json({"report": None if where is None else str(where), **content})
        return
    Console().print(table)
    if where is not None:
        typer.echo(f"open {where.resolve().as_uri()}")


def _figures(folder: Path) -> list[dict[str, Any]]:
    """Say of each recording how long it is, and how it sounds: means over its channels, None where there is none."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise RecordingError(f"{folder}: is neither a bundle (no {CARD}) nor a folder of recordings (no .npz)")
    return [{"file": path.name, **_figures_of(read_recording(path))} for path in paths]


def _figures_of(recording: Recording) -> dict[str, Any]:
    heard = indicators(recording.samples, recording.unit, recording.rate_hz)
    return {
        "label": recording.label,
        "seconds": recording.seconds,
        "held_out_s": (recording.samples.shape[1] - recording.held_out_from) / recording.rate_hz,
        **{name: _mean(getattr(heard, name)) for name in INDICATORS},
    }


def _mean(values: Iterable[float]) -> float | None:
    finite = [float(value) for value in values if isfinite(value)]
    return fmean(finite) if finite else None


def _overview(folder: Path, found: list[dict[str, Any]]) -> Table:
    table = Table(title=escape(str(folder)), box=box.SIMPLE)
    table.add_column("recording (class)", overflow="fold")
    for name in ("seconds", "held out", "rms", "peak", "crest", "kurtosis"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        name = each["file"].removesuffix(".npz")
        shown = name if name == each["label"] else f"{name} ({each['label']})"
        figures = ("-" if each[name] is None else f"{each[name]:.3g}" for name in INDICATORS)
        table.add_row(escape(shown), f"{each['seconds']:.2f}", f"{each['held_out_s']:.2f}", *figures)
    return table


def _page(table: Table) -> bytes:
    page = Console(record=True, width=PAGE_WIDTH, file=StringIO())
    page.print(table)
    return page.export_html(inline_styles=True, code_format=HTML).encode()
