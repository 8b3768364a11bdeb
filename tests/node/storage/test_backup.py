"""A backup is whole, signed where there is a key, and restored whole, or gone on with after a kill."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from killing import killer

from edgetune_node.mqtt import Outbox
from edgetune_node.storage import finish_restore

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = """# of the press
[mqtt]
port = 1
[node]
id = "n1"  # its name
namespace = "plant"
data_dir = '{data}'
[[asset]]
id = "press"
task = "fault"
channels = 1
rate_hz = 1000.0
"""
FILES = {
    "audit.jsonl": b'{"event": "accepted"}\n',
    "assets/press/models/model-1/card.json": b"{}" * 3000,
    "assets/press/recordings/normal-1.npz": bytes(range(256)) * 40,
    "assets/press/trend/minute.csv": b"1,2\n",
}
LEFT_OUT = ("backups/old.zip", "assets/press/models/.writing-2/x", "assets/press/recordings/a.npz.part")


def outbox(path: Path) -> Outbox:
    return Outbox(path, max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)


def make_node(folder: Path) -> Path:
    """Make the data folder and the configuration of a node that does not run; return the latter."""
    data = folder / "data"
    for name in (*FILES, *LEFT_OUT):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(FILES.get(name, b"not for keeping"))
    (data / "assets/press/novel").mkdir()
    (data / "assets/press/models/current").symlink_to("model-1")
    with closing(sqlite3.connect(data / "sparkplug.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE birth (number INTEGER)")
        db.execute("INSERT INTO birth VALUES (7)")
    kept = outbox(data / "outbox.sqlite")
    kept.put("plant/n1/press/fault", b'{"class": "inner"}', qos=1, retain=True, boot="b", correlation=None)
    kept.commands.keep(None, "backup", "b1", b"{}", b"{}")
    kept.commands.keep("press", "record", "r1", b"{}", b"{}")
    kept.close()
    config = folder / "config.toml"
    config.write_text(CONFIG.format(data=data), encoding="utf-8")
    return config


def content(data: Path) -> dict[str, bytes | str]:
    """Everything below a folder but databases: the bytes of files, and where links lead."""
    return {
        path.relative_to(data).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in data.rglob("*")
        if (path.is_symlink() or path.is_file()) and ".sqlite" not in path.name
    }


WHOLE = {**FILES, "assets/press/models/current": "model-1"}


def rows(data: Path, query: str, name: str = "outbox.sqlite") -> list[Any]:
    with closing(sqlite3.connect(data / name)) as db:
        return db.execute(query).fetchall()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "backup.key"
    path.write_text("0123456789abcdef" * 4, encoding="ascii")
    return path


def test_a_node_is_restored_as_it_was(tmp_path: Path, key: Path, cli: Callable[..., Any]) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    told = json.loads(cli("backup", "--config", config, "--out", out, "--key", key, "--json").out)
    assert (told["node"], told["files"], told["signed"]) == ("n1", len(FILES) + 3, True)
    assert out.stat().st_mode & 0o777 == 0o600
    data, text = tmp_path / "a" / "data", config.read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "a")
    ended = cli("restore", out, "--config", config, "--key", key, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["config"] == str(config)
    assert config.read_text(encoding="utf-8") == text
    assert content(data) == WHOLE
    assert (data / "assets/press/novel").is_dir()
    assert not (data / "backups").exists()
    assert rows(data, "SELECT topic FROM entry") == [("plant/n1/press/fault",)]
    assert rows(data, "SELECT id FROM command") == [("r1",)]  # the backup itself is no interrupted command
    assert rows(data, "SELECT number FROM birth", "sparkplug.sqlite") == [(7,)]
    outbox(data / "outbox.sqlite").close()


def test_another_id_takes_what_was_learned_and_sends_nothing_of_the_other_node(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    cli("backup", "--config", config, "--out", out)
    other = tmp_path / "b" / "config.toml"
    other.parent.mkdir()
    other.write_text(config.read_text(encoding="utf-8").replace("/a/data", "/b/data").replace('"n1"', '"n2"'))
    words = ("restore", out, "--config", other, "--unsigned")
    ended = cli(*words)
    assert (ended.code, "the backup is of node 'n1'" in ended.err, "has 'n2'" in ended.err) == (1, True, True)
    assert not (tmp_path / "b" / "data").exists()
    assert cli(*words, "--node-id", "n2").code == 0
    data = tmp_path / "b" / "data"
    assert content(data) == WHOLE
    assert rows(data, "SELECT topic FROM current") == [("plant/n2/press/fault",)]
    assert not (data / "sparkplug.sqlite").exists()
    assert rows(data, "SELECT * FROM entry") == rows(data, "SELECT * FROM command") == []


def test_a_configuration_that_is_not_there_is_written_with_the_new_id(tmp_path: Path, cli: Callable[..., Any]) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    cli("backup", "--config", config, "--out", out)
    text = config.read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "a")
    assert cli("restore", out, "--config", config, "--unsigned", "--node-id", "n2").code == 0
    assert config.read_text(encoding="utf-8") == text.replace('"n1"', '"n2"')


def test_a_data_folder_that_holds_something_is_only_replaced_when_told(tmp_path: Path, cli: Callable[..., Any]) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    cli("backup", "--config", config, "--out", out)
    data = tmp_path / "a" / "data"
    (data / "audit.jsonl").write_bytes(b"later")
    words = ("restore", out, "--config", config, "--unsigned")
    ended = cli(*words)
    assert (ended.code, "--replace, which moves them aside" in ended.err) == (1, True)
    assert (data / "audit.jsonl").read_bytes() == b"later"
    aside = Path(json.loads(cli(*words, "--replace", "--json").out)["moved_aside"])
    assert (aside / "audit.jsonl").read_bytes() == b"later"
    assert (aside / "outbox.sqlite").exists()
    found = {name: held for name, held in content(data).items() if not name.startswith(("replaced-", "backups/"))}
    assert found == WHOLE


def test_a_node_that_runs_is_not_restored_over(tmp_path: Path, cli: Callable[..., Any]) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    cli("backup", "--config", config, "--out", out)
    running = outbox(tmp_path / "a" / "data" / "outbox.sqlite")
    ended = cli("restore", out, "--config", config, "--unsigned", "--replace")
    running.close()
    assert (ended.code, "the node is running: stop it first" in ended.err) == (1, True)


def test_what_is_not_signed_with_the_key_is_not_restored(tmp_path: Path, key: Path, cli: Callable[..., Any]) -> None:
    config = make_node(tmp_path / "a")
    cli("backup", "--config", config, "--out", tmp_path / "plain.zip")
    cli("backup", "--config", config, "--out", tmp_path / "signed.zip", "--key", key)
    other = tmp_path / "other.key"
    other.write_text("f" * 64, encoding="ascii")
    for archive, held, reason in (
        ("plain.zip", key, "is not signed: make it with --key"),
        ("signed.zip", other, "is not signed with this key"),
    ):
        ended = cli("restore", tmp_path / archive, "--config", tmp_path / "new.toml", "--key", held)
        assert (ended.code, reason in ended.err) == (1, True), ended.err
    assert not (tmp_path / "new.toml").exists()
    assert cli("restore", tmp_path / "plain.zip", "--config", tmp_path / "new.toml").code == 2


class Parts(NamedTuple):
    """What is in a backup."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


def rewritten(source: Path, target: Path, change: Callable[[Parts], None]) -> None:
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("backup.json"))
    change(Parts(manifest, files))
    with zipfile.ZipFile(target, "w") as archive:
        for name, held in {**files, "backup.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, held)


def escape_by_name(parts: Parts) -> None:
    parts.manifest["files"]["data/../../evil"] = parts.manifest["files"]["data/audit.jsonl"]
    parts.files["data/../../evil"] = parts.files["data/audit.jsonl"]


def escape_by_link(parts: Parts) -> None:
    parts.manifest["links"]["data/assets/press/models/current"] = "../../../../.."


def write_through_link(parts: Parts) -> None:
    parts.manifest["links"]["data/way"] = "assets"
    parts.manifest["files"]["data/way/x"] = parts.manifest["files"]["data/audit.jsonl"]
    parts.files["data/way/x"] = parts.files["data/audit.jsonl"]


def pose_as_backups(parts: Parts) -> None:
    parts.manifest["files"]["data/backups/x"] = parts.manifest["files"]["data/audit.jsonl"]
    parts.files["data/backups/x"] = parts.files["data/audit.jsonl"]


def break_the_outbox(parts: Parts) -> None:
    parts.files["data/outbox.sqlite"] = b"no database" * 100
    digest = hashlib.sha256(parts.files["data/outbox.sqlite"]).hexdigest()
    parts.manifest["files"]["data/outbox.sqlite"] = (digest, len(parts.files["data/outbox.sqlite"]))


def change_a_file(parts: Parts) -> None:
    parts.files["data/audit.jsonl"] = b'{"event": "accEpted"}\n'


def leave_one_out(parts: Parts) -> None:
    del parts.files["data/audit.jsonl"]


def pose_as_newer(parts: Parts) -> None:
    parts.manifest["format"] = 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (escape_by_name, "which is no place in a data folder"),
        (escape_by_link, "out of its folder"),
        (write_through_link, "lies in what is no folder"),
        (pose_as_backups, "which no backup has"),
        (change_a_file, "SHA-256 differs"),
        (leave_one_out, "does not hold the files of its own list"),
        (pose_as_newer, "upgrade edgetune"),
    ],
)
def test_a_backup_that_was_tampered_with_changes_nothing(
    change: Callable[[Parts], None], reason: str, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    config = make_node(tmp_path / "a")
    cli("backup", "--config", config, "--out", tmp_path / "good.zip")
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", change)
    shutil.rmtree(tmp_path / "a" / "data")
    ended = cli("restore", tmp_path / "bad.zip", "--config", config, "--unsigned")
    assert (ended.code, reason in ended.err) == (1, True), ended.err
    assert not (tmp_path / "a" / "data").exists()


def test_a_backup_whose_outbox_is_none_leaves_an_empty_folder(tmp_path: Path, cli: Callable[..., Any]) -> None:
    config = make_node(tmp_path / "a")
    cli("backup", "--config", config, "--out", tmp_path / "good.zip")
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", break_the_outbox)
    shutil.rmtree(tmp_path / "a" / "data")
    ended = cli("restore", tmp_path / "bad.zip", "--config", config, "--unsigned")
    assert (ended.code, "outbox cannot be used" in ended.err) == (1, True), ended.err
    assert list((tmp_path / "a" / "data").iterdir()) == []


def test_a_backup_that_is_compressed_otherwise_is_refused(tmp_path: Path, cli: Callable[..., Any]) -> None:
    config = make_node(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("backup.json", b"{}" * 1000)
    damaged = bytearray((tmp_path / "bad.zip").read_bytes())
    damaged[60:70] = b"\xff" * 10
    (tmp_path / "bad.zip").write_bytes(damaged)
    ended = cli("restore", tmp_path / "bad.zip", "--config", config, "--unsigned", "--json")
    assert (ended.code, "compressed in a way" in json.loads(ended.out)["error"]) == (1, True), ended.err


@pytest.mark.parametrize("node_id", ["a\\q", 'a"b', "../x", "a\nb", ""])
def test_an_id_that_no_node_can_have_is_refused(node_id: str, tmp_path: Path, cli: Callable[..., Any]) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    cli("backup", "--config", config, "--out", out)
    shutil.rmtree(tmp_path / "a")
    ended = cli("restore", out, "--config", config, "--unsigned", "--node-id", node_id, "--json")
    assert (ended.code, "--node-id" in json.loads(ended.out)["error"]) == (1, True), ended.err
    assert not config.exists()


@pytest.mark.parametrize("kept", [0, 10, 1000, -30])
def test_a_backup_that_is_cut_off_is_refused(kept: int, tmp_path: Path, cli: Callable[..., Any]) -> None:
    config = make_node(tmp_path / "a")
    cli("backup", "--config", config, "--out", tmp_path / "good.zip")
    (tmp_path / "bad.zip").write_bytes((tmp_path / "good.zip").read_bytes()[:kept])
    ended = cli("restore", tmp_path / "bad.zip", "--config", config, "--unsigned")
    assert (ended.code, "is damaged or no backup" in ended.err) == (1, True), ended.err


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_a_backup_that_never_ends_is_refused_at_once(what: str, tmp_path: Path, cli: Callable[..., Any]) -> None:
    config = make_node(tmp_path / "a")
    endless = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[what]
    if what == "pipe":
        os.mkfifo(endless)
    ended = cli("restore", endless, "--config", config, "--unsigned")
    assert (ended.code, "no file but a folder, pipe or device" in ended.err) == (1, True), ended.err


@pytest.mark.slow
@pytest.mark.parametrize("replace", [False, True])
def test_a_restore_that_is_killed_at_any_step_has_done_nothing_or_is_finished(replace: bool, tmp_path: Path) -> None:  # noqa: FBT001
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    data = tmp_path / "a" / "data"
    words = ("restore", str(out), "--config", str(config), "--unsigned", *(["--replace"] if replace else []))
    before: dict[str, bytes | str] = {"audit.jsonl": b"later"} if replace else {}
    text = config.read_text(encoding="utf-8")
    killed = decided = 0
    with killer() as run:
        assert run.run(0, "backup", "--config", str(config), "--out", str(out)) == 0
        for step in itertools.count(1):
            shutil.rmtree(data)
            config.unlink()
            if replace:
                data.mkdir()
                (data / "audit.jsonl").write_bytes(b"later")
            code = run.run(step, *words)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
            if finish_restore(data):  # as a node does at its start
                decided += 1
            left = {name: held for name, held in content(data).items() if not name.startswith(".restoring/")}
            if not _is_whole(left):
                assert left == before
                assert run.run(0, *words) == 0
            assert _is_whole(content(data))
            assert config.read_text(encoding="utf-8") == text
            assert not finish_restore(data)
    assert killed > 20
    assert decided > 3


def _is_whole(found: dict[str, bytes | str]) -> bool:
    return {name: held for name, held in found.items() if not name.startswith(("replaced-", ".restoring/"))} == WHOLE


@pytest.mark.slow
def test_a_backup_that_is_killed_at_any_step_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    config, out = make_node(tmp_path / "a"), tmp_path / "n1.zip"
    killed = 0
    with killer() as run:
        for step in itertools.count(1):
            out.unlink(missing_ok=True)
            code = run.run(step, "backup", "--config", str(config), "--out", str(out))
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
            if out.exists():
                with zipfile.ZipFile(out) as archive:
                    assert archive.testzip() is None
            else:
                assert run.run(0, "backup", "--config", str(config), "--out", str(out)) == 0
            assert content(tmp_path / "a" / "data").items() >= WHOLE.items()
    assert killed >= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "n1.zip"]
