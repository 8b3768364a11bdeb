"""The audit log keeps every command and answer, over broken lines, full disks and its own bound."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edgetune_node.contract.messages import Response, Status
from edgetune_node.contract.topics import Topics
from edgetune_node.events.effects import Durability, KeepCommand, Publish
from edgetune_node.events.events import CommandArrived
from edgetune_node.ops import audit
from edgetune_node.ops.audit import MAX_REFUSED_BYTES, REFUSED_BURST, REFUSED_FILE_BYTES, AuditLog

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from edgetune_node.events.effects import Effect

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = Topics("edgetune", "n")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer(topic: str, status: str = "done", reason: str = "") -> Publish:
    stamp = {"ts": NOW, "boot": "b", "seq": 0, "clock_synced": True}
    return Publish(topic, Response(id="c1", command="cancel", status=status, reason=reason, **stamp), Durability.RARE)


def audit_log(folder: Path, **options: Any) -> AuditLog:
    return AuditLog(folder, TOPICS, "b", **{"monotonic": lambda: 0.0, **options})


def accepted(event: CommandArrived) -> list[Effect]:
    keep = KeepCommand(event.asset, event.name, "c1", event.payload, b"", None)
    return [answer(f"edgetune/n/{event.asset}/resp/{event.name}"), answer("somewhere/else"), keep]


def refused(event: CommandArrived) -> list[Effect]:
    return [answer(f"edgetune/n/{event.asset}/resp/{event.name}", "rejected", "no")]


def note(log: AuditLog, event: CommandArrived, effects: list[Effect] | None = None) -> None:
    log.command(event, accepted(event) if effects is None else effects, NOW)


def test_a_command_and_its_answer_become_two_lines(tmp_path: Path) -> None:
    log = audit_log(tmp_path)
    note(log, CommandArrived("bearing", "cancel", b'{"id": "c1"}', response_topic="me"))
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
    log = audit_log(tmp_path)
    log.published(answer("edgetune/n/bearing/resp/cancel", "failed", "m\udcfchle.npz cannot be read"))
    [answered] = lines(tmp_path / "audit.jsonl")
    assert (answered["status"], answered["reason"]) == ("failed", "m?hle.npz cannot be read")


def test_copies_for_the_asker_and_other_messages_leave_no_line(tmp_path: Path) -> None:
    log = audit_log(tmp_path)
    log.published(answer("somewhere/else"))
    status = Status(ts=NOW, boot="b", seq=0, clock_synced=True, status="online")
    log.published(Publish("edgetune/n/status", status, Durability.TELEMETRY))
    assert not (tmp_path / "audit.jsonl").exists()


def test_parts_of_a_long_answer_leave_no_line(tmp_path: Path) -> None:
    log = audit_log(tmp_path)
    part = replace(answer("edgetune/n/bearing/resp/capture", "progress"), durability=Durability.TELEMETRY)
    log.published(part)
    assert not (tmp_path / "audit.jsonl").exists()
    log.published(answer("edgetune/n/bearing/resp/capture", "done"))
    assert len(lines(tmp_path / "audit.jsonl")) == 1


def test_a_payload_that_is_no_text_and_too_long_keeps_to_one_short_line(tmp_path: Path) -> None:
    log = audit_log(tmp_path)
    note(log, CommandArrived("a" * 60_000, "b" * 60_000, b"\xff\n" * 8192))
    line = lines(tmp_path / "audit.jsonl")[0]
    assert line["payload_bytes"] == 16_384
    assert line["payload"] == "\\xff\n" * 2048
    assert line["asset"] == "a" * 64
    assert line["command"] == "b" * 64


def test_a_line_that_a_power_cut_broke_off_stays_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"ts": "2026')
    audit_log(tmp_path).published(answer("edgetune/n/resp/ping"))
    broken, whole = path.read_bytes().splitlines()
    assert broken == b'{"ts": "2026'
    assert json.loads(whole)["id"] == "c1"


def test_the_log_is_bounded_and_loses_the_oldest_first(tmp_path: Path) -> None:
    log = audit_log(tmp_path, file_bytes=2000)
    for number in range(200):
        note(log, CommandArrived("bearing", "cancel", str(number).encode()))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl", "audit.jsonl"]
    assert all(file.stat().st_size <= 2000 for file in files)
    found = [line for name in ("3.", "2.", "1.", "") for line in lines(tmp_path / f"audit.{name}jsonl")]
    kept = [int(line["payload"]) for line in found if line["event"] == "received"]
    assert kept == list(range(kept[0], 200))
    assert len(kept) > 10


def test_lines_that_the_disk_would_not_take_are_counted_in_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    log = audit_log(folder)
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
    log = audit_log(folder)
    log.published(answer("edgetune/n/resp/ping"))
    log.catch_up(NOW, 0)
    assert log.failure is not None
    folder.mkdir()
    for _ in range(2):
        log.catch_up(NOW, 0)
    assert log.failure is None
    [missing] = lines(folder / "audit.jsonl")
    assert (missing["event"], missing["lines"]) == ("missing", 1)


def test_a_pipe_in_the_place_of_the_log_holds_up_nothing_and_is_named(tmp_path: Path) -> None:
    log = audit_log(tmp_path)
    os.mkfifo(tmp_path / "audit.jsonl")
    reader = os.open(tmp_path / "audit.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(1000):  # more than a pipe takes
        note(log, CommandArrived("bearing", "cancel", b"x" * 100))
    os.close(reader)
    assert "it is no file but a pipe or device; move it away" in str(log.failure)
    (tmp_path / "audit.jsonl").unlink()
    log.catch_up(NOW, 0)
    assert log.failure is None
    assert lines(tmp_path / "audit.jsonl")[0]["lines"] == 2000


def test_every_line_is_synced_before_its_method_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(audit.os, "fsync", fsync)
    log = audit_log(tmp_path)
    for _ in range(3):
        note(log, CommandArrived("bearing", "cancel", b"{}"))
        assert (tmp_path / "audit.jsonl").stat().st_size in synced


def test_a_flood_of_garbage_pushes_out_no_accepted_command_and_is_counted(tmp_path: Path) -> None:
    now_s = 0.0
    log = audit_log(tmp_path, monotonic=lambda: now_s)
    note(log, CommandArrived("bearing", "acknowledge", b'{"id": "c1"}'))
    garbage = CommandArrived("bearing", "cancel", b"\xff" * 16_384)
    for _ in range(3000):
        note(log, garbage, refused(garbage))
        ping = CommandArrived(None, "ping", b" " * 16_000 + b'{"id": "p"}')
        note(log, ping, [answer("edgetune/n/resp/ping"), KeepCommand(None, "ping", "p", b"", b"", None, final=True)])
    log.catch_up(NOW, 500)
    assert [line["event"] for line in lines(tmp_path / "audit.jsonl")] == ["received", "answered"]
    found = lines(tmp_path / "audit.refused.jsonl")
    assert Counter(line["event"] for line in found) == {
        "received": REFUSED_BURST,
        "answered": REFUSED_BURST,
        "suppressed": 1,
    }
    assert found[-1]["commands"] == 6000 - REFUSED_BURST + 500
    assert found[0]["payload"] == "\\xff" * MAX_REFUSED_BYTES
    assert found[0]["payload_bytes"] == 16_384
    size = (tmp_path / "audit.refused.jsonl").stat().st_size
    now_s = 60.0
    note(log, garbage, refused(garbage))
    log.catch_up(NOW, 500)
    assert [line["event"] for line in lines(tmp_path / "audit.refused.jsonl")][-2:] == ["received", "answered"]
    assert size < 250_000


def test_lines_of_refused_commands_are_bounded_too(tmp_path: Path) -> None:
    now_s = iter(range(10**6))
    log = audit_log(tmp_path, monotonic=lambda: float(next(now_s)))
    garbage = CommandArrived("bearing", "cancel", b"\xff" * 16_384)
    for _ in range(3000):
        note(log, garbage, refused(garbage))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.refused.1.jsonl", "audit.refused.jsonl"]
    assert sum(file.stat().st_size for file in files) <= 2 * REFUSED_FILE_BYTES
