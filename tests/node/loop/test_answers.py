"""Where a node's answers go: to their own topics and to those of who asked, but never to those of another node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

OTHERS = "edgetune/n2/pump/fault"


def test_a_command_cannot_have_the_node_write_over_another_nodes_fault(
    node: Callable[..., Any], bearing: str, recorder: Callable[..., Any]
) -> None:
    loop = node(bearing)
    loop.start()
    line = recorder(loop.broker, "edgetune/n2/#", "answers/#")
    line.publish(OTHERS, {"active": True}, retain=True)
    loop.scada.publish("edgetune/n1/cmd/ping", {"id": "1"}, response_topic=OTHERS)
    assert "topics below edgetune are for nodes" in loop.reply("1")["detail"]["response_topic"]
    loop.scada.publish("edgetune/n1/cmd/ping", {"id": "2"}, response_topic="answers/me")
    assert line.wait_for(lambda seen: seen.topic == "answers/me").json()["id"] == "2"
    assert [message.json() for message in line.on(OTHERS)] == [{"active": True}]
