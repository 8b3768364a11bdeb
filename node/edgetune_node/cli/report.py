"""``edgetune report``: a bundle's report as a file to open, or an overview of a folder of recordings."""

from __future__ import annotations

from io import StringIO
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgetune_nas.bundle import CARD, REPORT, read_card
from edgetune_nas.bundle_files import read_verified
from edgetune_nas.errors import BundleError
from edgetune_node.cli.bundle import card_table
from edgetune_signal import Recording, RecordingError, read_recording
from edgetune_signal.indicators import indicators

HTML = '<!doctype html>\n<meta charset="utf-8">\n<title>Recordings</title>\n<pre>{code}</pre>\n'
PAGE_WIDTH = 140


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A bundle's folder, or a folder of recordings.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Write the report, a page of HTML, to this file.")] = None,
) -> None:
    """Show what a bundle's report says and where it is; or what a folder of recordings holds."""
    if (folder / CARD).exists():
        card = read_card(folder)
        page = read_verified(folder, {REPORT: card.sha256[REPORT]}, {})[REPORT]
        Console().print(card_table(card))
        where = folder / REPORT
    else:
        page = _overview(folder)
        where = None
    if out is not None:
        try:
            out.write_bytes(page)
        except OSError as error:
            raise BundleError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
        where = out
    if where is not None:
        typer.echo(f"open {where.resolve().as_uri()}")


def _overview(folder: Path) -> bytes:
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise RecordingError(f"{folder}: is neither a bundle (no {CARD}) nor a folder of recordings (no .npz)")
    table = Table(title=escape(str(folder)), box=box.SIMPLE)
    table.add_column("recording (class)", overflow="fold")
    for name in ("seconds", "held out", "rms", "peak", "crest", "kurtosis"):
        table.add_column(name, justify="right", no_wrap=True)
    for path in paths:
        recording = read_recording(path)
        name = path.stem if path.stem == recording.label else f"{path.stem} ({recording.label})"
        table.add_row(escape(name), *_figures(recording))
    Console().print(table)
    page = Console(record=True, width=PAGE_WIDTH, file=StringIO())
    page.print(table)
    return page.export_html(inline_styles=True, code_format=HTML).encode()


def _figures(recording: Recording) -> tuple[str, ...]:
    found = indicators(recording.samples, recording.unit, recording.rate_hz)
    held_out = (recording.samples.shape[1] - recording.held_out_from) / recording.rate_hz
    values = (found.rms, found.peak, found.crest_factor, found.kurtosis)
    return (
        f"{recording.seconds:.2f}",
        f"{held_out:.2f}",
        *(f"{float(np.nanmean(value)):.3g}" for value in values),
    )
