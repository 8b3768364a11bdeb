"""``edgetune watch``: what one node or a whole line says, as a live table, as plain lines, or as JSON lines."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgetune_node.operator import (
    Fleet,
    OperatorClient,
    Row,
    Target,
    cause_text,
    fault_text,
    filters,
    heard_text,
    is_stale,
    model_text,
    phase_text,
    sample_age,
    takes_target,
)
from edgetune_node.terminal import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

REFRESH_S = 0.25
OLD_SAMPLES_S = 5.0
WIDE_COLUMNS = 110


@takes_target
def watch(
    target: Target,
    *,
    seconds: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="End after this time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every message as one line of JSON.")] = False,
) -> None:
    """Show nodes and their assets until Ctrl-C: all of a namespace, or one with --node."""
    console = Console()
    with OperatorClient(target.mqtt) as client:
        try:
            client.subscribe(*filters(target.seen_namespace, target.node, target.asset))
            if as_json:
                _print_json(client, seconds)
            elif console.is_terminal:
                _show_table(client, Fleet(target.seen_namespace), console, seconds)
            else:
                _print_changes(client, Fleet(target.seen_namespace), seconds)
        except KeyboardInterrupt:
            return
        except BrokenPipeError:  # the reader, such as head, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def asset_table(rows: list[Row], now: float, *, width: int) -> Table:
    """Return the rows as a table that fits ``width`` columns: wide with a column each, narrow with a line each."""
    wide = width >= WIDE_COLUMNS
    names = ["asset", "status", "phase", "heard", "fault", "model", "samples"] if wide else ["asset", "what it says"]
    shown = Table(*names, box=None, expand=True, padding=(0, 1))
    for row in rows:
        cells = _cells(row, now)
        if wide:
            why = cells.pop("why")
            cells["fault"] = Text("\n").join(text for text in (cells["fault"], why) if text.plain)
            shown.add_row(*cells.values(), style="dim" if row.status != "online" else "")
            continue
        shown.add_row(
            cells.pop("asset"),
            Group(*(Text.assemble((f"{name} ", "dim"), text) for name, text in cells.items() if text.plain)),
            style="dim" if row.status != "online" else "",
            end_section=True,
        )
    return shown


def _cells(row: Row, now: float) -> dict[str, Text]:
    age = sample_age(row, now)
    fault_style = ""
    if row.fault is not None and row.fault.active and not is_stale(row):
        fault_style = "yellow" if row.fault.acknowledged else "bold red"
    return {
        "asset": Text(f"{row.node}/{row.asset}" if row.asset else row.node, style="bold"),
        "status": Text(row.status or "not heard", style="green" if row.status == "online" else ""),
        "phase": Text(phase_text(row)),
        "heard": Text(heard_text(row.heard)),
        "fault": Text(fault_text(row), style=fault_style),
        "why": Text(cause_text(row)),
        "model": Text(model_text(row.model)),
        "samples": Text(
            "" if age is None else f"{max(0.0, age):.0f} s ago",
            style="red" if age is not None and age > OLD_SAMPLES_S else "",
        ),
    }


def _show_table(client: OperatorClient, fleet: Fleet, console: Console, seconds: float | None) -> None:
    def picture() -> Group:
        rows = fleet.rows()
        state = "" if client.connected else "connection to the broker lost; trying again"
        if not rows and not state:
            state = "nothing heard yet"
        parts: list[Any] = [asset_table(rows, time.monotonic(), width=console.width)]
        return Group(*parts, Text(state, style="yellow"))

    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:

        def refresh() -> None:
            live.update(picture(), refresh=True)

        _listen(client, seconds, lambda topic, payload: fleet.take(topic, payload, time.monotonic()), refresh)


def _print_changes(client: OperatorClient, fleet: Fleet, seconds: float | None) -> None:
    said: dict[str, str] = {}

    def say(name: str, text: str) -> None:
        if text and said.get(name) != text:
            said[name] = text
            sys.stdout.write(f"{name}: {text}\n")
            sys.stdout.flush()

    def take(topic: str, payload: dict[str, Any]) -> None:
        row = fleet.take(topic, payload, time.monotonic())
        if row is not None:
            name = f"{row.node}/{row.asset}"
            say(name, line_text(row))
        elif topic.endswith("/status"):
            name = topic.removesuffix("/status")
            say(name, str(payload.get("status")))
            for each in fleet.of_node(name.rpartition("/")[2]):
                say(f"{each.node}/{each.asset}", line_text(each))

    _listen(client, seconds, take, None)


def line_text(row: Row) -> str:
    """Return what changes rarely; the confidence of each window is left out."""
    state = row.state
    parts = {
        "": state.phase + (f" ({state.reason})" if state.reason else "") if state else "",
        "hears ": row.heard.class_ if row.heard else "",
        "fault ": fault_text(row),
        "why: ": cause_text(row),
        "model ": model_text(row.model),
        "suggested: ": " / ".join(row.suggested),
    }
    return "; ".join(f"{name}{text}" for name, text in parts.items() if text)


def _print_json(client: OperatorClient, seconds: float | None) -> None:
    def write(topic: str, payload: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps({"topic": topic, "payload": payload}) + "\n")
        sys.stdout.flush()

    _listen(client, seconds, write, None)


def _listen(
    client: OperatorClient,
    seconds: float | None,
    take: Callable[[str, dict[str, Any]], object],
    refresh: Callable[[], None] | None,
) -> None:
    """Hand over every message, and refresh four times a second at the most, until ``seconds`` are over."""
    ends = None if seconds is None else time.monotonic() + seconds
    due = time.monotonic()
    while ends is None or time.monotonic() < ends:
        wait = REFRESH_S if ends is None else min(REFRESH_S, max(0.0, ends - time.monotonic()))
        item = next(client.messages(wait), None)
        if item is not None:
            take(*item)
        if refresh is not None and time.monotonic() >= due:
            refresh()
            due = time.monotonic() + REFRESH_S
