"""Shows how a job on a node stands: a bar in a terminal, one plain line a change anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from edgetune_node.operator import SEARCHING

if TYPE_CHECKING:
    from types import TracebackType

    from edgetune_node.operator import FollowedJob

STEP_PERCENT = 10
_STANDS = {"running": "is running"}
_BY_TOPIC = " and publish cmd/continue"


class Progress(Protocol):
    """Where a job's progress is shown."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def update(self, job: FollowedJob) -> None:
        """Show where the job stands now."""
        ...

    def note(self, text: str) -> None:
        """Show a text once."""
        ...

    def ask(self, text: str) -> None:
        """Show what a person has to do, and leave the terminal to them until the next `update`."""
        ...


def open_progress(console: Console) -> Progress:
    """Return the way of showing progress that suits ``console``."""
    return _Bar(console) if console.is_terminal else _Lines(console)


def headline(job: FollowedJob) -> str:
    """Return what happens now, and what there is to do."""
    status = job.calibration
    if not job.online:
        return "the node is offline; waiting for it"
    if status is None:
        return "asking the node" if job.status == "sent" else f"{job.command} {_STANDS.get(job.status, job.status)}"
    parts: list[str] = [status.phase]
    if status.class_ and status.phase not in SEARCHING:
        parts.append(status.class_ + (f" (take {status.take} of {status.takes})" if status.take else ""))
    if status.phase == "searching" and status.search_phase:
        parts.append(status.search_phase.replace("_", " "))
    line = " ".join(parts)
    return f"{line}: {request(job)}" if status.instruction else line


def request(job: FollowedJob) -> str:
    """Return the node's instruction for a person at this command line, who need not publish anything by hand."""
    return job.calibration.instruction.replace(_BY_TOPIC, "") if job.calibration else ""


def figures(job: FollowedJob) -> str:
    """Return what the search has found so far, and how long it still takes; empty where there is nothing to say."""
    status = job.calibration
    if status is None:
        return ""
    parts = []
    if status.best_accuracy is not None:
        arena = "" if status.best_arena_bytes is None else f" with an arena of {status.best_arena_bytes:,} bytes"
        parts.append(f"best {status.best_accuracy:.1%}{arena}")
    counts = {"seen": status.candidates, "rejected": status.rejected, "trained": status.trained}
    if any(counts.values()):
        parts.append(", ".join(f"{count} {name}" for name, count in counts.items() if count is not None))
    if status.eta_s is not None and status.eta_s > 0:
        parts.append(f"{status.eta_s:.0f} s left")
    return "; ".join(parts)


class _Bar:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, job: FollowedJob) -> None:
        percent = job.calibration.percent if job.calibration else 0.0
        bar = ProgressBar(total=100, completed=percent, pulse=job.calibration is None)
        lines: list[Text | ProgressBar] = [
            Text(headline(job), style="bold yellow" if job.waiting_for else "bold"),
            bar,
        ]
        known = figures(job)
        if known:
            lines.append(Text(f"{percent:.0f} %  {known}"))
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        self._live.update(Group(*lines))

    def note(self, text: str) -> None:
        self._console.print(Text(text))

    def ask(self, text: str) -> None:
        self._stop()  # an Enter in the display would leave a piece of it behind
        self.note(text)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, job: FollowedJob) -> None:
        percent = job.calibration.percent if job.calibration else 0.0
        best = job.calibration.best_accuracy if job.calibration else None
        shown = (headline(job), best, percent // STEP_PERCENT)
        if shown == self._shown:
            return
        self._shown = shown
        known = figures(job)
        self.note(f"{percent:3.0f} %  {headline(job)}" + (f"  [{known}]" if known else ""))

    def note(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def ask(self, text: str) -> None:
        self.note(text)
