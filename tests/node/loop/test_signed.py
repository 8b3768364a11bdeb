"""A node that takes only signed commands, an operator who has the key, and somebody on the same broker who has not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.topics import Topics
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef0123456789abcdef"
SIGNED = f'command_key = "{KEY}"\n'


def replay(loop: Any, message: Any) -> dict[str, Any]:
    """Publish what was overheard, and wait for the node's answer to that."""
    topic = message.topic.replace("/cmd/", "/resp/")
    before = len(loop.scada.on(topic))
    loop.scada.publish(message.topic, message.payload, user_properties=message.user_properties)
    loop.scada.wait_for_count(topic, before + 1, 120)
    answer: dict[str, Any] = loop.scada.on(topic)[before].json()
    return answer


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_only_who_has_the_key_commands_the_node_and_each_command_only_once(
    node: Callable[..., Any], bearing: str, protocol: str
) -> None:
    loop = node(SIGNED + bearing, protocol)
    loop.start()
    section = MqttSection(port=loop.broker.port, protocol=protocol, command_key=KEY)
    with OperatorClient(section, Topics("edgetune", "n1"), "bearing") as operator:
        done = operator.wait_reply(operator.send("profile", subject="p1"), timeout=120)
        refused = operator.wait_reply(operator.send("continue"), timeout=120)
    assert done["status"] == "done"
    assert refused["reason"] == "no job is running"
    overheard = {
        name: loop.scada.wait_for(lambda seen, name=name: seen.topic == f"edgetune/n1/bearing/cmd/{name}", 120)
        for name in ("profile", "continue")
    }
    for answer in (done, refused):
        loop.reply(answer["id"])
    profile = overheard["profile"]
    again = replay(loop, profile)
    assert (again["id"], again["status"], again["detail"]) == (done["id"], "done", done["detail"])
    altered = replace(profile, payload=profile.payload.replace(b"p1", b"p2"))
    assert "the signature is wrong" in replay(loop, altered)["reason"]
    elsewhere = replace(overheard["continue"], topic=profile.topic.replace("profile", "rollback"))
    assert "the signature is wrong" in replay(loop, elsewhere)["reason"]
    unsigned = replace(profile, payload=b'{"id": "x", "subject": "p2"}', user_properties=())
    answer = replay(loop, unsigned)
    assert (answer["id"], answer["status"]) == ("x", "rejected")
    assert "takes only signed commands" in answer["reason"]
    assert replay(loop, overheard["continue"])["reason"] == refused["reason"]
    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    assert "came before" in replay(loop, overheard["continue"])["reason"]
    assert replay(loop, profile)["status"] == "done"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_command_line_signs_with_the_key_of_a_file(node: Callable[..., Any], bearing: str, protocol: str) -> None:
    loop = node(SIGNED + bearing, protocol)
    loop.start()
    loop.settle()
    key = loop.folder / "command.key"
    key.write_text(KEY + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "edgetune_node", "record", "--label", "normal", "--seconds", "0.5", "--json"),
        *("--broker", f"mqtt://127.0.0.1:{loop.broker.port}", "--node", "n1", "--protocol", protocol),
    ]
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    assert without.returncode != 0
    assert "takes only signed commands" in without.stdout + without.stderr
    signed = subprocess.run([*command, "--command-key-file", str(key)], capture_output=True, text=True, check=False)
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout.splitlines()[-1])["status"] == "done"
