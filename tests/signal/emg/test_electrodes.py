"""What is wrong with an electrode is named, and muscles are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_signal import ArmbandSimulator
from edgetune_signal.emg.electrodes import electrode_faults

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 200.0


def worn(gesture: str = "fist") -> NDArray[np.float32]:
    armband = ArmbandSimulator(subject="3", gesture=gesture, seed=4)
    armband.generate(200)
    return np.array(armband.generate(200), np.float32)


def hum(hz: float, of: float) -> NDArray[np.float32]:
    return (of * np.sin(2 * np.pi * hz * np.arange(200) / RATE)).astype(np.float32)


@pytest.mark.parametrize("gesture", ["rest", "fist", "open_hand"])
def test_electrodes_that_are_worn_well_have_nothing(gesture: str) -> None:
    assert electrode_faults(worn(gesture), RATE, 128) == ((),) * 8


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("dead", lambda x: np.full_like(x, 3.0)),
        ("dead", lambda x: x * 0.01),
        ("dead", lambda x: np.where(np.arange(200) == 7, np.nan, x)),
        ("saturated", lambda x: np.where(np.arange(200) % 20 == 0, 127.0, x)),
        ("saturated", lambda x: np.full_like(x, 127.0)),
        ("hum", lambda x: x + hum(50, 4 * x.std())),
        ("hum", lambda x: x + hum(60, 4 * x.std())),
        ("offset", lambda x: x + 8 * x.std()),
        ("offset", lambda x: x - 8 * x.std()),
    ],
)
def test_one_electrode_s_fault_is_named_and_no_other_s(fault: str, change: object) -> None:
    samples = worn()
    samples[2] = change(samples[2])  # type: ignore[operator]
    faults = electrode_faults(samples, RATE, 127)
    assert faults[2] == (fault,)
    assert faults[:2] + faults[3:] == ((),) * 7


def test_hum_and_offset_are_both_named() -> None:
    samples = worn()
    samples[5] += hum(50, 4 * samples[5].std()) + 20 * samples[5].std()
    assert electrode_faults(samples, RATE)[5] == ("hum", "offset")


def test_one_channel_alone_is_dead_only_without_any_signal() -> None:
    assert electrode_faults(worn()[:1], RATE) == ((),)
    assert electrode_faults(np.zeros((1, 200), np.float32), RATE) == (("dead",),)
    assert electrode_faults(np.zeros((8, 200), np.float32), RATE) == (("dead",),) * 8


def test_real_armbands_have_hardly_any_fault(recordings_dir: Path) -> None:
    seconds = faults = 0
    for path in sorted((recordings_dir / "myo_gestures").glob("*.npz")):
        with np.load(path) as data:
            samples = data["training0_samples"].astype(np.float32)
        for start in range(0, samples.shape[1] - 200, 1000):
            found = electrode_faults(samples[:, start : start + 200], RATE, 128)
            seconds += len(found)
            faults += sum(bool(each) for each in found)
    assert seconds > 1000
    assert faults < 0.02 * seconds
