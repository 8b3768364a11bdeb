"""Brings public data sets into `Dataset`: sign language and gestures by armband, bearing faults."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets import published
from edgetune_signal.datasets.dataset import INDEPENDENT, Dataset, finished, recordings_dataset
from edgetune_signal.errors import RecordingError
from edgetune_signal.files import open_file, whole_recording
from edgetune_signal.recordings import Npz, Recording, open_npz

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Converter = Callable[[Path, int | None, int | None], Dataset]

MYO_WINDOW = 52
"""260 ms at 200 Hz, as Cote-Allard et al. cut them."""
CWRU_WINDOW = 512
_WINDOWS_NDIM = 3


@dataclass(frozen=True, slots=True)
class MyoTake:
    """One recording of 5 s of the Myo gestures.

    Attributes
    ----------
    recording
        Eight channels in counts; subject and condition are the person (the file's stem).
    session
        ``training0``, or another prefix in the file.
    cycle
        Which run through all gestures it belongs to, from 0.
    """

    recording: Recording
    session: str
    cycle: int


def convert_isl(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the Italian Sign Language alphabet, surface EMG only.

    Parameters
    ----------
    path
        ``.npz`` with ``emg (gestures, samples, 8)``, ``label``, ``classes``, ``emg_rate_hz``
        (I. Pacifici et al., Data in Brief 33 (2020) 106455).
    window, hop
        How gestures are cut; by default a window is a whole gesture of 2 s.

    Returns
    -------
    Dataset
        In counts; a group is a gesture.

    Raises
    ------
    RecordingError
        The file is something else, or a gesture is shorter than a window.
    """
    return _convert_isl(path, window, hop, ("emg",), "counts")


def convert_isl_imu(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the Italian Sign Language alphabet, surface EMG (8 channels) and movement (10), as `convert_isl`."""
    return _convert_isl(path, window, hop, ("emg", "imu"), "mixed")


def convert_myo(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load seven hand gestures recorded by a Myo armband.

    Parameters
    ----------
    path
        One person's ``.npz``, or a folder of them (U. Cote-Allard et al., IEEE TNSRE 27 (2019) 760).
    window, hop
        How the recordings of 5 s are cut; by default 52 samples (260 ms) side by side.

    Returns
    -------
    Dataset
        In counts; a group is a recording, named person/session/cycle/gesture; a condition is a person.

    Raises
    ------
    RecordingError
        A file is something else, or a recording is shorter than a window.
    """
    files = _files(path, ".npz")
    takes = [take for file in files for take in read_myo(file)]
    window = window or MYO_WINDOW
    return recordings_dataset((take.recording for take in takes), window, hop or window)


def convert_cwru_mat(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load bearing vibration of the CWRU Bearing Data Center, drive end at 12 kHz.

    Parameters
    ----------
    path
        A ``.mat`` file, or a folder of them. The class is the file's stem, without a load at its end (``IR007_2``).
    window, hop
        How recordings are cut; by default 512 samples side by side.

    Returns
    -------
    Dataset
        In g; a group is a file, a condition the shaft's speed.

    Raises
    ------
    RecordingError
        A file is something else, or shorter than a window.
    """
    recordings = [whole_recording(file, open_file(file)) for file in _files(path, ".mat")]
    window = window or CWRU_WINDOW
    return recordings_dataset(
        (replace(one, label=re.sub(r"_[0-3]$", "", one.label)) for one in recordings), window, hop or window
    )


def read_myo(path: Path) -> list[MyoTake]:
    """Read every recording of one person of the Myo gestures.

    Raises
    ------
    RecordingError
        The file is something else.
    """
    takes: list[MyoTake] = []
    with open_npz(path) as npz:
        npz.require("classes", "rate_hz")
        classes = [str(name) for name in npz.array("classes").reshape(-1)]
        rate_hz = npz.number("rate_hz")
        sessions = sorted(name.removesuffix("_samples") for name in npz.names if name.endswith("_samples"))
        if not sessions:
            raise RecordingError(f"{path}: holds no ..._samples: is it a person of the Myo gestures?")
        for session in sessions:
            takes.extend(_myo_session(npz, session, classes, rate_hz))
    return takes


CONVERTERS: Mapping[str, Converter] = {
    "3dc": published.convert_3dc,
    "cwru-mat": convert_cwru_mat,
    "femto": published.convert_femto,
    "hit": published.convert_hit,
    "ims": published.convert_ims,
    "isl": convert_isl,
    "isl-imu": convert_isl_imu,
    "mfpt": published.convert_mfpt,
    "myo": convert_myo,
    "myo-dat": published.convert_myo_dat,
    "myo-readings": published.convert_myo_readings,
    "ninapro": published.convert_ninapro,
    "uestc": published.convert_uestc,
}


def fitting_converters(names: Collection[str]) -> list[str]:
    """Return the converters that read an ``.npz`` with arrays of these names; none where it is something else."""
    if {"emg", "emg_rate_hz"} <= set(names):
        return ["isl", "isl-imu"] if "imu" in names else ["isl"]
    return ["myo"] if any(name.endswith("_samples") for name in names) else []


def _myo_session(npz: Npz, session: str, classes: list[str], rate_hz: float) -> list[MyoTake]:
    npz.require(*(f"{session}_{part}" for part in ("start", "label", "cycle")))
    samples = npz.numbers(f"{session}_samples")
    starts = npz.array(f"{session}_start").astype(np.int64).tolist()
    labels = npz.array(f"{session}_label").astype(np.int64).tolist()
    cycles = npz.array(f"{session}_cycle").astype(np.int64).tolist()
    fits = len(starts) == len(labels) + 1 == len(cycles) + 1 and samples.ndim == len("cn")
    if not fits or sorted({0, samples.shape[1], *starts}) != starts or not set(labels) <= set(range(len(classes))):
        raise RecordingError(
            f"{npz.path}: {session}_start must rise from 0 to the end of {session}_samples (channels, n), "
            f"with one label and one cycle per recording"
        )
    person = npz.path.stem
    return [
        MyoTake(
            Recording(
                samples=samples[:, first:last],
                rate_hz=rate_hz,
                label=classes[label],
                unit="counts",
                sensor="myo",
                subject=person,
                condition=person,
                group=f"{person}/{session}/{cycle}/{classes[label]}",
            ),
            session,
            cycle,
        )
        for first, last, label, cycle in zip(starts[:-1], starts[1:], labels, cycles, strict=True)
    ]


def _convert_isl(path: Path, window: int | None, hop: int | None, parts: tuple[str, ...], unit: str) -> Dataset:
    with open_npz(path) as npz:
        npz.require(*parts, "label", "classes", "emg_rate_hz")
        arrays = [npz.numbers(part) for part in parts]
        label = npz.array("label").astype(np.int64)
        classes = tuple(str(name) for name in npz.array("classes").reshape(-1))
        rate_hz = npz.number("emg_rate_hz")
    shapes = [array.shape for array in arrays]
    fits = all(len(shape) == _WINDOWS_NDIM and shape[:2] == shapes[0][:2] for shape in shapes)
    if not fits or label.shape != shapes[0][:1] or not ((label >= 0) & (label < len(classes))).all():
        raise RecordingError(f"{path}: {', '.join(parts)} must be (gestures, samples, channels) with a label each")
    gestures = np.concatenate(arrays, axis=2).transpose(0, 2, 1)
    length = gestures.shape[2]
    window = window or length
    if window > length:
        raise RecordingError(f"{path}: gestures of {length} samples are shorter than a window of {window}")
    starts = np.arange(0, length - window + 1, hop or window)
    views = np.lib.stride_tricks.sliding_window_view(gestures, window, axis=2)[:, :, starts]
    x: NDArray[np.float32] = np.ascontiguousarray(views.transpose(0, 2, 1, 3)).reshape(-1, gestures.shape[1], window)
    dataset = Dataset(
        x=x,
        label=np.repeat(label, len(starts)),
        classes=classes,
        rate_hz=rate_hz,
        unit=unit,
        group=np.repeat(np.arange(len(gestures), dtype=np.int64), len(starts)),
        start=np.tile(starts, len(gestures)).astype(np.int64) if len(starts) > 1 else np.full(len(x), INDEPENDENT),
        condition=np.zeros(len(x), dtype=np.int64),
        conditions=("",),
        groups=tuple(f"gesture {number}" for number in range(len(gestures))),
    )
    return finished(dataset, str(path))


def _files(path: Path, suffix: str) -> list[Path]:
    files = sorted(path.glob(f"*{suffix}")) if path.is_dir() else [path]
    if not files:
        raise RecordingError(f"{path}: holds no {suffix} files")
    for file in files:
        if file.exists() and not file.is_file():
            raise RecordingError(f"{file}: is no file")
    return files
