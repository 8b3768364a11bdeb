"""Paho's client, stopped at any moment."""

from __future__ import annotations

import threading
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edgetune_node.mqtt import WholePacketClient


def ending(kind: type[mqtt.Client]) -> Any:
    """Return a client whose network thread ends just after the first look at whether there is one."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    looks = iter([thread])

    class Ending(kind):  # type: ignore[misc, valid-type]
        _thread = property(lambda _self: next(looks, None), lambda _self, _value: None)

    return Ending(CallbackAPIVersion.VERSION2)


def test_a_network_thread_that_ends_by_itself_meanwhile_is_stopped() -> None:
    assert ending(WholePacketClient).loop_stop() is MQTTErrorCode.MQTT_ERR_SUCCESS
    assert ending(WholePacketClient)._thread is not None
    with pytest.raises(AttributeError, match="join"):  # once paho bears it, `loop_stop` of ours can go
        ending(mqtt.Client).loop_stop()
