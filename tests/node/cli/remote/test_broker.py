"""A command that cannot reach its broker, or log in there, says why and what to do."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli.remote import jobs as operator
from edgetune_node.operator import client

if TYPE_CHECKING:
    from pathlib import Path


def test_a_broker_that_is_down_is_named_with_its_port(cli: Any, make_broker: Any) -> None:
    process = make_broker().start()
    process.stop()
    url = f"mqtt://{process.host}:{process.port}"
    ended = cli("record", "--label", "a", "--seconds", "1", "--broker", url, "--node", "n")
    assert ended.code == 1
    assert f"{process.host}:{process.port} refuses the connection" in ended.err


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_says_where_a_password_is_given(
    cli: Any, make_broker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: str
) -> None:
    process = make_broker(users={"op": "secret"}).start()
    url = f"mqtt://op@{process.host}:{process.port}"
    arguments = ("record", "--label", "a", "--seconds", "1", "--broker", url, "--node", "n", "--protocol", protocol)
    monkeypatch.setenv("EDGETUNE_MQTT__PASSWORD", "wrong")
    ended = cli(*arguments)
    assert ended.code == 1
    assert "user 'op'" in ended.err
    assert "--password-file" in ended.err
    monkeypatch.setattr(operator, "FIND_S", 0.1)
    (tmp_path / "password").write_text("secret\n")
    ended = cli(*arguments, "--password-file", tmp_path / "password")
    assert "no node edgetune/n" in ended.err


def test_a_user_with_an_at_sign_is_written_as_in_every_url(
    cli: Any, make_broker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = make_broker(users={"op@site": "secret"}).start()
    monkeypatch.setattr(operator, "FIND_S", 0.1)
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfsecret\r\n")  # as Windows' editors save it
    command = "record", "--label", "a", "--seconds", "1", "--node", "n", "--password-file", tmp_path / "password"
    ended = cli(*command, "--broker", f"mqtt://op%40site@{process.host}:{process.port}")
    assert "no node edgetune/n" in ended.err
    ended = cli(*command, "--broker", f"mqtt://%ff@{process.host}:{process.port}")
    assert ended.code == 2
    assert "not UTF-8" in ended.err


@pytest.mark.slow
def test_a_node_is_waited_for_where_the_broker_retains_nothing(
    cli: Any, fresh_broker: Any, scripted_node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_broker.stop()
    fresh_broker.more = ["retain_available false"]
    fresh_broker.start()
    monkeypatch.setattr(operator, "FIND_S", 0.1)
    monkeypatch.setattr(operator, "ACCEPT_S", 0.1)
    node = scripted_node(fresh_broker)
    node.retains = False
    over = threading.Event()

    def says_what_it_is() -> None:
        while not over.wait(1.0):
            node.online()

    saying = threading.Thread(target=says_what_it_is)
    saying.start()
    ended = cli("record", "--label", "a", "--seconds", "1", *node.target)
    over.set()
    saying.join()
    assert ended.code == 1
    assert "did not answer" in ended.err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the socket to be collected
def test_tls_asked_of_a_plain_port_is_explained(cli: Any, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 2.0)
    url = f"mqtts://{broker.host}:{broker.port}"
    ended = cli("record", "--label", "a", "--seconds", "1", "--broker", url, "--node", "n")
    assert ended.code == 1
    assert "TLS" in ended.err
    gc.collect()
