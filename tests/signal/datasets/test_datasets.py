"""Data sets load in every documented shape, and every malformed one is refused by name."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.io import savemat

from edgetune_signal import (
    Dataset,
    Recording,
    RecordingError,
    load_dataset,
    merge_library,
    recordings_dataset,
    split_dataset,
    write_recording,
)
from edgetune_signal.datasets.converters import read_myo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, recording_of: Callable[..., Recording]) -> Path:
    place = tmp_path / "recordings"
    place.mkdir()
    for seed, label in enumerate(("normal", "inner", "outer")):
        write_recording(place / f"{label}_1.npz", recording_of(label, seed=seed, unit="g", shaft_rpm=1797.0))
    return place


@pytest.fixture
def windows(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        content: dict[str, Any] = {
            "x": np.random.default_rng(0).normal(size=(12, 2, 16)).astype(np.float32),
            "label": np.arange(12) % 3,
            "classes": np.array(["a", "b", "c"]),
            "rate_hz": 1000,
        } | changes
        path = tmp_path / "windows.npz"
        np.savez(path, **{name: value for name, value in content.items() if value is not None})
        return path

    return write


def test_a_folder_of_recordings_is_cut_into_windows(folder: Path) -> None:
    data = load_dataset(folder, window=100, hop=50)
    assert data.x.shape == (57, 1, 100)
    assert data.classes == ("inner", "normal", "outer")
    assert (data.rate_hz, data.unit, data.conditions) == (1000.0, "g", ("1797rpm",))
    assert data.groups == ("inner_1", "normal_1", "outer_1")
    np.testing.assert_array_equal(data.start[data.group == 0], np.arange(0, 901, 50))
    assert data.held_out is None


def test_without_a_hop_windows_stand_side_by_side(folder: Path) -> None:
    assert len(load_dataset(folder, window=100)) == 30


def test_windows_are_the_recordings_samples(folder: Path) -> None:
    from edgetune_signal import read_recording

    data = load_dataset(folder, window=100, hop=70)
    samples = read_recording(folder / "outer_1.npz").samples
    own = np.flatnonzero(data.label == 2)
    for window in own:
        start = data.start[window]
        np.testing.assert_array_equal(data.x[window], samples[:, start : start + 100])


def test_windows_that_straddle_what_is_held_out_are_dropped(recording_of: Callable[..., Recording]) -> None:
    recordings = [recording_of("a", held_out_from=450), recording_of("b", seed=1, held_out_from=0), recording_of("b")]
    data = recordings_dataset(recordings, 100, 30)
    assert data.held_out is not None
    first = data.group == 0
    starts = data.start[first]
    assert not ((starts < 450) & (starts + 100 > 450)).any()
    np.testing.assert_array_equal(data.held_out[first], starts >= 450)


def test_recordings_of_one_group_share_it_and_never_seem_to_overlap(recording_of: Callable[..., Recording]) -> None:
    recordings = [recording_of("a", group="day 1", seed=seed) for seed in range(3)] + [recording_of("b", group="x")]
    data = recordings_dataset(recordings, 100, 50)
    starts = np.sort(data.start[data.group == 0])
    assert len(starts) == 57
    assert len(set(starts.tolist())) == 57
    assert (np.diff(starts) >= 50).all()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rate_hz": 500.0}, r"odd\.npz has rate_hz 500 and .*inner_1\.npz has 1000"),
        ({"channels": 2}, r"odd\.npz has channels 2 and .*inner_1\.npz has 1"),
        ({"unit": "V"}, r"odd\.npz has unit 'V' and .*inner_1\.npz has 'g'"),
        ({"n": 50}, r"odd\.npz: 50 samples are shorter than a window of 100"),
    ],
)
def test_recordings_that_do_not_belong_together_are_named(
    folder: Path, recording_of: Callable[..., Recording], changes: dict[str, Any], complaint: str
) -> None:
    write_recording(folder / "odd.npz", recording_of("odd", **({"unit": "g"} | changes)))
    with pytest.raises(RecordingError, match=complaint):
        load_dataset(folder, window=100)


def test_a_recording_without_a_unit_goes_with_any(folder: Path, recording_of: Callable[..., Recording]) -> None:
    write_recording(folder / "bare.npz", recording_of("bare"))
    assert load_dataset(folder, window=100).unit == "g"


def test_a_broken_recording_in_a_folder_is_named(folder: Path) -> None:
    (folder / "torn.npz").write_bytes((folder / "inner_1.npz").read_bytes()[:900])
    with pytest.raises(RecordingError, match=r"torn\.npz"):
        load_dataset(folder, window=100)


def test_a_folder_needs_a_window_recordings_and_two_classes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="say how many samples a window has"):
        load_dataset(folder)
    with pytest.raises(RecordingError, match="hop must be at least 1"):
        load_dataset(folder, window=10, hop=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="holds no file that can be read"):
        load_dataset(tmp_path / "empty", window=10)
    with pytest.raises(RecordingError, match="there is no such file"):
        load_dataset(tmp_path / "gone")
    for name in ("inner_1", "outer_1"):
        (folder / f"{name}.npz").unlink()
    with pytest.raises(RecordingError, match="only class 'normal' has windows"):
        load_dataset(folder, window=100)


def test_an_npz_of_windows_loads_with_its_names(windows: Callable[..., Path]) -> None:
    data = load_dataset(windows(group=np.arange(12) // 2, condition=np.array(["hot", "cold"] * 6)), unit="V")
    assert data.x.shape == (12, 2, 16)
    assert (data.classes, data.unit, data.conditions) == (("a", "b", "c"), "V", ("cold", "hot"))
    np.testing.assert_array_equal(data.group, np.arange(12) // 2)
    np.testing.assert_array_equal(data.start, np.tile([0, 16], 6))


def test_windows_without_groups_are_independent(windows: Callable[..., Path]) -> None:
    data = load_dataset(windows())
    assert (data.start == -1).all()
    assert len(set(data.group.tolist())) == 12


def test_labels_may_be_names_with_or_without_a_list_of_classes(windows: Callable[..., Path]) -> None:
    names = np.array(["c", "a", "b"] * 4)
    without = load_dataset(windows(label=names, classes=None))
    listed = load_dataset(windows(label=names, classes=np.array(["c", "b", "a"])))
    assert without.classes == ("a", "b", "c")
    assert listed.classes == ("c", "b", "a")
    for data in (without, listed):
        assert [data.classes[index] for index in data.label] == names.tolist()


def test_classes_without_windows_are_left_out(windows: Callable[..., Path]) -> None:
    data = load_dataset(windows(label=np.array([0, 2] * 6)))
    assert data.classes == ("a", "c")
    np.testing.assert_array_equal(data.label, [0, 1] * 6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"x": None}, "x missing; the file holds classes, label, rate_hz"),
        ({"label": None, "rate_hz": None}, "label and rate_hz missing"),
        ({"classes": None}, "classes missing"),
        ({"x": np.ones((12, 16))}, r"x must be \(windows, channels, length\)"),
        ({"x": np.ones((0, 1, 16)), "label": np.zeros(0, int)}, r"not \(0, 1, 16\)"),
        ({"x": np.where(np.arange(384).reshape(12, 2, 16) == 40, np.nan, 1.0)}, r"x\[1, 0, 8\] is not a finite"),
        ({"label": np.arange(12)}, r"label\[3\] is 3, and classes has indices 0 to 2"),
        ({"label": np.full(12, -1)}, r"label\[0\] is -1"),
        ({"label": np.zeros(11, int)}, r"label must have one value per window, \(12,\), not \(11,\)"),
        ({"label": np.zeros(12)}, "label must be whole numbers or names"),
        ({"label": np.array(["z"] * 12)}, "label 'z' is none of the classes a, b, c"),
        ({"label": np.zeros(12, int)}, "only class 'a' has windows"),
        ({"classes": np.array(["a", "a", "b"])}, "classes must be a list of different names"),
        ({"rate_hz": 0}, "rate_hz must be a positive number"),
        ({"group": np.zeros(5)}, r"group must have one value per window"),
    ],
)
def test_malformed_windows_are_refused_with_file_and_reason(
    windows: Callable[..., Path], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(RecordingError, match=rf"windows\.npz: .*{complaint}"):
        load_dataset(windows(**changes))


def test_other_mistakes_about_windows_are_explained(windows: Callable[..., Path], folder: Path) -> None:
    with pytest.raises(RecordingError, match="have 16 samples, not 8"):
        load_dataset(windows(), window=8)
    with pytest.raises(RecordingError, match="is in 'g' where the option says 'V'"):
        load_dataset(folder, window=100, unit="V")
    with pytest.raises(RecordingError, match="is a single recording; give the folder"):
        load_dataset(folder / "inner_1.npz", window=100)
    with pytest.raises(RecordingError, match="no converter 'wav'; there are 3dc, cwru-mat, femto, hit, "):
        load_dataset(folder, converter="wav")


def test_the_fingerprint_is_of_the_contents(folder: Path) -> None:
    data = load_dataset(folder, window=100)
    assert data.fingerprint() == load_dataset(folder, window=100).fingerprint()
    changed = data.x.copy()
    changed[0, 0, 0] += 1e-3
    others = [
        replace(data, x=changed),
        replace(data, rate_hz=999.0),
        replace(data, classes=("inner", "normal", "outer_2")),
        replace(data, held_out=np.zeros(len(data), np.bool_)),
        data.select(np.arange(len(data))[::-1].copy()),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == len(others) + 1


def conditions(recording_of: Callable[..., Recording], condition: str, seed: int, labels: str = "ab") -> Dataset:
    recordings = [
        recording_of(label, seed=seed + number, condition=condition, group=f"{condition} {label}")
        for number, label in enumerate(labels)
    ]
    return recordings_dataset(recordings, 50, 50)


def test_a_library_adds_data_classes_and_conditions_by_name(recording_of: Callable[..., Recording]) -> None:
    merged = merge_library(conditions(recording_of, "new", 0, "bc"), conditions(recording_of, "old", 10, "abc"))
    assert merged.classes == ("b", "c", "a")
    assert merged.conditions == ("new", "old")
    assert merged.groups == ("new b", "new c", "old a", "old b", "old c")
    assert merged.library is not None
    assert np.count_nonzero(merged.library) == 60
    for window in range(len(merged)):
        name = f"{merged.conditions[merged.condition[window]]} {merged.classes[merged.label[window]]}"
        assert merged.groups[merged.group[window]] == name


def test_a_librarys_windows_never_are_test_windows(recording_of: Callable[..., Recording]) -> None:
    merged = merge_library(conditions(recording_of, "new", 0), conditions(recording_of, "old", 10))
    split = split_dataset(merged, seed=0)
    assert merged.library is not None
    assert not merged.library[split.test].any()
    assert len(split.test)
    assert merged.library[split.train].any()
    assert not merged.library[split.train].all()


def test_what_a_library_held_out_or_shares_with_the_data_is_left_out(recording_of: Callable[..., Recording]) -> None:
    new = conditions(recording_of, "new", 0)
    assert len(merge_library(new, new)) == len(new)
    old = recordings_dataset([recording_of(label, seed=30, held_out_from=500, group=label) for label in "ab"], 50, 50)
    assert len(merge_library(new, old)) == len(new) + 20


def test_a_library_of_another_shape_is_refused_with_every_difference(recording_of: Callable[..., Recording]) -> None:
    new = conditions(recording_of, "new", 0)
    with pytest.raises(RecordingError, match=r"rate 500\.0 where the data have 1000\.0, unit V where the data have g"):
        merge_library(replace(new, unit="g"), replace(new, rate_hz=500.0, unit="V"))


def test_mat_files_become_recordings_with_their_speed_as_condition(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, (name, rpm) in enumerate((("IR007_0", 1797), ("IR007_1", 1772), ("Normal_0", 1797))):
        content = {f"X{100 + number}_DE_time": rng.normal(size=(2000, 1)), f"X{100 + number}RPM": np.array([[rpm]])}
        savemat(tmp_path / f"{name}.mat", content)
    data = load_dataset(tmp_path, converter="cwru-mat")
    assert (data.classes, data.conditions, data.unit) == (("IR007", "Normal"), ("1797rpm", "1772rpm"), "g")
    assert data.x.shape == (9, 1, 512)


def test_a_converter_waits_for_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inner.mat")
    with pytest.raises(RecordingError, match="is no file"):
        load_dataset(tmp_path, converter="cwru-mat")


def test_a_converter_refuses_another_data_set_by_what_is_missing(folder: Path) -> None:
    with pytest.raises(RecordingError, match=r"emg and classes and emg_rate_hz missing; the file holds"):
        load_dataset(folder / "inner_1.npz", converter="isl")
    with pytest.raises(RecordingError, match="classes missing"):
        load_dataset(folder, converter="myo")
    with pytest.raises(RecordingError, match=r"holds no \.mat files"):
        load_dataset(folder, converter="cwru-mat")


def test_real_bearing_recordings_load_and_split(recordings_dir: Path) -> None:
    data = load_dataset(recordings_dir / "cwru_de_1797rpm", window=512, unit="g")
    assert (len(data.classes), data.rate_hz, data.channels, data.conditions) == (10, 12000.0, 1, ("1797rpm",))
    split = split_dataset(data, seed=0)
    for part in (split.train, split.validation, split.test):
        assert len(np.unique(data.label[part])) == 10


def test_a_real_library_of_another_load_brings_the_missing_class(recordings_dir: Path) -> None:
    new = load_dataset(recordings_dir / "cwru_de_1772rpm", window=512)
    old = load_dataset(recordings_dir / "cwru_de_1797rpm", window=512)
    merged = merge_library(new, old)
    assert set(merged.classes) - set(new.classes) == {"normal"}
    assert merged.conditions == ("1772rpm", "1797rpm")
    split = split_dataset(merged, seed=0)
    assert set(merged.condition[split.test].tolist()) == {0}


def test_the_real_sign_alphabet_loads_with_and_without_movement(recordings_dir: Path) -> None:
    emg = load_dataset(recordings_dir / "isl_alphabet.npz", converter="isl")
    both = load_dataset(recordings_dir / "isl_alphabet.npz", converter="isl-imu")
    assert emg.x.shape == (624, 8, 400)
    assert both.x.shape == (624, 18, 400)
    np.testing.assert_array_equal(both.x[:, :8], emg.x)
    assert (len(emg.classes), emg.rate_hz, emg.unit) == (26, 200.0, "counts")
    cut = load_dataset(recordings_dir / "isl_alphabet.npz", converter="isl", window=200, hop=100)
    assert len(cut) == 3 * 624
    assert len(np.unique(cut.group)) == 624


def test_real_gestures_load_by_person_and_cycle(recordings_dir: Path) -> None:
    data = load_dataset(recordings_dir / "myo_gestures", converter="myo")
    assert data.x.shape[1:] == (8, 52)
    assert len(data.classes) == 7
    assert data.conditions == ("female0", "female1", "male0", "male1", "male2", "male3")
    assert len(data.groups) == 168
    takes = read_myo(recordings_dir / "myo_gestures" / "male0.npz")
    assert {take.cycle for take in takes} == {0, 1, 2, 3}
    assert all(4 < take.recording.seconds < 6 for take in takes)


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("emg", "emg_rate_hz", "label"), "give --converter isl$"),
        (("emg", "imu", "emg_rate_hz", "imu_rate_hz"), "give --converter isl or isl-imu$"),
        (("training0_samples", "training0_start"), "give --converter myo$"),
        (("y", "label"), "x and rate_hz missing; the file holds label, y"),
    ],
)
def test_a_file_of_a_public_data_set_is_told_its_converter(tmp_path: Path, names: tuple[str, ...], named: str) -> None:
    arrays: dict[str, Any] = dict.fromkeys(names, np.zeros(3))
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(RecordingError, match=named):
        load_dataset(tmp_path / "data.npz")


def test_snapshots_are_windows_of_one_group_or_are_cut(tmp_path: Path) -> None:
    samples = np.arange(5 * 2 * 100, dtype=np.int16).reshape(5, 2, 100)
    np.savez(tmp_path / "series.npz", samples=samples, scale=0.5, rate_hz=100.0, interval_s=10.0, unit="g")
    whole = load_dataset(tmp_path / "series.npz", one_class=True)
    np.testing.assert_array_equal(whole.x, samples * 0.5)
    assert (whole.classes, whole.unit, len(np.unique(whole.group))) == (("normal",), "g", 1)
    assert (np.diff(whole.start) >= 100).all()
    cut = load_dataset(tmp_path, window=40, hop=20, one_class=True)
    assert cut.x.shape == (20, 2, 40)
    np.testing.assert_array_equal(cut.x[4], samples[1, :, :40] * 0.5)
    assert (np.diff(cut.start.reshape(5, 4)[:, 0]) > 40 + 60).all()


def test_snapshots_alone_are_no_windows_where_two_classes_are_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "series.npz", samples=np.zeros((5, 2, 100)), rate_hz=100.0, interval_s=10.0)
    with pytest.raises(RecordingError, match="is a single recording"):
        load_dataset(tmp_path / "series.npz")
