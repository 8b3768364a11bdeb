"""Recordings are written whole or not at all, and nothing malformed is ever read as one."""

from __future__ import annotations

import errno
import io
import os
import tracemalloc
import warnings
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_signal import (
    QuotaExceededError,
    Recording,
    RecordingError,
    RecordingStore,
    held_out_start,
    read_recording,
    write_recording,
)
from edgetune_signal.recordings import npz

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL = Recording(
    samples=np.arange(12, dtype=np.float32).reshape(2, 6),
    rate_hz=1000.5,
    label="inner",
    unit="g",
    time_ns=1_700_000_000_000_000_001,
    sensor="left",
    subject="press 3",
    condition="half load",
    group="take 2",
    held_out_from=4,
    shaft_rpm=1797.0,
)


def test_a_recording_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.npz", FULL)
    got = read_recording(tmp_path / "a.npz")
    np.testing.assert_array_equal(got.samples, FULL.samples)
    assert replace(got, samples=FULL.samples).__reduce_ex__(2)[2] == FULL.__reduce_ex__(2)[2]


def test_only_samples_rate_and_label_are_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "take7.npz", samples=np.ones((1, 5), np.int8), rate_hz=200, label="fist", shaft_rpm=1772)
    got = read_recording(tmp_path / "take7.npz")
    assert (got.unit, got.group, got.condition, got.held_out_from) == ("", "take7", "1772rpm", 5)
    assert got.samples.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"samples": None}, "samples missing; the file holds label, rate_hz"),
        ({"rate_hz": None, "label": None}, "rate_hz and label missing"),
        ({"samples": np.ones(5)}, r"samples must be \(channels, n\), not \(5,\)"),
        ({"samples": np.ones((1, 0))}, r"not \(1, 0\)"),
        ({"samples": np.ones((5000, 1))}, "transpose them"),
        ({"samples": np.array([[1.0, np.nan]])}, r"samples\[0, 1\] is not a finite number"),
        ({"samples": np.array([[1e300]])}, "not a finite number"),
        ({"samples": np.array([["a"]])}, "samples must be numbers"),
        ({"samples": np.array([[1j]])}, "samples must be numbers"),
        ({"rate_hz": -1.0}, "rate_hz must be a positive number"),
        ({"rate_hz": np.nan}, "rate_hz must be a positive number"),
        ({"rate_hz": np.ones(2)}, "rate_hz must be one number"),
        ({"label": 3}, "label must be one text"),
        ({"label": ""}, "label must not be empty"),
        ({"label": np.array("in\ud800ner")}, "label has half of a surrogate pair"),
        ({"group": np.array("\udcff")}, "group has half of a surrogate pair"),
        ({"held_out_from": -3}, "held_out_from must be from 0 on"),
        ({"held_out_from": 2.5}, "held_out_from must be one whole number"),
        ({"unit": np.array(["g", "V"])}, "unit must be one text"),
    ],
)
def test_malformed_recordings_are_refused_with_file_and_reason(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    content: dict[str, Any] = {"samples": np.ones((1, 5)), "rate_hz": 100.0, "label": "a"} | changes
    np.savez(tmp_path / "bad.npz", **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(RecordingError, match=rf"bad\.npz: .*{complaint}"):
        read_recording(tmp_path / "bad.npz")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", samples=np.array([[object()]]), rate_hz=1.0, label="a", allow_pickle=True)
    with pytest.raises(RecordingError, match="only numbers and text are read"):
        read_recording(tmp_path / "evil.npz")


def test_a_file_that_promises_more_than_it_holds_costs_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1, 2**28)})
    np.savez(tmp_path / "bomb.npz", rate_hz=1.0, label="a")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "a") as archive:
        archive.writestr("samples.npy", header.getvalue())
    with pytest.raises(RecordingError, match="would take 1073741824 bytes, the archive holds"):
        read_recording(tmp_path / "bomb.npz")


def test_a_header_that_tells_of_less_than_there_is_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (1, 5000)})
    content.write(bytes(4 * 6000))
    np.savez(tmp_path / "less.npz", rate_hz=1.0, label="a")
    with zipfile.ZipFile(tmp_path / "less.npz", "a") as archive:
        archive.writestr("samples.npy", content.getvalue())
    with pytest.raises(
        RecordingError, match=r"less\.npz: samples has more in it than \(1, 5000\) float32: it is damaged"
    ):
        read_recording(tmp_path / "less.npz")


def test_a_small_file_that_unpacks_to_a_huge_array_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, samples=np.zeros((1, 17_000_000), np.float32), rate_hz=1.0, label="a")
    assert path.stat().st_size < 70_000
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=r"would take 68000000 bytes out of 66.* packed ones"):
            read_recording(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_compressed_recording_of_a_coarse_sensor_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "SMALL_ARRAY_BYTES", 0)
    samples = np.random.default_rng(0).normal(0, 0.5, (1, 100_000)).round().astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", samples=samples, rate_hz=1.0, label="a", unit="g")
    assert np.array_equal(read_recording(tmp_path / "a.npz").samples, samples)


@pytest.mark.parametrize(
    "header",
    [
        b"{'shape': (1,",
        b"(" * 9000,
        b"-" * 5000 + b"1",
        b"'''",
        b"{'descr':'<f4','fortran_order':False,'shape':(1,-5)}",
    ],
)
@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_an_array_whose_header_is_no_header_is_refused(tmp_path: Path, header: bytes) -> None:
    np.savez(tmp_path / "odd.npz", rate_hz=1.0, label="a")
    with zipfile.ZipFile(tmp_path / "odd.npz", "a") as archive:
        archive.writestr("samples.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100))
    with pytest.raises(RecordingError, match=r"odd\.npz: samples "):
        read_recording(tmp_path / "odd.npz")


def test_a_small_file_whose_header_unpacks_to_a_huge_one_costs_no_memory(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x02\x00" + (50_000_000).to_bytes(4, "little") + b"{'descr': '<f4'," + bytes(50_000_000)
    np.savez(tmp_path / "bomb.npz", rate_hz=1.0, label="a")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", header)
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=r"bomb\.npz: samples cannot be read"):
            read_recording(tmp_path / "bomb.npz")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_arrays_that_numpy_would_not_pack_so_are_refused(tmp_path: Path, packing: int) -> None:
    values = io.BytesIO()
    np.save(values, np.ones((1, 5), np.float32))
    np.savez(tmp_path / "odd.npz", rate_hz=1.0, label="a")
    with zipfile.ZipFile(tmp_path / "odd.npz", "a", packing) as archive:
        archive.writestr("samples.npy", values.getvalue())
    with pytest.raises(RecordingError, match=r"odd\.npz: samples is packed in another way"):
        read_recording(tmp_path / "odd.npz")


def test_a_packed_recording_larger_than_the_whole_store_is_broken(tmp_path: Path) -> None:
    for name, samples in (("large", 300_000), ("small", 100_000)):
        np.savez_compressed(tmp_path / name, samples=np.zeros((1, samples), np.float32), rate_hz=100.0, label=name)
    store = RecordingStore(tmp_path, 1_000_000)
    assert [info.label for info in store.list()] == ["small"]
    [broken] = store.broken
    assert broken.path.name == "large.npz"
    assert "unpacks to 1200000 bytes, over the quota of 1000000" in broken.reason


def test_a_pipe_among_the_recordings_is_broken_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    store = RecordingStore(tmp_path, 10**6)
    assert store.list() == []
    assert [each.reason for each in store.broken] == [f"{tmp_path / 'pipe.npz'}: is no file"]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 but nothing else"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.npz").write_bytes(content)
    with pytest.raises(RecordingError, match=r"no\.npz: cannot be read as an \.npz archive"):
        read_recording(tmp_path / "no.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.npz: .*No such file"):
        read_recording(tmp_path / "gone.npz")


@given(st.data())
def test_any_damage_to_a_file_is_a_recording_error_or_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "a.npz"
    write_recording(path, FULL)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile and numpy warn of some damage before it is refused
        try:
            assert read_recording(path).samples.shape == (2, 6)
        except RecordingError as error:
            assert str(path) in str(error)  # noqa: PT017 - damage may fall where nobody reads


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_not_written(tmp_path: Path, bad: float) -> None:
    samples = np.zeros((3, 9), np.float32)
    samples[2, 7] = bad
    with pytest.raises(RecordingError, match="sample 7 of channel 2 is"):
        write_recording(tmp_path / "a.npz", replace(FULL, samples=samples))
    assert list(tmp_path.iterdir()) == []


def test_samples_of_another_type_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="must be float32, not float64"):
        write_recording(tmp_path / "a.npz", replace(FULL, samples=np.ones((1, 4))))  # type: ignore[arg-type]


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(tmp_path / "a.npz", FULL)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match="No space left on device"):
        write_recording(tmp_path / "a.npz", replace(FULL, label="other"))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert read_recording(tmp_path / "a.npz").label == "inner"


def test_a_held_out_start_beyond_the_end_holds_out_nothing() -> None:
    assert replace(FULL, held_out_from=10**9).held_out_from == 6
    assert Recording(FULL.samples, 1.0, "a").held_out_from == 6


@given(st.integers(1, 10**6), st.integers(1, 9), st.data())
def test_of_three_or_more_takes_the_last_is_held_out_whole_else_a_quarter_of_each(
    n: int, takes: int, data: st.DataObject
) -> None:
    take = data.draw(st.integers(0, takes - 1))
    start = held_out_start(n, take, takes)
    if takes < 3:
        assert n - start == n // 4
    else:
        assert start == (0 if take == takes - 1 else n)


def test_a_store_lists_its_recordings_by_time_without_their_samples(
    tmp_path: Path, recording_of: Callable[..., Recording]
) -> None:
    store = RecordingStore(tmp_path / "store", 10**6)
    for number, label in enumerate(("outer", "inner", "normal")):
        store.add(recording_of(label, time_ns=100 - number, unit="g", group=f"take {number}", subject="press"))
    infos = store.list()
    assert [(info.label, info.time_ns, info.group) for info in infos] == [
        ("normal", 98, "take 2"),
        ("inner", 99, "take 1"),
        ("outer", 100, "take 0"),
    ]
    assert (infos[0].seconds, infos[0].rate_hz, infos[0].unit, infos[0].channels) == (1.0, 1000.0, "g", 1)
    assert read_recording(infos[0].path).label == "normal"
    assert store.bytes_used() == sum(path.stat().st_size for path in (tmp_path / "store").iterdir())


def test_equal_recordings_get_files_of_their_own(tmp_path: Path, recording_of: Callable[..., Recording]) -> None:
    store = RecordingStore(tmp_path, 10**6)
    paths = {store.add(recording_of("wrist: left/right")) for _ in range(3)}
    assert len(paths) == 3
    assert all(path.parent == tmp_path for path in paths)


def test_the_quota_holds_and_its_refusal_says_what_to_delete(
    tmp_path: Path, recording_of: Callable[..., Recording]
) -> None:
    store = RecordingStore(tmp_path, 60_000)
    while True:
        try:
            newest = store.add(recording_of("a", n=2000, time_ns=len(store.list())))
        except QuotaExceededError as error:
            refusal = str(error)
            break
    assert store.bytes_used() <= 60_000
    oldest = store.list()[0].path
    assert f"{store.bytes_used()} of 60000 bytes are used" in refusal
    assert f"delete the oldest ({oldest.name})" in refusal
    assert all(path.suffix == ".npz" for path in tmp_path.iterdir())
    store.remove(oldest)
    assert newest.exists()
    store.add(recording_of("a", n=2000))


def test_a_recording_that_never_fits_says_so(tmp_path: Path, recording_of: Callable[..., Recording]) -> None:
    with pytest.raises(QuotaExceededError, match="even with every recording deleted"):
        RecordingStore(tmp_path, 5000).add(recording_of("a", n=2000))


@given(st.integers(1, 4), st.integers(1, 3000), st.text(max_size=300))
def test_the_overhead_of_a_file_is_never_underestimated(
    tmp_path_factory: pytest.TempPathFactory, channels: int, n: int, text: str
) -> None:
    folder = tmp_path_factory.mktemp("store")
    samples = np.zeros((channels, n), np.float32)
    store = RecordingStore(folder, 10**9)
    written = store.add(Recording(samples, 1.0, "a", sensor=text, shaft_rpm=1.0))
    assert written.stat().st_size <= samples.nbytes + 8192


def test_opening_a_store_sweeps_what_an_interrupted_write_left(tmp_path: Path) -> None:
    (tmp_path / "a-1-0.npz.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    RecordingStore(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_is_called_like_an_interrupted_write_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "mine.part").mkdir()
    assert RecordingStore(tmp_path, 10).list() == []
    assert (tmp_path / "mine.part").is_dir()


def test_a_broken_file_is_reported_and_the_others_are_listed(
    tmp_path: Path, recording_of: Callable[..., Recording]
) -> None:
    store = RecordingStore(tmp_path, 10**6)
    store.add(recording_of("fine"))
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    assert [info.label for info in store.list()] == ["fine"]
    (broken,) = store.broken
    assert broken.path.name == "broken.npz"
    assert "cannot be read" in broken.reason


def test_only_recordings_of_the_store_can_be_removed(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "store", 10**6)
    other = tmp_path / "other.npz"
    other.write_bytes(b"x")
    with pytest.raises(RecordingError, match="is not a recording of"):
        store.remove(other)
    with pytest.raises(RecordingError, match="cannot be deleted: No such file"):
        store.remove(tmp_path / "store" / "gone.npz")
    assert other.exists()


def test_a_store_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be used for recordings: Not a directory"):
        RecordingStore(tmp_path / "file" / "store", 10)


def test_a_link_to_nothing_among_the_recordings_is_broken_and_hinders_nobody(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, 10**7)
    (tmp_path / "gone.npz").symlink_to(tmp_path / "nowhere.npz")
    store.add(Recording(samples=np.ones((1, 8), np.float32), rate_hz=100.0, label="a"))
    assert [info.label for info in store.list()] == ["a"]
    assert [broken.path.name for broken in store.broken] == ["gone.npz"]


def test_a_file_whose_name_is_no_text_is_broken_and_can_be_spoken_of(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, 10**7)
    path = store.add(Recording(samples=np.ones((1, 8), np.float32), rate_hz=100.0, label="a"))
    path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfchle.npz"))
    assert store.list() == []
    [broken] = store.broken
    assert broken.name == r"m\xfchle.npz"
    assert "rename it" in broken.reason
