"""One signal in every kind of file: what the file says of itself is found, and a damaged one is refused in words."""

from __future__ import annotations

import gc
import gzip
import inspect
import re
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.io import savemat

from edgetune_signal import RecordingError, install_hint
from edgetune_signal.files import ReadOptions, open_file, pieces, whole_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_signal.files import SignalFile

RATE_HZ, N = 800.0, 400
SIGNAL = np.random.default_rng(3).normal(0, 1, (2, N)).astype(np.float32)
TIME_S = np.arange(N) / RATE_HZ


def text(
    path: Path, separator: str = ",", comma: str = ".", encoding: str = "utf-8", heading: str = "time [s]{}x [g]{}y [g]"
) -> None:
    lines = [heading.format(separator, separator)] if heading else []
    for time_s, row in zip(TIME_S, SIGNAL.T, strict=True):
        words = [f"{time_s:.5f}", *(f"{value:.6f}" for value in row)]
        lines.append(separator.join(word.replace(".", comma) for word in words))
    content = ("\n".join(lines) + "\n").encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def lvm(path: Path) -> None:
    head = "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\nDecimal_Separator\t.\n***End_of_Header***\t\n\n"
    head += f"Channels\t2\nSamples\t{N}\t{N}\nDate\t2026/01/31\t2026/01/31\nTime\t12:00:00\t12:00:00\n"
    head += f"Y_Unit_Label\tg\tg\nX_Dimension\tTime\tTime\nX0\t0.0E+0\t0.0E+0\nDelta_X\t{1 / RATE_HZ}\t{1 / RATE_HZ}\n"
    head += "***End_of_Header***\t\t\nX_Value\tUntitled\tUntitled 1\tComment\n"
    rows = [f"{t:.6f}\t{x:.6f}\t{y:.6f}\t" for t, (x, y) in zip(TIME_S, SIGNAL.T, strict=True)]
    path.write_text(head + "\n".join(rows) + "\n", encoding="ascii")


def hdf5(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        data = file.create_dataset("run/vibration", data=SIGNAL.T)
        data.attrs["sampling_rate"] = RATE_HZ
        data.attrs["unit"] = "g"
        file["notes"] = "after the repair"


def mat73(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("bearing/gs", data=SIGNAL)
        file.create_dataset("bearing/sr", data=np.array([[RATE_HZ]]))
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512, b" ") + content[512:])


def tdms(path: Path) -> None:
    nptdms = pytest.importorskip("nptdms")
    with nptdms.TdmsWriter(str(path)) as writer:
        told = {"wf_increment": 1 / RATE_HZ, "unit_string": "g"}
        writer.write_segment(
            [nptdms.ChannelObject("run", name, row, told) for name, row in zip("xy", SIGNAL, strict=True)]
        )


def uff(path: Path, *, binary: bool = True) -> None:
    pyuff = pytest.importorskip("pyuff")
    file = pyuff.UFF(str(path))
    for name, row in zip("xy", SIGNAL, strict=True):
        told: dict[str, Any] = dict.fromkeys(inspect.signature(pyuff.prepare_58).parameters, 0)
        told |= {name: "NONE" for name in told if name.endswith(("_name", "_lab")) or name.startswith("id")}
        told |= {"binary": int(binary), "func_type": 1, "ord_data_type": 4, "num_pts": N, "abscissa_spacing": 1}
        told |= {"abscissa_inc": 1 / RATE_HZ, "abscissa_min": 0.0, "abscissa_spec_data_type": 17}
        told |= {"ordinate_spec_data_type": 12, "ordinate_axis_units_lab": "g", "id1": name}
        told |= {"data": row.astype(np.float64), "x": TIME_S, "return_full_dict": True, "z_axis_value": 0.0}
        made = pyuff.prepare_58(**told)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves what it has written open
            file.write_sets(made, "add")
            gc.collect()


def parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"timestamp": TIME_S, "x": SIGNAL[0], "y": SIGNAL[1]})
    if path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path)
    else:
        import pyarrow.feather

        pyarrow.feather.write_feather(table, str(path))


def edf(path: Path) -> None:
    edfio = pytest.importorskip("edfio")
    signals = [
        edfio.EdfSignal(row.astype(np.float64), RATE_HZ, label=name, physical_dimension="uV", physical_range=(-8, 8))
        for name, row in zip("xy", SIGNAL, strict=True)
    ]
    edfio.Edf(signals, data_record_duration=0.5).write(path)


KINDS: dict[str, tuple[Callable[[Path], None], str, float]] = {
    "comma.csv": (text, "g", 1e-6),
    "semicolon.csv": (lambda path: text(path, ";", ",", "cp1252"), "g", 1e-6),
    "tab.txt": (lambda path: text(path, "\t", ","), "g", 1e-6),
    "spaces.asc": (lambda path: text(path, "   ", heading=""), "", 1e-6),
    "utf16.csv": (lambda path: text(path, ";", encoding="utf-16"), "g", 1e-6),
    "packed.csv.gz": (text, "g", 1e-6),
    "labview.lvm": (lvm, "g", 1e-6),
    "2003.10.22.12.06.24": (lambda path: text(path, "\t", heading=""), "", 1e-6),
    "own.mat": (lambda path: savemat(path, {"s": {"gs": SIGNAL.T, "sr": RATE_HZ, "unit": "g"}}), "g", 0),
    "new.mat": (mat73, "", 0),
    "run.h5": (hdf5, "g", 0),
    "a.npy": (lambda path: np.save(path, SIGNAL), "", 0),
    "other.npz": (lambda path: np.savez(path, vibration=SIGNAL.T, fs=RATE_HZ), "", 0),
    "run.tdms": (tdms, "g", 0),
    "run.uff": (uff, "g", 1e-6),
    "run.unv": (lambda path: uff(path, binary=False), "g", 1e-4),
    "run.parquet": (parquet, "", 0),
    "run.feather": (parquet, "", 0),
    "run.edf": (edf, "uV", 1e-3),
}


def opened(path: Path, **said: Any) -> SignalFile:
    if path.suffix == ".npy":
        said.setdefault("rate_hz", RATE_HZ)
    return open_file(path, ReadOptions(**said))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_with_what_it_says_of_itself(name: str, tmp_path: Path) -> None:
    write, unit, within = KINDS[name]
    write(tmp_path / name)
    found = opened(tmp_path / name)
    assert found.info.rate_hz == pytest.approx(RATE_HZ, rel=1e-6)
    assert found.info.unit == unit
    assert len(found.info.names) == 2
    np.testing.assert_allclose(whole_recording(tmp_path / name, found).samples, SIGNAL, atol=within)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "a.npy"])  # which says no rate
def test_an_option_that_contradicts_the_file_is_refused_with_both_values(name: str, tmp_path: Path) -> None:
    write, _, _ = KINDS[name]
    write(tmp_path / name)
    with pytest.raises(RecordingError, match="says 800 Hz where the option says 900 Hz"):
        opened(tmp_path / name, rate_hz=900.0)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_refused_in_words_or_read(name: str, tmp_path: Path) -> None:
    write, _, _ = KINDS[name]
    write(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    random = np.random.default_rng(1)
    for number in range(40):
        damaged = bytearray(content)
        for position in random.integers(0, len(damaged), 1 + number % 8):
            damaged[position] = int(random.integers(256))
        kept = len(damaged) if number % 2 else int(random.integers(0, len(damaged)))
        (tmp_path / name).write_bytes(bytes(damaged[:kept]))
        with suppress(RecordingError):
            for piece in pieces(opened(tmp_path / name)):
                assert np.isfinite(piece.samples).all() or name not in {"comma.csv", "tab.txt"}


def test_what_needs_a_library_that_is_not_there_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tdms").write_bytes(b"TDSm")
    monkeypatch.setitem(__import__("sys").modules, "nptdms", None)
    with pytest.raises(RecordingError, match=re.escape(f"needs nptdms: {install_hint('files')}")):
        open_file(tmp_path / "a.tdms")


@pytest.mark.parametrize(
    ("lines", "rate_hz"),
    [
        ([f"31.01.2026 12:00:{k // 100:02d},{k % 100:02d};{k}" for k in range(300)], 100.0),
        ([f"01/31/2026 11:59:{k // 10:02d}.{k % 10} PM;{k}" for k in range(300)], 10.0),
        ([f"2026-01-31;12:00:{k // 50:02d}.{20 * (k % 50):03d};{k}" for k in range(300)], 50.0),
        ([f"{1767225600 + k / 250:.4f};{k}" for k in range(300)], 250.0),
        ([f"{(1767225600000 + 4 * k)};{k}" for k in range(300)], 250.0),
        ([f"{k / 12000:.6f};{k}" for k in range(300)], 12000.0),
        ([f"12:00:{k // 25:02d};{k}" for k in range(300)], 25.0),
    ],
    ids=["day-first", "month-first", "date-and-clock", "unix-s", "unix-ms", "coarse", "whole-seconds"],
)
def test_times_of_every_form_give_the_rate(lines: list[str], rate_hz: float, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1, len(lines))
    head = "time;x" if lines[0].count(";") == 1 else "date;time;x"
    rows = [f"{line.rpartition(';')[0]};{value:.4f}" for line, value in zip(lines, values, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join([head, *rows]), encoding="ascii")
    found = open_file(tmp_path / "a.csv")
    assert found.info.rate_hz == pytest.approx(rate_hz)
    assert found.info.names == ("x",)
    assert [piece.samples.shape for piece in pieces(found)] == [(1, 300)]


def test_a_clock_with_jitter_gives_the_rate_and_a_hole_in_it_is_a_gap(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    times = np.arange(500) / 1000 + random.normal(0, 5e-5, 500)
    times[300:] += 0.05
    rows = [f"{time:.6f},{value:.4f}" for time, value in zip(times, random.normal(0, 1, 500), strict=True)]
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(rows), encoding="ascii")
    found = open_file(tmp_path / "a.csv")
    assert found.info.rate_hz == pytest.approx(1000, rel=0.01)
    assert found.info.jitter_s == pytest.approx(7e-5, rel=0.2)
    assert [(piece.start, piece.samples.shape[1], piece.gap) for piece in pieces(found)] == [
        (0, 300, False),
        (300, 200, True),
    ]


def test_a_missing_value_is_a_gap_and_never_a_zero(tmp_path: Path) -> None:
    rows = [f"{k / 100:.2f},{'' if k in {40, 41, 90} else f'{1 + k % 7}.5'}" for k in range(200)]
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(rows), encoding="ascii")
    found = list(pieces(open_file(tmp_path / "a.csv")))
    assert [(piece.start, piece.samples.shape[1]) for piece in found] == [(0, 40), (42, 48), (91, 109)]
    assert min(float(piece.samples.min()) for piece in found) >= 1.5


def test_a_heading_that_comes_again_is_no_row(tmp_path: Path) -> None:
    rows = [f"{k / 100:.2f},{1 + k % 7}.5" for k in range(900)]
    rows.insert(500, "t,x")
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(rows), encoding="ascii")
    assert sum(piece.samples.shape[1] for piece in pieces(open_file(tmp_path / "a.csv"))) == 900
