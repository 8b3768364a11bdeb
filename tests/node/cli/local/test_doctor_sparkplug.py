"""``edgetune doctor`` and Sparkplug B: the rights of the edge node, and its primary host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli.local import access_checks, doctor, source_check as listening, sparkplug_checks
from edgetune_node.integrations.sparkplug.payload import decode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brokers import Broker

USERS = {"edge1": "secret", "scada": "secret", "operator": "secret", "machine": "secret"}
CONFIG = """
[node]
id = "edge1"
data_dir = '{data}'
[mqtt]
port = {port}
{login}
[sparkplug]
group = "Plant1"
{host}
[[asset]]
id = "press"
rate_hz = 12000
[asset.source]
type = "simulated"
"""


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LISTEN_S", 0.1)
    monkeypatch.setattr(doctor, "RETAINED_S", 0.1)
    monkeypatch.setattr(access_checks, "ECHO_S", 60.0)
    monkeypatch.setattr(sparkplug_checks, "ECHO_S", 60.0)
    monkeypatch.setattr(listening, "FIRST_CHUNK_S", 60.0)
    monkeypatch.setattr(listening, "RATE_WRONG", float("inf"))


@pytest.fixture
def examine(cli: Any, tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Run doctor against a broker; return what it found of Sparkplug."""

    def run(broker: Any, *, host: str = "", login: str = "") -> list[dict[str, str]]:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(data=tmp_path / "data", port=broker.port, host=host, login=login))
        ended = cli("doctor", "--config", config, "--json")
        return [each for each in json.loads(ended.out)["findings"] if each["check"] == "sparkplug"]

    return run


def test_an_edge_node_that_may_do_everything_is_well_and_no_host_is_told_a_death(
    broker: Broker, examine: Any, recorder: Any
) -> None:
    host = recorder(broker, "spBv1.0/#")
    [found] = examine(broker)
    assert found["level"] == "ok"
    assert "edge node Plant1/edge1 with 1 device(s)" in found["seen"]
    host.wait_for(lambda message: message.topic.endswith("/NDEATH/edge1"))
    published = {message.topic: decode(message.payload) for message in host.messages}
    assert set(published) == {"spBv1.0/Plant1/NDEATH/edge1"}
    assert [metric.value for metric in published["spBv1.0/Plant1/NDEATH/edge1"].metrics] == [256]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topic", "payload", "level", "seen"),
    [
        ("spBv1.0/STATE/scada1", '{"online": true, "timestamp": 1}', "ok", "the primary host scada1 is online"),
        ("spBv1.0/STATE/scada1", '{"online": false, "timestamp": 1}', "warning", "scada1 is offline"),
        ("spBv1.0/STATE/scada1", "ONLINE", "warning", "a state that cannot be read"),
        ("spBv1.0/STATE/scada2", '{"online": true, "timestamp": 1}', "warning", "there are: scada2"),
        ("STATE/scada1", "ONLINE", "warning", "by Sparkplug 2.2 only"),
        ("spBv1.0/other", "x", "warning", "no primary host scada1 has said that it is there"),
    ],
)
def test_it_tells_whether_the_primary_host_is_there(
    make_broker: Callable[..., Broker],
    examine: Any,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
    topic: str,
    payload: str,
    level: str,
    seen: str,
) -> None:
    if topic == "spBv1.0/STATE/scada1":
        monkeypatch.setattr(sparkplug_checks, "STATE_S", 60.0)  # it ends when that host is heard
    broker = make_broker().start()
    recorder(broker).publish(topic, payload, retain=True)
    found = examine(broker, host='primary_host = "scada1"')
    assert {each["level"] for each in found} == {"ok", level}
    assert any(seen in each["seen"] for each in found)


def test_a_broker_that_lets_a_death_vanish_is_a_problem(
    make_broker: Callable[..., Broker], examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparkplug_checks, "ECHO_S", 0.5)
    strict = make_broker(users=USERS, acl="user edge1\ntopic readwrite edgetune/#\n").start()
    found = examine(strict, login='username = "edge1"\npassword = "secret"')
    assert [each["level"] for each in found] == ["problem"]
    assert "NDEATH/edge1" in found[0]["seen"]
    assert "doctor --acl" in found[0]["advice"]


def test_the_access_list_lets_the_edge_node_do_what_it_must_and_others_no_more(
    cli: Any, make_broker: Callable[..., Broker], examine: Any, recorder: Any, tmp_path: Path
) -> None:
    config = tmp_path / "acl.toml"
    login = 'username = "edge1"\npassword = "secret"'
    config.write_text(CONFIG.format(data=tmp_path, port=1, host='primary_host = "scada1"', login=login))
    acl = cli("doctor", "--config", config, "--acl").out
    strict = make_broker(users=USERS, acl=acl).start()
    [found] = examine(strict, login=login)
    assert found["level"] == "ok"
    heard = recorder(strict, "spBv1.0/#", username="edge1", password="secret")
    own = "spBv1.0/Plant1/{}/edge1"
    for user, verb, below, arrives in [
        ("operator", "DCMD", "/press", True),
        ("operator", "NCMD", "", True),
        ("scada", "NCMD", "", True),
        ("scada", "DCMD", "/press", False),
        ("machine", "NCMD", "", False),
        ("operator", "NBIRTH", "", False),
    ]:
        client = recorder(strict, username=user, password="secret")
        client.publish(own.format(verb) + below, f"{user} {verb}")
        if arrives:
            heard.wait_for(lambda message, said=f"{user} {verb}": message.payload == said.encode())
    client = recorder(strict, username="operator", password="secret")
    client.publish(own.format("NCMD"), b"last")
    heard.wait_for(lambda message: message.payload == b"last")
    said = {message.payload for message in heard.messages}
    assert said & {b"scada DCMD", b"machine NCMD", b"operator NBIRTH"} == set()
    listener = recorder(strict, "spBv1.0/#", username="scada", password="secret")
    node = recorder(strict, username="edge1", password="secret")
    for verb, below in (("NBIRTH", ""), ("DBIRTH", "/press"), ("DDATA", "/press"), ("NDATA", ""), ("DDEATH", "/press")):
        node.publish(own.format(verb) + below, verb)
        listener.wait_for(lambda message, verb=verb: message.payload == verb.encode())


def test_without_sparkplug_the_access_list_has_none_of_it(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[node]\nid = "n"\n[[asset]]\nid = "press"\nrate_hz = 12000\n')
    assert "spBv1.0" not in cli("doctor", "--config", config, "--acl").out
