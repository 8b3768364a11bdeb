"""The console's server: who may read, who may act, and what it hands on."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from brokers import wait_until
from console_client import USERS, Page, closed_with, frames
from console_page import ConsoleServer, example, play

from edgetune_node.console.server import MOST_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACL = """
user reader
topic read plant/#
user operator
topic read plant/#
topic write plant/+/+/cmd/+
user machine
topic write plant/+/+/samples
user node
topic readwrite plant/#
"""
SAID = "plant/edge1/bearing1/fault"


@pytest.fixture(scope="module")
def open_console(tmp_path_factory: pytest.TempPathFactory, broker: Any) -> Iterator[ConsoleServer]:
    """Everybody may act: for a page that only this machine can open."""
    with ConsoleServer(tmp_path_factory.mktemp("open"), broker, "--namespace", "plant", "--shared") as server:
        yield server


@pytest.fixture
def guarded(make_broker: Any, tmp_path: Path, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Reading needs a login, as of a page that others can reach."""
    broker = make_broker(users=USERS, acl=ACL).start()
    secret = tmp_path / "password"
    secret.write_text("r")
    key = tmp_path / "key"
    key.write_text("k" * 40)
    monkeypatch.delenv("EDGETUNE_MQTT__PASSWORD", raising=False)
    node = recorder(broker, "plant/#", username="node", password="n")
    play(node, "plant")
    options = ("--namespace", "plant", "--behind-proxy", "--password-file", secret, "--command-key-file", key)
    server = ConsoleServer(tmp_path, broker, *map(str, options))
    server._command[5] = f"mqtt://reader@{broker.host}:{broker.port}"
    with server:
        yield server, node


def test_a_page_that_opens_late_gets_what_is_retained_and_then_what_is_said(
    open_console: ConsoleServer, broker: Any, recorder: Any
) -> None:
    node = recorder(broker)
    play(node, "plant")
    page = Page(open_console.url)
    with page.live() as socket:
        seen = frames(socket, lambda found: any(each[0] == SAID for each in found))
        assert any(each[0] == "broker" and each[1]["connected"] for each in seen)
        fault = next(each for each in seen if each[0] == SAID)
        assert fault[2] == example("fault")[1]
        assert abs(fault[1] - time.time() * 1000) < 120_000
        node.publish("plant/edge1/bearing1/state", b'{"phase":"failed"}')
        node.publish("other/edge1/bearing1/state", b'{"phase":"foreign"}')
        node.publish("plant/edge1/bearing1/samples", b"\x00\x01")
        node.publish("plant/edge1/bearing1/model", b"no json")
        node.publish("plant/edge1/bearing1/emg", b'{"rms":[NaN]}')
        node.publish("plant/edge1/bearing1/sign", b'{"class":"last"}')
        after = frames(socket, lambda found: any(each[-1] == {"class": "last"} for each in found))
    said = [each for each in after if len(each) == 3]
    assert {each[0].rpartition("/")[2] for each in said if each[1] >= fault[1]} >= {"state", "sign"}
    assert not any("foreign" in json.dumps(each) or "NaN" in json.dumps(each) for each in after)
    assert not any(each[0].endswith("/samples") for each in said)


def test_a_command_goes_to_its_asset_with_the_name_of_who_sent_it_and_its_answer_to_every_page(
    open_console: ConsoleServer, broker: Any, recorder: Any
) -> None:
    node = recorder(broker, "plant/edge1/bearing1/cmd/+")
    page = Page(open_console.url)
    with page.live() as socket:
        status, answer = page.command(event="e1", by="somebody else", comment="seen")
        assert status == 200
        sent = node.wait_for(lambda message: message.topic.endswith("/cmd/acknowledge")).json()
        assert sent == {"id": answer["id"], "event": "e1", "comment": "seen", "by": "operator"}
        reply = {"id": answer["id"], "command": "acknowledge", "status": "done"}
        node.publish("plant/edge1/bearing1/resp/acknowledge", json.dumps(reply).encode())
        seen = frames(socket, lambda found: any(each[0] == "answer" and each[1]["payload"] == reply for each in found))
    assert any(each[0] == "sent" and each[1]["id"] == answer["id"] and each[1]["by"] == "operator" for each in seen)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"node": "edge1", "asset": "bearing1", "name": "forget", "fields": {}}, "forget"),
        ({"node": "edge1", "asset": "bearing1", "name": "reboot", "fields": {}}, "reboot"),
        ({"node": "edge1", "asset": "bearing1", "name": ["x"], "fields": {}}, "x"),
        ({"node": "edge1/#", "asset": "bearing1", "name": "cancel", "fields": {}}, "edge1/#"),
        ({"node": "edge1", "asset": "../x", "name": "cancel", "fields": {}}, "../x"),
        ({"node": "edge1", "asset": "bearing1", "name": "cancel", "fields": []}, "fields"),
        ([], "object"),
        (b"{", "object"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(open_console: ConsoleServer, content: Any, named: str) -> None:
    status, answer = Page(open_console.url).post("/api/command", content)
    assert status == 400
    assert named in answer["error"]


def test_what_comes_from_another_page_is_refused(open_console: ConsoleServer) -> None:
    page = Page(open_console.url)
    fields = {"node": "edge1", "asset": "bearing1", "name": "cancel", "fields": {}}
    assert page.post("/api/command", fields, Origin="http://evil.example")[0] == 403
    assert page.post("/api/command", fields, Origin="")[0] == 403
    assert page.post("/api/command", fields, x_csrf="guessed")[0] == 403
    assert page.post("/api/command", fields, Cookie="")[0] == 403
    with page.live(Origin="http://evil.example") as socket:
        assert closed_with(socket) == 4403
    name = f"evil.example:{page.port}"
    assert page.request("GET", "/", Host=name, Origin="")[0] == 421


def test_too_much_at_once_is_refused(open_console: ConsoleServer) -> None:
    page = Page(open_console.url)
    status, answer = page.post("/api/command", b'"' + b"x" * 9000 + b'"')
    assert (status, "8192" in answer["error"]) == (413, True)
    with page.live() as socket:
        socket.send("x")
        assert closed_with(socket) == 4403
    with page.live() as socket:
        socket.send("x" * 5000)
        assert closed_with(socket) in {1009, 4403}
    answers = [page.command("cancel")[0] for _ in range(61)]
    assert answers[0] == 200
    assert answers[-1] == 429


def test_every_answer_forbids_what_a_page_does_not_need(open_console: ConsoleServer) -> None:
    page = Page(open_console.url)
    for path in ("/", "/app.js", "/app.css", "/api/session", "/nothing"):
        _, answer, content = page.request("GET", path)
        policy = str(answer.getheader("content-security-policy"))
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert b"EDGETUNE_MQTT" not in content
    assert page.request("GET", "/../server.py")[0] == 404
    html = page.request("GET", "/")[2].decode()
    assert "style=" not in html
    assert html.count("<script") == html.count('<script type="module" src=') == 1


@pytest.mark.slow
def test_without_a_login_nobody_reads_and_with_one_only_the_operator_acts(guarded: Any) -> None:
    server, node = guarded
    page = Page(server.url)
    assert not page.session["read"]
    with page.live() as socket:
        assert closed_with(socket) == 4401
    assert page.command(event="e")[0] == 401
    status, answer = page.post("/api/login", {"user": "reader", "password": "wrong"})
    assert status == 401
    assert "reader" in answer["error"]
    status, answer = page.sign_in("machine")
    assert (status, "not read" in answer["error"]) == (401, True)
    before = page.cookie
    status, answer = page.sign_in("reader")
    assert (status, answer["read"], answer["user"]) == (200, True, "reader")
    assert page.cookie != before
    with page.live() as socket:
        frames(socket, lambda found: any(each[0] == SAID for each in found))
    status, answer = page.command(event="e")
    assert status == 502
    assert "refuses to take plant/edge1/bearing1/cmd/acknowledge" in answer["error"]
    assert page.sign_in("operator")[0] == 200
    assert page.command(event="e")[0] == 200
    sent = node.wait_for(lambda message: message.topic.endswith("/cmd/acknowledge"))
    assert sent.json()["by"] == "operator"
    assert "expires" in sent.json()  # the server has signed it
    assert page.post("/api/logout", {})[1]["read"] is False
    assert page.command(event="e")[0] == 401
    assert "password" not in server.log()


@pytest.mark.slow
def test_who_signs_in_before_there_is_anything_reads_only_what_the_broker_lets_it(
    make_broker: Any, tmp_path: Path, recorder: Any
) -> None:
    broker = make_broker(users=USERS, acl=ACL).start()
    (tmp_path / "password").write_text("r")
    options = ("--namespace", "plant", "--behind-proxy", "--password-file", str(tmp_path / "password"))
    server = ConsoleServer(tmp_path, broker, *options)
    server._command[5] = f"mqtt://reader@{broker.host}:{broker.port}"
    with server:
        page = Page(server.url)
        assert page.sign_in("machine")[1]["read"]  # an empty plant
        with page.live() as socket:
            play(recorder(broker, "plant/#", username="node", password="n"), "plant")
            assert closed_with(socket) == 4401
        assert page.sign_in("machine")[0] == 401
        assert page.sign_in("reader")[1]["read"]


def test_a_page_that_is_open_ends_when_its_session_does(guarded: Any) -> None:
    page = Page(guarded[0].url)
    page.sign_in("operator")
    with page.live() as socket:
        frames(socket, lambda found: any(each[0] == SAID for each in found))
        page.post("/api/logout", {})
        assert closed_with(socket) == 4401


def test_passwords_cannot_be_tried_for_long(guarded: Any) -> None:
    page = Page(guarded[0].url)
    answers = [page.post("/api/login", {"user": "operator", "password": str(number)})[0] for number in range(11)]
    assert answers == [401] * 10 + [429]
    assert page.sign_in("operator")[0] == 429


@pytest.mark.slow
def test_the_server_says_that_the_broker_is_away_and_comes_back_by_itself(
    fresh_broker: Any, tmp_path: Path, recorder: Any
) -> None:
    play(recorder(fresh_broker), "plant")
    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant") as server, Page(server.url).live() as socket:
        frames(socket, lambda found: any(each[0] == SAID for each in found))
        fresh_broker.stop()
        away = frames(socket, lambda found: any(each[0] == "broker" and not each[1]["connected"] for each in found))
        state = next(each[1] for each in away if each[0] == "broker")
        assert str(fresh_broker.port) in state["reason"]
        fresh_broker.start()
        back = frames(socket, lambda found: any(each[0] == "broker" and each[1]["connected"] for each in found))
        again = next(each[1] for each in back if each[0] == "broker")
        assert again["heard_from"] >= state["heard_from"]
        more = back + frames(socket, lambda found: any(each[0] == SAID for each in back + found))
        assert next(each for each in more if each[0] == SAID)[1] >= again["heard_from"]


@pytest.mark.slow
def test_the_page_opens_while_there_is_no_broker(fresh_broker: Any, tmp_path: Path) -> None:
    fresh_broker.stop()
    with ConsoleServer(tmp_path, fresh_broker) as server, Page(server.url).live() as socket:
        seen = frames(
            socket, lambda found: any(each[0] == "broker" and "refuses" in each[1]["reason"] for each in found)
        )
        assert not any(len(each) == 3 for each in seen)


def test_the_server_is_small(open_console: ConsoleServer) -> None:
    page = Page(open_console.url)
    with page.live() as socket:
        frames(socket, lambda found: any(each[0] == "broker" and each[1]["connected"] for each in found))
        wait_until(lambda: page.command("cancel")[0] in {200, 429})
        assert psutil.Process(open_console.pid).memory_info().rss <= 40 * 2**20


def test_ctrl_c_ends_it_without_a_word(broker: Any, tmp_path: Path) -> None:
    with ConsoleServer(tmp_path, broker) as server:
        with Page(server.url).live() as socket:
            frames(socket, lambda found: any(each[0] == "broker" and each[1]["connected"] for each in found))
            psutil.Process(server.pid).send_signal(signal.SIGINT)
            assert closed_with(socket) in {1001, 1012}
        assert server.wait() == 0
        assert len(server.log().splitlines()) == 1


def test_an_address_that_is_taken_is_named(cli: Callable[..., Any], open_console: ConsoleServer) -> None:
    taken = open_console.url.removeprefix("http://").rstrip("/")
    outcome = cli("console", "--listen", taken)
    assert outcome.code == 1
    assert taken in outcome.err
    assert "--listen" in outcome.err
    assert cli("console", "--listen", "x:y:z").code == 1
    assert cli("console", "--tls-key", "k.pem").code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\r\nHost: ", b"POST /api/login HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]
)
def test_connections_that_ask_for_nothing_make_room(open_console: ConsoleServer, begun: bytes) -> None:
    host, _, port = open_console.url.removeprefix("http://").rstrip("/").rpartition(":")
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            idle = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            idle.sendall(begun)

        def served() -> bool:
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            with closing(connection):
                connection.request("GET", "/")
                return connection.getresponse().status == http.client.OK

        wait_until(served, what="the page is served again")


@pytest.mark.parametrize(
    "text", [b'{"user":"\\ud800","password":"x"}', b'{"user":"x","password":"\\udfff"}', b'{"a":1e999}']
)
def test_half_a_character_is_refused(open_console: ConsoleServer, text: bytes) -> None:
    status, answer = Page(open_console.url).post("/api/login", text)
    assert (status, answer["error"]) == (400, "a JSON object of whole characters and finite numbers is expected")
