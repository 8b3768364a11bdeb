"""The broker's access list lets each user do what its part in the MQTT contract needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from brokers import MOSQUITTO, PATIENCE_S, free_port

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.access import access_list
from edgetune_node.contract.messages import MESSAGES, Response
from edgetune_node.contract.topics import ASSET_COMMANDS, NODE_COMMANDS, Topics
from edgetune_node.integrations.sparkplug.names import SparkplugNames, state_topic
from edgetune_node.operator import client as operator_client
from edgetune_node.operator.broker_errors import BrokerError
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BROKER = Path(__file__).resolve().parents[2] / "docker" / "broker"
TOPICS = Topics("acme/line3", "edge1")
USERS = ("node", "machine", "operator", "home_assistant")
SAID = [
    TOPICS.asset("press", kind.topic) if kind.owner == "asset" else TOPICS.node(kind.topic)
    for kind in MESSAGES
    if kind is not Response
]
ANSWERS = [
    TOPICS.node("resp/ping"),
    TOPICS.asset("press", "resp/record"),
    TOPICS.asset("press", "resp/record/client-1"),
]
COMMANDS = [
    *(TOPICS.node(f"cmd/{name}") for name in NODE_COMMANDS),
    *(TOPICS.asset("press", f"cmd/{name}") for name in ASSET_COMMANDS),
]
DELIVERED = [TOPICS.asset("press", "samples"), TOPICS.asset("press", "simulator/state")]
CONTEXT = TOPICS.asset("press", "context")
REQUESTED = TOPICS.asset("press", "simulator")
SPARKPLUG = SparkplugNames("Plant1", TOPICS.node_id)
LIVES = [SPARKPLUG.topic(verb) for verb in ("NBIRTH", "NDATA", "NDEATH")]
LIVES += [SPARKPLUG.topic(verb, "press") for verb in ("DBIRTH", "DDATA", "DDEATH")]
ORDERS = [SPARKPLUG.topic("NCMD"), SPARKPLUG.topic("DCMD", "press"), state_topic("scada1")]
ANNOUNCED = "homeassistant/device/edgetune_edge1_press_0123abcd/config"
BUTTONS = [TOPICS.asset("press", f"cmd/{name}") for name in ("acknowledge", "recalibrate")]
EVERYTHING = [ANNOUNCED, *SAID, *ANSWERS, *COMMANDS, *DELIVERED, CONTEXT, REQUESTED, *LIVES, *ORDERS]
MAY_WRITE = {
    "node": {*SAID, *ANSWERS, *LIVES, ANNOUNCED},
    "machine": {*DELIVERED, CONTEXT},
    "operator": {*COMMANDS, CONTEXT, REQUESTED, *ORDERS},
    "home_assistant": {*BUTTONS},
}
MAY_READ = {
    "node": set(EVERYTHING) - {*LIVES} | {SPARKPLUG.topic("NBIRTH"), SPARKPLUG.topic("NDEATH")},
    "machine": {TOPICS.asset("press", "calibration"), REQUESTED},
    "operator": set(EVERYTHING) - {ANNOUNCED},
    "home_assistant": {*SAID, *ANSWERS, ANNOUNCED},
}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_client, "CONNECT_S", PATIENCE_S)
    monkeypatch.setattr(operator_client, "ACKNOWLEDGE_S", PATIENCE_S)


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], OperatorClient]]:
    """Connects as a user of a mosquitto with the configuration and the access list of the containers."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is neither on PATH nor in /usr/sbin (apt install mosquitto)")
    folder = tmp_path_factory.mktemp("broker")
    port = free_port()
    access = subprocess.run(
        ["sh", str(BROKER / "acl.sh"), TOPICS.namespace, TOPICS.node_id], capture_output=True, text=True, check=True
    )
    (folder / "acl").write_text(access.stdout)
    (folder / "passwords").write_text("".join(f"{user}:{user}-key\n" for user in USERS))
    subprocess.run([str(shutil.which("mosquitto_passwd")), "-U", str(folder / "passwords")], check=True)
    listener = (BROKER / "plain.conf").read_text().replace("listener 1883", f"listener {port} 127.0.0.1")
    (folder / "listener").mkdir()
    (folder / "listener" / "listener.conf").write_text(listener)
    config = (BROKER / "mosquitto.conf").read_text()
    for place in ("/mosquitto/data/", "/mosquitto/config/", "/broker/"):
        config = config.replace(place, f"{folder}/")
    (folder / "mosquitto.conf").write_text(config + ("user root\n" if os.geteuid() == 0 else ""))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log)
    clients: list[OperatorClient] = []

    def connect_as(user: str) -> OperatorClient:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                mqtt = MqttSection(port=port, username=user, password=f"{user}-key")
                clients.append(OperatorClient(mqtt))
                return clients[-1]
            except BrokerError as error:
                assert process.poll() is None, (folder / "log").read_text()
                if not error.passing or time.monotonic() > deadline:
                    raise
                threading.Event().wait(0.02)

    yield connect_as
    for client in clients:
        client.close()
    process.terminate()
    process.wait(60)


def accepted(client: OperatorClient, topics: list[str]) -> set[str]:
    taken = set()
    for topic in topics:
        try:
            client.publish(topic, b'{"by": "test"}')
        except BrokerError as error:
            assert "refuses to take" in str(error)  # noqa: PT017 - any other error would be a broken test
        else:
            taken.add(topic)
    return taken


@pytest.mark.parametrize("user", USERS)
def test_a_user_may_write_what_is_its_part_and_nothing_else(
    user: str, connect: Callable[[str], OperatorClient]
) -> None:
    foreign = ["acme/line3/edge1", "acme/line4/edge2/press/fault", "acme/line4/edge2/press/cmd/record", "$SYS/x", "x"]
    foreign += ["spBv1.0/Plant1/NBIRTH/edge2", "spBv1.0/Plant1/DDATA/edge2/press"]
    assert accepted(connect(user), [*EVERYTHING, *foreign]) == MAY_WRITE[user]


def test_the_operator_commands_every_node_of_the_namespace(connect: Callable[[str], OperatorClient]) -> None:
    others = ["acme/line3/edge2/cmd/ping", "acme/line3/edge2/pump/cmd/record"]
    assert accepted(connect("operator"), others) == set(others)
    assert accepted(connect("node"), others) == set()


@pytest.mark.parametrize("user", USERS)
def test_a_user_hears_what_is_its_part_and_nothing_else(user: str, connect: Callable[[str], OperatorClient]) -> None:
    listener = connect(user)
    listener.subscribe("#")
    for writer in USERS:
        client = connect(writer)
        for topic in sorted(MAY_WRITE[writer]):
            client.publish(topic, b'{"by": "test"}')
    last = "simulator" if user == "machine" else "cmd/ping"  # sent again: all that came before it has been delivered
    end = TOPICS.asset("press", last) if user == "machine" else TOPICS.node(last)
    if user == "home_assistant":
        connect("node").publish(TOPICS.node("health"), b'{"by": "the end"}')
    else:
        connect("operator").publish(end, b'{"by": "the end"}')
    heard = set()
    for topic, payload in listener.messages(PATIENCE_S):
        heard.add(topic)
        if payload == {"by": "the end"}:
            break
    assert heard == MAY_READ[user]


def test_the_containers_and_doctor_give_nodes_and_machines_the_same_rights() -> None:
    second = Topics(TOPICS.namespace, "edge2")
    written = subprocess.run(
        ["sh", str(BROKER / "acl.sh"), TOPICS.namespace, TOPICS.node_id, second.node_id],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = rights(written)
    for topics, number in ((TOPICS, ""), (second, "2")):
        of_any_group = SparkplugNames("+", topics.node_id).access(None)
        announced = "homeassistant/device/+/config"
        printed = rights(access_list(topics, f"node{number}", [announced], more=of_any_group))
        assert ours[f"node{number}"] == printed[f"node{number}"] != set()
        assert ours[f"machine{number}"] == printed["machine"] != set()


def rights(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "user":
            user = found.setdefault(rest, set())
        elif kind == "topic":
            user.add(rest)
    return found


def test_nobody_connects_without_a_password(connect: Callable[[str], OperatorClient]) -> None:
    port = connect("operator")._mqtt.port
    for username, password in ((None, None), ("operator", "guess"), ("nobody", "operator-key")):
        with pytest.raises(BrokerError, match="refuses"):
            OperatorClient(MqttSection.model_validate({"port": port, "username": username, "password": password}))
