"""Under load nothing grows and nothing is written; `make load` and `make quiet-disk` print the figures."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from manual_clock import ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_node.config.machine import MachineSection
from edgetune_node.config.settings import AlarmSection, AssetSection, WindowSection
from edgetune_node.contract.messages import Classification, Vibration
from edgetune_node.contract.topics import Topics
from edgetune_node.demo.broker import find_mosquitto
from edgetune_node.events.publisher import Publisher
from edgetune_node.events.records import LostSamples
from edgetune_node.monitor.asset import Asset
from edgetune_signal import Chunk
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
RATE_HZ, CHANNELS, LENGTH = 25_600.0, 3, 512
FILL_S, STRETCH_S = 12, 8


@pytest.mark.slow
def test_a_fast_stream_loses_no_window_and_grows_no_memory(
    write_tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    clock = ManualClock()
    numbers = itertools.count()
    section = AssetSection(
        id="pump",
        channels=CHANNELS,
        rate_hz=RATE_HZ,
        window=WindowSection(length=LENGTH, hop=LENGTH),
        machine=MachineSection.model_validate({"bearing": "6205-2RS", "shaft_rpm": 1797.0}),
        alarm=AlarmSection(
            raise_after_s=2.0, clear_after_s=5.0
        ),  # whose votes are then all there before it is measured
    )
    asset = Asset(section, Publisher(Topics("load", "n1"), "boot", clock), lambda: f"e{next(numbers)}")
    bundle = load_bundle(write_tiny_bundle(tmp_path, channels=CHANNELS, length=LENGTH, rate_hz=RATE_HZ))
    asset.swap(bundle, None)
    simulator = BearingSimulator(condition="normal", rate_hz=RATE_HZ, channels=CHANNELS, seed=1)
    second = simulator.generate(int(RATE_HZ))
    sequence = itertools.count()

    def listen(seconds: int) -> tuple[int, int]:
        windows = looks = 0
        for _ in range(seconds):
            for start in range(0, second.shape[1], LENGTH):
                samples = second[:, start : start + LENGTH].copy()
                number = next(sequence)
                clock.now += LENGTH / RATE_HZ
                said = asset.listen(Chunk(samples, round(number * LENGTH / RATE_HZ * 1e9), RATE_HZ, number))
                windows += sum(isinstance(each.message, Classification) for each in said)
                looks += sum(isinstance(each.message, Vibration) for each in said)
            asset.health(LostSamples())
        return windows, looks

    tracemalloc.start()
    try:
        windows, looks = listen(FILL_S)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        more_windows, more_looks = listen(STRETCH_S)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (windows, more_windows) == (FILL_S * 50, STRETCH_S * 50)
    assert looks >= FILL_S - 1
    assert more_looks == STRETCH_S
    assert after - before < 64 * 1024, f"{after - before} bytes more after {STRETCH_S} s of signal"


@pytest.mark.slow
def test_monitoring_with_a_broker_writes_nothing() -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    if not Path("/proc/self/io").exists():
        pytest.skip("this kernel does not count what a process writes")
    command = [sys.executable, str(HERE / "quiet_disk.py"), "--windows", "200"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "of monitoring: 0 bytes" in run.stdout
