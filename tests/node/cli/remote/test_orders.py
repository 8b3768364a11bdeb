"""Commands that need no job: a ping, and what the plant knows of a machine; and the one style of all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer.main
from brokers import wait_until

from edgetune_node.cli import COMMANDS as PROGRAMS, build
from edgetune_node.contract import COMMANDS


def test_every_command_of_the_contract_is_one_of_the_command_line_with_json() -> None:
    assert set(COMMANDS) | {"context"} <= set(PROGRAMS)
    group: Any = typer.main.get_command(build(list(PROGRAMS)))
    shared = {"--json", "--broker", "--config", "--node", "--asset", "--password-file"}
    for name in (*COMMANDS, "context"):
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert shared <= options, name


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_ping_is_answered_with_version_and_uptime(broker: Any, scripted_node: Any, cli: Any, protocol: str) -> None:
    node = scripted_node(broker, protocol)

    def script(node: Any) -> None:
        topic = f"{node.base}/cmd/ping"
        asked = node.seen.wait_for(lambda seen: seen.topic == topic and seen.json()["id"] not in answered).json()
        answered.add(asked["id"])
        answer = {"id": asked["id"], "command": "ping", "status": "done", "detail": {"version": "1.2", "uptime_s": 3.5}}
        node.seen.publish(f"{node.base}/resp/ping", answer)

    answered: set[str] = set()
    node.play(script)
    assert cli("ping", *node.target).out == f"{node.base} answers: edgetune 1.2, running for 3.5 s\n"
    node.finish()
    node.play(script)
    assert json.loads(cli("ping", "--json", *node.target).out) == {"status": "done", "version": "1.2", "uptime_s": 3.5}
    node.finish()


def test_a_ping_that_is_refused_says_why(broker: Any, scripted_node: Any, cli: Any) -> None:
    node = scripted_node(broker)

    def script(node: Any) -> None:
        asked = node.seen.wait_for(lambda seen: seen.topic == f"{node.base}/cmd/ping").json()
        answer = {"id": asked["id"], "command": "ping", "status": "rejected", "reason": "it must be signed"}
        node.seen.publish(f"{node.base}/resp/ping", answer)

    node.play(script)
    ended = cli("ping", "--json", *node.target)
    node.finish()
    assert ended.code == 1
    assert "it must be signed" in json.loads(ended.out)["error"]


def test_what_the_plant_knows_is_retained_until_it_is_cleared(
    broker: Any, scripted_node: Any, cli: Any, recorder: Any
) -> None:
    node = scripted_node(broker)
    node.online()
    topic = f"{node.base}/press/context"
    ended = cli("context", "--shaft-rpm", "1772", "--stopped", "--json", *node.target)
    assert json.loads(ended.out) == {"topic": topic, "context": {"shaft_rpm": 1772.0, "running": False}}, ended.err
    late = recorder(broker, topic)
    assert late.wait_for(lambda seen: seen.retain).json() == {"shaft_rpm": 1772.0, "running": False}
    assert "cleared" in cli("context", "--clear", *node.target).out
    wait_until(lambda: late.on(topic)[-1].payload == b"", what="it is cleared")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("context",), "give --shaft-rpm"),
        (("context", "--clear", "--load", "1"), "give --shaft-rpm"),
        (("context", "--shaft-rpm", "-1"), "shaft_rpm"),
        (("profile",), "give --subject or --condition"),
        (("shelve", "--seconds", "30d", "--by", "anna"), "seconds"),
        (("deploy", "--model", "../x"), "model"),
    ],
)
def test_what_a_node_would_refuse_is_not_sent(cli: Any, arguments: tuple[str, ...], said: str) -> None:
    ended = cli(*arguments, "--node", "n", "--broker", "mqtt://127.0.0.1:1")
    assert ended.code == 2
    assert said in ended.err
