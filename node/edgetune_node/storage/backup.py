"""Everything that makes a node this node as one file, consistent while the node runs.

The file is a zip with ``backup.json`` (a `Manifest`: which node, and the SHA-256 of every file), ``backup.hmac`` where
it is signed (HMAC-SHA256 of ``backup.json`` in hexadecimal), ``config.toml``, and the data folder under ``data/``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import sqlite3
import zipfile
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edgetune_node.errors import BackupError
from edgetune_signal.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

FORMAT: Final = 1
MANIFEST, SIGNATURE, CONFIG, DATA = "backup.json", "backup.hmac", "config.toml", "data/"
OUTBOX, DATABASE = "outbox.sqlite", ".sqlite"
BACKUPS: Final = "backups"
"""Folder in the data folder for the files that `cmd/backup` makes; no part of a backup."""
RESTORING: Final = ".restoring"
REPLACED: Final = "replaced-"
CHUNK: Final = 1 << 20
MODE: Final = 0o600
"""Of a backup: it may hold a password of config.toml."""
LOCK_TIMEOUT_S: Final = 1.0


class Manifest(BaseModel):
    """What ``backup.json`` says (format 1)."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    format: Literal[1] = FORMAT
    node: str
    namespace: str
    version: str
    created: AwareDatetime
    files: dict[str, tuple[str, int]] = Field(max_length=1_000_000)
    """SHA-256 and size of each, by the name in the archive."""
    links: dict[str, str] = Field({}, max_length=100_000)
    """Targets of symbolic links, by the name in the archive."""
    folders: tuple[str, ...] = Field((), max_length=100_000)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files.values())


def write_backup(
    data: Path,
    out: Path,
    *,
    node: str,
    namespace: str,
    version: str,
    created: datetime,
    config: Path | None,
    snapshots: Mapping[str, Callable[[Path], object]],
    key: bytes | None = None,
) -> Manifest:
    """Write a backup, which appears whole or not at all.

    Whoever calls it keeps others from changing models and recordings meanwhile; the node does so in its thread of
    files. The outbox and the trend of a search that runs may change.

    Parameters
    ----------
    data
        The data folder.
    out
        The archive; must not be there.
    node, namespace, version, created
        What the manifest says.
    config
        The configuration, which is a part of it; None without.
    snapshots
        Writes a consistent copy of a database to a path; by the name of its file. Others are not locked.
    key
        Signs the manifest; None leaves it unsigned.

    Raises
    ------
    BackupError
        ``data`` is no folder, or ``out`` is there already or cannot be written.
    """
    if not data.is_dir():
        raise BackupError(f"data_dir {data} is no folder: there is nothing to back up")
    if out.exists():
        raise BackupError(f"{out} is there already: remove it or choose another name")
    copy = out.with_name(f".{out.name}.outbox")
    try:
        with replacing(out, out.with_name(f".{out.name}.part")) as file, zipfile.ZipFile(file, "w") as archive:
            os.fchmod(file.fileno(), MODE)
            files: dict[str, tuple[str, int]] = {}
            if config is not None:
                files[CONFIG] = _add(archive, CONFIG, config)
            for name, copied in _databases(data, snapshots).items():
                copy.unlink(missing_ok=True)
                copied(copy)
                files[DATA + name] = _add(archive, DATA + name, copy)
            links, folders = _add_all(archive, data, files, {out, copy})
            manifest = Manifest(
                node=node,
                namespace=namespace,
                version=version,
                created=created,
                files=files,
                links=links,
                folders=tuple(folders),
            )
            listed = manifest.model_dump_json(indent=1).encode()
            archive.writestr(_undated(MANIFEST), listed)
            if key is not None:
                archive.writestr(_undated(SIGNATURE), signature_of(listed, key))
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BackupError(f"{out} cannot be written: {reason}: make room or permit it") from error
    finally:
        copy.unlink(missing_ok=True)
    return manifest


def copy_backup(source: Path, out: Path, key: bytes | None) -> None:
    """Copy a backup to another place, signed there if there is a key; it appears whole or not at all."""
    if out.exists():
        raise BackupError(f"{out} is there already: remove it or choose another name")
    temporary = out.with_name(f".{out.name}.signing")
    try:
        shutil.copyfile(source, temporary)
        temporary.chmod(MODE)
        if key is not None:
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_undated(SIGNATURE), signature_of(archive.read(MANIFEST), key))
        with replacing(out, out.with_name(f".{out.name}.part")) as file, temporary.open("rb") as ready:
            os.fchmod(file.fileno(), MODE)
            shutil.copyfileobj(ready, file, CHUNK)
    except OSError as error:
        raise BackupError(f"{out} cannot be written: {error.strerror}: make room or permit it") from error
    finally:
        temporary.unlink(missing_ok=True)


def _undated(name: str) -> zipfile.ZipInfo:
    """Return an entry without a time: an archive knows none before 1980 and after 2107, and a clock may show such."""
    info = zipfile.ZipInfo(name)
    info.external_attr = MODE << 16
    return info


def signature_of(manifest: bytes, key: bytes) -> bytes:
    """Return the signature of a manifest."""
    return hmac.new(key, manifest, hashlib.sha256).hexdigest().encode()


@contextmanager
def held_outbox(data: Path) -> Iterator[dict[str, Callable[[Path], object]]]:
    """Lock the outbox of a node that does not run; give what copies it, nothing where there is no outbox.

    Raises
    ------
    BackupError
        The node is running, or the file cannot be opened.
    """
    path = data / OUTBOX
    if not path.exists():
        yield {}
        return
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_BUSY"):
                raise RunningError(f"{path} is in use: the node is running") from error
            raise BackupError(f"{path} cannot be opened: {error}: start the node, which sets it aside") from error
        yield {OUTBOX: lambda target: copy_database(connection, target)}


class RunningError(BackupError):
    """The node is running."""


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """Copy a database as it is at one moment into a file of its own."""
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def _databases(data: Path, snapshots: Mapping[str, Callable[[Path], object]]) -> dict[str, Callable[[Path], object]]:
    """Return what copies each database of a data folder; the outbox of a folder is copied only from a snapshot."""
    others = [path for path in sorted(data.glob(f"*{DATABASE}")) if path.name not in {OUTBOX, *snapshots}]
    return {**snapshots, **{path.name: partial(_copy, path) for path in others}}


def _copy(path: Path, target: Path) -> None:
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)) as connection:
        copy_database(connection, target)


def _add_all(
    archive: zipfile.ZipFile, data: Path, files: dict[str, tuple[str, int]], without: set[Path]
) -> tuple[dict[str, str], list[str]]:
    """Add a data folder; what goes while it is read was temporary."""
    links: dict[str, str] = {}
    folders: list[str] = []
    for place, inside, names in os.walk(data):
        folder = Path(place)
        inside[:] = sorted(name for name in inside if not _is_left_out(data, folder / name))
        for name in sorted([*names, *inside]):
            path = folder / name
            stored = DATA + path.relative_to(data).as_posix()
            if path in without or _is_left_out(data, path):
                continue
            try:
                if path.is_symlink():
                    links[stored] = str(path.readlink())
                elif path.is_dir():
                    folders.append(stored)
                elif path.is_file():
                    files[stored] = _add(archive, stored, path)
            except FileNotFoundError:
                continue
    return links, folders


def _is_left_out(data: Path, path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(".part"):
        return True
    return path.parent == data and (path.name == BACKUPS or DATABASE in path.name or path.name.startswith(REPLACED))


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[str, int]:
    """Add a file as it is read; return its hash and size."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        info = zipfile.ZipInfo(name)
        info.external_attr = (file_mode(path) & 0o777) << 16
        with archive.open(info, "w", force_zip64=True) as entry:
            while block := file.read(CHUNK):
                digest.update(block)
                size += len(block)
                entry.write(block)
    return digest.hexdigest(), size


def file_mode(path: Path) -> int:
    """Return the permissions of a file."""
    return path.stat().st_mode


def told(manifest: Manifest) -> dict[str, Any]:
    """Return what is said of a backup, as JSON has it."""
    return {
        "node": manifest.node,
        "version": manifest.version,
        "created": manifest.created.isoformat(),
        "files": len(manifest.files),
        "bytes": manifest.size,
    }
