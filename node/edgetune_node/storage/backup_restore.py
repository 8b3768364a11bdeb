"""Puts a backup into a data folder: checked before anything is touched, and done whole or gone on with after a kill.

All files are unpacked into ``.restoring`` inside the data folder first. Once ``ready.json`` is there too, the restore
is decided: `finish_restore`, which a node calls at its start, moves what is left to be moved.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import sqlite3
import zipfile
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from edgetune_node.errors import BackupError
from edgetune_node.storage.backup import (
    BACKUPS,
    CHUNK,
    CONFIG,
    DATA,
    DATABASE,
    FORMAT,
    MANIFEST,
    MODE,
    OUTBOX,
    REPLACED,
    RESTORING,
    SIGNATURE,
    Manifest,
    signature_of,
)
from edgetune_signal.durable import replacing, sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import BinaryIO

Result = TypeVar("Result")
READY: Final = "ready.json"
MAX_MANIFEST_BYTES: Final = 256 * 2**20
COMPRESSED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_SIGNATURE_BYTES: Final = 128
MAX_CONFIG_BYTES: Final = 2**20
_PART: Final = re.compile(r"(?!\.{1,2}$)[^/\\\x00]{1,255}")


class Ready(BaseModel):
    """What ``ready.json`` says: what moves where.

    Attributes
    ----------
    old
        Names in the data folder that are moved aside.
    aside
        Folder for them.
    config, config_text
        A configuration to be written, and its content; empty where there is one already.
    """

    model_config = ConfigDict(frozen=True)
    old: tuple[str, ...]
    aside: str
    config: str = ""
    config_text: str = ""


class Archive:
    """A backup that is whole: its manifest, signature and every hash have been checked.

    Parameters
    ----------
    path
        What `write_backup` wrote.
    key
        The manifest must be signed with it; None takes it as it is, signed or not.

    Raises
    ------
    BackupError
        It is no backup, of a newer format, not signed with ``key``, or damaged.
    """

    def __init__(self, path: Path, key: bytes | None) -> None:
        self.path = path
        self.manifest = self._guarded(lambda archive: self._checked(archive, key))

    def config(self) -> str | None:
        """Return the configuration; None where the backup has none."""
        if CONFIG not in self.manifest.files:
            return None
        if self.manifest.files[CONFIG][1] > MAX_CONFIG_BYTES:
            raise BackupError(f"{self.path}: {CONFIG} is larger than {MAX_CONFIG_BYTES} bytes: it is no configuration")
        return self._guarded(lambda archive: archive.read(CONFIG)).decode("utf-8", "replace")

    def unpack(self, into: Path) -> None:
        """Write all that belongs into a data folder, flushed to the disk."""

        def unpacked(archive: zipfile.ZipFile) -> None:
            for name in self.manifest.folders:
                (into / name.removeprefix(DATA)).mkdir(parents=True, exist_ok=True)
            for name in self.manifest.files:
                if name != CONFIG:
                    self._unpack(archive, name, into / name.removeprefix(DATA))
            for name, target in self.manifest.links.items():
                link = into / name.removeprefix(DATA)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
            for folder in {into, *(path for path in into.rglob("*") if path.is_dir() and not path.is_symlink())}:
                sync(folder)

        self._guarded(unpacked)

    def _unpack(self, archive: zipfile.ZipFile, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            self._hash(archive, name, file)
            file.flush()
            os.fsync(file.fileno())
        target.chmod((archive.getinfo(name).external_attr >> 16) & 0o777 or MODE)

    def _checked(self, archive: zipfile.ZipFile, key: bytes | None) -> Manifest:
        names = archive.namelist()
        if any(info.compress_type not in COMPRESSED for info in archive.infolist()):
            raise BackupError(f"{self.path} is compressed in a way that no backup is: do not use it")
        if MANIFEST not in names or len(set(names)) != len(names):
            raise BackupError(f"{self.path} is no backup: make one with: edgetune backup")
        if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
            raise BackupError(f"{self.path}: its list is larger than {MAX_MANIFEST_BYTES} bytes: it is no backup")
        listed = archive.read(MANIFEST)
        if key is not None:
            short = SIGNATURE in names and archive.getinfo(SIGNATURE).file_size <= MAX_SIGNATURE_BYTES
            signed = archive.read(SIGNATURE) if short else b""
            if not signed:
                raise BackupError(f"{self.path} is not signed: make it with --key, or give --unsigned if you trust it")
            if not hmac.compare_digest(signed, signature_of(listed, key)):
                raise BackupError(f"{self.path} is not signed with this key: use the one it was made with")
        manifest = _parsed(self.path, listed)
        _check_names(self.path, manifest)
        if set(names) - {MANIFEST, SIGNATURE} != manifest.files.keys():
            raise BackupError(f"{self.path} does not hold the files of its own list: do not use it")
        self.manifest = manifest
        for name in manifest.files:
            self._hash(archive, name, None)
        return manifest

    def _hash(self, archive: zipfile.ZipFile, name: str, file: BinaryIO | None) -> None:
        """Read a file, and write it; `BackupError` where it is not the one that was backed up."""
        wanted, size = self.manifest.files[name]
        digest, read = hashlib.sha256(), 0
        with archive.open(name) as entry:
            while read <= size and (block := entry.read(CHUNK)):
                digest.update(block)
                read += len(block)
                if file is not None:
                    file.write(block)
        if read != size or digest.hexdigest() != wanted:
            raise BackupError(
                f"{self.path}: {name} is not the file that was backed up (SHA-256 differs): do not use it"
            )

    def _guarded(self, work: Callable[[zipfile.ZipFile], Result]) -> Result:
        """Open the archive for some work; whatever a damaged one raises is a `BackupError`."""
        if self.path.exists() and not self.path.is_file():  # a pipe would be waited for
            raise BackupError(f"{self.path} is no file but a folder, pipe or device: copy what it holds into a file")
        try:
            with self.path.open("rb") as file, zipfile.ZipFile(file) as archive:
                return work(archive)
        except OSError as error:
            if error.filename is not None and str(error.filename) != str(self.path):
                raise
            raise BackupError(f"cannot read {self.path}: {error.strerror or error}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise BackupError(f"{self.path} is damaged or no backup ({error}): make it again") from error


def restore(
    archive: Archive, data: Path, *, base: str, now: datetime, replace: bool, config: tuple[Path, str] | None
) -> Ready:
    """Put a backup into a data folder.

    Parameters
    ----------
    archive
        The backup.
    data
        The data folder; absent or empty, or ``replace`` moves what is in it aside, into a folder inside.
    base
        Topics of the node that it becomes; where they are others than before, messages that wait and commands are left
        out, for the other node may still run.
    now
        Names the folder for what is moved aside.
    replace
        Whether the data folder may hold something.
    config
        A configuration to be written, and its content; None where there is one.

    Raises
    ------
    BackupError
        The data folder holds something, has no room, or cannot be written; nothing in it was changed.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        finish_restore(data)
        staging = data / RESTORING
        kept = _free_to_use(archive, data, replace=replace)
        shutil.rmtree(staging, ignore_errors=True)
        (staging / "data").mkdir(parents=True)
        archive.unpack(staging / "data")
        before = f"{archive.manifest.namespace}/{archive.manifest.node}"
        _settle(staging / "data", before, base)
        ready = Ready(
            old=tuple(kept),
            aside=f"{REPLACED}{now:%Y%m%dT%H%M%SZ}",
            config=str(config[0].absolute()) if config else "",
            config_text=config[1] if config else "",
        )
        with replacing(staging / READY, staging / f"{READY}.part") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(ready.model_dump_json().encode())
        finish_restore(data)
    except BaseException as error:
        with suppress(OSError):
            if not (data / RESTORING / READY).exists():
                shutil.rmtree(data / RESTORING)
        if not isinstance(error, OSError):
            raise
        raise BackupError(f"data_dir {data} cannot be written: {error.strerror}: make room or permit it") from error
    return ready


def finish_restore(data: Path) -> bool:
    """Finish a restore that was decided and interrupted; True where there was one."""
    staging = data / RESTORING
    try:
        ready = Ready.model_validate_json((staging / READY).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValidationError) as error:
        raise BackupError(f"{staging / READY} cannot be read: {error}: restore the backup again") from error
    aside = data / ready.aside
    try:
        for name in ready.old:
            if _is_there(data / name) and not _is_there(aside / name):  # else it was moved before
                aside.mkdir(exist_ok=True)
                (data / name).rename(aside / name)
        for path in sorted((staging / "data").iterdir()):
            path.rename(data / path.name)
        sync(data)
        if ready.config and not Path(ready.config).exists():
            config = Path(ready.config)
            config.parent.mkdir(parents=True, exist_ok=True)
            with replacing(config, config.with_name(f".{config.name}.part")) as file:
                os.fchmod(file.fileno(), MODE)
                file.write(ready.config_text.encode())
        (staging / READY).unlink()
        shutil.rmtree(staging)
    except OSError as error:
        raise BackupError(
            f"data_dir {data}: a restore cannot be finished: {error.strerror}: make room or permit it, and start again"
        ) from error
    return True


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _settle(data: Path, before: str, base: str) -> None:
    """Take out of a data folder's databases what the node that they belong to now may not do."""
    path = data / OUTBOX
    if before != base:
        for other in data.glob(f"*{DATABASE}"):
            if other != path:
                other.unlink()  # what another node has to tell in its own name
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM command WHERE name = 'backup' AND finished = 0")
            if before != base:
                for table in ("entry", "command", "signed", "dropped"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
                connection.execute(
                    "UPDATE current SET topic = ? || substr(topic, ?) WHERE substr(topic, 1, ?) = ?",
                    (f"{base}/", len(before) + 2, len(before) + 1, f"{before}/"),
                )
    except sqlite3.Error as error:
        raise BackupError(f"the backup's outbox cannot be used: {error}: use another backup") from error


def _parsed(path: Path, listed: bytes) -> Manifest:
    content = from_json(listed)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BackupError(f"{path} has format {found}, this edgetune reads up to {FORMAT}: upgrade edgetune to use it")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise BackupError(f"{path}: {MANIFEST} is no list of a backup: {error.errors()[0]['msg']}") from error


def _free_to_use(archive: Archive, data: Path, *, replace: bool) -> list[str]:
    """Return what is to be moved aside; `BackupError` where nobody asked for that, or there is no room."""
    kept = sorted(path.name for path in data.iterdir() if path.name != RESTORING and not _is_own(path.name))
    if kept and not replace:
        raise BackupError(
            f"data_dir {data} holds {kept[0]} and {len(kept) - 1} more: give another data_dir, or --replace, which"
            " moves them aside"
        )
    free = shutil.disk_usage(data).free
    if free < archive.manifest.size:
        raise BackupError(f"data_dir {data} has {free} bytes free and needs {archive.manifest.size}: make room")
    return kept


def _is_own(name: str) -> bool:
    """Whether a restore leaves this name in a data folder where it is, so that nothing can take its place."""
    return name == BACKUPS or name.startswith(REPLACED)


def _check_names(path: Path, manifest: Manifest) -> None:
    """Refuse names that lead out of the data folder, and links that do."""
    for name in (*manifest.files, *manifest.links, *manifest.folders):
        parts = name.split("/")
        if name != CONFIG and (parts[0] != DATA[:-1] or len(parts) < 2 or not all(map(_PART.fullmatch, parts))):  # noqa: PLR2004 - data/ and a name
            raise BackupError(f"{path} holds {name[:80]!r}, which is no place in a data folder: do not use it")
        if any(part.startswith(".") for part in parts) or (parts[0] == DATA[:-1] and _is_own(parts[1])):
            raise BackupError(f"{path} holds {name[:80]!r}, which no backup has: do not use it")
    for name, target in manifest.links.items():
        if not _PART.fullmatch(target):
            raise BackupError(f"{path}: {name} is a link to {target[:80]!r}, out of its folder: do not use it")
    for name in (*manifest.files, *manifest.links, *manifest.folders):
        parents = {name.rsplit("/", count)[0] for count in range(1, name.count("/") + 1)}
        if parents & (manifest.links.keys() | manifest.files.keys()):
            raise BackupError(f"{path}: {name[:80]!r} lies in what is no folder: do not use it")
