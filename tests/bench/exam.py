"""``make exam``: the search where nobody tuned it, beside plain methods on the same windows.

Every protocol divides by recording, load, speed, session or time (`exam_protocols`). Every run is a process of its own.
``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exam_tables
from exam_child import SEARCH, Run
from exam_methods import METHODS, MINIROCKET
from exam_minirocket import FEATURES
from exam_protocols import PROTOCOLS
from real_data import ABSENT, DATA
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("exam_child.py")
CHILD_SECONDS = 1200
SEEDS = (0, 1)
SECONDS = 60.0
"""Time of each search, the default of `edgetune search`; few need it."""
QUICK_PEOPLE = 2
QUICK_FEATURES = "2520"
LEFT_OUT_OF_QUICK = ("cwru-load", "cwru-fe", "myo-2", "isl")
CPU_SECONDS = {SEARCH: {"fault": 12.0, "sign": 3.0}, MINIROCKET: {"fault": 45.0, "sign": 7.0}}
"""Of one run, for the estimate alone, on one x86-64 core; MiniRocket with all its features."""
OTHER_CPU_SECONDS = 1.5


def plan(folder: Path, options: argparse.Namespace) -> list[Run]:
    """Every run: protocols x people x methods, the search with every seed."""
    wanted = options.only.split(",") if options.only else []
    return [
        Run(protocol.name, subject, method, seed, options.seconds, not options.no_mains)
        for protocol in PROTOCOLS
        if (any(text in protocol.name for text in wanted) if wanted else not _skipped(protocol.name, options))
        for subject in list(protocol.subjects(folder))[: options.people or (QUICK_PEOPLE if options.quick else None)]
        for method, seeds in _methods(protocol.task, options)
        for seed in seeds
    ]


def _skipped(name: str, options: argparse.Namespace) -> bool:
    return options.quick and name in LEFT_OUT_OF_QUICK


def _methods(task: str, options: argparse.Namespace) -> Iterator[tuple[str, tuple[int, ...]]]:
    seeds = SEEDS[:1] if options.quick else SEEDS
    if options.method in SEARCH:
        yield SEARCH, seeds
    for method in METHODS:
        if task in method.tasks and method.available and options.method in method.name:
            yield method.name, (0,)


def estimate(runs: list[Run], jobs: int, *, quick: bool = False) -> float:
    """Minutes on idle cores."""
    task = {protocol.name: protocol.task for protocol in PROTOCOLS}
    seconds = 0.0
    for run in runs:
        share = int(QUICK_FEATURES) / FEATURES if quick and run.method == MINIROCKET else 1.0
        seconds += share * CPU_SECONDS.get(run.method, {}).get(task[run.protocol], OTHER_CPU_SECONDS)
    return seconds / jobs / 60


def do(run: Run, folder: Path, *, features: str | None) -> dict[str, Any]:
    """Do one run in a child; what it printed, or why there is nothing."""
    command = [sys.executable, str(CHILD), json.dumps(asdict(run)), str(folder)]
    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY"), "1"),
        **({"EXAM_MINIROCKET": features} if features else {}),
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CHILD_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {**asdict(run), "refused": f"not finished after {CHILD_SECONDS} s"}
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {**asdict(run), "refused": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return found


def fingerprint(method: str) -> str:
    """Hash of the code that a run depends on: of the plain methods this folder's alone."""
    here = sorted(CHILD.parent.glob("exam_[mpc]*.py"))
    code = sorted((ROOT / "nas").rglob("*.py")) + sorted((ROOT / "signal").rglob("*.py")) if method == SEARCH else []
    return hashlib.sha256(b"".join(file.read_bytes() for file in (*here, *code))).hexdigest()[:12]


class Kept:
    """Results on disk, a line each, so that an examination that was interrupted goes on."""

    def __init__(self, file: Path | None, features: str | None) -> None:
        self._file, self._features = file, features
        self._codes = {method: fingerprint(method) for method in (SEARCH, "")}
        self.found: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                kept = json.loads(line)
                self.found[kept["key"]] = kept["result"]

    def key(self, run: Run) -> str:
        """Name of a run of this code; what does not alter its result is not in it."""
        if run.method == SEARCH:
            return json.dumps([asdict(run), self._codes[SEARCH]])
        features = self._features if run.method == MINIROCKET else None
        return json.dumps([run.protocol, run.subject, run.method, run.seed, self._codes[""], features])

    def add(self, run: Run, result: dict[str, Any]) -> None:
        """Keep a result; what was refused is tried again."""
        if self._file is not None and "refused" not in result:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": self.key(run), "result": result}) + "\n")


def main() -> None:
    """Run the examination and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one seed, two people, fewer protocols: under ten minutes")
    parser.add_argument("--out", type=Path, help="folder for exam.json, exam.md and exam.png; a second call goes on")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", help="protocols with one of these texts in their name, by commas")
    parser.add_argument("--method", default="", help="methods with this text in their name")
    parser.add_argument("--people", type=int, help="at most so many people of a protocol")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of processor, that each search has")
    parser.add_argument("--no-mains", action="store_true", help="searches are not told of the mains")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs at a time")
    options = parser.parse_args()
    if not (DATA / "foreign").is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    features = QUICK_FEATURES if options.quick else None
    kept = Kept(options.out / "runs.jsonl" if options.out else None, features)
    runs = plan(DATA, options)
    if not runs:
        raise SystemExit(f"no protocol and method of that name; protocols: {', '.join(p.name for p in PROTOCOLS)}")
    results = [kept.found[key] for run in runs if (key := kept.key(run)) in kept.found]
    missing = [run for run in runs if kept.key(run) not in kept.found]
    minutes = estimate(missing, options.jobs, quick=options.quick)
    sys.stderr.write(
        f"{len(missing)} runs, {len(results)} kept from before; about {minutes:.0f} minutes on idle cores\n"
    )
    began = time.monotonic()
    # the longest runs first, so that no core is idle at the end
    missing.sort(key=lambda run: -estimate([run], 1))
    with ThreadPoolExecutor(options.jobs) as pool:
        started = {pool.submit(do, run, DATA, features=features): run for run in missing}
        for number, future in enumerate(as_completed(started), 1):
            results.append(found := future.result())
            kept.add(started[future], found)
            sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {number}/{len(missing)} {_line(found)}\n")
    _write(results, options, (time.monotonic() - began) / 60)


def _write(results: list[dict[str, Any]], options: argparse.Namespace, minutes: float) -> None:
    summary = exam_tables.summary(results)
    console = Console(width=200)
    notes = exam_tables.notes(results, summary)
    for title, table in exam_tables.tables(summary).items():
        console.print(exam_tables.rich_table(title, table))
    for note in notes:
        console.print(note, highlight=False)
    cpu = sum(result.get("cpu_seconds", 0) for result in results)
    console.print(f"{len(results)} runs, {cpu:.0f} CPU s; the new ones took {minutes:.1f} minutes")
    text = json.dumps({"summary": summary, "notes": notes, "results": results}, indent=1) + "\n"
    if options.json is not None:
        options.json.write_text(text, encoding="utf-8")
    if options.out is not None:
        (options.out / "exam.json").write_text(text, encoding="utf-8")
        (options.out / "exam.md").write_text(exam_tables.markdown(summary, notes), encoding="utf-8")
        exam_tables.picture(summary, options.out / "exam.png")
        console.print(f"written: {', '.join(str(path) for path in sorted(options.out.glob('exam.*')))}")


def _line(found: dict[str, Any]) -> str:
    said = found.get("refused") or ", ".join(f"{test['accuracy']:.1%}" for test in found["tests"].values())
    return f"{found['protocol']} {found['subject']} {found['method']} seed {found['seed']}: {said}"


if __name__ == "__main__":
    main()
