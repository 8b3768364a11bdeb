"""The flow of Node-RED that the pages show, run by Node-RED."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import npm
import pytest
from brokers import Broker, Recorder, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PACKAGE = "node-red@4"  # 5 needs a newer Node.js than Debian 12 has
ROOT = Path(__file__).parents[2]
FLOW = ROOT / "docs" / "how-to" / "node-red-flow.json"


@pytest.fixture
def node_red(tmp_path: Path) -> Path:
    """The folder where it is installed; skipped where npm cannot have it."""
    return npm.install(tmp_path, PACKAGE, "--omit=optional")


@contextlib.contextmanager
def running(folder: Path, broker: Broker) -> Iterator[Path]:
    """Run the flow, but for the broker's port as the page shows it; what it says goes to a file."""
    flow: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    for node in flow:
        if node["type"] == "mqtt-broker":
            node["port"] = str(broker.port)
    (folder / "flow.json").write_text(json.dumps(flow), encoding="utf-8")
    program = folder / "node_modules" / "node-red" / "red.js"
    command = ["node", str(program), "--userDir", str(folder), "--port", str(free_port()), str(folder / "flow.json")]
    said = folder / "node-red.log"
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "HOME": str(folder)})
    try:
        yield said
    finally:
        process.kill()
        process.wait()


def test_the_flow_tells_maintenance_of_a_fault_once_and_when_it_is_over(node_red: Path) -> None:
    fault = json.loads((ROOT / "docs" / "examples" / "fault.json").read_text(encoding="utf-8"))[0]["payload"]
    fault |= {"active": True, "shelved": False, "historical": False}
    broker = Broker(node_red / "broker").start()
    listener = Recorder(broker, "maintenance/#")

    def subscribed() -> bool:
        listener.publish("edgetune/edge1/probe/fault", fault)
        return bool(listener.on("maintenance/probe"))

    try:
        with running(node_red, broker) as log:
            wait_until(subscribed, what=f"Node-RED hears faults; it said {log}")
            told = (
                {**fault, "historical": True, "class": "ball"},
                {**fault, "shelved": True, "class": "ball"},
                fault,
                fault,
                {**fault, "active": False},
            )
            for payload in told:
                listener.publish("edgetune/edge1/bearing1/fault", payload)
            over = listener.wait_for(lambda seen: seen.payload.endswith(b"over"))
        assert over.topic == "maintenance/bearing1"
        assert [seen.payload.decode() for seen in listener.on("maintenance/bearing1")] == [
            f"bearing1: inner, alarm: {fault['evidence']['action']}",
            "bearing1: over",
        ]
    finally:
        listener.close()
        broker.stop()
