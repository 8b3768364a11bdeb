"""Store and forward: no fault is lost while a broker, the network or this process is away."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

from edgetune_node.contract.sign_messages import Sign
from edgetune_node.events.effects import Durability
from edgetune_node.integrations.sparkplug.catalogue import to_ms
from edgetune_node.integrations.sparkplug.store import EventStore, elapsing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brokers import Broker
    from mqtt_proxy import MqttProxy

WAITS = 'primary_host = "scada1"'
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def historical(at: Any) -> list[Any]:
    return [
        each
        for each in at.host.said("DDATA")
        if each.payload.metrics and all(metric.historical for metric in each.payload.metrics)
    ]


@pytest.mark.slow
def test_faults_of_an_outage_arrive_later_in_order_with_their_own_times(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker, sparkplug=WAITS).start()
    at.host.state(online=True)
    at.host.wait("DBIRTH", 2)
    fresh_broker.kill()
    wait_until(lambda: at.edge.problems)
    times = [NOW + timedelta(seconds=number) for number in range(20)]
    for number, moment in enumerate(times):
        at.fault(f"e{number}", ts=moment)
    sign = {"class_": "fist", "confidence": 1.0, "start": NOW, "end": NOW, "windows": 3, "model": "m", "ts": NOW}
    at.say(Sign(event="s1", **sign), "arm", Durability.SIGN)
    fresh_broker.start()
    wait_until(at.host.recorder.subscribed)
    at.host.state(online=True)
    wait_until(lambda: len(historical(at)) >= 21)
    kept = [each for each in historical(at) if each.device == "pump"]
    assert [each.values["fault/event"] for each in kept] == [f"e{number}" for number in range(20)]
    assert [{metric.time_ms for metric in each.payload.metrics} for each in kept] == [
        {to_ms(moment)} for moment in times
    ]
    assert all(each.payload.time_ms > to_ms(times[-1]) for each in kept)
    assert [each.values["sign/class"] for each in historical(at) if each.device == "arm"] == ["fist"]
    wait_until(lambda: len(at.edge._store) == 0)
    order = [each.verb for each in at.host.said()]
    assert order.index("DDATA", order.index("NBIRTH", 1)) > max(i for i, verb in enumerate(order) if verb == "DBIRTH")
    at.fault("now")
    now = at.host.wait_value("fault/event", "now", "pump")
    assert not now.metric("fault/event").historical


@pytest.mark.slow
def test_faults_that_nobody_got_arrive_after_a_restart(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker, sparkplug=WAITS)
    fresh_broker.stop()
    at.start()
    for number in range(5):
        at.fault(f"e{number}")
    at.stop()
    fresh_broker.start()
    at.start()
    wait_until(at.host.recorder.subscribed)
    at.host.state(online=True)
    wait_until(lambda: [each.values["fault/event"] for each in historical(at)] == [f"e{n}" for n in range(5)])


@pytest.mark.slow
def test_a_fault_that_was_on_its_way_when_the_network_went_comes_again(
    proxy: MqttProxy, plant: Callable[..., Any]
) -> None:
    at = plant(proxy).start()
    at.host.wait("DBIRTH", 2)
    at.edge._connection.fence = lambda: None  # the broker never confirms
    at.fault("on its way")
    at.host.wait_value("fault/event", "on its way", "pump")
    del at.edge._connection.fence
    proxy.cut()
    at.host.wait("NBIRTH", 2)
    wait_until(lambda: [each.values["fault/event"] for each in historical(at)] == ["on its way"])
    wait_until(lambda: len(at.edge._store) == 0)


@pytest.mark.slow
def test_the_rest_of_a_backlog_comes_after_another_outage(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker, sparkplug=WAITS, mqtt="replay_per_second = 5").start()
    for number in range(24):
        at.fault(f"e{number}")
    for _ in range(2):
        at.host.state(online=True)
        seen = len(historical(at))
        wait_until(lambda seen=seen: len(historical(at)) >= seen + 2)
        at.host.state(online=False)
        wait_until(lambda: any("waits for the primary host" in problem for problem in at.edge.problems))
        assert len(at.edge._store) > 0
    at.host.state(online=True)

    def events() -> list[str]:
        return list(dict.fromkeys(each.values["fault/event"] for each in historical(at)))

    wait_until(lambda: len(events()) >= 24)
    assert events() == [f"e{n}" for n in range(24)]
    wait_until(lambda: len(at.edge._store) == 0)
    at.host.check_sequence()


def test_a_store_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    now = [1000.0]
    store = EventStore(tmp_path / "s.sqlite", max_bytes=100, max_age_s=50, now_s=lambda: now[0])
    for number in range(15):
        store.keep("pump", bytes([number]) * 10)
    assert (len(store), store.dropped) == (10, 5)
    kept = store.after(0, ["pump"])
    assert kept is not None
    assert kept[2] == bytes([5]) * 10
    assert store.after(0, ["arm"]) is None
    now[0] += 60
    store.keep("pump", b"new")
    assert len(store) == 1
    store.close()


def test_no_fault_is_too_old_and_a_clock_that_is_set_makes_nothing_older(tmp_path: Path) -> None:
    now = [1000.0]
    store = EventStore(tmp_path / "s.sqlite", max_bytes=100, max_age_s=50, now_s=lambda: now[0])
    store.keep("pump", b"sign")
    store.keep("pump", b"fault", lasting=True)
    now[0] += 10**9
    store.keep("pump", b"later")
    assert kept(store) == [b"fault", b"later"]
    store.close()
    with pytest.MonkeyPatch.context() as patch:
        clock = elapsing()
        before = clock()
        patch.setattr(time, "time", lambda: 4e9)
        assert 0 <= clock() - before < 60


def test_faults_wait_for_the_host_whatever_the_clock_is_set_to(
    fresh_broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = plant(fresh_broker, sparkplug='primary_host = "scada1"').start()
    at.fault("before")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    at.fault("after")
    assert len(at.edge._store) == 2


def test_a_damaged_store_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"no database at all, but long enough for one" * 100)
    store = EventStore(path, max_bytes=100, max_age_s=50, now_s=lambda: 0.0)
    assert store.problem is None
    assert store.next_birth() == 0
    assert (tmp_path / "s.sqlite.damaged").exists()
    store.close()


def scribble(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"scribble" * (size // 32))


def odd_birth(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO birth VALUES ('seven')")


def odd_event(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE event SET payload = 'text'")


@pytest.mark.parametrize("spoil", [scribble, odd_birth, odd_event])
def test_a_store_that_is_damaged_inside_is_set_aside(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "s.sqlite"
    store = opened(path)
    for _ in range(100):
        store.keep("pump", bytes(500))
    store.close()
    spoil(path)
    store = opened(path)
    assert (store.problem, len(store), store.next_birth()) == (None, 0, 0)
    assert (tmp_path / "s.sqlite.damaged").exists()
    store.close()


def test_a_store_on_a_full_disk_goes_on_in_memory(small_disk: Any) -> None:
    store = EventStore(small_disk.folder / "s.sqlite", max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    store.keep("pump", b"first")
    small_disk.fill()
    for _ in range(30):
        store.keep("pump", bytes(100_000))
    assert len(store) == 31
    assert store.problem is not None
    assert "memory only" in store.problem
    assert store.next_birth() == 0
    store.close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    store = EventStore(tmp_path / "folder", max_bytes=100, max_age_s=50, now_s=lambda: 0.0)
    assert store.problem is not None
    assert isinstance(store._connection, sqlite3.Connection)
    assert store.keep("pump", b"x") == 1
    store.close()


def opened(path: Path) -> EventStore:
    return EventStore(path, max_bytes=10**6, max_age_s=50, now_s=lambda: 0.0)


def kept(store: EventStore) -> list[bytes]:
    found, key = [], 0
    while (event := store.after(key, ["pump"])) is not None:
        key = event[0]
        found.append(event[2])
    return found


def after_a_kill(path: Path, scratch: Path, births: int = 1) -> list[bytes]:
    """What the next process would find of events, and whether it goes on counting births."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(path.parent, scratch)
    store = opened(scratch / path.name)
    events = kept(store)
    assert store.next_birth() == births
    store.close()
    return events


def remove(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def replace_by_another(folder: Path) -> None:
    remove(folder)
    other = opened(folder / "s.sqlite")
    other.keep("pump", b"another's")
    other.keep("pump", b"first")
    other.close()


def damage(folder: Path) -> None:
    remove(folder)
    (folder / "s.sqlite").write_bytes(b"no database at all, but long enough for one" * 100)


@pytest.mark.parametrize(
    ("take_away", "more"),
    [(remove, []), (replace_by_another, [b"another's"]), (damage, [])],
    ids=lambda each: str(each)[:20],
)
def test_a_store_whose_file_is_taken_away_goes_on_in_a_new_one(
    tmp_path: Path, take_away: Callable[[Path], None], more: list[bytes]
) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    assert store.next_birth() == 0
    last = [store.keep("pump", event) for event in (b"first", b"second")][-1]
    store.look()
    take_away(path.parent)
    assert store.keep("pump", b"third") > last
    store.look()
    assert store.problem is None
    events = [b"first", b"second", b"third", *more]
    assert kept(store) == after_a_kill(path, tmp_path / "copy") == events
    assert store.keep("pump", b"fourth") > last + 1
    assert after_a_kill(path, tmp_path / "copy") == [*events, b"fourth"]
    store.close()


def test_a_store_without_a_folder_says_so_and_goes_back_to_the_disk_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetune_node.integrations.sparkplug.store.AGAIN_S", 0.0)
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    store.next_birth()
    store.keep("pump", b"first")
    shutil.rmtree(path.parent)
    store.look()
    assert store.problem is not None
    assert "memory only" in store.problem
    store.keep("pump", b"second")
    path.parent.mkdir()
    store.look()
    assert store.problem is None
    assert after_a_kill(path, tmp_path / "copy") == [b"first", b"second"]
    store.close()


def test_what_was_sent_while_the_disk_was_full_is_not_sent_again(
    small_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetune_node.integrations.sparkplug.store.AGAIN_S", 0.0)
    store = EventStore(small_disk.folder / "s.sqlite", max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    sent = store.keep("pump", b"sent")
    small_disk.fill()
    waiting = [bytes([number]) * 30_000 for number in range(10)]
    for event in waiting:
        store.keep("pump", event)
    assert store.problem is not None
    store.drop([sent])
    store.look()
    assert store.problem is not None
    small_disk.free()
    store.look()
    assert store.problem is None
    assert kept(store) == waiting
    store.close()


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


def overwrite_all(path: Path) -> None:
    for part in path.parent.glob(path.name + "*"):
        overwrite(part)


def truncate_all(path: Path) -> None:
    for part in path.parent.glob(path.name + "*"):
        part.write_bytes(b"")


def write_another_over(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough for one" * 100)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (overwrite, False),  # the log has all of it
        (write_another_over, False),
        (lambda path: path.with_name("s.sqlite-wal").unlink(), False),
        (lambda path: path.with_name("s.sqlite-wal").write_bytes(b""), True),
        (overwrite_all, True),
        (truncate_all, True),
    ],
)
def test_a_store_that_is_overwritten_in_place_is_made_again_with_all_events(
    tmp_path: Path, spoil: Callable[[Path], None], *, named: bool
) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    assert store.next_birth() == 0
    for event in (b"first", b"second"):
        store.keep("pump", event)
    store.look()
    assert store.notice is None
    spoil(path)
    store.look()
    assert store.problem is None
    assert (store.notice is not None) == named
    assert not named or "overwritten while the node ran; it was made again, nothing is lost" in str(store.notice)
    store.keep("pump", b"third")
    assert kept(store) == after_a_kill(path, tmp_path / "copy") == [b"first", b"second", b"third"]
    store.close()


def test_a_store_too_large_for_memory_that_is_overwritten_says_that_events_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = EventStore(path, max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    for _ in range(40):
        store.keep("pump", bytes(200_000))
    overwrite_all(path)
    store.look()
    assert "events that waited there are lost" in str(store.notice)
    store.keep("pump", b"next")
    assert kept(store) == after_a_kill(path, tmp_path / "copy", births=0) == [b"next"]
    store.close()
