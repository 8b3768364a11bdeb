"""The files of a bundle: written whole or not at all, and verified before anything reads them."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from datetime import UTC
from itertools import count
from typing import TYPE_CHECKING, Final

from edgetune_nas.errors import BundleError
from edgetune_signal.durable import sync

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgetune_nas.card import ModelCard, Precision

CARD: Final = "card.json"
REPORT: Final = "report.html"
MODEL_FILES: Final[dict[Precision, str]] = {"float": "model.onnx", "int8": "model.int8.onnx"}
MEASURED: Final = "model.measured.onnx"
"""The network that the card's figures come from, where all data were learned after them; in the deployed precision."""
UNNAMED: Final = "unnamed"
ID_DIGITS: Final = 8
"""Hexadecimal digits of an id that tell bundles of one second apart."""
TEMPORARY_PREFIX: Final = ".writing-"
"""Folders so named are unfinished; nothing reads them, and a power cut may leave one."""

MAX_FILE_BYTES: Final = 64 * 2**20
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def write_folder(parent: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write ``files`` as ``parent/name``: under a temporary name, synced, then renamed.

    Raises
    ------
    BundleError
        When the file system refuses (full, read-only, not permitted, name taken); nothing is left behind.
    """
    # of its own, or what a writer left that was killed would be in the way for ever
    temporary = parent / f"{TEMPORARY_PREFIX}{name}-{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            for file, data in files.items():
                _write_synced(temporary / file, data)
            sync(temporary)
            temporary.rename(parent / name)
            sync(parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleError(f"cannot write {parent / name}: {reason}; make room or permit it, then try again") from error


def read_verified(folder: Path, sha256: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Contents of every file named in ``sha256``, after checking name, size and hash of each.

    Parameters
    ----------
    sha256
        Hexadecimal hash of each file, by its plain name.
    sizes
        Bytes that a file must have, for those whose size is known.

    Raises
    ------
    BundleError
        When a name leaves the folder, or a file is missing, unreadable, or not the one that was written.
    """
    return {name: _read_verified(folder, name, expected, sizes.get(name)) for name, expected in sha256.items()}


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_file(folder: Path, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """Contents of a file directly in ``folder``, of at most ``limit`` bytes; `BundleError` for anything else."""
    path = folder / name
    if not PLAIN_NAME.fullmatch(name) or path.is_symlink() or (path.exists() and not path.is_file()):
        raise BundleError(f"{folder}: {name!r} is not a file of its own in this folder; do not use this bundle")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleError(
            f"cannot read {path}: {reason}; restore the bundle (a folder model-<id>) or search again"
        ) from error
    if len(data) > limit:
        raise BundleError(f"{path} is larger than {limit} bytes; it is no file of a bundle")
    return data


def _read_verified(folder: Path, name: str, expected: str, size: int | None) -> bytes:
    data = read_file(folder, name)
    if size is not None and len(data) != size:
        raise BundleError(
            f"{folder / name} has {len(data)} bytes where its card says {size}; restore the bundle or search again"
        )
    if digest(data) != expected:
        raise BundleError(f"{folder / name} is not the file its card describes (SHA-256 differs); restore the bundle")
    return data


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def named(card: ModelCard, folder: Path) -> ModelCard:
    """Return ``card`` with the id of a new bundle in ``folder``: sortable by time, told apart by the whole card.

    Two bundles of the same networks and second differ in what was measured; so do their ids, wherever they are written.
    """
    content = card.model_copy(update={"id": UNNAMED}).model_dump_json().encode()
    for salt in count():
        name = f"{card.created.astimezone(UTC):%Y%m%dt%H%M%S}-{digest(content + bytes(salt))[:ID_DIGITS]}"
        if not (folder / f"model-{name}").exists():
            return card.model_copy(update={"id": name})
    raise AssertionError("count ended")
