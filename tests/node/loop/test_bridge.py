"""A node behind a bridge that puts a prefix before its topics, and what somebody beyond it must know."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef0123456789abcdef"
BRIDGE = """
connection plant1
address 127.0.0.1:{port}
topic edgetune/# both 1 plant1/ ""
restart_timeout 1
notification_topic plant1/bridge
"""


def test_a_signature_beyond_a_bridge_is_over_the_nodes_own_topic_and_its_online_is_only_as_good_as_the_bridge(
    node: Callable[..., Any], bearing: str, make_broker: Any, recorder: Any
) -> None:
    loop = node(f'command_key = "{KEY}"\n{bearing}')
    site = make_broker()
    site.more = BRIDGE.format(port=loop.broker.port).splitlines()
    site.start()
    scada = recorder(site, "plant1/#")
    loop.start()
    loop.settle()
    status, bridge = "plant1/edgetune/n1/status", "plant1/bridge"
    scada.wait_for(lambda seen: seen.topic == status and seen.json()["status"] == "online")
    key = loop.folder / "command.key"
    key.write_text(KEY, encoding="utf-8")
    command = [
        *(sys.executable, "-m", "edgetune_node", "record", "--label", "normal", "--seconds", "0.5", "--json"),
        *("--broker", f"mqtt://127.0.0.1:{site.port}", "--node", "n1", "--command-key-file", str(key)),
    ]
    for protocol in ("5", "3.1.1"):
        ours = [*command, "--bridge-prefix", "plant1/", "--protocol", protocol]
        done = subprocess.run(ours, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["status"] == "done"
    ping = [*command[:3], "ping", "--json", *command[command.index("--broker") :], "--bridge-prefix", "plant1"]
    answered = subprocess.run(ping, capture_output=True, text=True, check=False)
    assert json.loads(answered.stdout)["status"] == "done", answered.stderr
    theirs = [*command, "--namespace", "plant1/edgetune", "--protocol", "3.1.1"]
    refused = subprocess.run(theirs, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "another topic than this node's own" in refused.stdout + refused.stderr

    assert scada.on(bridge)[-1].payload == b"1"
    loop.broker.kill()
    wait_until(lambda: scada.on(bridge)[-1].payload == b"0", what="the site's broker says that the bridge is down")
    late = recorder(site, status, bridge)
    late.wait_for(lambda seen: seen.topic == bridge and seen.payload == b"0")
    late.wait_for(lambda seen: seen.topic == status and seen.json()["status"] == "online")  # as README warns
