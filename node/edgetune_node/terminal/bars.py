"""A progress bar in place on a terminal, and a plain line for every quarter anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

PLAIN_STEP = 25.0
BAR_WIDTH = 40
REFRESH_HZ = 8


@contextmanager
def open_bar(
    console: Console, label: str, *, line: Callable[[str], None] | None = None
) -> Iterator[Callable[[float, str], None]]:
    """Return a function that shows ``(percent, text)``; a terminal's bar is gone when the context ends.

    Parameters
    ----------
    console
        Where to.
    label
        Rich markup in front of a terminal's bar.
    line
        Prints a plain line; by default on ``console``.
    """
    if not console.is_terminal:
        yield _plain(line or (lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)))
        return
    with Live(console=console, transient=True, refresh_per_second=REFRESH_HZ) as live:
        yield lambda percent, text: live.update(_drawn(label, percent, text))


def _drawn(label: str, percent: float, text: str) -> Table:
    """Put the text below the bar, so that neither takes the other's room."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(100, percent, width=BAR_WIDTH), f"{percent:3.0f} %")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, bar)
    grid.add_row("", escape(text))
    return grid


def _plain(line: Callable[[str], None]) -> Callable[[float, str], None]:
    shown = -PLAIN_STEP

    def show(percent: float, text: str) -> None:
        nonlocal shown
        if percent >= shown + PLAIN_STEP or percent < shown:
            shown = percent
            line(f"{percent:3.0f} %  {text}")

    return show
