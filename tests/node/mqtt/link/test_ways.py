"""Every way to a broker: TCP over IPv4 and IPv6, websockets, a unix socket; with an odd login."""

from __future__ import annotations

import gc
import select
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from brokers import free_port, wait_until

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract import Topics
from edgetune_node.mqtt.sockets import plain_socket
from edgetune_node.operator import BrokerError, OperatorClient

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER, PASSWORD = "jürgen@plant", "p/s?s#w%rd@é"
LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"
WAYS = ("mqtt", "ipv6", "ws", "unix")
SAMPLES = b"0123456789" * 10_000
"""An idle mosquitto 2.0.11 writes 4 KiB of a websocket's frame in each tenth of a second."""


class Ways:
    """One broker that can be reached in every way."""

    def __init__(self, make_broker: Any, folder: Path) -> None:
        self.socket = folder / "mosquitto.sock"
        self.ports = {"ws": free_port(), "ipv6": free_port()}
        self.broker = make_broker(users={USER: PASSWORD})
        self.broker.more = [
            *(f"listener {self.ports['ws']} 127.0.0.1", "protocol websockets"),
            f"listener {self.ports['ipv6']} ::1",
            f"listener 0 {self.socket}",
        ]
        self.start()

    def start(self) -> None:
        """Start it and wait for every listener: it opens one after the other."""
        self.broker.start()
        wait_until(self._all_answer, what=f"every way is open: {self.broker.log()}")

    def _all_answer(self) -> bool:
        places: list[tuple[int, Any]] = [(socket.AF_INET, ("127.0.0.1", self.ports["ws"]))]
        places += [(socket.AF_INET6, ("::1", self.ports["ipv6"])), (socket.AF_UNIX, str(self.socket))]
        for family, place in places:
            with socket.socket(family) as client:
                if client.connect_ex(place):
                    return False
        return True

    def url(self, way: str) -> str:
        return {
            "mqtt": f"mqtt://{LOGIN}127.0.0.1:{self.broker.port}",
            "ipv6": f"mqtt://{LOGIN}[::1]:{self.ports['ipv6']}",
            "ws": f"ws://{LOGIN}127.0.0.1:{self.ports['ws']}/mqtt",
            "unix": f"unix://{self.socket}",
        }[way]

    def section(self, way: str, **more: Any) -> MqttSection:
        login = {"username": USER, "password": PASSWORD} if way == "unix" else {}
        return MqttSection.model_validate({"url": self.url(way), **login, **more})


@pytest.fixture
def ways(make_broker: Any, tmp_path: Path) -> Ways:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    return Ways(make_broker, tmp_path)


@pytest.mark.parametrize(("way", "protocol"), [*((way, "5") for way in WAYS), ("ws", "3.1.1")])
def test_a_node_speaks_and_is_spoken_to(
    ways: Ways, bench: Callable[..., Any], say: Any, way: str, protocol: str
) -> None:
    section = ways.section(way, protocol=protocol)
    fields = dict(section) | {"host": section.host, "port": section.port}
    here = bench(ways.broker, **fields).start()
    with OperatorClient(ways.section(way), Topics("acme/plant", "n1"), "a") as operator:
        operator.subscribe("acme/plant/n1/a/sign")
        for number in range(30):
            here.link.publish(say.sign(number))
        heard = operator.messages(60)
        assert [next(heard)[1]["seq"] for _ in range(30)] == list(range(30))
        operator.publish("acme/plant/n1/a/samples", SAMPLES)
        here.until(lambda: here.samples == [SAMPLES], what="samples that come in many pieces")
        operator.publish("acme/plant/n1/a/cmd/record", b"{}")
        assert here.command().payload == b"{}"


@pytest.mark.parametrize("way", ["mqtt", "ws"])
def test_a_message_of_which_a_socket_takes_a_part_is_sent_whole(
    ways: Ways, bench: Callable[..., Any], say: Any, way: str
) -> None:
    here = bench(ways.broker, **dict(ways.section(way)) | {"keepalive_s": 3600}).start()
    with OperatorClient(ways.section("mqtt")) as operator:
        operator.subscribe("acme/plant/n1/a/sign")
        ways.broker.freeze()
        beneath = plain_socket(here.connection._client.socket())
        beneath.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        large = SAMPLES * 20
        here.connection.publish("acme/plant/n1/a/spectrum", large, qos=0, retain=False, correlation=None)
        here.until(lambda: not select.select([], [beneath], [], 0)[1], what="the socket is full")
        here.link.publish(say.sign(1))
        ways.broker.thaw()
        assert next(operator.messages(60))[1]["seq"] == 1
    here.delivered()


@pytest.mark.parametrize("way", WAYS)
def test_a_node_comes_back_after_its_broker(ways: Ways, bench: Callable[..., Any], way: str) -> None:
    here = bench(ways.broker, **dict(ways.section(way)) | {"keepalive_s": 5}).start()
    ways.broker.stop()
    here.until(lambda: here.changes()[-1] is False, what="the broker is gone")
    ways.start()
    here.until_up(2)
    here.connection.abandon()
    here.until_up(3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the socket to be collected
@pytest.mark.parametrize(("way", "place"), [("ws", "ws://127.0.0.1:"), ("unix", "unix:///"), ("ipv6", "[::1]:")])
def test_a_broker_that_is_not_there_is_named_as_it_was_written(ways: Ways, way: str, place: str) -> None:
    ways.broker.stop()
    ways.socket.unlink(missing_ok=True)
    with pytest.raises(BrokerError) as caught:
        OperatorClient(ways.section(way))
    assert place in str(caught.value)
    assert PASSWORD not in str(caught.value)
    del caught
    gc.collect()


@pytest.mark.parametrize("way", WAYS)
def test_tools_take_the_same_urls(
    ways: Ways, cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    url = ways.url(way).replace(f":{quote(PASSWORD, safe='')}@", "@")
    if way == "unix":
        url = url.replace("unix://", f"unix://{quote(USER, safe='')}@")
    ended = cli("watch", "--seconds", "0.1", "--broker", url, "--password-file", tmp_path / "password")
    assert ended.code == 0, ended.err
    monkeypatch.setenv("EDGETUNE_MQTT__PASSWORD", "wrong")
    assert "refuses user" in cli("watch", "--seconds", "0.1", "--broker", url).err
