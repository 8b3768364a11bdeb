"""Connects with a last will where the broker may not take all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.operator.broker_errors import EndedError
from edgetune_node.operator.broker_limits import BrokerLimits
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from edgetune_node.config import MqttSection
    from edgetune_node.operator.broker_limits import LastWill


def connect_with_will(will: LastWill, mqtt: MqttSection, *rest: Any, **more: Any) -> tuple[OperatorClient, LastWill]:
    """Connect with a last will, or with as much of it as the broker takes; return the client and that will.

    Raises
    ------
    BrokerError
        What the broker said to the whole will, where it takes no lesser one either.
    """
    first: EndedError | None = None
    for each in will.lesser():
        try:
            client = OperatorClient(mqtt, *rest, will=each, **more)
        except EndedError as error:
            first = first or error
            continue
        if each != will:  # what it hangs up on in a will it would hang up on in a message
            most = client.limits
            client.limits = BrokerLimits(most.retain and each.retain, most.qos if each.qos else 0)
        return client, each
    raise first or AssertionError("there is always a will to try")
