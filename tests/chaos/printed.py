"""What a run prints: a row for each fault, and whatever is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from chaos import Chaos


def show(chaos: Chaos, seed: int) -> None:
    """Print the table, and whatever is wrong."""
    table = Table(title=f"chaos, seed {seed}")
    for name in ("fault", "tried", "expected", "delivered", "duplicated", "lost", "recovery s, worst"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for name, tried, found, recovery_s in chaos.rows:
        counts = (tried, found.expected, found.delivered, found.duplicated, len(found.lost))
        table.add_row(name, *map(str, counts), f"{recovery_s:.1f}")
    for name, _ in chaos.skipped:
        table.add_row(name, "-", *[""] * 4, "not tried")
    console = Console(width=110)
    console.print(table)
    if chaos.stops_s:
        worst_s = max(chaos.stops_s)
        console.print(f"SIGTERM: {len(chaos.stops_s)} times, ended within {worst_s:.1f} s", highlight=False)
    for name, missing in chaos.skipped:
        console.print(f"{name} was not tried: {missing}", markup=False, highlight=False)
    for defect in chaos.defects:
        console.print(defect, markup=False, highlight=False)
