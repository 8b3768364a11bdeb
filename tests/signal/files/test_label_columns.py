"""Labels that a file has for each row, in every kind of file that can hold some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.io import savemat

from edgetune_signal import RecordingError
from edgetune_signal.files import ANY_LABEL, ReadOptions, open_file, pieces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N = 120
SIGNAL = np.random.default_rng(0).normal(0, 1, (2, N)).astype(np.float32)
NUMBERS = np.repeat([0, 2, 0], N // 3)
WORDS = np.where(NUMBERS > 0, "inner", "normal")


def mat_words(path: Path) -> None:
    savemat(path, {"gs": SIGNAL.T, "fs": 500.0, "state": np.array(WORDS, dtype=object)})


def mat_numbers(path: Path) -> None:
    savemat(path, {"run": {"gs": SIGNAL.T, "fs": 500.0, "state": NUMBERS[:, None]}})


def mat_column(path: Path) -> None:
    savemat(path, {"all": np.vstack([SIGNAL, NUMBERS]).T, "fs": 500.0})


def hdf5_words(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_dataset("run/gs", data=SIGNAL.T).attrs["fs"] = 500.0
        file.create_dataset("run/state", data=WORDS.tolist())
        file.create_dataset("run/operator", data="anna")


def hdf5_numbers(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_dataset("gs", data=SIGNAL).attrs["fs"] = 500.0
        file.create_dataset("state", data=NUMBERS.astype(np.int16))


def npz(path: Path) -> None:
    np.savez(path, gs=SIGNAL, fs=500.0, state=WORDS)


def parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    times = np.arange(N) / 500
    pyarrow.parquet.write_table(
        arrow.table({"time": times, "x": SIGNAL[0], "y": SIGNAL[1], "state": WORDS.tolist()}), path
    )


KINDS: dict[str, tuple[Callable[[Path], None], str, str, tuple[str, ...]]] = {
    "words.mat": (mat_words, "state", "state", ("normal", "inner", "normal")),
    "numbers.mat": (mat_numbers, "state", "run.state", ("0", "2", "0")),
    "column.mat": (mat_column, "3", "3", ("0", "2", "0")),
    "words.h5": (hdf5_words, "state", "run/state", ("normal", "inner", "normal")),
    "numbers.hdf5": (hdf5_numbers, "state", "state", ("0", "2", "0")),
    "other.npz": (npz, "state", "state", ("normal", "inner", "normal")),
    "table.parquet": (parquet, "state", "state", ("normal", "inner", "normal")),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_column_of_labels_cuts_a_file_of_every_kind(name: str, tmp_path: Path) -> None:
    write, short, full, labels = KINDS[name]
    write(tmp_path / name)
    for wanted in {short, full, short if short.isdecimal() else ANY_LABEL}:
        found = open_file(tmp_path / name, ReadOptions(label_column=wanted))
        parts = list(pieces(found))
        assert tuple(part.label for part in parts) == labels
        assert found.info.rate_hz == 500.0
        np.testing.assert_allclose(np.concatenate([part.samples for part in parts], axis=1), SIGNAL, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "wanted", "reason"),
    [
        ("words.mat", "fault", "has no column 'fault': choose some of state"),
        ("column.mat", "4", "has no column '4': choose some of 1, 2, 3"),
        ("words.h5", "operator", "has no column 'operator': choose some of state"),
    ],
)
def test_labels_that_are_not_there_are_refused_with_those_that_are(
    name: str, wanted: str, reason: str, tmp_path: Path
) -> None:
    KINDS[name][0](tmp_path / name)
    with pytest.raises(RecordingError, match=reason):
        open_file(tmp_path / name, ReadOptions(label_column=wanted))


def test_labels_of_another_length_are_refused_with_both_lengths(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"gs": SIGNAL.T, "fs": 500.0, "state": NUMBERS[:50]})
    with pytest.raises(RecordingError, match="state labels 50 rows, and gs has 120"):
        open_file(tmp_path / "a.mat", ReadOptions(label_column="state"))
