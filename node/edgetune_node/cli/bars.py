"""A progress bar in place on a terminal, and a plain line for every quarter anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

PLAIN_STEP = 25.0
BAR_WIDTH = 24


@contextmanager
def open_bar(
    console: Console, label: str, *, line: Callable[[str], None] | None = None
) -> Iterator[Callable[[float, str], None]]:
    """Give a function that shows ``(percent, text)``; a terminal's bar is gone when the context ends.

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
    with Progress(
        TextColumn(label),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=100)
        yield lambda percent, text: progress.update(task, completed=percent, description=escape(text))


def _plain(line: Callable[[str], None]) -> Callable[[float, str], None]:
    shown = -PLAIN_STEP

    def show(percent: float, text: str) -> None:
        nonlocal shown
        if percent >= shown + PLAIN_STEP or percent < shown:
            shown = percent
            line(f"{percent:3.0f} %  {text}")

    return show
