"""The time from a sample to a subscriber of ``classification``, with a real node and broker."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sign_systems import HOP_S

from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.topics import Topics
from edgetune_node.demo.broker import HOST, DemoBroker, find_mosquitto
from edgetune_node.operator.client import OperatorClient
from edgetune_node.storage.models import ModelStore
from edgetune_signal import ArmbandSimulator, Block, Recording, StreamSpec, encode_block, recordings_dataset

if TYPE_CHECKING:
    from rich.console import Console

RATE, LENGTH, HOP = 200.0, 50, 10
TOPICS, ASSET = Topics("bench", "node-1"), "arm"


def latency(seconds: float, console: Console) -> None:
    """Print the time from a sample to a subscriber, with a node and a broker, at 20 windows a second."""
    takes = []
    for number, gesture in enumerate(("rest", "fist", "open_hand")):
        armband = ArmbandSimulator(subject="1", gesture=gesture, seed=number)
        takes.append(Recording(armband.generate(2000), RATE, gesture, "counts", group=gesture))
    with (
        tempfile.TemporaryDirectory(prefix="edgetune-bench-") as name,
        DemoBroker(Path(name), find_mosquitto()) as broker,
    ):
        folder = Path(name)
        data = recordings_dataset(takes, LENGTH, HOP)
        made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=folder / "out", candidates=3)
        models = folder / "data" / "assets" / ASSET / "models"
        ModelStore(models, StreamSpec(8, RATE, "counts"), LENGTH, "sign").install(made.bundle)
        config = folder / "config.toml"
        config.write_text(
            f"""
[node]
id = "{TOPICS.node_id}"
namespace = "{TOPICS.namespace}"
data_dir = '{folder / "data"}'
[mqtt]
host = "{HOST}"
port = {broker.port}
[[asset]]
id = "{ASSET}"
task = "sign"
channels = 8
rate_hz = {RATE}
unit = "counts"
window = {{ length = {LENGTH}, hop = {HOP} }}
""",
            encoding="utf-8",
        )
        late = _listen(config, broker.port, seconds)
    p50, p99 = np.percentile(late, (50, 99))
    console.print(
        f"last sample to subscriber, {len(late)} windows at {1 / HOP_S:g} Hz: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


def _listen(config: Path, port: int, seconds: float) -> list[float]:
    """Run the node and a sender; return milliseconds from each window's last sample to its arrival."""
    client = OperatorClient(MqttSection(host=HOST, port=port), TOPICS, ASSET)
    client.subscribe(TOPICS.asset(ASSET, "classification"))
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(port, stop))
    late: list[float] = []
    with (config.parent / "node.log").open("wb") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)], stdout=log, stderr=log
        )
        sender.start()
        until = time.monotonic() + seconds + 10
        try:
            while len(late) < seconds / HOP_S + 50 and time.monotonic() < until + 30:
                for _, payload in client.messages(0.5):
                    late.append(1e3 * (time.time() - datetime.fromisoformat(payload["ts"]).timestamp()))
        finally:
            stop.set()
            sender.join()
            node.terminate()
            node.wait(10)
            client.close()
    return late[50:]


def _send(port: int, stop: threading.Event) -> None:
    """Send each block the moment its last sample is due, stamped so that the window's time is true."""
    client = OperatorClient(MqttSection(host=HOST, port=port), TOPICS, ASSET)
    armband = ArmbandSimulator(subject="1", gesture="fist", seed=7)
    due = time.monotonic()
    for sequence in itertools.count():
        due += HOP_S
        samples = armband.generate(HOP)
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        first = time.time_ns() - round((HOP - 1) / RATE * 1e9)
        client.publish(
            TOPICS.asset(ASSET, "samples"), encode_block(Block(samples, sequence, first, RATE, "counts")), qos=0
        )
    client.close()
