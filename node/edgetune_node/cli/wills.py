"""Connects with a last will where the broker may not take all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.cli.broker_errors import EndedError
from edgetune_node.cli.client import OperatorClient

if TYPE_CHECKING:
    from edgetune_node.cli.broker_limits import LastWill
    from edgetune_node.config import MqttSection


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
            return OperatorClient(mqtt, *rest, will=each, **more), each
        except EndedError as error:
            first = first or error
    raise first or AssertionError("there is always a will to try")
