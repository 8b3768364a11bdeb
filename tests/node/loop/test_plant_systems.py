"""A node that announces itself to Home Assistant and serves metrics; and one that no longer does."""

from __future__ import annotations

import json
import signal
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from brokers import free_port, wait_until
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

TOPIC = "homeassistant/device/+/config"


def scraped(port: int) -> dict[str, float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    families = list(text_string_to_metric_families(connection.getresponse().read().decode()))
    connection.close()
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_node_announces_its_assets_and_takes_the_announcement_back_in_a_later_life(
    node: Callable[..., Any], bearing: str, recorder: Any
) -> None:
    port = free_port()
    tables = f'[home_assistant]\nprefix = "homeassistant"\n[metrics]\nlisten = "127.0.0.1:{port}"\n'
    loop = node(tables + bearing)
    loop.start()
    home = recorder(loop.broker, TOPIC)
    device = json.loads(home.wait_for(lambda seen: seen.retain).payload)
    vibration = device["components"]["rms"]["state_topic"]
    loop.scada.wait_for(lambda seen: seen.topic == vibration)
    assert (loop.data / "announced.json").exists()

    wait_until(lambda: scraped(port).get("edgetune_windows_total", 0) > 0, what="metrics tell of windows")
    assert scraped(port)["edgetune_broker_connected"] == 1
    loop.broker.stop()
    wait_until(lambda: scraped(port)["edgetune_broker_connected"] == 0, what="metrics tell that the broker is away")
    loop.broker.start()
    wait_until(lambda: scraped(port)["edgetune_broker_connected"] == 1, what="and that it is back")
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0

    loop.config.write_text(loop.config.read_text(encoding="utf-8").replace(tables, ""), encoding="utf-8")
    home.clear()
    loop.forget()
    loop.start()
    home.wait_for(lambda seen: seen.payload == b"")
    wait_until(lambda: not (loop.data / "announced.json").exists(), what="the announcement is forgotten")
    late = recorder(loop.broker, TOPIC, "edgetune/n1/status")
    late.wait_for(lambda seen: seen.topic == "edgetune/n1/status")
    assert late.on(TOPIC) == []
    with pytest.raises(OSError, match="refused"):
        scraped(port)
