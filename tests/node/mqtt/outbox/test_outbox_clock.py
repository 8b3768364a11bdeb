"""What waits grows old by time that has passed, not by what the clock is set to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from keeping import DAY_NS, NOW_NS, fill_disk, payloads, put
from manual_clock import Counted

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.outbox import CLOCK_SET_NS, Outbox
from edgetune_node.mqtt.outbox_clock import machine_boot, since_boot_ns

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = 60 * 10**9


class Machine:
    """A machine with both clocks, and outboxes on it that keep what waits for a day."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.utc, self.steady = Counted(NOW_NS), Counted(5 * MINUTE_NS)
        self.boot = "first"

    def open(self) -> Outbox:
        return Outbox(
            self.path, max_bytes=10**6, max_age_s=86_400.0, clock=self.utc, steady=self.steady, machine_boot=self.boot
        )

    def passes(self, ns: int) -> None:
        self.utc.now_ns += ns
        self.steady.now_ns += ns

    def restarts(self) -> None:
        self.boot, self.steady.now_ns = "second", 1


@pytest.mark.parametrize("jump_ns", [30 * DAY_NS, -30 * DAY_NS, 3600 * 10**9])
def test_a_jump_of_the_clock_makes_nothing_that_waits_older_or_younger(path: Path, jump_ns: int) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox, payload=b"before")
    machine.passes(DAY_NS // 2)
    machine.utc.now_ns += jump_ns
    put(outbox, payload=b"after")
    machine.passes(DAY_NS // 2)
    outbox.expire()
    assert payloads(outbox) == [b"before", b"after"]
    machine.passes(1)
    outbox.expire()
    assert payloads(outbox) == [b"after"]
    assert outbox.pending()[0].time_ns == machine.utc.now_ns - DAY_NS // 2 - 1
    outbox.close()


@pytest.mark.parametrize("jump_ns", [30 * DAY_NS, -30 * DAY_NS])
@pytest.mark.parametrize("looks", range(5))
def test_a_clock_that_is_set_while_a_message_is_put_drops_nothing(path: Path, jump_ns: int, looks: int) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox, payload=b"before")
    machine.utc.set_after(looks, machine.utc.now_ns + jump_ns)
    put(outbox, payload=b"during")
    machine.utc.set_after(0, NOW_NS + jump_ns)
    put(outbox, payload=b"after")
    assert payloads(outbox) == [b"before", b"during", b"after"]
    assert outbox.dropped == 0
    outbox.close()


@pytest.mark.parametrize("jump_ns", [30 * DAY_NS, -30 * DAY_NS])
def test_a_jump_while_no_process_runs_is_found_at_the_next_start(path: Path, jump_ns: int) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox, payload=b"before")
    outbox.close()
    machine.passes(DAY_NS)
    machine.utc.now_ns += jump_ns
    outbox = machine.open()
    assert payloads(outbox) == [b"before"]
    machine.passes(1)
    outbox.expire()
    assert payloads(outbox) == []
    outbox.close()


def test_over_a_restart_of_the_machine_the_time_of_day_counts(path: Path) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox)
    outbox.close()
    machine.passes(DAY_NS + 1)
    machine.restarts()
    outbox = machine.open()
    assert payloads(outbox) == []
    outbox.close()


def test_a_clock_that_is_slewed_moves_no_stamps(path: Path) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox)
    before = outbox.pending()[0].time_ns
    machine.utc.now_ns += 10**9
    outbox.expire()
    assert outbox.pending()[0].time_ns == before
    outbox.close()


def test_where_the_disk_is_full_stamps_are_moved_once_there_is_room(path: Path) -> None:
    machine = Machine(path)
    outbox = machine.open()
    put(outbox, payload=b"1")
    fill_disk(outbox)
    machine.utc.now_ns += 30 * DAY_NS
    with pytest.raises(OutboxError):
        put(outbox, payload=bytes(20_000))
    with outbox._file.reading() as db:
        db.execute("PRAGMA max_page_count=100000")
    outbox.expire()
    assert payloads(outbox) == [b"1"]
    assert outbox.pending()[0].time_ns == machine.utc.now_ns
    outbox.close()


@pytest.mark.parametrize("restart", [False, True], ids=["the process lives", "the process starts anew"])
def test_a_clock_that_was_ahead_for_a_moment_makes_no_signature_forgotten(path: Path, *, restart: bool) -> None:
    machine = Machine(path)
    expires = datetime.fromtimestamp(machine.utc.now_ns / 1e9, UTC) + timedelta(minutes=5)
    outbox = machine.open()
    assert outbox.commands.first_use("overheard", expires)
    machine.utc.now_ns += 30 * DAY_NS
    if restart:
        outbox.close()
        outbox = machine.open()
    assert outbox.commands.first_use("another", expires + timedelta(days=30))
    machine.utc.now_ns -= 30 * DAY_NS
    assert not outbox.commands.first_use("overheard", expires)
    machine.passes(2 * DAY_NS)
    assert outbox.commands.first_use("later", expires + timedelta(days=2))
    assert outbox.commands.first_use("overheard", expires)
    outbox.close()


def test_a_machine_that_starts_without_knowing_the_time_forgets_signatures_once_it_knows(path: Path) -> None:
    machine = Machine(path)
    now, machine.utc.now_ns = machine.utc.now_ns, 0
    outbox = machine.open()
    machine.utc.now_ns = now
    outbox.expire()
    expires = datetime.fromtimestamp(now / 1e9, UTC)
    assert outbox.commands.first_use("a", expires)
    machine.passes(2 * DAY_NS)
    assert outbox.commands.first_use("b", expires + timedelta(days=2))
    assert outbox.commands.first_use("a", expires)
    outbox.close()


def test_the_machine_has_a_clock_that_nobody_sets_and_a_name_for_its_run() -> None:
    first = since_boot_ns()
    assert 0 < first <= since_boot_ns() < CLOCK_SET_NS
    assert machine_boot() == machine_boot() != ""
