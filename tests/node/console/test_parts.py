"""The console's parts without a network: what is kept, who is known, what is read."""

from __future__ import annotations

import json
import os
import threading
from array import array
from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import ANY

import pytest

from edgetune_node.config import MqttSection
from edgetune_node.console.acting import RequestError, drawn, read_order
from edgetune_node.console.bridge import Bridge
from edgetune_node.console.handover import ServerSettings, flat
from edgetune_node.console.listening import parse_listen
from edgetune_node.console.mirror import (
    MOST_BYTES,
    MOST_NODE_BYTES,
    MOST_TOPICS,
    MOST_WAITING,
    PIECE_BYTES,
    Mirror,
    Waiting,
)
from edgetune_node.console.overhearing import MOST_NAME, MOST_SHOWN, sent
from edgetune_node.console.proxies import check_proxies, client_address
from edgetune_node.console.sessions import IDLE_S, MOST_SESSIONS, RateLimit, Sessions, as_label
from edgetune_node.contract import PROPERTY, seal
from edgetune_node.errors import NodeError
from edgetune_node.operator import PartedAnswer, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTTPConnection = pytest.importorskip("starlette.requests", reason="edgetune[console] is not installed").HTTPConnection
from edgetune_node.console.app import own_origin  # noqa: E402 - only where it is installed


def test_the_server_gets_the_broker_as_the_configuration_has_it(tmp_path: Path) -> None:
    tls = {"ca_file": tmp_path / "ca.crt"}
    given = {"url": "wss://broker.example:9001/mqtt", "username": "anna", "password": "secret", "tls": tls}
    section = MqttSection.model_validate({**given, "command_key": "k" * 40})
    reading, writing = os.pipe()
    values = {"namespace": "a/b", "broker": flat(section), "hosts": ["localhost"]}
    os.write(writing, json.dumps(values).encode())
    os.close(writing)
    settings = ServerSettings.read(reading)
    seen = settings.login()
    for name in (*MqttSection.model_fields, "where", "transport", "path"):
        if name not in {"password", "command_key", "tls"}:
            assert getattr(seen, name) == getattr(section, name), name
    assert seen.tls.ca_file == tmp_path / "ca.crt"
    assert seen.password.get_secret_value() == "secret"
    assert seen.command_key.get_secret_value() == "k" * 40
    assert "secret" not in repr(settings)
    assert "kkkk" not in repr(seen)
    other = settings.login("ben", "other")
    assert (other.username, other.password.get_secret_value()) == ("ben", "other")
    assert other.where == seen.where


def test_a_slow_page_gets_the_newest_of_each_topic_and_no_more_than_is_bounded() -> None:
    mirror = Mirror()
    waiting = mirror.open(1)
    waiting.take()
    for number in range(1000):
        mirror.take("n/a/vibration", {"seq": number}, number)
        mirror.take("n/a/resp/cancel", {"id": str(number)}, number)
    frames = [json.loads(frame) for frame in waiting.take()]
    assert [frame for frame in frames if frame[0] == "n/a/vibration"] == [["n/a/vibration", 999, {"seq": 999}]]
    assert len(frames) == 1 + MOST_WAITING
    assert not waiting
    mirror.close(1)
    assert mirror.viewers == 0


def test_what_is_removed_at_the_broker_is_removed_for_late_pages() -> None:
    mirror = Mirror()
    mirror.take("n/a/fault", {"active": True}, 1)
    now = mirror.open(1)
    now.take()
    mirror.take("n/a/fault", {}, 2)
    assert json.loads(now.take()[0]) == ["n/a/fault", 2, {}]
    assert not any("fault" in frame for frame in everything(mirror.open(2)))


def test_what_is_nested_too_deeply_to_be_written_ends_nothing() -> None:
    deep: dict[str, Any] = {"id": "c1"}
    for _ in range(5000):
        deep = {"id": "c1", "x": deep}
    mirror = Mirror(2)
    for topic in ("p/n/a/state", "p/n/a/resp/ping", "p/n/a/cmd/ping"):
        mirror.take(topic, deep, 1)
    mirror.take("p/n/a/state", {"state": "ok"}, 2)
    assert [json.loads(each) for each in mirror.open(1).latest.values()] == [["p/n/a/state", 2, {"state": "ok"}]]


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://other.example"])
def test_another_page_is_not_taken_for_ours(origin: str) -> None:
    headers = [(b"host", b"localhost:8088"), (b"origin", origin.encode())]
    assert not own_origin(HTTPConnection({"type": "http", "headers": headers}))


def test_topics_that_doctor_tries_make_no_node() -> None:
    mirror = Mirror()
    page = mirror.open(1)
    page.take()
    mirror.take("n/status", {}, 1)
    mirror.take("n/a/resp/doctor", {"trial": "x"}, 2)
    assert page.take() == []
    assert [json.loads(each)[0] for each in mirror.open(2).take()] == ["broker", "full"]


def test_topics_without_end_are_not_kept() -> None:
    mirror = Mirror()
    for number in range(MOST_TOPICS + 10):
        mirror.take(f"n/{number}/state", {"x": 1}, 1)
    frames = everything(mirror.open(1))
    assert sum(len(json.loads(frame)) == 3 for frame in frames) == MOST_TOPICS
    assert full(frames)["count"] == 10


def everything(waiting: Waiting) -> list[str]:
    """All that waits for a page, in the pieces in which it is sent."""
    found: list[str] = []
    while waiting:
        piece = waiting.take()
        assert sum(map(len, piece[:-1])) < PIECE_BYTES + 2000, "what one page is sent at a time is bounded"
        found += piece
    return found


def full(frames: list[str]) -> dict[str, Any]:
    """What pages are told of messages that were not kept."""
    told = [json.loads(each) for each in frames[:2]]
    return dict(next(each[1] for each in told if each[0] == "full"))


def test_a_node_that_says_too_much_is_told_of_and_leaves_room_for_the_others() -> None:
    mirror = Mirror(2)
    page = mirror.open(1)
    page.take()
    mirror.take("plant/good/a/state", {"phase": "monitoring"}, 1)
    long = "x" * 250_000
    for number in range(200):
        mirror.take(f"plant/evil/{number}/state", {"x": long}, 1 + number)
        mirror.take(f"plant/evil/a/resp/{number}", {"id": str(number), "x": long}, 1 + number)
    frames = everything(mirror.open(2))
    assert MOST_NODE_BYTES - 300_000 < sum(map(len, frames)) < MOST_BYTES
    said = full(frames)
    assert said["topic"].startswith("plant/evil/")
    shown = sum(len(each) == 3 and "/evil/" in each[0] for each in map(json.loads, frames))
    assert said["count"] == 200 - shown
    assert full(page.take())["topic"].startswith("plant/evil/"), "a page that is open is told"
    mirror.take("plant/good/a/state", {"phase": "failed"}, 300)
    mirror.take("plant/other/a/state", {"phase": "failed"}, 300)
    late = everything(mirror.open(3))
    assert {json.loads(each)[2]["phase"] for each in late if "failed" in each} == {"failed"}
    assert sum("failed" in each for each in late) == 2
    for number in range(200):
        mirror.take(f"plant/evil/{number}/state", {}, 400)
    mirror.take("plant/evil/a/state", {"x": long}, 401)
    assert any("plant/evil/a/state" in each for each in everything(mirror.open(4)))


def test_what_has_grown_too_long_is_shown_no_more_rather_than_what_it_said_before() -> None:
    mirror = Mirror(2)
    page = mirror.open(1)
    everything(page)
    mirror.take("p/n/a/fault", {"active": False}, 1)
    for number in range(40):
        mirror.take(f"p/n/{number}/state", {"x": "x" * 250_000}, 2)
    everything(page)
    mirror.take("p/n/a/fault", {"active": True, "x": "x" * 250_000}, 3)
    assert ["p/n/a/fault", 3, {}] in [json.loads(each) for each in everything(page)]
    assert not any("p/n/a/fault" in each for each in everything(mirror.open(2))[2:])


def test_a_page_that_reads_nothing_while_topics_come_and_go_is_given_up() -> None:
    mirror = Mirror()
    page = mirror.open(1)
    for number in range(3 * MOST_TOPICS):
        mirror.take(f"n/{number}/state", {"x": 1}, 1)
        mirror.take(f"n/{number}/state", {}, 2)
    assert page.overrun
    assert len(page.latest) <= 2 * MOST_TOPICS + 1


def test_a_command_is_told_with_who_sent_it() -> None:
    def message(**properties: Any) -> SimpleNamespace:
        return SimpleNamespace(topic="p/n/a/cmd/shelve", properties=SimpleNamespace(**properties))

    command = {"id": "c1", "expires": "2026-01-31T12:00:00Z", "by": "anna", "seconds": 60}
    plain = json.dumps(command).encode()
    known = {"id": "c1", "fields": {"by": "anna", "seconds": 60}, "by": "anna", "client": None, "signed": False}
    assert sent(SimpleNamespace(topic="p/n/a/cmd/shelve", properties=None), plain) == known
    scada = message(ResponseTopic="p/n/a/resp/shelve/scada-7", UserProperty=[(PROPERTY, "00")])
    assert sent(scada, plain) == {**known, "client": "scada-7", "signed": True}
    assert sent(message(ResponseTopic="elsewhere/scada-7/x"), plain) == known
    assert sent(message(ResponseTopic="p/n/a/resp/shelve"), plain) == known
    assert sent(message(), seal(b"k" * 40, "p/n/a/cmd/shelve", plain)) == {**known, "signed": True}
    long = sent(message(), json.dumps({"id": "c1", "x": "x" * MOST_SHOWN}).encode())
    assert long is not None
    assert long["fields"] == {"...": f"{MOST_SHOWN + 21} bytes"}
    by = sent(message(), json.dumps({"id": "c1", "by": "x" * 1000}).encode())
    assert by is not None
    assert by["by"] == "x" * MOST_NAME
    assert sent(message(), json.dumps({"id": "x" * (MOST_NAME + 1)}).encode()) is None, "no node takes it"
    for odd in (b"NaN", b"1e999"):
        assert sent(message(), b'{"id": "c1", "x": %b}' % odd) == {**known, "by": None, "fields": {"...": ANY}}
    for none in (b"", b"no json", b"[]", b"{}", b'{"id": 7}', b'{"id": "' + b"x" * 300_000 + b'"}'):
        assert sent(message(), none) is None


def test_commands_of_others_stand_in_the_log_and_questions_of_pages_do_not() -> None:
    mirror = Mirror()
    mirror.take("n/a/cmd/cancel", {"id": "c1", "fields": {}, "by": None, "client": "scada", "signed": False}, 5)
    mirror.take("n/a/cmd/history", {"id": "c2", "fields": {}}, 5)
    mirror.take("n/cmd/ping", {"id": "c3", "fields": {}}, 6)
    told = [json.loads(each)[1] for each in everything(mirror.open(1)) if each.startswith('["sent"')]
    assert [(each["id"], each["place"], each["name"], each["at"]) for each in told] == [
        ("c1", "n/a", "cancel", 5),
        ("c3", "n", "ping", 6),
    ]


@pytest.mark.parametrize(
    ("peer", "said", "header", "found"),
    [
        ("192.0.2.9", "198.51.100.1", "x-forwarded-for", "192.0.2.9"),  # no proxy of ours
        ("127.0.0.1", "", "x-forwarded-for", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "x-forwarded-for", "198.51.100.1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "x-forwarded-for", "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9, 198.51.100.1, 10.0.0.7", "x-forwarded-for", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "x-forwarded-for", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1:4711", "x-forwarded-for", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, nonsense, 10.0.0.7", "x-forwarded-for", "10.0.0.7"),
        ("127.0.0.1", "10.0.0.8, 10.0.0.7", "x-forwarded-for", "10.0.0.8"),
        ("127.0.0.1", "2001:db8::1", "x-forwarded-for", "2001:db8::1"),
        ("127.0.0.1", 'for=6.6.6.6, by=x;For="[2001:db8::1]:4711";proto=https', "forwarded", "2001:db8::1"),
        ("127.0.0.1", "for=_hidden", "forwarded", "127.0.0.1"),
        ("127.0.0.1", 'for=198.51.100.1;host="evil,for=6.6.6.6"', "forwarded", "198.51.100.1"),
        ("127.0.0.1", 'host="evil;for=6.6.6.6";for=198.51.100.1', "forwarded", "198.51.100.1"),
        ("127.0.0.1", 'for=198.51.100.1;host="a\\",for=6.6.6.6"', "forwarded", "198.51.100.1"),
        ("127.0.0.1", 'for="6.6.6.6, for=198.51.100.1', "forwarded", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6," * 9000 + "198.51.100.1", "x-forwarded-for", "198.51.100.1"),
        ("", "198.51.100.1", "x-forwarded-for", ""),
    ],
)
def test_a_proxy_is_believed_only_if_it_was_named(peer: str, said: str, header: Any, found: str) -> None:
    scope = {"type": "http", "headers": [(header.encode(), said.encode())], "client": (peer, 1) if peer else None}
    proxies = check_proxies(["127.0.0.1", "10.0.0.0/24"])
    assert client_address(HTTPConnection(scope), proxies, header) == found
    assert client_address(HTTPConnection(scope), (), header) == peer
    other = "forwarded" if header == "x-forwarded-for" else "x-forwarded-for"
    assert client_address(HTTPConnection(scope), proxies, other) == peer, "the other header anybody may have sent"


def test_a_proxy_that_is_no_address_is_named() -> None:
    mapped = ["::ffff:127.0.0.1", "::ffff:10.0.0.0/104", "2001:db8::/32", "::/0"]
    assert check_proxies(mapped) == ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32", "::/0")
    with pytest.raises(NodeError, match=r"--trusted-proxy 'proxy\.example' is no address"):
        check_proxies(["proxy.example"])


def test_a_session_ends_when_it_was_idle_and_the_idle_make_room() -> None:
    sessions = Sessions()
    cookie, session = sessions.new(0.0)
    assert sessions.find(cookie, IDLE_S) is session
    assert sessions.find(cookie, 2 * IDLE_S + 1) is None
    kept, with_login = sessions.new(0.0)
    with_login.login = object()
    for _ in range(2 * MOST_SESSIONS):
        sessions.new(1.0)
    assert sessions.find(kept, 2.0) is with_login
    sessions.end(kept)
    assert sessions.find(kept, 2.0) is None
    assert sessions.find(None, 2.0) is None


def test_a_rate_is_limited_for_one_and_for_all() -> None:
    limit = RateLimit(2, 10.0)
    assert [limit.allows("a", second) for second in (0, 1, 2, 10.5)] == [True, True, False, True]
    assert sum(limit.allows(f"other{number}", 11.0) for number in range(100)) == 18


@pytest.mark.parametrize(
    ("user", "label"), [("anna", "anna"), ("Jörg Ö.", "J-rg-."), ("", "operator"), ("--", "operator")]
)
def test_a_name_is_written_as_by_takes_it(user: str, label: str) -> None:
    assert as_label(user) == label


def test_a_waveform_is_thinned_to_what_a_page_can_show() -> None:
    values = array("f", [0.0] * 200_000)
    values[100_000] = 5.0  # of the first channel
    data = b64encode(values.tobytes()).decode()
    answer = PartedAnswer({"detail": {"channels": 2}}, {0: {"data": data}})
    first, second = drawn(answer)
    assert len(first) == len(second) <= 2 * 1300
    assert max(first) == 5.0
    assert max(second) == 0.0


@pytest.mark.parametrize(
    ("channels", "data"),
    [(0, ""), (10**9, ""), (1, "x"), ("?", ""), (1, b64encode(array("f", [float("nan")])).decode())],
)
def test_a_waveform_that_no_node_sends_is_told_as_such(channels: Any, data: str) -> None:
    with pytest.raises(NodeError, match="an answer came that no node sends"):
        drawn(PartedAnswer({"detail": {"channels": channels}}, {0: {"data": data}}))


def test_only_what_changes_nothing_is_asked_without_a_login() -> None:
    def reads(name: str, **fields: Any) -> bool:
        return read_order({"node": "n", "asset": "a", "name": name, "fields": fields}, "x").reads

    assert reads("history")
    assert reads("capture", event="e")
    assert not reads("capture", now=True)
    assert not reads("capture", event=None, now=True), "a node takes that for now"
    assert not reads("capture", event="e", now=True)
    assert not reads("cancel")
    with pytest.raises(RequestError, match="asset"):
        read_order({"node": "n", "name": "cancel", "fields": {}}, "x")


def test_an_address_is_read() -> None:
    assert parse_listen("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_listen("[::1]:8088") == ("::1", 8088)
    assert parse_listen(":9000") == ("0.0.0.0", 9000)  # noqa: S104
    assert parse_listen("localhost") == ("localhost", 8088)
    for wrong in ("", "a:b", "http://x", "a/b"):
        with pytest.raises(NodeError, match="--listen"):
            parse_listen(wrong)


@pytest.mark.parametrize("hung_up", [True, False])
def test_a_broker_that_lets_nobody_hear_simulators_is_served(monkeypatch: pytest.MonkeyPatch, *, hung_up: bool) -> None:
    class Client:
        """A broker's refusal, as `OperatorClient` tells it."""

        connected, connections = True, 1

        def __init__(self, *_: object, **__: object) -> None:
            asked.append([])

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def subscribe(self, *filters: str) -> None:
            asked[-1].extend(filters)
            if "simulator" in filters:
                raise RefusedError("refused", "read", hung_up=hung_up)

        def messages(self, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
            threading.Event().wait(timeout)
            yield "n/status", {"status": "online"}

        def taken(self, count: int) -> None:
            assert count == 1

    asked: list[list[str]] = []
    heard = threading.Event()
    monkeypatch.setattr("edgetune_node.console.bridge.Overhearing", Client)
    monkeypatch.setattr("edgetune_node.console.bridge.AGAIN_S", 0.01)
    bridge = Bridge(MqttSection(), ["all"], ["simulator", "commands"], lambda _batch: heard.set(), lambda _state: None)
    bridge.start()
    assert heard.wait(60)
    bridge.stop()
    first = ["all", "simulator"]
    assert asked == ([first, ["all", "commands"]] if hung_up else [[*first, "commands"]])
