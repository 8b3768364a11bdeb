"""The folder where stretches of the unknown wait for a name, bounded in bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgetune_node.contract import NOVEL
from edgetune_node.errors import NodeError
from edgetune_node.events import NovelSegment
from edgetune_node.storage.bounded import BoundedFolder, KeptFile
from edgetune_signal import read_recording, write_recording
from edgetune_signal.recordings import FILE_OVERHEAD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal import Recording, RecordingStore


@dataclass(frozen=True, slots=True)
class _Stretch(KeptFile):
    """A file of the folder; its name ends in its place in their order and its distance, thousandths of the limit."""

    @property
    def rank(self) -> float:
        thousandths = self.info.path.stem.rpartition("-")[2]
        return int(thousandths) / 1000 if thousandths.isdigit() else 0.0

    @property
    def place(self) -> int:
        place = self.info.path.stem.split("-")[-2:][0]
        return int(place) if place.isdigit() else self.info.time_ns

    @property
    def event(self) -> str:
        return self.info.group.removeprefix(f"{NOVEL}-")


class NoveltyStore:
    """Keeps recordings of what nobody has named yet.

    When they take more than their quota, the newer half stays, and of the older half the least distant goes first.

    Parameters
    ----------
    folder
        Where they are; created where it is absent.
    quota_bytes
        Bytes they may take together.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self._folder = folder
        self._quota = quota_bytes
        self._kept = BoundedFolder(folder, quota_bytes, _Stretch)

    def kept(self) -> tuple[NovelSegment, ...]:
        """Return what is kept, oldest first."""
        return tuple(
            NovelSegment(each.event, each.info.seconds, each.rank, each.info.subject) for each in self._kept.files()
        )

    def largest_bytes(self) -> int:
        """Return the size of the largest stretch: room that labelling needs."""
        return max((each.bytes for each in self._kept.files()), default=0)

    def keep(self, recording: Recording, distance: float) -> None:
        """Store a stretch, and let others go where they take too much together.

        Raises
        ------
        NodeError
            It alone takes more than the quota.
        edgetune_signal.RecordingError
            It cannot be written; what was kept before stays.
        """
        needed = recording.samples.nbytes + FILE_OVERHEAD_BYTES
        if needed > self._quota:
            raise NodeError(f"a novel signal needs {needed} bytes, and novel_max_bytes is {self._quota}: raise it")
        newest = max((each.place for each in self._kept.files()), default=0)
        place = max(recording.time_ns, newest + 1)  # the newest, also where the clock was set back
        path = self._folder / f"{NOVEL}-{place}-{min(round(1000 * distance), 10**9)}.npz"
        write_recording(path, recording)
        self._kept.trim()

    def label(self, event: str, label: str, into: RecordingStore) -> tuple[Path, ...]:
        """Make all there is of an event recordings of ``label``, and return them; none is kept here any longer.

        Recordings that an earlier label made of the event move to ``label``. Each stretch is written before it is
        deleted; one that was written already when the process was killed in between is not written twice.

        Raises
        ------
        NodeError
            There is nothing of the event.
        edgetune_signal.QuotaExceededError, edgetune_signal.RecordingError
            ``into`` takes no more; what it took stays there, what it did not take stays here.
        """
        there = {(info.group, info.time_ns) for info in into.list()}
        for stretch in self._kept.files():
            if stretch.event != event:
                continue
            info = stretch.info
            if (info.group, info.time_ns) not in there:
                into.add(replace(read_recording(info.path), label=label))
            self._kept.remove(stretch)
        paths = tuple(into.relabel(info.path, label) for info in into.list() if info.group == f"{NOVEL}-{event}")
        if not paths:
            raise NodeError(
                f"there is nothing of event {event} any more: its recordings were deleted{self._kept.unreadable}"
            )
        return paths

    def erase(self, subject: str, *, nameless: bool) -> tuple[int, list[str]]:
        """Delete what is kept of a person, as `BoundedFolder.erase`; return how many, and files that cannot be read."""
        return self._kept.erase(subject, nameless=nameless), self._kept.broken
