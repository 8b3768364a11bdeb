"""``make ablation``: what each part of the search earns, over protocols of the examination, each with the same time.

``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken. A second call with the same
``--out`` goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from exam import do, fingerprint
from exam_child import SEARCH, Run
from exam_protocols import BY_NAME
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

TPE = "TPE (Optuna)"
SYSTEMS = (
    SEARCH,
    "closed forms",
    "all but closed forms",
    "seed architectures",
    "halving and mutation",
    "random search",
    *((TPE,) if find_spec("optuna") else ()),
)
WANTED = (
    "cwru-load-parts",
    "hit-parts",
    "hit-severities",
    "mfpt-outside",
    "uestc-slower",
    "myo-3",
    "myo41",
    "isl-later",
)
TIGHT = (("cwru-later", 720), ("hit-faster", 1200))
"""Protocols with a RAM budget that no bank of many bands fits."""


def runs(folder: Path, seconds: float, seeds: int) -> list[Run]:
    """Every system on the first person of every protocol."""
    return [
        Run(name, BY_NAME[name].subjects(folder)[0], system, seed, seconds, ram_bytes=ram_bytes)
        for name, ram_bytes in (*((name, None) for name in WANTED), *TIGHT)
        for system in SYSTEMS
        for seed in range(seeds)
    ]


def main() -> None:
    """Run what is missing and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="folder for ablation.md; a second call goes on")
    parser.add_argument("--seconds", type=float, default=20.0, help="of processor, that each search has")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs at a time")
    options = parser.parse_args()
    if not (DATA / "foreign").is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    wanted = runs(DATA, options.seconds, options.seeds)
    code = fingerprint(SEARCH)
    kept: dict[str, dict[str, Any]] = {}
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        file = options.out / "runs.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept = {line["key"]: line["result"] for line in map(json.loads, lines)}

    def result(run: Run) -> dict[str, Any]:
        key = json.dumps([asdict(run), code])
        if key not in kept:
            kept[key] = do(run, DATA, features=None)
            sys.stderr.write(f"{run}: {kept[key].get('refused') or kept[key]['tests']}\n")
            if options.out is not None and "refused" not in kept[key]:
                with (options.out / "runs.jsonl").open("a", encoding="utf-8") as out:
                    out.write(json.dumps({"key": key, "result": kept[key]}) + "\n")
        return kept[key]

    with ThreadPoolExecutor(options.jobs) as pool:
        found = list(pool.map(result, wanted))
    cells = table_of(found)
    table = Table(title=f"right windows, %, at {options.seconds:g} s each")
    for number, name in enumerate(cells[0]):
        table.add_column(name, justify="right" if number else "left")
    for row in cells[1:]:
        table.add_row(*row)
    Console(width=200).print(table)
    if options.out is not None:
        lines = [f"| {' | '.join(row)} |" for row in cells]
        lines.insert(1, "|" + "---|" * len(cells[0]))
        (options.out / "ablation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table_of(found: list[dict[str, Any]]) -> list[list[str]]:
    """Cells of the table, the head first: a row a protocol, then means."""
    cells = [["protocol", *SYSTEMS]]
    places = list(dict.fromkeys((run["protocol"], run["ram_bytes"]) for run in found))
    means = []
    for name, ram_bytes in places:
        own = [
            [
                float(np.mean([test["accuracy"] for test in run["tests"].values()]))
                for run in found
                if (run["protocol"], run["ram_bytes"], run["method"]) == (name, ram_bytes, system) and "tests" in run
            ]
            for system in SYSTEMS
        ]
        means.append([float(np.mean(each)) if each else 0.0 for each in own])
        limit = f", {ram_bytes} B" if ram_bytes else ""
        cells.append([BY_NAME[name].title + limit, *(f"{100 * each:.1f}" for each in means[-1])])
    cells.append(["mean", *(f"{100 * each:.1f}" for each in np.mean(means, axis=0))])
    for title, field in (("CPU s", "cpu_seconds"), ("arena B", "arena_bytes"), ("flash B", "flash_bytes")):
        of = [[run[field] for run in found if run["method"] == system and field in run] for system in SYSTEMS]
        cells.append([title, *(f"{np.mean(each):.0f}" if each else "" for each in of)])
    return cells


if __name__ == "__main__":
    main()
