"""What the two tasks, faults of a machine and a person's signs, have in common for an asset, and which one it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edgetune_node.monitor.fault_monitor import FaultMonitor
from edgetune_node.monitor.gesture_monitor import GestureMonitor
from edgetune_node.monitor.restoring import Restored

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Armband, Context, Shelve
    from edgetune_node.events import Publish, Publisher
    from edgetune_node.monitor.drift import DriftMonitor
    from edgetune_node.monitor.effort import Following
    from edgetune_node.monitor.heard import Heard
    from edgetune_node.monitor.inference import Verdict
    from edgetune_node.monitor.novelty import NoveltyRecorder
    from edgetune_signal import Chunk, Window


class TaskMonitor(Protocol):
    """Turns samples and verdicts of one asset into the messages of its task."""

    @property
    def rest_class(self) -> str | None:
        """Class that may be further from its training data than others; None where there is no such class."""
        ...

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Reasons for a recalibration that only this task knows."""
        ...

    @property
    def problem(self) -> str | None:
        """Problem for ``health`` that only this task sees; None if there is none."""
        ...

    @property
    def sensor(self) -> tuple[str, str]:
        """Quality that the sensor gives every window, and why, for people; both empty while it is sound."""
        ...

    def paused(self, context: Context) -> str:
        """Return why nothing is classified although samples come; empty if it is."""
        ...

    def usable(self, window: Window) -> None:
        """Note a window of usable samples, before it is classified."""
        ...

    def classified(self, window: Window, verdict: Verdict, *, paused: bool) -> list[Publish]:
        """Count a window's verdict."""
        ...

    def following(self) -> Following:
        """Return what ``classification`` says besides the verdict of the window that was classified last."""
        ...

    def push(self, chunk: Chunk, context: Context, *, rate_off: bool) -> list[Publish]:
        """Process samples, after their windows were classified."""
        ...

    def gap(self) -> list[Publish]:
        """End what must not span a gap in the samples or a clock that was set."""
        ...

    def order(self) -> NDArray[np.intp] | None:
        """Return which channel stands where each one stood at calibration; None where they stay as they come."""
        ...

    @property
    def armband(self) -> Armband | None:
        """How the channels of an armband are turned back; None where they stay as they come."""
        ...

    def hold(self, *, held: bool) -> None:
        """Leave the order of channels as it is while ``held``."""
        ...

    def as_worn(self) -> None:
        """Take the channels as they come from now on."""
        ...

    def swap(self, bundle: Bundle | None) -> None:
        """Go on with another model; None if there is none."""
        ...

    def wear(self, subject: str) -> list[Publish]:
        """Go on with another person, and forget the one before."""
        ...

    def heard(self) -> Heard | None:
        """Return what is learned while it is monitored, to be kept over a restart; None where nothing is."""
        ...

    def judged(self, why_not: str) -> list[Publish]:
        """Note why nothing is judged; empty while something is."""
        ...

    def tick(self) -> list[Publish]:
        """Publish what is due by time."""
        ...

    def announce(self) -> list[Publish]:
        """Publish what a new subscriber should know."""
        ...

    def acknowledge(self, event: str | None, by: str, comment: str) -> list[Publish]:
        """Note that a person has seen the fault; raise `Refused` if there is none to acknowledge."""
        ...

    def shelve(self, command: Shelve) -> list[Publish]:
        """Suppress the alarm of a class of faults for a time; raise `Refused` if that cannot be."""
        ...


def task_monitor(
    settings: AssetSection,
    publisher: Publisher,
    new_id: Callable[[], str],
    novelty: NoveltyRecorder,
    drift: DriftMonitor,
    restored: Restored | None,
) -> TaskMonitor:
    """Make the monitor of an asset's task. This is the one place that tells the tasks apart."""
    known = restored or Restored()
    if settings.task == "sign":
        return GestureMonitor(settings, publisher, new_id, novelty, drift, known.armband)
    return FaultMonitor(settings, publisher, new_id, novelty, drift, known.alarm, known.heard, known.fault)
