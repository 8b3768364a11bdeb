"""The audit log keeps every command and answer, over broken lines, full disks and its own bound."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edgetune_node import audit
from edgetune_node.audit import AuditLog
from edgetune_node.events import CommandArrived, Durability, Publish
from edgetune_node.messages import Response, Status
from edgetune_node.topics import Topics

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = Topics("edgetune", "n")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer(topic: str, status: str = "done", reason: str = "") -> Publish:
    stamp = {"ts": NOW, "boot": "b", "seq": 0, "clock_synced": True}
    return Publish(topic, Response(id="c1", command="cancel", status=status, reason=reason, **stamp), Durability.RARE)


def test_a_command_and_its_answer_become_two_lines(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, TOPICS, "b")
    log.received(CommandArrived("bearing", "cancel", b'{"id": "c1"}', response_topic="me"), NOW)
    log.published(answer("edgetune/n/bearing/resp/cancel"))
    received, answered = lines(tmp_path / "audit.jsonl")
    assert received == {
        "ts": "2026-01-01T00:00:00+00:00",
        "boot": "b",
        "event": "received",
        "asset": "bearing",
        "command": "cancel",
        "retained": False,
        "response_topic": "me",
        "payload_bytes": 12,
        "payload": '{"id": "c1"}',
    }
    assert (answered["event"], answered["asset"], answered["id"], answered["status"]) == (
        "answered",
        "bearing",
        "c1",
        "done",
    )


def test_an_answer_is_noted_as_it_is_sent(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, TOPICS, "b")
    log.published(answer("edgetune/n/bearing/resp/cancel", "failed", "m\udcfchle.npz cannot be read"))
    [answered] = lines(tmp_path / "audit.jsonl")
    assert (answered["status"], answered["reason"]) == ("failed", "m?hle.npz cannot be read")


def test_copies_for_the_asker_and_other_messages_leave_no_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, TOPICS, "b")
    log.published(answer("somewhere/else"))
    status = Status(ts=NOW, boot="b", seq=0, clock_synced=True, status="online")
    log.published(Publish("edgetune/n/status", status, Durability.TELEMETRY))
    assert not (tmp_path / "audit.jsonl").exists()


def test_a_payload_that_is_no_text_and_too_long_keeps_to_one_short_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, TOPICS, "b")
    log.received(CommandArrived("a" * 60_000, "b" * 60_000, b"\xff\n" * 8192), NOW)
    [line] = lines(tmp_path / "audit.jsonl")
    assert line["payload_bytes"] == 16_384
    assert line["payload"] == "\\xff\n" * 2048
    assert line["asset"] == "a" * 64
    assert line["command"] == "b" * 64


def test_a_line_that_a_power_cut_broke_off_stays_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"ts": "2026')
    AuditLog(tmp_path, TOPICS, "b").published(answer("edgetune/n/resp/ping"))
    broken, whole = path.read_bytes().splitlines()
    assert broken == b'{"ts": "2026'
    assert json.loads(whole)["id"] == "c1"


def test_the_log_is_bounded_and_loses_the_oldest_first(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, TOPICS, "b", file_bytes=2000)
    for number in range(200):
        log.received(CommandArrived("bearing", "cancel", str(number).encode()), NOW)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl", "audit.jsonl"]
    assert all(file.stat().st_size <= 2000 for file in files)
    kept = [int(line["payload"]) for name in ("3.", "2.", "1.", "") for line in lines(tmp_path / f"audit.{name}jsonl")]
    assert kept == list(range(kept[0], 200))
    assert len(kept) > 20


def test_lines_that_the_disk_would_not_take_are_counted_in_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    log = AuditLog(folder, TOPICS, "b")
    log.published(answer("edgetune/n/resp/ping"))
    log.published(answer("edgetune/n/resp/ping"))
    assert log.failure == f"{folder}/audit.jsonl cannot be written, 2 lines are missing: No such file or directory"
    folder.mkdir()
    log.published(answer("edgetune/n/resp/ping", "failed"))
    missing, answered = lines(folder / "audit.jsonl")
    assert (missing["event"], missing["lines"]) == ("missing", 2)
    assert answered["status"] == "failed"
    assert log.failure is None


def test_a_disk_that_works_again_is_no_problem_any_more_though_nobody_commands(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    log = AuditLog(folder, TOPICS, "b")
    log.published(answer("edgetune/n/resp/ping"))
    log.catch_up(NOW)
    assert log.failure is not None
    folder.mkdir()
    for _ in range(2):
        log.catch_up(NOW)
    assert log.failure is None
    [missing] = lines(folder / "audit.jsonl")
    assert (missing["event"], missing["lines"]) == ("missing", 1)


def test_every_line_is_synced_before_its_method_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(audit.os, "fsync", fsync)
    log = AuditLog(tmp_path, TOPICS, "b")
    for _ in range(3):
        log.received(CommandArrived(None, "ping", b"{}"), NOW)
        assert (tmp_path / "audit.jsonl").stat().st_size in synced
