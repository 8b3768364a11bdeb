"""Tables, markdown and picture of the examination."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from exam_child import SEARCH
from exam_methods import METHODS
from exam_protocols import PROTOCOLS, WHOLE
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, Any]
Cells = list[list[str]]
NAMES = [SEARCH, *(method.name for method in METHODS)]
YARDSTICKS = [method.name for method in METHODS if method.yardstick]


def summary(results: Sequence[dict[str, Any]]) -> list[Row]:
    """One row a protocol, test and method, over people and seeds, in the order of the protocols."""
    found: list[Row] = []
    for protocol in PROTOCOLS:
        for test in protocol.tests:
            for method in NAMES:
                of = [
                    run
                    for run in results
                    if (run["protocol"], run["method"]) == (protocol.name, method) and "tests" in run
                ]
                if of:
                    title = protocol.title if test == WHOLE else f"{protocol.title}, {test}"
                    row = {"protocol": protocol.name, "test": test, "title": title, "by_window": protocol.by_window}
                    found.append(row | {"method": method} | _row(of, test))
    return found


def _row(runs: Sequence[dict[str, Any]], test: str) -> Row:
    people: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        people[run["subject"]].append(run)
    each = [float(np.mean([run["tests"][test]["accuracy"] for run in own])) for own in people.values()]
    one = [run["tests"][test]["worst"] for run in runs]
    row: Row = {
        "accuracy": float(np.mean(each)),
        "worst": min(each) if len(each) > 1 else float(np.mean(one)),
        "people": len(each),
        "flash_bytes": float(np.mean([run["flash_bytes"] for run in runs])),
        "cpu_seconds": float(np.mean([run["cpu_seconds"] for run in runs])),
        "peak_rss_bytes": max(run["peak_rss_bytes"] for run in runs),
    }
    if "card" not in runs[0]:
        return row
    seeds = sorted({run["seed"] for run in runs})
    above = [run["tests"][test]["accuracy"] >= run["card"]["low"] - 1e-9 for run in runs]  # rounding of 100 %
    inside = [
        held and run["tests"][test]["accuracy"] <= run["card"]["high"] + 1e-9
        for held, run in zip(above, runs, strict=True)
    ]
    left_out = [float(np.mean(list(each.values()))) for run in runs if (each := run["card"]["left_out"])]
    return row | {
        "left_out": float(np.mean(left_out)) if left_out else None,
        "seeds": [float(np.mean([r["tests"][test]["accuracy"] for r in runs if r["seed"] == s])) for s in seeds],
        "card": {name: float(np.mean([run["card"][name] for run in runs])) for name in ("accuracy", "low", "high")},
        "inside": float(np.mean(inside)),
        "above": float(np.mean(above)),
        "unknown": float(np.mean([run["tests"][test]["unknown"] for run in runs])),
        "int8": float(np.mean([run["tests"][test]["int8"] for run in runs])),
        "arena_bytes": max(run["arena_bytes"] for run in runs),
        "arena_bytes_deployed": max(run["arena_bytes_deployed"] for run in runs),
        "float": sum(run["deployed"] == "float" for run in runs) / len(runs),
    }


def _by_protocol(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["protocol"], row["test"]), {})[row["method"]] = row
    return found


def behind(methods: dict[str, Row]) -> float | None:
    """Return what the search has more than the best yardstick, in points."""
    rest = [methods[name]["accuracy"] for name in YARDSTICKS if name in methods]
    return 100 * (methods[SEARCH]["accuracy"] - max(rest)) if rest and SEARCH in methods else None


def tables(rows: Sequence[Row]) -> dict[str, Cells]:
    """Cells of each table, the head first."""
    return {
        "Accuracy, and that of the worst person or condition, %": _accuracies(rows),
        "The search": _search(rows),
        "Means over the protocols that a method has, those by window left out": _means(rows),
    }


def _accuracies(rows: Sequence[Row]) -> Cells:
    shown = [name for name in NAMES if any(row["method"] == name for row in rows)]
    cells = [["protocol", *shown, "to the best plain"]]
    for methods in _by_protocol(rows).values():
        of = [
            f"{100 * methods[name]['accuracy']:.1f} / {100 * methods[name]['worst']:.1f}" if name in methods else ""
            for name in shown
        ]
        lead = behind(methods)
        cells.append([next(iter(methods.values()))["title"], *of, "" if lead is None else f"{lead:+.1f}"])
    return cells


def _search(rows: Sequence[Row]) -> Cells:
    head = (
        "protocol,each seed %,worst %,int8 %,card said %,left out %,inside,unknown %,"
        "arena B,as deployed B,float,flash B,CPU s,peak MiB"
    )
    cells = [head.split(",")]
    for row in rows:
        if row["method"] == SEARCH:
            card = {name: 100 * value for name, value in row["card"].items()}
            cells.append(
                [
                    row["title"],
                    " ".join(f"{100 * each:.1f}" for each in row["seeds"]),
                    f"{100 * row['worst']:.1f}",
                    f"{100 * row['int8']:.1f}",
                    f"{card['accuracy']:.1f} ({card['low']:.1f}-{card['high']:.1f})",
                    "" if row["left_out"] is None else f"{100 * row['left_out']:.1f}",
                    f"{row['inside']:.0%}",
                    f"{100 * row['unknown']:.1f}",
                    str(row["arena_bytes"]),
                    str(row["arena_bytes_deployed"]),
                    f"{row['float']:.0%}",
                    f"{row['flash_bytes']:.0f}",
                    f"{row['cpu_seconds']:.1f}",
                    f"{row['peak_rss_bytes'] / 2**20:.0f}",
                ]
            )
    return cells


def _means(rows: Sequence[Row]) -> Cells:
    cells = [["method", "protocols", "mean %", "edgetune there %", "mean worst %", "CPU s", "peak MiB", "flash B"]]
    fair = [row for row in rows if not row["by_window"]]
    ours = {(row["protocol"], row["test"]): row["accuracy"] for row in fair if row["method"] == SEARCH}
    for name in NAMES:
        own = [row for row in fair if row["method"] == name]
        if own:
            there = [ours[key] for row in own if (key := (row["protocol"], row["test"])) in ours]
            cells.append(
                [
                    name,
                    str(len(own)),
                    f"{100 * np.mean([row['accuracy'] for row in own]):.1f}",
                    f"{100 * np.mean(there):.1f}" if there else "",
                    f"{100 * np.mean([row['worst'] for row in own]):.1f}",
                    f"{np.mean([row['cpu_seconds'] for row in own]):.1f}",
                    f"{max(row['peak_rss_bytes'] for row in own) / 2**20:.0f}",
                    f"{np.mean([row['flash_bytes'] for row in own]):.0f}",
                ]
            )
    return cells


def notes(results: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[str]:
    """Sentences below the tables: counts against the aims, what was left out and why."""
    found = []
    fair = [methods for methods in _by_protocol(rows).values() if not next(iter(methods.values()))["by_window"]]
    leads = [lead for methods in fair if (lead := behind(methods)) is not None]
    if leads:
        held = sum(lead >= -0.5 for lead in leads)  # half a point is noise
        found.append(
            f"The search is at most 0.5 points under the best plain method on {held} of {len(leads)} protocols; "
            f"the mean difference is {np.mean(leads):+.1f} points, the worst {min(leads):+.1f}."
        )
    inside = [methods[SEARCH]["inside"] for methods in fair if SEARCH in methods]
    if inside:
        below = 1 - np.mean([methods[SEARCH]["above"] for methods in fair if SEARCH in methods])
        found.append(
            f"The accuracy lies inside the interval that the card gave in {np.mean(inside):.0%} of protocols, "
            f"below it in {below:.0%}; people count by their share."
        )
    searches = [run for run in results if "card" in run]
    if stopped := sum(run["stopped_by"] == "time" for run in searches):
        found.append(f"{stopped} of {len(searches)} searches used up their processor time.")
    found += [
        f"Left out: {method.name}, because {method.needs} is not installed."
        for method in METHODS
        if not method.available
    ]
    found.append("MiniRocket and LibEMG's feature sets (HTD, LS4) are written here from their definitions, in numpy.")
    if any(row["by_window"] for row in rows):
        found.append("* Random windows of one recording a class, so neighbours are learned and asked about.")
    if any(row["protocol"].startswith("cwru") for row in rows):
        found.append(
            "CWRU: the same bearing is learned and asked about, so these figures are too good (arXiv 2407.14625)."
        )
    found += [
        f"Refused: {run['protocol']} {run['subject']} {run['method']}: {run['refused']}"
        for run in results
        if "refused" in run
    ]
    return found


def rich_table(title: str, cells: Cells) -> Table:
    """Render for the terminal."""
    table = Table(title=title)
    for number, name in enumerate(cells[0]):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in cells[1:]:
        table.add_row(*row)
    return table


def markdown(rows: Sequence[Row], said: Sequence[str]) -> str:
    """All tables as markdown."""
    parts = []
    for title, cells in tables(rows).items():
        lines = [f"{title}:", ""] + [f"| {' | '.join(row)} |" for row in cells]
        lines.insert(3, "|" + "---|" * len(cells[0]))
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *said]) + "\n"


def picture(rows: Sequence[Row], file: Path) -> None:
    """Draw the accuracy of every method on every protocol."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    of = list(_by_protocol(rows).values())
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.32 * len(of)), layout="constrained")
    for number, name in enumerate(NAMES):
        at = [(place, methods[name]["accuracy"]) for place, methods in enumerate(of) if name in methods]
        if at:
            places, values = zip(*at, strict=True)
            style = {"s": 70, "color": "black", "zorder": 3} if name == SEARCH else {"s": 28, "alpha": 0.8}
            axes.scatter([100 * value for value in values], places, marker="Dos^vP*X"[number], label=name, **style)
    axes.set_yticks(range(len(of)), [next(iter(methods.values()))["title"] for methods in of])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy on what was recorded elsewhere, %")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)
