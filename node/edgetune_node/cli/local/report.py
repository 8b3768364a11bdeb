"""``edgetune report``: a bundle's report as a file to open, or an overview of a node's or a folder's recordings."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from edgetune_nas.bundle import CARD, REPORT, read_card, read_verified
from edgetune_nas.errors import BundleError
from edgetune_node.cli.local.bundle import card_table
from edgetune_node.cli.recordings_report.figures import by_class, find_recordings, look_at, machine_finder
from edgetune_node.config import MachineSection, load_settings, read_bearing
from edgetune_node.contract import problems
from edgetune_node.errors import ConfigError
from edgetune_node.terminal import json_errors, print_json, takes_reading
from edgetune_signal import RecordingError
from edgetune_signal.files import ReadOptions  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgetune_node.cli.recordings_report.figures import RecordingFigures

INDICATORS = ("rms", "peak", "crest_factor", "kurtosis")
MOST_LINES = 200


@takes_reading
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A bundle, a node's data_dir, or a folder of recordings.")
    ],
    *,
    out: Annotated[Path | None, typer.Option(help="Write the report, one page of HTML, to this file.")] = None,
    config: Annotated[Path | None, typer.Option(help="The node's config.toml, for its table asset.machine.")] = None,
    bearing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|GEOMETRY",
            help="A bearing of the catalogue, or balls=9,ball_diameter=7.94,pitch_diameter=39.04, or its orders "
            "(bpfo=...,bpfi=...,bsf=...,ftf=...), where no --config says it.",
        ),
    ] = None,
    shaft_rpm: Annotated[float | None, typer.Option(help="Speed, if recordings and --config do not say it.")] = None,
    reading: ReadOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a bundle's report says and where it is; or what a node's or a folder's recordings hold."""
    with json_errors(wanted=as_json):
        content: dict[str, Any]
        if (folder / CARD).exists():
            card = read_card(folder)
            page = read_verified(folder, {REPORT: card.sha256[REPORT]}, {})[REPORT]
            table, content = card_table(card), {"card": card.model_dump(mode="json")}
            where = folder / REPORT
            written = _written(out, page)
        else:
            table, content, page_of = _recordings(folder, config, bearing, shaft_rpm, reading, quiet=as_json)
            where = None
            written = None if out is None else _written(out, page_of())
        where = written or where
    if as_json:
        print_json({"report": None if where is None else str(where), **content})
        return
    Console().print(table)
    for each in content.get("broken", []):
        typer.echo(f"{each['file']} cannot be read: {each['reason']}", err=True)
    if where is not None:
        typer.echo(f"open {where.resolve().as_uri()}")


def _written(out: Path | None, page: bytes) -> Path | None:
    if out is not None:
        try:
            out.write_bytes(page)
        except OSError as error:
            raise BundleError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
    return out


def _recordings(
    folder: Path,
    config: Path | None,
    bearing: str | None,
    shaft_rpm: float | None,
    reading: ReadOptions,
    *,
    quiet: bool,
) -> tuple[Table, dict[str, Any], Callable[[], bytes]]:
    """Return the table, the JSON object, and what draws the page."""
    try:
        other = MachineSection(bearing=None if bearing is None else read_bearing(bearing), shaft_rpm=shaft_rpm)
    except ValidationError as error:
        raise ConfigError("--bearing, --shaft-rpm", problems(error)) from None
    except ValueError as error:
        raise ConfigError("--bearing", [str(error)]) from None
    sections = {} if config is None else {each.id: each.machine for each in load_settings(config).asset}
    machines = machine_finder(sections, other)
    files = find_recordings(folder)
    if not files:
        raise RecordingError(
            f"{folder}: is neither a bundle (no {CARD}), nor a node's data folder (no assets with recordings), "
            "nor a folder of recordings (no .npz)"
        )
    console = Console(stderr=True)
    shown = partial(track, console=console, transient=True, disable=quiet or not console.is_terminal)
    figures, broken = look_at(shown(files, description="reading"), machines, reading)
    if not figures:
        reasons = "; ".join(f"{found.path.name}: {reason}" for found, reason in list(broken.items())[:3])
        raise RecordingError(f"{folder}: none of {len(broken)} recordings can be read: {reasons}")
    content = {
        "recordings": [each.fields() for each in figures.values()],
        "classes": by_class(figures.values()),
        "broken": [{"file": str(found.path), "reason": reason} for found, reason in broken.items()],
    }

    def page() -> bytes:
        from edgetune_node.cli.recordings_report.page import recordings_page

        drawn = partial(shown, description="drawing")
        return recordings_page(folder, figures, broken, machines, drawn, reading).encode()

    return _overview(folder, list(figures.values())), content, page


def _overview(folder: Path, figures: list[RecordingFigures]) -> Table:
    left_out = len(figures) - MOST_LINES
    more = f"and {left_out} more: --out or --json" if left_out > 0 else None
    table = Table(title=escape(str(folder)), box=box.SIMPLE, caption=more)
    table.add_column("recording (class)", overflow="fold")
    for name in ("seconds", "held out", "rms", "peak", "crest", "kurtosis"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in figures[:MOST_LINES]:
        name = "/".join(part for part in (each.asset, each.file.removesuffix(".npz")) if part)
        shown = name if name == each.label else f"{name} ({each.label})"
        table.add_row(escape(shown), f"{each.seconds:.2f}", f"{each.held_out_s:.2f}", *_shown(each))
    return table


def _shown(figures: RecordingFigures) -> Iterable[str]:
    values = (getattr(figures, name) for name in INDICATORS)
    return ("-" if value is None else f"{value:.3g}" for value in values)
