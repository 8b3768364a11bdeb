"""What a node has kept to be looked at: ``edgetune capture`` gets a signal, ``edgetune history`` the trend."""

from __future__ import annotations

import csv
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from edgetune_node.cli.remote.jobs import check, find_asset
from edgetune_node.contract import CaptureCommand, History, TrendFigure
from edgetune_node.errors import NodeError
from edgetune_node.operator import OperatorClient, Target, recording_of, rows_of, takes_target, wait_parts
from edgetune_node.terminal import json_errors, parse_seconds, print_json
from edgetune_signal import write_recording

if TYPE_CHECKING:
    from edgetune_node.operator import PartedAnswer

TIMEOUT_S = 60.0
MOST_SHOWN = 48


@takes_target
def capture(
    target: Target,
    *,
    event: Annotated[
        str | None, typer.Option(metavar="ID", help="The fault's event id, as `edgetune watch` shows it.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Record the signal around this moment instead.")] = False,
    number: Annotated[
        int | None, typer.Option(min=0, help="Which signal of the event; 0 is from its raise. (default: the newest)")
    ] = None,
    before: Annotated[
        float | None,
        typer.Option(parser=parse_seconds, metavar="TIME", help="With --now: time before, at most 10s (default)."),
    ] = None,
    after: Annotated[
        float | None,
        typer.Option(parser=parse_seconds, metavar="TIME", help="With --now: time after, at most 10s (default)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the signal to this file, a recording (.npz).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Get the signal that a node has kept of a fault, or record it around this moment."""
    fields = {
        "event": event,
        "now": now or None,
        "number": number,
        "before_s": before,
        "after_s": after,
        "samples": out is not None,
    }
    check(CaptureCommand, fields)
    with json_errors(wanted=as_json):
        answer = _asked(target, "capture", fields)
        if out is not None:
            write_recording(out, recording_of(answer))
    detail = answer.detail | {"out": None if out is None else str(out)}
    if as_json:
        print_json(detail)
        return
    seconds = detail["samples"] / detail["rate_hz"]
    stream = f"{detail['channels']} channels at {detail['rate_hz']:g} Hz in {detail['unit']}"
    when = f"{seconds:.1f} s from {detail['start']}"
    typer.echo(f"{detail['class']} ({detail['reason']}): {when}, {stream}; {detail['kept']} kept of this event")
    typer.echo(
        "add --out FILE to save the signal" if out is None else f"written to {out}; look at it with edgetune report"
    )


@takes_target
def history(
    target: Target,
    *,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Start, such as 2026-01-31T12:00Z.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="TIME", help="End. (default: now)")] = None,
    step: Annotated[
        Literal["minute", "hour", "day"] | None, typer.Option(help="Time that each row is the mean of.")
    ] = None,
    figures: Annotated[str, typer.Option(help="Only these columns, such as rms,distance.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write all rows to this file (.csv).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Get the means of a machine's indicators over time, as its node keeps them."""
    named: list[TrendFigure] = [name.strip() for name in figures.split(",") if name.strip()]  # type: ignore[misc]
    fields = {"from": since, "to": to, "step": step, "figures": named or None}
    check(History, fields)
    with json_errors(wanted=as_json):
        answer = _asked(target, "history", fields)
        columns, rows = list(answer.detail["columns"]), rows_of(answer)
        if out is not None:
            _write_csv(out, columns, rows)
    if as_json:
        print_json({"step": answer.detail["step"], "columns": columns, "rows": rows})
        return
    if not rows:
        typer.echo("nothing is kept of that time: a node keeps means of each minute in which it judges the machine")
    if out is not None:
        typer.echo(f"{len(rows)} rows, one a {answer.detail['step']}, written to {out}")
        return
    left = len(rows) - MOST_SHOWN
    table = Table(*columns, box=box.SIMPLE, caption=f"the last of {len(rows)}: --out or --json" if left > 0 else None)
    for row in rows[-MOST_SHOWN:]:
        table.add_row(*("-" if value is None else str(value) for value in row))
    Console().print(table)


def _asked(target: Target, name: str, fields: dict[str, Any]) -> PartedAnswer:
    with OperatorClient(target.mqtt, target.topics) as client:
        client.asset = find_asset(client, target.topics, target.asset)
        return wait_parts(client, client.send(name, **fields), timeout=TIMEOUT_S)


def _write_csv(out: Path, columns: list[str], rows: list[list[Any]]) -> None:
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    except OSError as error:
        raise NodeError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
