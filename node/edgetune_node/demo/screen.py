"""The demo's narration: who says what, with colours and live bars on a terminal and plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.markup import escape
from rich.table import Table

from edgetune_node.terminal import open_bar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from rich.console import Console

Speaker = Literal["DEMO", "BROKER", "MACHINE", "PERSON", "NODE", "OPERATOR", "SCADA", "PAGE"]
_COLOURS: dict[str, str] = {
    "DEMO": "bold",
    "BROKER": "dim",
    "MACHINE": "yellow",
    "PERSON": "yellow",
    "NODE": "cyan",
    "OPERATOR": "magenta",
    "SCADA": "green",
    "PAGE": "bold blue",
}
TIME_WIDTH = 7
SPEAKER_WIDTH = 8
_LEVELS = " ▁▂▃▄▅▆▇█"


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
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=TIME_WIDTH, justify="right", style="dim")
        grid.add_column(width=SPEAKER_WIDTH, style=_COLOURS[speaker])
        grid.add_column(style=style)
        grid.add_row(f"{self._clock() - self._start:.1f} s", speaker, escape(text))
        self.console.print(grid)

    def chapter(self, title: str) -> None:
        """Print a rule with a title."""
        self.console.rule(f"[bold]{escape(title)}", align="left")

    def bar(self, speaker: Speaker) -> AbstractContextManager[Callable[[float, str], None]]:
        """Return a function that shows ``(percent, text)``; a terminal's bar is gone when the context ends."""
        label = f"{'':{TIME_WIDTH + 2}}[{_COLOURS[speaker]}]{speaker:<{SPEAKER_WIDTH}}[/]"
        return open_bar(self.console, label, line=lambda text: self.say(speaker, text))


def waveform(samples: NDArray[np.float32], *, width: int, full_scale: float) -> str:
    """Peaks of one channel as ``width`` characters, ``full_scale`` as a full block.

    Parameters
    ----------
    samples
        ``float32 (n,)``, at least ``width`` of them.
    """
    peaks = np.array([np.abs(part).max() for part in np.array_split(samples, width)])
    steps = np.clip(np.ceil(peaks / full_scale * (len(_LEVELS) - 1)), 0, len(_LEVELS) - 1)
    return "".join(_LEVELS[int(step)] for step in steps)
