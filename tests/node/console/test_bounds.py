"""The console's server before those who say too much, and behind a proxy."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from console_client import Page, frames
from console_page import ConsoleServer
from websockets.exceptions import ConnectionClosed

from edgetune_node.console.app import MOST_VIEWERS, TOO_MANY

MOST_RSS = 90 * 2**20
"""Below the limit of the service in the how-to page and in compose, 96 MiB."""


def peak_rss(pid: int) -> int:
    """Largest resident memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.slow
def test_a_node_that_says_too_much_neither_fills_the_memory_nor_hides_the_others(
    fresh_broker: Any, tmp_path: Path, recorder: Any
) -> None:
    evil, good = recorder(fresh_broker), recorder(fresh_broker)
    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant", "--shared") as server:
        page = Page(server.url)
        with page.live() as socket:
            frames(socket, lambda found: any(each[0] == "broker" and each[1]["connected"] for each in found))
            for number in range(100):
                nested = json.dumps({"x": [[]] * 60_000 if number % 3 == 0 else "x" * 240_000}).encode()
                evil.publish(f"plant/evil/{number}/state", nested)
                evil.publish("plant/evil/a/resp/x", json.dumps({"id": f"c{number}", "x": "x" * 240_000}).encode())
                evil.publish("plant/evil/a/cmd/x", json.dumps({"id": f"c{number}", "x": "x" * 240_000}).encode())
            said = frames(socket, lambda found: any(each[0] == "full" and each[1]["count"] for each in found))
            good.publish("plant/good/a/state", b'{"phase":"monitoring"}')
            said += frames(socket, lambda found: any(each[0] == "plant/good/a/state" for each in found))
        assert next(each[1]["topic"] for each in said if each[0] == "full" and each[1]["count"]).startswith(
            "plant/evil/"
        )
        assert peak_rss(server.pid) < MOST_RSS, f"{peak_rss(server.pid) / 2**20:.0f} MiB"
        print(f"{peak_rss(server.pid) / 2**20:.0f} MiB at most")  # noqa: T201 - a figure for the documentation
        assert "nodes say more than the console keeps" in server.log()
        with page.live() as late:
            frames(late, lambda found: any(each[0] == "plant/good/a/state" for each in found))


@pytest.mark.slow
def test_a_large_plant_that_is_retained_is_shown_whole(fresh_broker: Any, tmp_path: Path, recorder: Any) -> None:
    node = recorder(fresh_broker)
    topics = [f"plant/edge{number // 100}/{number}/state" for number in range(400)]
    for topic in topics:
        node.publish(topic, json.dumps({"phase": "x" * 20_000}).encode(), retain=True)
    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant", "--shared") as server:
        seen: set[str] = set()
        with Page(server.url).live() as socket:
            while not seen >= set(topics):
                seen |= {each[0] for each in json.loads(socket.recv(timeout=60)) if len(each) == 3}


def test_pages_that_are_opened_at_once_are_no_more_than_may_be_open(fresh_broker: Any, tmp_path: Path) -> None:
    def first(socket: Any) -> Any:
        try:
            return socket.recv(timeout=60)
        except ConnectionClosed as ended:
            return ended.rcvd and ended.rcvd.code

    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant", "--shared") as server, ExitStack() as opened:
        page = Page(server.url)
        with ThreadPoolExecutor(2 * MOST_VIEWERS) as together:
            sockets = [*together.map(lambda _: opened.enter_context(page.live()), range(2 * MOST_VIEWERS))]
        assert [first(socket) for socket in sockets].count(TOO_MANY) == MOST_VIEWERS


def test_what_is_sent_to_nodes_and_answered_by_them_reaches_the_pages(
    fresh_broker: Any, tmp_path: Path, recorder: Any
) -> None:
    scada = recorder(fresh_broker)
    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant", "--shared") as server:
        page = Page(server.url)
        with page.live() as socket:
            frames(socket, lambda found: any(each[0] == "broker" and each[1]["connected"] for each in found))
            own = page.command("shelve", seconds=60)[1]["id"]
            scada.publish("plant/edge1/bearing1/cmd/cancel", b'{"id": "c-1"}')
            scada.publish("plant/edge1/cmd/ping", b'{"id": "c-2"}')
            scada.publish("plant/edge1/resp/ping", b'{"id": "c-2", "command": "ping", "status": "done"}')
            seen = frames(
                socket, lambda found: any(each[0] == "answer" and each[1]["payload"]["id"] == "c-2" for each in found)
            )
    told = [each[1] for each in seen if each[0] == "sent"]
    assert {each["id"] for each in told} == {own, "c-1", "c-2"}
    overheard, sent = sorted((each for each in told if each["id"] == own), key=lambda each: "here" in each)
    assert overheard["client"].startswith("edgetune-operator-")
    assert (sent["here"], sent["by"], sent["place"]) == (True, "operator", "plant/edge1/bearing1")
    assert overheard["fields"] == sent["fields"] == {"seconds": 60, "by": "operator"}
    assert {(each["place"], each["name"]) for each in told} >= {
        ("plant/edge1", "ping"),
        ("plant/edge1/bearing1", "cancel"),
    }


@pytest.mark.slow
def test_behind_a_proxy_that_is_named_tries_are_counted_for_each_who_tries(make_broker: Any, tmp_path: Path) -> None:
    broker = make_broker(users={"anna": "secret"}, acl="user anna\ntopic #").start()
    (tmp_path / "password").write_text("secret")

    def tries(page: Page, address: str, count: int) -> list[int]:
        guess = {"user": "anna", "password": "guess"}
        return [
            page.post("/api/login", guess, x_forwarded_for=f"6.6.6.{number}, {address}")[0] for number in range(count)
        ]

    for options, second in ((("--trusted-proxy", "127.0.0.1"), [401]), ((), [429])):
        words = ("--namespace", "plant", "--behind-proxy", "--password-file", str(tmp_path / "password"), *options)
        server = ConsoleServer(tmp_path, broker, *words)
        server._command[5] = f"mqtt://anna@{broker.host}:{broker.port}"
        with server:
            page = Page(server.url)
            assert tries(page, "198.51.100.1", 11) == [401] * 10 + [429]
            assert tries(page, "198.51.100.2", 1) == second


def test_a_proxy_that_is_no_address_is_refused(cli: Any) -> None:
    outcome = cli("console", "--trusted-proxy", "proxy.example")
    assert (outcome.code, "proxy.example" in outcome.err) == (1, True)
