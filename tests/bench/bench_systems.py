"""``make bench-search``: our search against others on real recordings, in tables, JSON and a picture.

Every run is a process of its own, scored through onnxruntime on the exported files (networks) or by its package's own
prediction (the rest). ``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench_child import Spec
from bench_tables import picture, print_tables
from real_data import ABSENT, DATA
from rich.console import Console

CHILD = Path(__file__).with_name("bench_child.py")
CHILD_SECONDS = 900
KIB = 1024
PAPER = "paper's family"
AMOUNTS = (1, 2, 5, 10, 20)
SECONDS, QUICK_SECONDS = 60.0, 20.0


@dataclass(frozen=True)
class Row:
    """Rows of a table: every budget with every amount and library; the short form has the ``quick`` ones."""

    table: str
    task: str
    system: str
    budgets: tuple[int | None, ...]
    splits: int
    quick: tuple[int | None, ...] = ()
    amounts: tuple[float | None, ...] = (None,)
    quick_amounts: tuple[float | None, ...] = (None,)
    libraries: tuple[bool, ...] = (False,)


NO_LIMIT = (None,)
ROWS = (
    Row("budgets", "cwru", "edgetune", (720, KIB, 4 * KIB, 6 * KIB, 8 * KIB), 5, quick=(720, KIB)),
    Row("budgets", "cwru", PAPER, (8 * KIB, 6 * KIB, 4 * KIB, 3 * KIB, 1536, KIB), 2, quick=(1536,)),
    Row("budgets", "cwru", PAPER, (720,), 1),
    Row("budgets", "cwru", "random search", (KIB,), 3),
    Row("budgets", "cwru", "TPE (Optuna)", (KIB,), 3),
    Row("budgets", "cwru", "MiniRocket + ridge", NO_LIMIT, 3, quick=NO_LIMIT),
    Row("budgets", "cwru", "features + forest", NO_LIMIT, 3, quick=NO_LIMIT),
    Row("budgets", "isl", "edgetune", (3328, 3584), 10, quick=(3584,)),
    Row("budgets", "isl", PAPER, (8 * KIB,), 2),
    Row("budgets", "isl", "random search", (3584,), 3, quick=(3584,)),
    Row("budgets", "isl", "TPE (Optuna)", (3584,), 3, quick=(3584,)),
    Row("budgets", "isl", "MiniRocket + ridge", NO_LIMIT, 3),
    Row("budgets", "isl", "features + forest", NO_LIMIT, 3, quick=NO_LIMIT),
    Row("budgets", "isl-imu", "edgetune", (8 * KIB,), 3),
    Row("amount", "cwru", "edgetune", (KIB,), 2, amounts=AMOUNTS),
    Row("amount", "cwru", "MiniRocket + ridge", NO_LIMIT, 2, amounts=AMOUNTS),
    Row("amount", "cwru", "features + forest", NO_LIMIT, 2, amounts=AMOUNTS),
    Row("amount", "isl", "edgetune", (3584,), 2, amounts=AMOUNTS),
    Row("amount", "isl", "MiniRocket + ridge", NO_LIMIT, 2, amounts=AMOUNTS),
    Row("amount", "isl", "features + forest", NO_LIMIT, 2, quick=NO_LIMIT, amounts=AMOUNTS, quick_amounts=(5, 10)),
    Row("conditions", "other load", "edgetune", (8 * KIB,), 2, quick=(8 * KIB,)),
    Row("conditions", "other load", "MiniRocket + ridge", NO_LIMIT, 1),
    Row("conditions", "other load", "features + forest", NO_LIMIT, 1, quick=NO_LIMIT),
    Row(
        "few-shot",
        "new load",
        "edgetune",
        (8 * KIB,),
        1,
        quick=(8 * KIB,),
        amounts=(0.25, 1.0, 5.0),
        quick_amounts=(0.25,),
        libraries=(False, True),
    ),
    Row("few-shot", "new person", "edgetune", (8 * KIB,), 3, amounts=(1, 2), libraries=(False, True)),
    Row("executors", "cwru", "executors", (KIB,), 1),
)


def plan(*, quick: bool, seconds: float | None = None) -> list[Spec]:
    """Every run of the benchmark; ``quick`` has one split of the rows that tell most."""
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    return [
        Spec(row.table, row.task, row.system, ram, split, amount, library, seconds)
        for row in ROWS
        for ram in (row.quick if quick else row.budgets)
        for amount in (row.quick_amounts if quick else row.amounts)
        for library in row.libraries
        for split in range(1 if quick else row.splits)
    ]


def run(spec: Spec, folder: Path) -> dict[str, Any]:
    """Run one spec in a child; what it printed, or why there is nothing."""
    command = [sys.executable, str(CHILD), json.dumps(asdict(spec)), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CHILD_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {**asdict(spec), "failed": f"not finished after {CHILD_SECONDS} s"}
    lines = done.stdout.strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError):
        return {**asdict(spec), "failed": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return found


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one split of the rows that tell most: three minutes")
    parser.add_argument("--out", type=Path, help="folder for results.json, results.png and results.svg")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs at a time")
    parser.add_argument("--only", help="run only what has this text in table, task or system")
    parser.add_argument(
        "--seconds", type=float, help=f"of processor, a search; {SECONDS:g}, {QUICK_SECONDS:g} if quick"
    )
    parser.add_argument("--splits", type=int, help="at most so many splits of each row")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    specs = [
        spec
        for spec in plan(quick=options.quick, seconds=options.seconds)
        if (not options.only or options.only in f"{spec.table} {spec.task} {spec.system}")
        and (options.splits is None or spec.split < options.splits)
    ]
    # the longest runs first, so that no core is idle at the end; the speed-up is measured alone
    alone = [spec for spec in specs if spec.system == "executors"]
    shared = sorted((spec for spec in specs if spec not in alone), key=lambda spec: spec.system != PAPER)
    began = time.monotonic()
    results: list[dict[str, Any]] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        started = [pool.submit(run, spec, DATA) for spec in shared]
        for number, future in enumerate(as_completed(started), 1):
            results.append(found := future.result())
            sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {number}/{len(specs)} {_line(found)}\n")
    results += [run(spec, DATA) for spec in alone]
    minutes = (time.monotonic() - began) / 60
    console = Console(width=190)
    print_tables(console, results)
    console.print(f"{len(results)} runs in {minutes:.1f} minutes, {options.jobs} at a time; {_machine()}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": _machine(), "minutes": round(minutes, 1), "results": results}, indent=1)
        (options.out / "results.json").write_text(text + "\n", encoding="utf-8")
        picture(results, options.out / "results")
        console.print(f"written: {', '.join(str(path) for path in sorted(options.out.glob('results.*')))}")


def _line(found: dict[str, Any]) -> str:
    what = f"{found['task']}, {found['system']}, {found['ram_bytes'] or '-'} B, split {found['split']}"
    if found["amount"] is not None:
        what += f", {found['amount']:g} {'with' if found['library'] else 'without'} library"
    said = found.get("failed") or found.get("refused") or found.get("accuracy")
    return f"{what}: {said}"


def _machine() -> str:
    versions = []
    for package in ("torch", "onnxruntime", "numpy", "aeon", "scikit-learn", "optuna"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"no {package}")
    return f"{platform.machine()}, Python {platform.python_version()}, {', '.join(versions)}"


if __name__ == "__main__":
    main()
