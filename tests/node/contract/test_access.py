"""The access list that ``doctor --acl`` prints lets each role do its part on a real broker, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.access import access_list
from edgetune_node.contract.messages import MESSAGES
from edgetune_node.contract.topics import ASSET_COMMANDS, NODE_COMMANDS, Topics
from edgetune_node.errors import ConfigError
from edgetune_node.operator.broker_errors import BrokerError
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from pathlib import Path

NODES = {name: Topics("acme/line3", name) for name in ("edge1", "edge2")}
USERS = (*NODES, "machine", "scada", "operator")
SAMPLES, CONTEXT = NODES["edge1"].asset("press", "samples"), NODES["edge1"].asset("press", "context")


def said(topics: Topics) -> set[str]:
    leaves = [(kind.owner, kind.topic.replace("+", "record")) for kind in MESSAGES]
    of_messages = {topics.node(leaf) if owner == "node" else topics.asset("press", leaf) for owner, leaf in leaves}
    return {*of_messages, topics.node("resp/ping"), topics.asset("press", "resp/record/client")}


def commands(topics: Topics) -> set[str]:
    of_node = {topics.node(f"cmd/{name}") for name in NODE_COMMANDS}
    return of_node | {topics.asset("press", f"cmd/{name}") for name in ASSET_COMMANDS}


ALL_COMMANDS = commands(NODES["edge1"]) | commands(NODES["edge2"])
ALL_SAID = said(NODES["edge1"]) | said(NODES["edge2"])
MAY_WRITE = {
    **{name: said(topics) for name, topics in NODES.items()},
    "machine": {SAMPLES, CONTEXT},
    "scada": set(),
    "operator": {*ALL_COMMANDS, CONTEXT},
}
MAY_READ = {
    "edge1": {*said(NODES["edge1"]), *commands(NODES["edge1"]), SAMPLES, CONTEXT},
    "edge2": {*said(NODES["edge2"]), *commands(NODES["edge2"])},
    "machine": {topics.asset("press", "calibration") for topics in NODES.values()},
    "scada": ALL_SAID,
    "operator": {*ALL_SAID, *ALL_COMMANDS, SAMPLES, CONTEXT},
}
EVERYTHING = {*ALL_SAID, *ALL_COMMANDS, SAMPLES, CONTEXT, "acme/line3/edge1", "acme/line4/edge1/status", "x"}


def test_each_role_can_do_its_part_and_nothing_else_and_no_node_commands_another(make_broker: Any) -> None:
    rules = "".join(access_list(topics, name) for name, topics in NODES.items())
    broker = make_broker(users={name: f"{name}-key" for name in USERS}, acl=rules).start()
    clients = {
        name: OperatorClient(MqttSection(port=broker.port, username=name, password=f"{name}-key"))  # type: ignore[arg-type]
        for name in USERS
    }
    for client in clients.values():
        client.subscribe("#")
    written: dict[str, set[str]] = {name: set() for name in USERS}
    for name, client in clients.items():
        for topic in sorted(EVERYTHING):
            try:
                client.publish(topic, b'{"by": "test"}')
            except BrokerError as error:
                assert "refuses to take" in str(error)  # noqa: PT017 - any other error would be a broken test
            else:
                written[name].add(topic)
    assert written == MAY_WRITE
    heard: dict[str, set[str]] = {}
    for name, client in clients.items():
        heard[name] = set()
        for topic, _ in client.messages(10):
            heard[name].add(topic)
            if heard[name] == MAY_READ[name]:
                break
        heard[name] |= {topic for topic, _ in client.messages(0.2)}
        client.close()
    assert heard == MAY_READ


@pytest.mark.parametrize(("login", "user"), [("", "edge1"), ('[mqtt]\nusername = "press-node"\n', "press-node")])
def test_doctor_prints_the_list_of_its_node(tmp_path: Path, login: str, user: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[node]\nid = "edge1"\nnamespace = "acme/line3"\n{login}[[asset]]\nid = "a"\nrate_hz = 100\n')
    command = [sys.executable, "-m", "edgetune_node", "doctor", "--acl", "--config", str(config)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == access_list(NODES["edge1"], user)
    assert f"user {user}\n" in printed


@pytest.mark.parametrize("user", ["operator", "scada", "machine", "edge1\nuser evil", "edge1 "])
def test_a_node_whose_user_is_a_role_or_would_break_the_list_gets_none(user: str) -> None:
    with pytest.raises(ConfigError, match="access list"):
        access_list(NODES["edge1"], user)
