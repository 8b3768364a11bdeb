"""A bundle as one file that is carried from node to node: its files, the list of their hashes, and a signature of it.

The file is a zip with ``hashes.json`` (format, id of the model, SHA-256 of every file), ``hashes.hmac`` where it is
signed (HMAC-SHA256 of ``hashes.json`` in hexadecimal, under a key that both sites have), and the files of the bundle.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import os
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from edgetune_nas.bundle.files import (
    CARD,
    MAX_FILE_BYTES,
    PLAIN_NAME,
    TEMPORARY_PREFIX,
    digest,
    read_file,
    read_verified,
    write_folder,
)
from edgetune_nas.bundle.read import MAX_CARD_BYTES, load_bundle
from edgetune_nas.errors import BundleError
from edgetune_signal.durable import replacing, sync

if TYPE_CHECKING:
    from edgetune_nas.card import ModelCard

FORMAT: Final = 1
HASHES: Final = "hashes.json"
SIGNATURE: Final = "hashes.hmac"
MIN_KEY_BYTES: Final = 16
MAX_KEY_BYTES: Final = 4096
MAX_FILES: Final = 32
MAX_LIST_BYTES: Final = 64 * 1024
MAX_CONTENT_BYTES: Final = MAX_FILE_BYTES
"""Bytes of all files together: they are in memory at once, and a bundle has some hundred thousand."""
MAX_DIRECTORY_BYTES: Final = 64 * 1024
"""Bytes of the zip's own list of entries, which is read whole before it is known how many there are."""
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_END_64: Final = b"PK\x06\x07"
_END_64_BYTES: Final = 20
_LONGEST_END: Final = _END_64_BYTES + _END_BYTES + 0xFFFF
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class HashList(BaseModel):
    """What ``hashes.json`` says (format 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = FORMAT
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{3,63}$")
    sha256: dict[str, str] = Field(min_length=2, max_length=MAX_FILES)


def read_key(path: Path) -> bytes:
    """Key of a file, without white space at its ends; `BundleError` where it cannot be read, too short or too long."""
    try:
        with _open_file(path) as file:
            key = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot read key {path}: {error.strerror}; make one with: openssl rand -hex 32") from error
    if len(key) > MAX_KEY_BYTES:
        raise BundleError(f"key {path} has more than {MAX_KEY_BYTES} bytes; make one with: openssl rand -hex 32")
    key = key.removeprefix(codecs.BOM_UTF8).strip()  # Windows' editors put a mark before it
    if len(key) < MIN_KEY_BYTES:
        raise BundleError(
            f"key {path} has {len(key)} bytes, fewer than {MIN_KEY_BYTES}; make one with: openssl rand -hex 32"
        )
    return key


def export_bundle(bundle: Path, out: Path, key: bytes | None) -> ModelCard:
    """Write a bundle as the archive ``out``, which appears whole or not at all.

    Parameters
    ----------
    bundle
        Its folder; every file is verified first.
    out
        The archive; must not be there.
    key
        Signs the list of hashes; None leaves it unsigned.

    Raises
    ------
    BundleError
        When the bundle is damaged or too large, or the archive is there or cannot be written.
    """
    card = load_bundle(bundle).card
    files = read_verified(bundle, card.sha256, {}) | {CARD: read_file(bundle, CARD, MAX_CARD_BYTES)}
    hashes = HashList(id=card.id, sha256={name: digest(data) for name, data in files.items()})
    listed = hashes.model_dump_json(indent=2).encode()
    if sum(map(len, files.values())) > MAX_CONTENT_BYTES:
        raise BundleError(f"{bundle} has more than {MAX_CONTENT_BYTES} bytes; copy the folder itself")
    entries = {HASHES: listed, **({} if key is None else {SIGNATURE: _sign(listed, key)}), **files}
    if out.exists():
        raise BundleError(f"{out} is there already; remove it or choose another name")
    try:
        with (
            replacing(out, out.with_name(f"{TEMPORARY_PREFIX}{out.name}")) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, data in entries.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise BundleError(f"cannot write {out}: {error.strerror or error}; make room or permit it") from error
    return card


def import_bundle(archive: Path, into: Path, key: bytes | None) -> Path:
    """Unpack an archive as ``into/model-<id>``, after checking signature, hashes and the bundle itself.

    Parameters
    ----------
    archive
        What `export_bundle` wrote.
    into
        Folder for the bundle; made where it is missing.
    key
        The list of hashes must be signed with it; None takes the archive as it is, signed or not.

    Raises
    ------
    BundleError
        When the archive is of a newer format, not signed with ``key``, damaged, or there already; nothing is left
        behind.
    """
    hashes, files = _read_archive(archive, key)
    target = into / f"model-{hashes.id}"
    if target.exists():
        raise BundleError(f"{target} is there already; nothing was changed")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=into) as temporary:
            write_folder(Path(temporary), target.name, files)
            card = load_bundle(Path(temporary) / target.name).card
            if card.id != hashes.id:
                raise BundleError(f"{archive} holds model {card.id} where its list says {hashes.id}; do not use it")
            (Path(temporary) / target.name).rename(target)
            sync(into)
    except OSError as error:
        raise BundleError(f"cannot write {target}: {error.strerror or error}; make room or permit it") from error
    return target


def _read_archive(path: Path, key: bytes | None) -> tuple[HashList, dict[str, bytes]]:
    try:
        with _open_file(path) as file, _open_archive(path, file) as archive:
            names = archive.namelist()
            if HASHES not in names or len(names) > MAX_FILES + 2 or len(set(names)) != len(names):
                raise BundleError(f"{path} is no exported bundle; make one with: edgetune bundle export")
            if sum(info.file_size for info in archive.infolist()) > MAX_CONTENT_BYTES + MAX_LIST_BYTES:
                raise BundleError(f"{path} holds more than {MAX_CONTENT_BYTES} bytes; it is no exported bundle")
            listed = _read_entry(archive, HASHES, MAX_LIST_BYTES)
            if key is not None:
                _check_signature(
                    path, listed, _read_entry(archive, SIGNATURE, 128) if SIGNATURE in names else None, key
                )
            hashes = _parse(path, listed)
            if set(names) - {HASHES, SIGNATURE} != hashes.sha256.keys():
                raise BundleError(f"{path} does not hold the files of its own list; export the bundle again")
            files = {name: _read_entry(archive, name, MAX_FILE_BYTES) for name in hashes.sha256}
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path} is damaged or no exported bundle ({error}); export the bundle again") from error
    for name, data in files.items():
        if not PLAIN_NAME.fullmatch(name) or digest(data) != hashes.sha256[name]:
            raise BundleError(f"{path}: {name!r} is not the file that was exported (SHA-256 differs); do not use it")
    return hashes, files


def _open_file(path: Path) -> BinaryIO:
    """Open a file that ends; a pipe would be waited for, and a device read until the memory is full."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BundleError(f"{path} is no file but a folder, pipe or device; copy what it holds into a file first")
    return file


def _open_archive(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip whose list of entries is as short as that of a bundle."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read()
    at = tail.rfind(_END)
    large = tail[max(0, at - _END_64_BYTES) :].startswith(_END_64)  # its list has a length of its own
    whole = len(tail) - at >= _END_BYTES
    if at >= 0 and (large or not whole or int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_DIRECTORY_BYTES):
        raise BundleError(
            f"{path} is damaged or no exported bundle: its list of files has more than {MAX_DIRECTORY_BYTES} bytes,"
            " or is cut off; export the bundle again"
        )
    return zipfile.ZipFile(file)


def _read_entry(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(f"{archive.filename}: {name!r} is packed in another way than edgetune packs; export it again")
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleError(f"{archive.filename}: {name!r} is larger than {limit} bytes; it is no file of a bundle")
    return data


def _check_signature(path: Path, listed: bytes, signature: bytes | None, key: bytes) -> None:
    if signature is None:
        raise BundleError(f"{path} is not signed; export it with --key, or import it with --unsigned if you trust it")
    if not hmac.compare_digest(signature, _sign(listed, key)):
        raise BundleError(f"{path} is not signed with this key; use the key it was exported with, or do not use it")


def _parse(path: Path, listed: bytes) -> HashList:
    content = from_json(listed)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(f"{path} has format {found}, this edgetune reads up to {FORMAT}; upgrade edgetune to use it")
    try:
        return HashList.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'list'}: {each['msg']}" for each in error.errors())
        raise BundleError(f"{path}: {HASHES} is no list of hashes: {wrong}") from error


def _sign(listed: bytes, key: bytes) -> bytes:
    return hmac.new(key, listed, hashlib.sha256).hexdigest().encode()
