"""How far a job is, in a terminal and in a file."""

from __future__ import annotations

from rich.console import Console
from scripted_node import SENT, calibration

from edgetune_node.cli.remote.progress import figures, headline, open_progress
from edgetune_node.operator.job import follow


def test_progress_fits_a_narrow_terminal() -> None:
    job = follow(SENT, *calibration("searching", search_phase="training", best_accuracy=0.9, best_arena_bytes=2048))
    console = Console(width=30, force_terminal=True, record=True, quiet=False, file=None)
    with console.capture() as captured, open_progress(console) as progress:
        progress.update(job)
    assert captured.get()
    assert headline(job) == "searching training: do"
    assert figures(job) == "best 90.0% with an arena of 2,048 bytes"


def test_plain_progress_says_a_thing_once() -> None:
    job = follow(SENT, *calibration("searching"))
    console = Console(width=30, force_terminal=False)
    with console.capture() as captured, open_progress(console) as progress:
        progress.update(job)
        progress.update(job)
        progress.update(follow(job, *calibration("deploying")))
    assert captured.get().splitlines() == ["  5 %  searching: do", "  5 %  deploying: do"]
