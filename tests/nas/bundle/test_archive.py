"""A bundle travels as one signed file; whatever is wrong with the file, nothing of it arrives."""

from __future__ import annotations

import json
import random
import shutil
import struct
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from edgetune_nas.bundle import archive as archives
from edgetune_nas.bundle.archive import HASHES, SIGNATURE, _sign, export_bundle, import_bundle, read_key
from edgetune_nas.bundle.files import digest
from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 2**20
KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Path:
    return write_tiny_bundle(tmp_path / "made")


@pytest.fixture
def archive(tmp_path: Path, bundle: Path) -> Path:
    export_bundle(bundle, tmp_path / "model.zip", KEY)
    return tmp_path / "model.zip"


def changed(archive: Path, **entries: bytes | None) -> Path:
    """Write the archive again with other entries (None: without); `_` in a name stands for a dot."""
    changes = {name.replace("_", "."): data for name, data in entries.items()}
    with zipfile.ZipFile(archive) as old:
        kept = {name: old.read(name) for name in old.namelist()} | changes
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in kept.items():
            if data is not None:
                new.writestr(name, data)
    return archive


def refused(archive: Path, into: Path, key: bytes | None, match: str) -> None:
    with pytest.raises(BundleError, match=match):
        import_bundle(archive, into, key)
    assert not into.exists() or not list(into.iterdir())


@pytest.mark.parametrize("key", [KEY, None])
def test_a_bundle_arrives_as_it_left(tmp_path: Path, bundle: Path, key: bytes | None) -> None:
    export_bundle(bundle, tmp_path / "model.zip", key)
    arrived = import_bundle(tmp_path / "model.zip", tmp_path / "incoming", key)
    assert arrived.name == bundle.name
    assert {path.name: path.read_bytes() for path in arrived.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.iterdir()
    }
    load_bundle(arrived)
    assert [path.name for path in arrived.parent.iterdir()] == [arrived.name]


def test_the_same_bundle_gives_the_same_archive(tmp_path: Path, bundle: Path, archive: Path) -> None:
    export_bundle(bundle, tmp_path / "again.zip", KEY)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_an_archive_without_the_right_signature_is_refused(tmp_path: Path, bundle: Path, archive: Path) -> None:
    refused(archive, tmp_path / "in", KEY[::-1], "not signed with this key")
    export_bundle(bundle, tmp_path / "bare.zip", None)
    refused(tmp_path / "bare.zip", tmp_path / "in", KEY, "is not signed; export it with --key")


def test_a_changed_list_of_hashes_does_not_pass_for_a_signed_one(tmp_path: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        listed = json.loads(old.read(HASHES))
    listed["sha256"]["report.html"] = digest(b"forged")
    refused(
        changed(archive, hashes_json=json.dumps(listed).encode(), report_html=b"forged"),
        tmp_path / "in",
        KEY,
        "not signed with this key",
    )


@pytest.mark.parametrize("key", [KEY, None])
def test_a_changed_missing_or_added_file_is_found(tmp_path: Path, archive: Path, key: bytes | None) -> None:
    whole = archive.read_bytes()
    refused(changed(archive, model_onnx=b"other"), tmp_path / "in", key, "'model.onnx' is not the file")
    archive.write_bytes(whole)
    refused(changed(archive, model_onnx=None), tmp_path / "in", key, "does not hold the files of its own list")
    archive.write_bytes(whole)
    refused(changed(archive, added=b"x"), tmp_path / "in", key, "does not hold the files of its own list")


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path, archive: Path) -> None:
    listed = json.dumps({"format": 2, "files": "in a way of its own"}).encode()
    newer = changed(archive, hashes_json=listed, hashes_hmac=_sign(listed, KEY))
    refused(newer, tmp_path / "in", KEY, "has format 2, this edgetune reads up to 1; upgrade edgetune")


def test_a_bundle_of_a_newer_format_inside_asks_for_an_upgrade_too(tmp_path: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        listed, card = json.loads(old.read(HASHES)), json.loads(old.read("card.json"))
    newer = json.dumps({**card, "format": 3}).encode()
    listed["sha256"]["card.json"] = digest(newer)
    content = json.dumps(listed).encode()
    archive = changed(archive, hashes_json=content, hashes_hmac=_sign(content, KEY), card_json=newer)
    refused(archive, tmp_path / "in", KEY, "has format 3, this edgetune reads up to 2; upgrade edgetune")


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        listed = json.loads(old.read(HASHES))
    listed["sha256"]["../escaped"] = digest(b"x")
    content = json.dumps(listed).encode()
    with zipfile.ZipFile(changed(archive, hashes_json=content, hashes_hmac=_sign(content, KEY)), "a") as file:
        file.writestr("../escaped", b"x")
    refused(archive, tmp_path / "in", KEY, r"'\.\./escaped' is not the file")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_torn_archive_is_refused(tmp_path: Path, archive: Path, share: float) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    refused(archive, tmp_path / "in", KEY, "damaged or no exported bundle")


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_that_is_packed_in_another_way_is_refused(tmp_path: Path, archive: Path, packing: int) -> None:
    with zipfile.ZipFile(archive) as old:
        kept = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w", packing) as new:
        for name, data in kept.items():
            new.writestr(name, data)
    refused(archive, tmp_path / "incoming", KEY, "packed in another way")


@pytest.mark.parametrize("kind", ["plain", "large", "hidden"])
def test_a_list_of_files_that_does_not_end_takes_no_memory(tmp_path: Path, kind: str) -> None:
    size = 256 * MIB
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
    if kind == "large":
        end = (
            struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 0)
            + struct.pack("<4sLQL", b"PK\6\7", 0, size, 1)
            + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0, 0, 0)
        )
    elif kind == "hidden":  # the mark of the end once more, within the end
        end = end[:4] + b"PK\5\6" + end[8:]
    endless = tmp_path / "endless.zip"
    with endless.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(end)
    assert most_taken(lambda: refused(endless, tmp_path / "in", None, "its list of files has more than")) < MIB


def test_an_archive_that_is_cut_within_its_last_bytes_is_called_damaged(tmp_path: Path, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-10])
    refused(archive, tmp_path / "incoming", KEY, "is damaged or no exported bundle: .* or is cut off")


def test_files_that_unpack_to_more_than_a_bundle_has_take_no_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    names = ["card.json", "a.bin", "b.bin"]
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        hashes = dict.fromkeys(names, "0" * 64)
        archive.writestr(HASHES, json.dumps({"format": 1, "id": "some-model", "sha256": hashes}))
        for name in names:
            archive.writestr(name, bytes(32 * MIB))
    assert most_taken(lambda: refused(bomb, tmp_path / "in", None, "holds more than")) < MIB


def test_a_bundle_that_no_import_would_take_is_not_exported(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_CONTENT_BYTES", 1000)
    with pytest.raises(BundleError, match="copy the folder itself"):
        export_bundle(bundle, tmp_path / "model.zip", KEY)
    assert not (tmp_path / "model.zip").exists()


def most_taken(act: Callable[[], None]) -> int:
    """Return the most memory that Python held at once for it, in bytes."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_any_damaged_byte_of_an_archive_is_found_or_harmless(tmp_path: Path, bundle: Path, archive: Path) -> None:
    whole = archive.read_bytes()
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    for place in random.Random(0).sample(range(len(whole)), 150):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            arrived = import_bundle(archive, tmp_path / "incoming", KEY)
        except BundleError as error:
            assert str(archive) in str(error)  # noqa: PT017 - one of many
            continue
        assert {path.name: path.read_bytes() for path in arrived.iterdir()} == files
        shutil.rmtree(arrived)


def test_nothing_that_is_there_is_written_over(tmp_path: Path, bundle: Path, archive: Path) -> None:
    with pytest.raises(BundleError, match="there already"):
        export_bundle(bundle, archive, KEY)
    import_bundle(archive, tmp_path / "in", KEY)
    with pytest.raises(BundleError, match="there already; nothing was changed"):
        import_bundle(archive, tmp_path / "in", KEY)


def test_a_damaged_bundle_is_not_exported(tmp_path: Path, bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        export_bundle(bundle, tmp_path / "model.zip", KEY)
    assert not (tmp_path / "model.zip").exists()


def test_a_foreign_network_is_refused_however_well_it_is_hashed_and_signed(
    tmp_path: Path, bundle: Path, archive: Path, put_foreign_network: Callable[[Path], None]
) -> None:
    put_foreign_network(bundle)
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with zipfile.ZipFile(archive) as old:
        listed = json.loads(old.read(HASHES)) | {"sha256": {name: digest(data) for name, data in files.items()}}
    content = json.dumps(listed).encode()
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in {**files, HASHES: content, SIGNATURE: _sign(content, KEY)}.items():
            new.writestr(name, data)

    refused(archive, tmp_path / "in", KEY, r"model.*onnx is no network that edgetune wrote .*'Identity'")


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_key_is_read_without_its_line_end_and_must_be_long_enough(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "key").write_bytes(before + KEY + b"\r\n")
    assert read_key(tmp_path / "key") == KEY
    (tmp_path / "key").write_bytes(b"short\n")
    with pytest.raises(BundleError, match="fewer than 16"):
        read_key(tmp_path / "key")
    with pytest.raises(BundleError, match="openssl rand -hex 32"):
        read_key(tmp_path / "none")
