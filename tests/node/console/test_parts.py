"""The console's parts without a network: what is kept, who is known, what is read."""

from __future__ import annotations

import json
import os
import threading
from array import array
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Self

import pytest

from edgetune_node.config import MqttSection
from edgetune_node.console.acting import RequestError, drawn, read_order
from edgetune_node.console.bridge import Bridge
from edgetune_node.console.handover import ServerSettings, flat
from edgetune_node.console.listening import parse_listen
from edgetune_node.console.mirror import MOST_TOPICS, MOST_WAITING, Mirror
from edgetune_node.console.sessions import IDLE_S, MOST_SESSIONS, RateLimit, Sessions, as_label
from edgetune_node.errors import NodeError
from edgetune_node.operator import PartedAnswer, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    assert not any("fault" in frame for frame in mirror.open(2).take())


def test_topics_that_doctor_tries_make_no_node() -> None:
    mirror = Mirror()
    page = mirror.open(1)
    page.take()
    mirror.take("n/status", {}, 1)
    mirror.take("n/a/resp/doctor", {"trial": "x"}, 2)
    assert page.take() == []
    assert len(mirror.open(2).take()) == 1  # what is known of the broker


def test_topics_without_end_are_not_kept() -> None:
    mirror = Mirror()
    for number in range(MOST_TOPICS + 10):
        mirror.take(f"n/{number}/state", {"x": 1}, 1)
    assert len(mirror.open(1).take()) == MOST_TOPICS + 1


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


def test_only_what_changes_nothing_is_asked_without_a_login() -> None:
    def reads(name: str, **fields: Any) -> bool:
        return read_order({"node": "n", "asset": "a", "name": name, "fields": fields}, "x").reads

    assert reads("history")
    assert reads("capture", event="e")
    assert not reads("capture", now=True)
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

    asked: list[list[str]] = []
    heard = threading.Event()
    monkeypatch.setattr("edgetune_node.console.bridge.OperatorClient", Client)
    monkeypatch.setattr("edgetune_node.console.bridge.AGAIN_S", 0.01)
    bridge = Bridge(MqttSection(), ["all"], ["simulator"], lambda _batch: heard.set(), lambda _state: None)
    bridge.start()
    assert heard.wait(60)
    bridge.stop()
    assert asked == [["all", "simulator"], *([["all"]] if hung_up else [])]
