"""Tables and picture of the search benchmark."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_data import TASKS
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console

Result = dict[str, Any]
COLOURS = {
    "edgetune": "#0f766e",
    "paper's family": "#b45309",
    "random search": "#6b7280",
    "TPE (Optuna)": "#4338ca",
    "MiniRocket + ridge": "#be123c",
    "features + forest": "#65a30d",
}
LABEL_SHARE = 0.09
"""Share of the axis that a number below it takes."""
TITLES = {
    "budgets": "Accuracy against RAM and time (held-out windows, mean and spread over splits)",
    "amount": "Accuracy against training data",
    "conditions": "Learned at one load, asked at another",
    "few-shot": "A little data of a new condition",
}


def print_tables(console: Console, results: list[Result]) -> None:
    """Print one table for each kind of run, one row for each system, task and budget."""
    for name, title in TITLES.items():
        own = [each for each in results if each["table"] == name]
        if own:
            console.print(_table(title, own, elsewhere=name == "conditions"))
    for each in results:
        if "executors" in each:
            base = each["executors"]["here"]["seconds"]
            said = ", ".join(
                f"{name} {one['seconds']:.1f} s ({base / one['seconds']:.2f} x)"
                for name, one in each["executors"].items()
            )
            console.print(f"Executors, the same search: {said}; same winner: {'yes' if each['same'] else 'NO'}")


def rows(results: list[Result]) -> list[list[Result]]:
    """Group runs that differ in nothing but the split."""

    def key(each: Result) -> tuple[Any, ...]:
        return (
            list(TASKS).index(each["task"]),
            list(COLOURS).index(each["system"]) if each["system"] in COLOURS else 99,
            each["ram_bytes"] or 0,
            each["amount"] or 0,
            each["library"],
        )

    return [list(group) for _, group in groupby(sorted(results, key=key), key)]


def _table(title: str, results: list[Result], *, elsewhere: bool) -> Table:
    table = Table(title=title, title_justify="left")
    columns = ["task", "system", "budget B", "learned from", "int8 %", "float %", "deployed %"]
    columns += ["elsewhere: int8 %", "float %", "deployed %"] if elsewhere else []
    for name in (*columns, "arena B", "size", "CPU s", "first s", "peak MiB", "n"):
        table.add_column(name, justify="left" if name in {"task", "system", "learned from"} else "right")
    for group in rows(results):
        one = group[0]
        good = [each for each in group if "accuracy" in each]
        given = [TASKS[one["task"]].title, one["system"], str(one["ram_bytes"] or "-"), _learned(one)]
        if not good:
            reason = one.get("refused") or one.get("failed") or "?"
            table.add_row(*given, f"refused: {reason}" if "refused" in one else f"FAILED: {reason}")
            continue
        wanted = ["int8", "float", "deployed"]
        wanted += [f"{each}_elsewhere" for each in wanted] if elsewhere else []
        firsts = [each["first_seconds"] for each in good if each.get("first_seconds") is not None]
        table.add_row(
            *given,
            *(_percent([each["accuracy"].get(name) for each in good]) for name in wanted),
            _span([each["arena_bytes"] for each in good if "arena_bytes" in each]),
            _size(good),
            f"{np.mean([each['cpu_seconds'] for each in good]):.1f}",
            f"{np.mean(firsts):.1f}" if firsts else "-",
            f"{max(each['peak_rss_bytes'] for each in good) / 2**20:.0f}",
            f"{len(good)}" + (f" of {len(group)}" if len(good) < len(group) else ""),
        )
    return table


def _learned(one: Result) -> str:
    if one["amount"] is None:
        return "all"
    unit = {"new load": "s/class", "new person": "cycles"}.get(one["task"], "/class")
    library = " + library" if one["library"] else ""
    return f"{one['amount']:g} {unit}{library}"


def _percent(values: list[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if not known:
        return "-"
    return f"{np.mean(known):.2f}" + (f" ± {np.std(known):.2f}" if len(known) > 1 else "")


def _span(values: list[int]) -> str:
    if not values:
        return "-"
    return str(values[0]) if min(values) == max(values) else f"{min(values)}-{max(values)}"


def _size(good: list[Result]) -> str:
    numbers, units = zip(*(each["size"].split(" ", 1) for each in good), strict=True)
    return f"{np.mean([int(number) for number in numbers]):.0f} {units[0]}"


# ---- picture -----------------------------------------------------------------------------------------------------


def picture(results: list[Result], path: Path) -> None:
    """Write ``path`` with ``.png`` and ``.svg``: accuracy against RAM, processor time and training data."""
    from matplotlib.figure import Figure

    tasks = [task for task in ("cwru", "isl") if any(each["task"] == task for each in results)]
    if not tasks:
        return
    figure = Figure(figsize=(13, 4 * len(tasks)), layout="constrained")
    panels = figure.subplots(len(tasks), 3, squeeze=False)
    for line, task in zip(panels, tasks, strict=True):
        own = [each for each in results if each["task"] == task and "accuracy" in each]
        budgets = [each for each in own if each["table"] == "budgets"]
        _memory(line[0], budgets)
        _time(line[1], budgets)
        _amount(line[2], [each for each in own if each["table"] == "amount"])
        for axes in line:
            axes.set_ylabel("held-out accuracy, %")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#e5e7eb", linewidth=0.5)
        line[0].set_title(TASKS[task].title, loc="left")
        line[0].legend(frameon=False, fontsize=8)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _accuracy(group: list[Result]) -> tuple[float, float]:
    values = [100 * (each["accuracy"].get("int8") or each["accuracy"]["float"]) for each in group]
    return float(np.mean(values)), float(np.std(values))


def _memory(axes: Axes, results: list[Result]) -> None:
    for system, colour in COLOURS.items():
        groups = [group for group in rows(results) if group[0]["system"] == system]
        planned = [group for group in groups if "arena_bytes" in group[0]]
        points = sorted(
            (float(np.mean([each["arena_bytes"] for each in group])), *_accuracy(group)) for group in planned
        )
        if points:
            memory, mean, spread = zip(*points, strict=True)
            axes.errorbar(memory, mean, spread, fmt="o-", color=colour, label=system, capsize=2)
        elif groups:
            label = f"{system} (no arena: a process)"
            axes.axhline(_accuracy(groups[0])[0], color=colour, linestyle="--", linewidth=1, label=label)
    _logarithmic(axes, (512, 720, 1024, 1536, 2304, 3072, 3328, 3584, 4096, 6144, 8192))
    axes.set_xlabel("arena, bytes (int8 plan)")


def _time(axes: Axes, results: list[Result]) -> None:
    for system, colour in COLOURS.items():
        for group in rows(results):
            if group[0]["system"] == system:
                seconds = float(np.mean([each["cpu_seconds"] for each in group]))
                mean, spread = _accuracy(group)
                axes.errorbar([seconds], [mean], [spread], fmt="o", color=colour, capsize=2)
    _logarithmic(axes, (2, 5, 10, 20, 50, 100, 200, 500, 1000))
    axes.set_xlabel("processor seconds, from start to exported file")


def _amount(axes: Axes, results: list[Result]) -> None:
    for system, colour in COLOURS.items():
        groups = [group for group in rows(results) if group[0]["system"] == system]
        points = sorted((group[0]["amount"], *_accuracy(group)) for group in groups)
        if points:
            amount, mean, spread = zip(*points, strict=True)
            axes.errorbar(amount, mean, spread, fmt="o-", color=colour, capsize=2)
    if not results:
        axes.text(0.5, 0.5, "not in the quick form", ha="center", transform=axes.transAxes)
    axes.set_xlabel("windows or gestures of each class")


def _logarithmic(axes: Axes, ticks: tuple[int, ...]) -> None:
    """Scale the x axis; plain numbers at those of ``ticks`` that lie within what was drawn and not on one another."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    shown: list[int] = []
    for tick in ticks:
        if low <= tick <= high and (not shown or tick / shown[-1] > (high / low) ** LABEL_SHARE):
            shown.append(tick)
    axes.set_xticks(shown, [str(tick) for tick in shown])
    axes.xaxis.minorticks_off()
