"""The thread of files: what has begun when the node stops is finished, and what has not is not waited for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from edgetune_node.config.settings import Settings
from edgetune_node.events.evidence import KeepHeard
from edgetune_node.runtime.file_worker import FileWorker

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stop_waits_for_the_work_that_has_begun_and_not_for_the_work_that_waited(tmp_path: Path) -> None:
    settings = Settings(node={"id": "n", "data_dir": tmp_path}, asset=[{"id": "a", "rate_hz": 1000}])
    begun, go_on = threading.Event(), threading.Event()

    def post(_event: Any) -> None:
        begun.set()
        go_on.wait(30)

    files = FileWorker(settings, post, lambda _asset, _subject: {}, {})
    for _ in range(3):
        files.take(KeepHeard("a", b"{}"))
    assert begun.wait(30)
    files.stop()
    threading.Timer(0.2, go_on.set).start()
    began_s = time.monotonic()
    files.join(20)
    assert go_on.is_set()
    assert time.monotonic() - began_s < 15


def test_what_is_left_of_a_backup_that_was_interrupted_goes_with_the_next_start(tmp_path: Path) -> None:
    settings = Settings(node={"id": "n", "data_dir": tmp_path}, asset=[{"id": "a", "rate_hz": 1000}])
    folder = tmp_path / "backups"
    folder.mkdir()
    for name in (".n-1.zip.part", ".n-1.zip.outbox", ".n-1.zip.outbox-journal", "n-0.zip"):
        (folder / name).write_bytes(b"x")
    files = FileWorker(settings, lambda _event: None, lambda _asset, _subject: {}, {})
    files.stop()
    assert [path.name for path in folder.iterdir()] == ["n-0.zip"]
