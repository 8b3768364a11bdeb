"""What a backtest prints for people: faults by event and recording, signs by what was asked for."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.cli.backtesting.run import Backtest
    from edgetune_node.cli.backtesting.signs import Judged
    from edgetune_node.config import AssetSection

MOST_SHOWN: Final = 60
ROUNDING: Final = 1e-6


def show(run: Backtest, figures: dict[str, Any], section: AssetSection) -> None:
    """Print tables, and a last line of totals."""
    if run.for_signs:
        _show_signs(run, section)
        return
    for name in ("events", "recordings"):
        rows = figures[name]
        if rows:
            _print_table(name, list(rows[0]), [list(row.values()) for row in rows])
    rate = figures["false_alarms_per_month"]
    told = f"{_count(len(run.events), 'event')} in {run.signal_seconds:.0f} s of signal"
    if rate is not None:
        low, high = figures["false_alarms_per_month_low"], figures["false_alarms_per_month_high"]
        told += f"; in healthy recordings {rate:g} false alarms a month (95 % interval {low:g} to {high:g})"
    else:
        named = f"no recording is of the healthy class {section.healthy_class!r} (rest_class of --config names another)"
        told += f"; {named}, so every class counts as a fault"
    typer.echo(told)
    hint = _too_short(run, section)
    if hint:
        typer.echo(hint)


def _too_short(run: Backtest, section: AssetSection) -> str:
    """Return why recordings that are too short for an alarm raise nothing, and what to do; empty if none is."""
    raise_s, window = section.alarm.raise_after_s, section.window
    hop_s, overlap_s = window.hop / section.rate_hz, (window.length - window.hop) / section.rate_hz
    judged_s = [floor((each.span_s - overlap_s) / hop_s + ROUNDING) * hop_s for each in run.recordings]
    short = sum(seconds < raise_s * (1 - ROUNDING) for seconds in judged_s)
    never = run.each or sum(judged_s) < raise_s
    if not short or (not never and (run.events or short < len(judged_s))):
        return ""
    are, them = ("is", "it") if short == 1 else ("are", "them")
    so = f"nothing can be raised in {them}" if never else "a fault that only one of them shows is not raised"
    return (
        f"{short} of {_count(len(judged_s), 'recording')} {are} too short, so {so}: a fault must last {raise_s:g} s, "
        "in whole windows (raise_after_s); record for longer, or give a shorter --raise-after"
    )


def _show_signs(run: Backtest, section: AssetSection) -> None:
    log = run.signs
    several, asked = len(run.recordings) > 1, log.counted
    columns = ["recording"] * several + ["asked"] * asked + ["sign", "start_s", "end_s"] + ["outcome"] * asked
    rows = [[each.recording] * several + _row(each, asked=asked) for each in log.judged]
    if rows:
        _print_table("signs", columns, rows)
    told = f"{_count(len(log.signs), 'sign')} in {run.signal_seconds:.0f} s of signal"
    rest = section.healthy_class
    nameless = f"; the model has no class {rest!r}, so each of its classes is a sign (rest_class of --config names it)"
    nameless = "" if rest in run.classes else nameless
    if not log.counted:
        known = ", ".join(run.classes)
        typer.echo(
            f"{told}; no recording has a cue, or a label that the model knows ({known}), to hold them against{nameless}"
        )
        return
    told += ": " + ", ".join(f"{count} {name}" for name, count in log.counts.items())
    false = log.false_per_minute_of_rest
    if false is not None:
        told += f"; {false:g} false signs a minute of rest"
    elif rest in run.classes:
        told += f"; no rest ({rest!r}) was recorded, so false signs are not counted"
    if log.unheld:
        told += f"; not counted, since the model does not know the label: {', '.join(log.unheld)}"
    typer.echo(told + nameless)
    if log.counts["missed"] and rest in run.classes:
        typer.echo(
            f"no sign is told before rest was heard: where no rest ({rest!r}) comes before a missed sign, "
            f"play a recording of rest first{', and leave out --each' if run.each else ''}"
        )


def _row(each: Judged, *, asked: bool) -> list[Any]:
    sign = each.sign
    if sign is None:
        cells: list[Any] = [None, None, None]
    else:
        turned = sign.end_class not in {None, sign.class_}
        cells = [
            f"{sign.class_}, at its end {sign.end_class}" if turned else sign.class_,
            f"{sign.start_s - each.earlier_s:.2f}",
            "goes on" if sign.end_s is None else f"{sign.end_s - each.earlier_s:.2f}",
        ]
    return [each.asked or None, *cells, each.outcome or None] if asked else cells


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    left = len(rows) - MOST_SHOWN
    table = Table(title=title, box=box.SIMPLE, caption=f"and {left} more: --json" if left > 0 else None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows[:MOST_SHOWN]:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return escape(", ".join(map(str, value)))
    return "-" if value is None else escape(f"{value:g}" if isinstance(value, float) else str(value))
