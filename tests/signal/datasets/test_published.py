"""Public data sets are read as they are published: small files of their form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.io import savemat

from edgetune_signal import RecordingError, load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_signal import Dataset

RANDOM = np.random.default_rng(0)


def mfpt(folder: Path) -> None:
    for name, rate_hz in (
        ("baseline_1", 97_656),
        ("OuterRaceFault_vload_2", 48_828),
        ("InnerRaceFault_vload_3", 48_828),
    ):
        n = 4000 * rate_hz // 48_828
        savemat(
            folder / f"{name}.mat",
            {"bearing": {"gs": RANDOM.normal(0, 1, (n, 1)), "sr": rate_hz, "rate": 25, "load": 50}},
        )


def uestc(folder: Path) -> None:
    for name in ("N_800", "B_800", "I_1000", "O_1000"):
        (folder / name).mkdir()
        savemat(folder / name / f"{name}_1.mat", {"data": RANDOM.normal(0, 1, (4000, 1))})


def hit(folder: Path) -> None:
    for name in ("Normal_600", "IR2_600", "IR5_900", "OR8_1200"):
        savemat(folder / f"{name}.mat", {"x": RANDOM.normal(0, 1, (1, 4000))})


def femto(folder: Path) -> None:
    (folder / "Bearing1_1").mkdir()
    for number in (1, 2):
        rows = [
            f"9,39,{number},{k * 39.0625:.4e},{a:.3f},{b:.3f}"
            for k, (a, b) in enumerate(RANDOM.normal(0, 1, (2560, 2)))
        ]
        (folder / "Bearing1_1" / f"acc_{number:05d}.csv").write_text("\n".join(rows) + "\n")


def ims(folder: Path) -> None:
    (folder / "2nd_test").mkdir()
    np.savetxt(
        folder / "2nd_test" / "2004.02.12.10.32.39", RANDOM.normal(0, 0.1, (2048, 4)), fmt="%.3f", delimiter="\t"
    )


def myo_readings(folder: Path) -> None:
    (folder / "44444-1").mkdir()
    for gesture in (1, 2):
        cue = np.repeat([0, gesture, 0, gesture], 300)
        table = np.column_stack([RANDOM.integers(-100, 100, (1200, 8)), cue])
        np.savetxt(folder / "44444-1" / f"{gesture}.txt", table, fmt="%d", delimiter=",")


def myo_dat(folder: Path) -> None:
    place = folder / "Male0" / "training0"
    place.mkdir(parents=True)
    for number in range(8):
        RANDOM.integers(-100, 100, (400, 8)).astype("<i2").tofile(place / f"classe_{number}.dat")


def ninapro(folder: Path) -> None:
    movement = np.repeat([0, 1, 0, 2], 400)
    content = {"emg": RANDOM.normal(0, 1, (1600, 16)), "restimulus": movement[:, None], "repetition": movement[:, None]}
    savemat(folder / "S1_E1_A1.mat", content)


def armband_3dc(folder: Path) -> None:
    for taken in ("train", "test"):
        place = folder / "Participant1" / taken
        place.mkdir(parents=True)
        for gesture in (0, 10):
            table = RANDOM.integers(-500, 500, (600, 10))
            np.savetxt(place / f"EMG_gesture_0_{gesture}.txt", table, fmt="%d", delimiter=",")


SETS: dict[str, tuple[Callable[[Path], None], tuple[str, ...], float, int, tuple[str, ...]]] = {
    "mfpt": (mfpt, ("inner", "normal", "outer"), 48_828.0, 1, ("load270", "load2", "load3")),
    "uestc": (uestc, ("ball", "inner", "normal", "outer"), 20_000.0, 1, ("800rpm", "1000rpm")),
    "hit": (hit, ("inner", "normal", "outer"), 51_200.0, 1, ("600rpm", "900rpm", "1200rpm")),
    "femto": (femto, ("run",), 25_600.0, 2, ("Bearing1_1",)),
    "ims": (ims, ("run",), 20_000.0, 4, ("2nd_test",)),
    "myo-readings": (myo_readings, ("g1", "g2", "rest"), 200.0, 8, ("44444-1",)),
    "myo-dat": (
        myo_dat,
        ("closed", "extension", "flexion", "neutral", "open", "radial", "ulnar"),
        200.0,
        8,
        ("Male0",),
    ),
    "3dc": (armband_3dc, ("neutral", "pinch"), 1000.0, 10, ("train", "test")),
    "ninapro": (ninapro, ("m01", "m02", "rest"), 200.0, 16, ("S1",)),
}


def loaded(name: str, folder: Path) -> Dataset:
    return load_dataset(folder, converter=name, one_class=len(SETS[name][1]) == 1)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_read_in_the_form_in_which_it_is_published(name: str, tmp_path: Path) -> None:
    write, classes, rate_hz, channels, conditions = SETS[name]
    write(tmp_path)
    dataset = loaded(name, tmp_path)
    assert dataset.classes == classes
    assert (dataset.rate_hz, dataset.channels) == (rate_hz, channels)
    assert set(dataset.conditions) == set(conditions)
    assert len(dataset.groups) >= len(classes)
    assert dataset.unit


@pytest.mark.parametrize("name", SETS)
def test_a_folder_of_something_else_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    for suffix in (".mat", ".csv", ".txt", ".dat"):
        (tmp_path / f"notes{suffix}").write_text("hello", encoding="ascii")
    with pytest.raises(RecordingError, match=str(tmp_path)):
        loaded(name, tmp_path)


def test_the_healthy_recordings_of_mfpt_keep_what_lies_below_half_of_the_lower_rate(tmp_path: Path) -> None:
    t = np.arange(97_656) / 97_656
    tone = np.sin(2 * np.pi * 3000 * t) + np.sin(2 * np.pi * 40_000 * t)
    savemat(tmp_path / "baseline_1.mat", {"bearing": {"gs": tone[:, None], "sr": 97_656}})
    savemat(tmp_path / "OuterRaceFault_1.mat", {"bearing": {"gs": tone[::2, None], "sr": 48_828}})
    dataset = load_dataset(tmp_path, converter="mfpt", window=4096)
    spectrum = np.abs(np.fft.rfft(dataset.x[dataset.label == 0][0, 0] * np.hanning(4096))) / 1024
    frequencies = np.fft.rfftfreq(4096, 1 / 48_828)
    assert dataset.classes[0] == "normal"
    assert spectrum[np.abs(frequencies - 3000) < 30].max() == pytest.approx(1, rel=0.1)  # it lies between two lines
    assert spectrum[np.abs(frequencies - (48_828 - 40_000)) < 60].max() < 0.05
