"""``edgetune bundle c``: a bundle as a C library for microcontrollers."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle import load_bundle
from edgetune_nas.mcu import write_library
from edgetune_node.terminal import json_errors, print_json, takes_reading
from edgetune_signal import load_dataset
from edgetune_signal.files import ReadOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIFFERENT = 1


@takes_reading
def write_c(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, model-<id>.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the library; it must not exist yet.")],
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Take samples one by one, without storing the window.")
    ] = False,
    hop: Annotated[
        int | None, typer.Option(min=1, help="Samples from window to window of a stream. (default: a window's length)")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Windows or recordings to compare on. (default: the bundle's self-test and seeded noise)"),
    ] = None,
    converter: Annotated[
        str | None, typer.Option(help="Reader of DATA in another form: isl, myo, cwru-mat ...")
    ] = None,
    reading: ReadOptions,
    name: Annotated[str | None, typer.Option(help="Prefix of all names in C. (default: model_<id>)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the int8 network as a C99 library, compare it with onnxruntime, and measure it on emulated cores.

    Exit 1 where the outputs are not what they should be. What needs a compiler or an emulator that is not installed is
    not measured.
    """
    if data is None and (converter is not None or reading != ReadOptions()):
        raise typer.BadParameter("--converter and what is said of files go with --data; give the files, too")
    with json_errors(wanted=as_json):
        x = None if data is None else _windows(bundle, data, converter, reading)
        report = write_library(bundle, out, streaming=streaming, hop=hop, x=x, name=name)
    fields = {"out": str(out.resolve()), **report.fields()}
    if as_json:
        print_json(fields)
    else:
        _show(fields, report.sentence())
    if not report.acceptable:
        sys.stderr.write("edgetune: the outputs differ from onnxruntime's; do not use this library, and report it\n")
        raise typer.Exit(DIFFERENT)


def _windows(bundle: Path, data: Path, converter: str | None, reading: ReadOptions) -> NDArray[np.float32]:
    from edgetune_node.cli.local.evaluate import check_fits, cut_length

    opened = load_bundle(bundle, "int8")
    window = cut_length(data, opened.card.input.length, converter)
    dataset = load_dataset(data, window=window, unit=reading.unit, converter=converter, one_class=True, reading=reading)
    check_fits(opened, dataset)
    return dataset.x


def _show(fields: dict[str, Any], sentence: str) -> None:
    console = Console()
    table = Table(title=f"{fields['name']}, {fields['arena_bytes']} B of arena", title_justify="left")
    for heading in ("core", "static RAM", "stack", "text", "of it the model's", "instructions", "worst", "equal"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "core")
    keys = ("bss_bytes", "stack_bytes", "text_bytes", "model_text_bytes", "instructions", "worst_instructions")
    for core, figures in fields["cores"].items():
        equal = {None: "-", True: "yes", False: "no"}[figures["equal"]]
        table.add_row(core, *("-" if figures[key] is None else str(figures[key]) for key in keys), equal)
    console.print(table)
    typer.echo(sentence)
    typer.echo(f"library  {fields['out']}")
