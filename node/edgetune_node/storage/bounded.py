"""A folder of recordings, bounded in bytes: the newer half stays, of the older half the least important goes first.

What is spare goes before all others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from edgetune_signal import RecordingStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgetune_signal import RecordingInfo

MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class KeptFile(ABC):
    """A recording of the folder; its name says its place in their order, and how important it is."""

    info: RecordingInfo
    bytes: int

    @property
    @abstractmethod
    def place(self) -> int:
        """Place in the order of the folder."""

    @property
    @abstractmethod
    def rank(self) -> float:
        """Importance: of the older half the lowest goes first."""

    @property
    def spare(self) -> bool:
        """Whether it goes before all others, unless it is the newest."""
        return False


FileT = TypeVar("FileT", bound=KeptFile)


class BoundedFolder(Generic[FileT]):
    """Lists, removes and bounds the recordings of a folder.

    Parameters
    ----------
    folder
        Where they are; created where it is absent.
    quota_bytes
        Bytes they may take together.
    kind
        Reads what the names of the files say.
    """

    def __init__(self, folder: Path, quota_bytes: int, kind: type[FileT]) -> None:
        self._store = RecordingStore(folder, quota_bytes)
        self._quota = quota_bytes
        self._kind = kind
        self.trim()

    def files(self) -> list[FileT]:
        """Return what is kept, oldest first."""
        found = []
        for info in self._store.list():
            with suppress(FileNotFoundError):  # somebody has just deleted it
                found.append(self._kind(info, info.path.stat().st_size))
        return sorted(found, key=lambda each: each.place)

    def erase(self, subject: str, *, nameless: bool) -> int:
        """Delete what is of a person, with ``nameless`` also what names nobody; return how many files.

        Raises
        ------
        edgetune_signal.RecordingError
            One cannot be deleted.
        """
        theirs = [each for each in self.files() if each.info.subject == subject or (nameless and not each.info.subject)]
        for each in theirs:
            self.remove(each)
        return len(theirs)

    @property
    def broken(self) -> list[str]:
        """Names of files that could not be read when they were listed last."""
        return [each.name for each in self._store.broken]

    @property
    def unreadable(self) -> str:
        """End of a sentence about what is not found: names the files that could not be read; empty without any."""
        names = self.broken
        return f"; {', '.join(names[-MOST_NAMED:])} cannot be read" if names else ""

    def remove(self, file: FileT) -> None:
        """Delete one; `edgetune_signal.RecordingError` if it cannot be deleted."""
        self._store.remove(file.info.path)

    def trim(self) -> None:
        """Delete what is beyond the quota."""
        files = self.files()
        while sum(file.bytes for file in files) > self._quota:
            spare = next((file for file in files[:-1] if file.spare), None)
            if spare is None:
                break
            self.remove(spare)
            files.remove(spare)
        for each in leaving([(file.bytes, file.rank) for file in files], self._quota):
            self.remove(files[each])


def leaving(kept: Sequence[tuple[int, float]], quota_bytes: int) -> list[int]:
    """Choose which files go so that the others fit.

    Parameters
    ----------
    kept
        Bytes and rank of each, oldest first.
    quota_bytes
        What they may take together.

    Returns
    -------
    list of int
        Positions in ``kept``, in the order in which they go.
    """
    left = list(range(len(kept)))
    gone: list[int] = []
    while left and sum(kept[at][0] for at in left) > quota_bytes:
        older = left[: max(1, len(left) // 2)]
        victim = min(older, key=lambda at: kept[at][1])
        left.remove(victim)
        gone.append(victim)
    return gone
