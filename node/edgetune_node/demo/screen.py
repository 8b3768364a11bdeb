"""The demo's narration: who says what, with colours and live bars on a terminal and plain lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from rich.console import Console

Speaker = Literal["DEMO", "BROKER", "MACHINE", "NODE", "OPERATOR", "SCADA"]
_COLOURS: dict[str, str] = {
    "DEMO": "bold",
    "BROKER": "dim",
    "MACHINE": "yellow",
    "NODE": "cyan",
    "OPERATOR": "magenta",
    "SCADA": "green",
}
_LEVELS = " ▁▂▃▄▅▆▇█"
PLAIN_STEP = 25.0


class Screen:
    """Lines with a speaker and the seconds since the start.

    Parameters
    ----------
    console
        Where to; a terminal gets live progress bars, anything else a line for every quarter.
    clock
        Monotonic seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self.console = console
        self._clock = clock
        self._start = clock()

    def say(self, speaker: Speaker, text: str, *, style: str = "") -> None:
        """Print one line."""
        colour = _COLOURS[speaker]
        shown = f"[{style}]{escape(text)}[/]" if style else escape(text)
        self.console.print(
            f"[dim]{self._clock() - self._start:6.1f} s[/]  [{colour}]{speaker:<8}[/]  {shown}", highlight=False
        )

    def chapter(self, title: str) -> None:
        """Print a rule with a title."""
        self.console.rule(f"[bold]{escape(title)}", align="left")

    @contextmanager
    def bar(self, speaker: Speaker) -> Iterator[Callable[[float, str], None]]:
        """Give a function that shows ``(percent, text)``; the bar is gone when the context ends."""
        if not self.console.is_terminal:
            yield self._plain(speaker)
            return
        colour = _COLOURS[speaker]
        with Progress(
            TextColumn(f"          [{colour}]{speaker:<8}[/]"),
            BarColumn(30),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}", markup=False),
            console=self.console,
            transient=True,
        ) as progress:
            task = progress.add_task("", total=100)
            yield lambda percent, text: progress.update(task, completed=percent, description=text)

    def _plain(self, speaker: Speaker) -> Callable[[float, str], None]:
        shown = -PLAIN_STEP

        def show(percent: float, text: str) -> None:
            nonlocal shown
            if percent >= shown + PLAIN_STEP or percent < shown:
                shown = percent
                self.say(speaker, f"{percent:3.0f} %  {text}")

        return show


def waveform(samples: NDArray[np.float32], *, width: int = 60, full_scale: float | None = None) -> str:
    """Peaks of one channel as ``width`` characters, the highest peak (or ``full_scale``) as a full block.

    Parameters
    ----------
    samples
        ``float32 (n,)``, at least ``width`` of them.
    """
    peaks = np.array([np.abs(part).max() for part in np.array_split(samples, width)])
    top = full_scale or float(peaks.max()) or 1.0
    steps = np.clip(np.ceil(peaks / top * (len(_LEVELS) - 1)), 0, len(_LEVELS) - 1)
    return "".join(_LEVELS[int(step)] for step in steps)
