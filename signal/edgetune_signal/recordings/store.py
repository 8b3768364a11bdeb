"""Keeps labelled recordings in a folder, within a quota, and says which samples are held out for testing."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgetune_signal.durable import sync
from edgetune_signal.errors import QuotaExceededError, RecordingError
from edgetune_signal.recordings.npz import open_npz
from edgetune_signal.recordings.recording import (
    TEMPORARY_SUFFIX,
    Recording,
    read_metadata,
    read_recording,
    write_recording,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.recordings.npz import Npz

WHOLE_TAKES = 3
"""With this many takes of a class the last one is held out whole."""
FILE_OVERHEAD_BYTES = 8192
"""More than a recording's file holds besides its samples."""


def held_out_start(n: int, take: int, takes: int) -> int:
    """Decide which samples of a take are held out for testing.

    Parameters
    ----------
    n
        Samples of the take.
    take, takes
        Which take of its class this is, from 0, and how many there will be.

    Returns
    -------
    int
        Index from which samples are held out. With three or more takes the last is held out whole (0) and the others
        not at all (``n``); with fewer the last quarter of each.
    """
    if takes >= WHOLE_TAKES:
        return 0 if take == takes - 1 else n
    return n - n // 4


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What a stored recording's file says besides its samples; fields as in `Recording`."""

    path: Path
    label: str
    seconds: float
    channels: int
    rate_hz: float
    unit: str
    condition: str
    subject: str
    sensor: str
    held_out_from: int
    time_ns: int
    group: str


@dataclass(frozen=True, slots=True)
class BrokenRecording:
    """A file in the store that is no readable recording, and why."""

    path: Path
    reason: str

    @property
    def name(self) -> str:
        """The file's name, with escapes for what is no UTF-8 in it."""
        return os.fsencode(self.path.name).decode("utf-8", "backslashreplace")


class RecordingStore:
    """A folder of recordings that never grows beyond its quota.

    Opening it creates the folder and removes what an interrupted write left.

    Parameters
    ----------
    folder
        Where the recordings are; used by one process at a time.
    quota_bytes
        Bytes all recordings together may take.

    Attributes
    ----------
    broken
        Files the last `list` could not read.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self.folder = folder
        self.quota_bytes = quota_bytes
        self.broken: list[BrokenRecording] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                if leftover.is_symlink() or not leftover.is_dir():  # a folder is none of ours
                    leftover.unlink(missing_ok=True)
        except OSError as error:
            raise RecordingError(f"{folder}: cannot be used for recordings: {error.strerror}") from error

    def add(self, recording: Recording) -> Path:
        """Store a recording and return its file.

        Raises
        ------
        QuotaExceededError
            It would not fit the quota; the message says what to delete. Nothing is written.
        RecordingError
            It is malformed or cannot be written. Nothing half-written is left.
        """
        needed = recording.samples.nbytes + FILE_OVERHEAD_BYTES
        used = self.bytes_used()
        if used + needed > self.quota_bytes:
            raise QuotaExceededError(
                f"{self.folder}: {used} of {self.quota_bytes} bytes are used and {needed} more are needed: "
                f"{self._advice(used + needed - self.quota_bytes)}"
            )
        path = self._free_path(recording)
        write_recording(path, recording)
        return path

    def list(self) -> list[RecordingInfo]:
        """Return what is stored, oldest first, without loading samples; what cannot be read goes to `broken`."""
        found: list[RecordingInfo] = []
        self.broken = []
        for path in sorted(self.folder.glob("*.npz")):
            broken = BrokenRecording(path, "its name is no UTF-8; rename it")
            if broken.name != path.name:
                self.broken.append(broken)
                continue
            try:
                with open_npz(path) as npz:
                    metadata = read_metadata(npz)
                    self._check_unpacked(npz, 4 * metadata.channels * metadata.length)
            except RecordingError as error:
                self.broken.append(BrokenRecording(path, str(error)))
                continue
            found.append(
                RecordingInfo(
                    path=path,
                    label=metadata.label,
                    seconds=metadata.length / metadata.rate_hz,
                    channels=metadata.channels,
                    rate_hz=metadata.rate_hz,
                    unit=metadata.unit,
                    condition=metadata.condition,
                    subject=metadata.subject,
                    sensor=metadata.sensor,
                    held_out_from=metadata.held_out_from,
                    time_ns=metadata.time_ns,
                    group=metadata.group,
                )
            )
        return sorted(found, key=lambda info: (info.time_ns, info.path.name))

    def bytes_used(self) -> int:
        """Return the bytes all files of the store take."""
        return sum(path.stat().st_size for path in self.folder.glob("*.npz") if path.exists())

    def remove(self, path: Path) -> None:
        """Delete a stored recording.

        Raises
        ------
        RecordingError
            The path is not a recording of this store, or cannot be deleted.
        """
        if path.parent.resolve() != self.folder.resolve() or path.suffix != ".npz":
            raise RecordingError(f"{path}: is not a recording of {self.folder}")
        try:
            path.unlink()
        except OSError as error:
            raise RecordingError(f"{path}: cannot be deleted: {error.strerror}") from error

    def relabel(self, path: Path, label: str) -> Path:
        """Make a stored recording one of ``label`` and return its file, whose name begins with that.

        It is one recording of either class, wherever the process is killed, and needs no room of the quota.

        Raises
        ------
        RecordingError
            It cannot be read, written or renamed; it is there still.
        """
        recording = read_recording(path)
        if recording.label != label:
            recording = replace(recording, label=label)
            write_recording(path, recording)
        if path.stem.rpartition("-")[0] == self._stem(recording):
            return path
        renamed = self._free_path(recording)
        try:
            path.rename(renamed)
            sync(self.folder)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be renamed to {renamed.name}: {error.strerror}") from error
        return renamed

    def _check_unpacked(self, npz: Npz, size: int) -> None:
        """Refuse a packed recording that takes more memory than all recordings may take on the disk."""
        if size > max(self.quota_bytes, npz.size):
            raise RecordingError(
                f"{npz.path}: unpacks to {size} bytes, over the quota of {self.quota_bytes}: raise it or cut the file"
            )

    def _advice(self, excess: int) -> str:
        """Name the oldest recordings that make enough room."""
        names: list[str] = []
        freed = 0
        for info in self.list():
            if freed >= excess:
                break
            freed += info.path.stat().st_size
            names.append(info.path.name)
        if freed < excess:
            return "even with every recording deleted it would not fit; raise the quota or record less"
        return f"delete the oldest ({', '.join(names)}) or raise the quota"

    def _free_path(self, recording: Recording) -> Path:
        count = 0
        while (path := self.folder / f"{self._stem(recording)}-{count}.npz").exists():
            count += 1
        return path

    @staticmethod
    def _stem(recording: Recording) -> str:
        name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in recording.label)[:64]
        return f"{name}-{recording.time_ns}"
