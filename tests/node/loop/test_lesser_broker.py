"""A node whose broker retains nothing, or takes no QoS 1, is online, says so, and is told what it is told."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

PRESS = """
[[asset]]
id = "press"
rate_hz = 3000
source = {{ type = "simulated", condition = "normal" }}
"""
STATE = ("info", "state", "fault", "model", "status", "health")


def check_what_is_served(edge: Any, recorder: Callable[..., Any], protocol: str) -> None:
    """Check that a command is carried out, and that who comes late hears all that is retained elsewhere."""
    edge.scada.publish("edgetune/n1/press/cmd/record", {"id": "r", "label": "normal", "seconds": 0.5}, qos=0)
    edge.reply("r", "done")
    late = recorder(edge.broker, "edgetune/n1/#", protocol=protocol)
    for leaf in STATE:
        late.wait_for(lambda seen, leaf=leaf: seen.topic.endswith(f"/{leaf}"))
    assert not [seen.topic for seen in late.messages if seen.retain]
    edge.forget()
    edge.send(signal.SIGKILL)
    edge.ended()
    edge.wait("status", lambda said: said["status"] == "offline")


@pytest.mark.parametrize(
    ("protocol", "options", "told"),
    [
        ("5", ["retain_available false"], {"retain": False, "max_qos": 2, "will": "not retained"}),
        ("3.1.1", ["retain_available false", "max_qos 0"], {"retain": False, "max_qos": 0, "will": "not retained"}),
    ],
)
def test_a_broker_that_retains_nothing_is_served_and_info_says_what_it_lacks(
    node: Callable[..., Any],
    fresh_broker: Any,
    recorder: Callable[..., Any],
    protocol: str,
    options: list[str],
    told: dict[str, Any],
) -> None:
    fresh_broker.stop()
    fresh_broker.more = options
    fresh_broker.start()
    edge = node(PRESS, protocol)
    edge.start()
    assert edge.wait("info", lambda said: said["broker"])["broker"] == told
    check_what_is_served(edge, recorder, protocol)


def test_nothing_is_retained_with_retain_never_although_the_broker_could(
    node: Callable[..., Any], recorder: Callable[..., Any]
) -> None:
    edge = node(f'retain = "never"\n{PRESS}')
    edge.start()
    found = edge.wait("info", lambda said: said["broker"])["broker"]
    assert found == {"retain": False, "max_qos": 2, "will": "not retained"}
    check_what_is_served(edge, recorder, "5")
