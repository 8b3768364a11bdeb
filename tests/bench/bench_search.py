"""What a search finds and costs on real recordings: accuracy on held-out windows, arena, seconds; for ``make bench``.

Each task is searched twice in the same run: closed forms only (what is found without training, the baseline), and the
whole search. ``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.card import Budget
from edgetune_nas.worker.events import SearchDone
from edgetune_nas.worker.job import DataSource, Job, SearchJob

if TYPE_CHECKING:
    from edgetune_nas.card import Task

CLOSED_FORMS = 12


@dataclass(frozen=True)
class Case:
    """One search: a data set and a RAM budget in bytes."""

    name: str
    file: str
    task: Task
    ram_bytes: int
    converter: str | None = None


CASES = (
    Case("CWRU fan end, 10 classes", "cwru_fe_512.npz", "fault", 4096),
    Case("CWRU fan end, 10 classes", "cwru_fe_512.npz", "fault", 1024),
    Case("CWRU fan end, 10 classes", "cwru_fe_512.npz", "fault", 720),
    Case("ISL surface EMG, 26 letters", "isl_alphabet.npz", "sign", 4096, "isl"),
    Case("ISL surface EMG, 26 letters", "isl_alphabet.npz", "sign", 3584, "isl"),
)


def run(case: Case, data: Path, candidates: int | None) -> SearchDone:
    """Search in a child process; give its last event."""
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as out:
        job = Job(
            data=DataSource(path=data / case.file, converter=case.converter),
            task=case.task,
            budget=Budget(ram_bytes=case.ram_bytes, search_seconds=120),
            out=Path(out),
            candidates=candidates,
        )
        *_, last = SearchJob.start(job).events()
    if not isinstance(last, SearchDone):
        raise SystemExit(f"{case.name}: {last}")
    return last


def main() -> None:
    """Print the table."""
    if not DATA.is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    table = Table(title="edgetune search, one core, held-out windows through onnxruntime")
    for name in (
        "data",
        "RAM budget",
        "found",
        "accuracy",
        "of closed forms",
        "arena B",
        "CPU s",
        "wall s",
        "peak MiB",
    ):
        table.add_column(name, justify="left" if name in {"data", "found"} else "right")
    for case in CASES:
        baseline = run(case, DATA, CLOSED_FORMS)
        full = run(case, DATA, None)
        reference = baseline.card.metrics.accuracy
        for found, result in (("closed forms", baseline), ("whole search", full)):
            card = result.card
            low, high = card.metrics.accuracy_low, card.metrics.accuracy_high
            accuracy = card.metrics.accuracy
            table.add_row(
                case.name,
                str(case.ram_bytes),
                found,
                f"{accuracy:.1%} ({low:.1%}-{high:.1%})",
                f"{accuracy / reference:.3f}",
                str(card.cost.arena_bytes),
                f"{result.cpu_seconds:.1f}",
                f"{result.seconds:.1f}",
                f"{result.peak_rss_bytes / 2**20:.0f}",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
