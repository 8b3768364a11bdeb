"""Of the backups in the data folder the newest stay, whatever the clock was when they were made."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from edgetune_node.config.settings import Settings
from edgetune_node.runtime.backing_up import make_backup, wanted_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
YEARS = 3650


def back_up(data: Path, day: float, *, keep: int = 3, node: str = "n") -> str:
    """Make a backup while the clock shows a day; return its name."""
    data.mkdir(exist_ok=True)
    settings = Settings(node={"id": node, "data_dir": data}, asset=[{"id": "a", "rate_hz": 1000}])
    made = make_backup(settings, {"outbox.sqlite": lambda path: path.write_bytes(b"")}, NOW + timedelta(days=day), keep)
    return str(made["file"]).removeprefix("backups/")


def there(data: Path) -> set[str]:
    return {path.name for path in (data / "backups").iterdir()}


def test_the_newest_stay_and_the_new_one_whatever_is_kept(tmp_path: Path) -> None:
    made = [back_up(tmp_path, day) for day in range(5)]
    assert there(tmp_path) == set(made[2:])
    alone = back_up(tmp_path, 5, keep=1)
    assert there(tmp_path) == {alone}


def test_a_clock_that_is_set_back_leaves_the_new_one_and_removes_those_of_the_future_first(tmp_path: Path) -> None:
    future = [back_up(tmp_path, YEARS + day) for day in range(3)]
    first = back_up(tmp_path, 0)
    assert there(tmp_path) == {first, *future[1:]}
    second = back_up(tmp_path, 1)
    assert there(tmp_path) == {first, second, future[2]}
    third = back_up(tmp_path, 2)
    assert there(tmp_path) == {first, second, third}


@pytest.mark.parametrize("seconds", [0.0, 5e9])
def test_a_clock_of_years_that_no_archive_knows_hinders_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(time, "time", lambda: seconds)
    made = back_up(tmp_path, (seconds - NOW.timestamp()) / 86_400)
    assert there(tmp_path) == {made}


def test_a_node_that_got_another_id_keeps_its_new_backups(tmp_path: Path) -> None:
    before = [back_up(tmp_path, day, node="z") for day in range(3)]
    made = back_up(tmp_path, 3, node="a")
    assert there(tmp_path) == {*before[1:], made}


def test_what_others_put_beside_the_backups_hinders_none_and_stays(tmp_path: Path) -> None:
    first = back_up(tmp_path, 0)
    (tmp_path / "backups" / ".snapshots").mkdir()
    (tmp_path / "backups" / ".n-1.zip.part").write_bytes(b"interrupted")
    (tmp_path / "backups" / "before-the-move.zip").write_bytes(b"an operator's")
    (tmp_path / "backups" / "n-20200101T000000000000Z.zip").mkdir()
    (tmp_path / "backups" / "n-20210101T000000000000Z.zip").symlink_to("moved-away.zip")
    others = there(tmp_path) - {first, ".n-1.zip.part"}
    made = back_up(tmp_path, 1, keep=1)
    assert there(tmp_path) == {*others, made}


def test_a_file_that_goes_while_it_is_counted_takes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(b"four")
    (tmp_path / "gone").write_bytes(b"a search has removed it")

    def is_file(path: Path) -> bool:
        if path.name == "gone":
            path.unlink()
        return True

    monkeypatch.setattr(type(tmp_path), "is_file", is_file)
    assert wanted_bytes(tmp_path) == 4


def test_a_folder_that_goes_while_it_is_counted_takes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(b"four")
    (tmp_path / "gone").mkdir()
    scan = os.scandir

    def removing(path: Path | str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("gone"):
            (tmp_path / "gone").rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", removing)
    assert wanted_bytes(tmp_path) == 4
