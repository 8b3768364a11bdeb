"""What a plant begins with: the node's configuration, recordings of two conditions, and models of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.storage.models import ModelStore
from edgetune_signal import Recording, RecordingStore, StreamSpec, recordings_dataset
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ = 12_000.0
WINDOW = 512
CONDITIONS = ("normal", "inner_severe")
CONFIG = """
[node]
id = "n1"
data_dir = '{data}'
health_interval_s = 1
disk_reserve_bytes = 1048576
[mqtt]
host = '{host}'
port = {port}
insecure = ["plaintext", "anonymous"]
replay_per_second = 500
[[asset]]
id = "bearing"
rate_hz = 12000
classification_hz = 10
alarm = {{ heartbeat_s = 3600, raise_after_s = 0.4, clear_after_s = 0.4 }}
source = {{ type = "simulated", condition = "normal", speed = 4, select_file = '{playing}' }}
[[asset]]
id = "press"
rate_hz = 12000
source = {{ type = "simulated", condition = "normal" }}
[[asset]]
id = "fan"
rate_hz = 12000
source = {{ type = "mqtt" }}
[[asset]]
id = "pump"
rate_hz = 2560
source = {{ type = "udp", host = "127.0.0.1", port = {sensor} }}
"""


def prepare(folder: Path, data: Path) -> None:
    """Put recordings and a model where the node has them, and two models where it may be told to take them."""
    recordings = [
        Recording(
            samples=BearingSimulator(condition=condition, rate_hz=RATE_HZ, seed=seed).generate(int(4 * RATE_HZ)),
            rate_hz=RATE_HZ,
            label=condition,
            unit="g",
            group=f"{condition}-{seed}",
        )
        for condition in CONDITIONS
        for seed in range(2)
    ]
    for asset in ("bearing", "press"):
        kept = RecordingStore(data / "assets" / asset / "recordings", 2**28)
        for recording in recordings:
            kept.add(recording)
    dataset = recordings_dataset(recordings, window=WINDOW, hop=WINDOW)
    for number in range(2):
        budget = Budget(ram_bytes=4096, search_seconds=20)
        found = search(dataset, task="fault", budget=budget, out=folder / f"out-{number}", candidates=2, seed=number)
        shutil.copytree(found.bundle, data / "incoming" / f"model-{number}")
    models = ModelStore(data / "assets" / "bearing" / "models", StreamSpec(1, RATE_HZ, "g"), WINDOW, "fault")
    models.install(data / "incoming" / "model-0")
