"""The data folder under a running node: whether it still is the one that the node began with, and made again if not."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, NamedTuple

import structlog

from edgetune_nas.errors import NasError
from edgetune_node.errors import NodeError
from edgetune_node.storage import prepare_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgetune_node.mqtt import Outbox
    from edgetune_node.storage import Profiles

DELETED = " (deleted)"
LOST = "recordings, other models, novel signal and the audit log that were in it are not"
ELSE = "what else was in there is lost"
NOTHING_ELSE = "nothing else is missing"
NO_OTHER = "nothing else that is in use is missing"

log = structlog.get_logger()


class _Event(NamedTuple):
    """What happened to the folder, and what is lost by it."""

    what: str
    lost: str


class DataFolder:
    """Notices that the data folder was removed, emptied, renamed or mounted over, and makes it again.

    What the process holds is written into the folder at the path: the outbox with the accepted commands, the models in
    use, and who wears the sensor. Nothing else can be restored.

    Parameters
    ----------
    path
        The data folder, prepared.
    folders
        Every folder that must be in it.
    outbox, profiles
        What is written again; profiles by asset.

    Attributes
    ----------
    problem
        Why the folder cannot be used now; None where it can.
    notice
        What happened to it since the start, and what is lost by that; None where nothing did.
    """

    def __init__(self, path: Path, folders: Sequence[Path], outbox: Outbox, profiles: Mapping[str, Profiles]) -> None:
        self._path = path
        self._folders = folders
        self._outbox = outbox
        self._profiles = profiles
        self._happened: _Event | None = None
        self.problem: str | None = None
        self.notice: str | None = None
        self._take_hold()

    def look(self) -> bool:
        """Compare devices and inodes, and make again what has gone; True where something was made."""
        try:
            happened = self._what_happened()
        except OSError as error:
            happened = _Event(f"data_dir {self._path} cannot be reached: {error.strerror}", LOST)
        if happened is None:
            self.problem = self._happened = None
            return False
        if self._happened is None:  # its first name stays: the next look finds half of it made again
            self._happened = happened
            log.error("data folder lost", reason=happened.what)
        try:
            models = self._make_again()
        except (NodeError, NasError, OSError) as error:
            self.problem = (
                f"{self._happened.what}; it cannot be made again: {error};"
                " messages and commands are in memory only: an end of the process would lose them"
            )
            return False
        what, lost = self._happened.what, self._happened.lost
        self.notice = f"{what}; it was made again with outbox, commands and {models} models in use; {lost}"
        log.warning("data folder made again", reason=what, models=models)
        self.problem = self._happened = None
        return True

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._held)

    def _what_happened(self) -> _Event | None:
        data, outbox = f"data_dir {self._path}", self._outbox
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._path.is_symlink():
                return _Event(f"{data} is a link to {self._path.readlink()}, which went while the node ran", LOST)
            return _Event(f"{data} was {self._fate()} while the node ran", LOST)
        if (found.st_dev, found.st_ino) != self._identity:
            if found.st_dev != self._identity[0]:
                return _Event(f"another file system is at {data} since the node started", LOST)
            there = "another folder" if S_ISDIR(found.st_mode) else "something that is no folder"
            return _Event(f"{data} was {self._fate()} while the node ran, and {there} is there", LOST)
        gone = [each for each in self._folders if not each.is_dir()]
        overwritten, detached = outbox.overwritten, outbox.detached
        if detached and not overwritten and gone == self._folders:
            return _Event(f"{data} was emptied while the node ran", LOST)
        events = [f"{outbox.path} was " + ("overwritten" if overwritten else "removed or replaced")] if detached else []
        missing = [path for profiles in self._profiles.values() for path in profiles.missing()]
        removed = gone + [path for path in missing if not any(path.is_relative_to(folder) for folder in gone)]
        events += [f"{', '.join(map(str, removed))} was removed"] if removed else []
        if not events:
            return None
        lost = ELSE if gone else NO_OTHER if missing else NOTHING_ELSE
        return _Event(f"data_dir: {' and '.join(events)} while the node ran", lost)

    def _fate(self) -> str:
        """Name what became of the folder that is held."""
        now = _where(self._held)
        if not now or now.endswith(DELETED):
            return "removed, or its disk unmounted,"
        return "replaced" if now == self._place else f"renamed to {now}"

    def _make_again(self) -> int:
        """Make what must be there; return the number of models in use."""
        prepare_folders(self._path, self._folders)
        if self._outbox.detached:
            self._outbox.reattach()
        for profiles in self._profiles.values():
            profiles.restore()
        before = self._held
        self._take_hold()
        os.close(before)
        return sum(profiles.store.current() is not None for profiles in self._profiles.values())

    def _take_hold(self) -> None:
        self._held = os.open(self._path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
        self._place = _where(self._held)
        held = os.fstat(self._held)
        self._identity = held.st_dev, held.st_ino


def _where(descriptor: int) -> str:
    """Return the path at which a folder that is open is now; empty where the system does not tell."""
    with suppress(OSError):
        return os.fsdecode(Path(f"/proc/self/fd/{descriptor}").readlink())
    return ""
