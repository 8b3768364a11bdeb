"""Public data sets in the form in which they are published, files and folders as they are downloaded."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal.datasets.dataset import Dataset, named_recordings_dataset
from edgetune_signal.errors import RecordingError
from edgetune_signal.files import ReadOptions, find_files, open_file, whole_recording
from edgetune_signal.recordings import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgetune_signal.stream import Samples

BEARING_WINDOW: Final = 512
ARMBAND_WINDOW: Final = 52
ARMBAND_RATE_HZ: Final = 200.0
UESTC_RATE_HZ: Final = 20_000.0
HIT_RATE_HZ: Final = 51_200.0
FEMTO_RATE_HZ: Final = 25_600.0
IMS_RATE_HZ: Final = 20_000.0
MFPT_RATE_HZ: Final = 48_828.0
"""Of the faults; the healthy recordings have twice as much, and every second sample is dropped after a low-pass."""
NINAPRO_RATES_HZ: Final = {10: 100.0, 12: 2000.0, 16: 200.0}
"""Samples a second by number of electrodes: databases 1, 2 and 5."""
MYO_CLASSES: Final = ("neutral", "radial", "flexion", "ulnar", "extension", "closed", "open")
MYO_CHANNELS: Final = 8
ARMBAND_3DC_CLASSES: Final = (
    *("neutral", "radial", "flexion", "ulnar", "extension", "supination", "pronation", "power", "open"),
    *("chuck", "pinch"),
)
ARMBAND_3DC_CHANNELS: Final = 10
ARMBAND_3DC_RATE_HZ: Final = 1000.0
ARMBAND_3DC_WINDOW: Final = 260
CUES: Final = 9
"""Columns of the armband readings: eight electrodes, and the cue."""
_LETTERS: Final = {"N": "normal", "B": "ball", "I": "inner", "O": "outer"}
_MFPT: Final = {"baseline": "normal", "OuterRaceFault": "outer", "InnerRaceFault": "inner"}


def convert_mfpt(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the bearings of the Machinery Failure Prevention Technology Society: ``.mat`` with a struct ``bearing``.

    Parameters
    ----------
    path
        Folder of ``baseline_1.mat``, ``OuterRaceFault_vload_1.mat``, ``InnerRaceFault_vload_1.mat`` ...
    window, hop
        How recordings are cut; by default 512 samples side by side.

    Returns
    -------
    Dataset
        In g at 48,828 Hz; a group is a file, a condition the load in pounds.

    Raises
    ------
    RecordingError
        A file is something else, or shorter than a window.
    """

    def read(file: Path) -> Recording:
        kind = next((name for name in _MFPT if file.stem.startswith(name)), None)
        if kind is None:
            raise RecordingError(f"{file}: its name begins with none of {', '.join(_MFPT)}: is it a file of that set?")
        one = whole_recording(file, open_file(file, ReadOptions(variable="gs", unit="g")), label=_MFPT[kind])
        number = re.search(r"vload_(\d+)$", file.stem)
        condition = f"load{number[1]}" if number else "load270"
        factor = round(one.rate_hz / MFPT_RATE_HZ)
        if factor > 1:
            one = replace(one, samples=_every(one.samples, factor), rate_hz=one.rate_hz / factor)
        return replace(one, condition=condition, shaft_rpm=one.shaft_rpm or 1500.0)

    return _cut(path, ".mat", read, window or BEARING_WINDOW, hop)


def convert_uestc(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the UESTC bearing rig: folders such as ``B_1000`` with ``B_1000_1.mat``; see `convert_mfpt`.

    Returns
    -------
    Dataset
        In m/s2 at 20 kHz; a group is a file, a condition the speed.
    """

    def read(file: Path) -> Recording:
        letter, rpm, _ = _parts(file, r"([NBIO])_(\d+)_(\d+)")
        file_options = ReadOptions(rate_hz=UESTC_RATE_HZ, unit="m/s2")
        one = whole_recording(file, open_file(file, file_options), label=_LETTERS[letter])
        return replace(one, condition=f"{rpm}rpm", shaft_rpm=float(rpm))

    return _cut(path, ".mat", read, window or BEARING_WINDOW, hop)


def convert_hit(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the rigs of hitwzc/Bearing-datasets: ``IR2_600.mat`` is an inner race of severity 2 at 600 rpm.

    Returns
    -------
    Dataset
        In g at 51.2 kHz; classes are parts, severities are pooled; a group is a file, a condition the speed.
    """

    def read(file: Path) -> Recording:
        kind, _, rpm = _parts(file, r"(IR|OR|B|Normal)(\d*)_(\d+)")
        label = {"IR": "inner", "OR": "outer", "B": "ball", "Normal": "normal"}[kind]
        one = whole_recording(file, open_file(file, ReadOptions(rate_hz=HIT_RATE_HZ, unit="g")), label=label)
        return replace(one, condition=f"{rpm}rpm", shaft_rpm=float(rpm))

    return _cut(path, ".mat", read, window or BEARING_WINDOW, hop)


def convert_femto(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load run-to-failure bearings of the IEEE PHM 2012 challenge: folders such as ``Bearing1_1`` of ``acc_00001.csv``.

    Returns
    -------
    Dataset
        In g at 25.6 kHz, horizontal and vertical; one class ``run``, for nobody says when a bearing is broken. A group
        is a file, a condition the bearing.
    """

    def read(file: Path) -> Recording:
        options = ReadOptions(columns=("5", "6"), rate_hz=FEMTO_RATE_HZ, unit="g")
        one = whole_recording(file, open_file(file, options), label="run")
        return replace(one, condition=file.parent.name, group=f"{file.parent.name}/{file.stem}")

    return _cut(path, ".csv", read, window or BEARING_WINDOW, hop, name="acc_*")


def convert_ims(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load run-to-failure bearings of the University of Cincinnati: files named by date and time, without a suffix.

    Returns
    -------
    Dataset
        In V at 20 kHz, four or eight channels; one class ``run``; a group is a file, a condition the folder.
    """

    def read(file: Path) -> Recording:
        options = ReadOptions(rate_hz=IMS_RATE_HZ, unit="V")
        one = whole_recording(file, open_file(file, options), label="run")
        return replace(one, condition=file.parent.name, group=f"{file.parent.name}/{file.name}")

    return _cut(path, "", read, window or BEARING_WINDOW, hop, name="[12]*.*.*.*.*.*")


def convert_myo_readings(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load aljazfrancic/myo-readings-dataset: folders of a session, a file a gesture, the cue in the ninth column.

    Returns
    -------
    Dataset
        In counts at 200 Hz; without a cue it is ``rest``, else ``g`` and the file's number; a group is one stretch of a
        cue, a condition the session.
    """

    def read(file: Path) -> Iterator[Recording]:
        options = ReadOptions(rate_hz=ARMBAND_RATE_HZ, columns=tuple(str(number) for number in range(1, CUES + 1)))
        table = whole_recording(file, open_file(file, options)).samples
        session = file.parent.name
        for number, (first, last, cue) in enumerate(_runs(table[CUES - 1])):
            label = f"g{file.stem}" if cue else "rest"
            yield _gesture(table[: CUES - 1, first:last], label, session, f"{session}/{file.stem}/{number}")

    return _cut_all(path, ".txt", read, window or ARMBAND_WINDOW, hop)


def convert_myo_dat(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load the Myo gestures of Cote-Allard et al. as published: ``Male0/training0/classe_0.dat``, 16-bit integers.

    Returns
    -------
    Dataset
        In counts at 200 Hz; a group is a file, a condition the person.
    """

    def read(file: Path) -> Recording:
        (number,) = _parts(file, r"classe_(\d+)")
        raw = np.fromfile(file, "<i2")
        if len(raw) % MYO_CHANNELS or not len(raw):
            raise RecordingError(f"{file}: is not of rows of {MYO_CHANNELS} 16-bit integers: copy it again")
        person = file.parent.parent.name
        label = MYO_CLASSES[int(number) % len(MYO_CLASSES)]
        samples = raw.reshape(-1, MYO_CHANNELS).T.astype(np.float32)
        return _gesture(samples, label, person, f"{person}/{file.parent.name}/{number}")

    return _cut(path, ".dat", read, window or ARMBAND_WINDOW, hop, name="classe_*")


def convert_3dc(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load LibEMG/3DCDataset: ``Participant1/train/EMG_gesture_0_3.txt`` is the first take of gesture 3.

    Returns
    -------
    Dataset
        In counts at 1 kHz, ten electrodes; a group is a file, a condition ``train``, or ``test`` after a break.
    """

    def read(file: Path) -> Recording:
        _, gesture = _parts(file, r"(?:\w+_)?EMG_gesture_(\d+)_(\d+)")
        if int(gesture) >= len(ARMBAND_3DC_CLASSES):
            raise RecordingError(f"{file}: gesture {gesture} is none of 0 to {len(ARMBAND_3DC_CLASSES) - 1}")
        options = ReadOptions(
            rate_hz=ARMBAND_3DC_RATE_HZ, columns=tuple(str(number) for number in range(1, ARMBAND_3DC_CHANNELS + 1))
        )
        one = whole_recording(file, open_file(file, options), label=ARMBAND_3DC_CLASSES[int(gesture)])
        parts = file.parts[-4:-1]
        taken = next((part for part in parts if part in {"train", "test"}), "")
        person = next((part for part in parts if part.casefold().startswith("participant")), file.parent.name)
        group = f"{person}/{taken}/{file.stem}"
        return replace(one, unit="counts", sensor="3dc", subject=person, condition=taken, group=group)

    return _cut(path, ".txt", read, window or ARMBAND_3DC_WINDOW, hop, name="*EMG_gesture_*")


def convert_ninapro(path: Path, window: int | None = None, hop: int | None = None) -> Dataset:
    """Load Ninapro's databases 1, 2 or 5: ``S1_E1_A1.mat`` with ``emg``, ``restimulus`` and ``repetition``.

    Returns
    -------
    Dataset
        In mV; ``rest``, or ``m`` and the number of the movement; a group is one repetition, a condition the person. The
        rate follows from the number of electrodes.
    """

    def read(file: Path) -> Iterator[Recording]:
        from scipy.io import loadmat  # scipy costs 75 MiB: only who reads these files pays

        try:
            content = loadmat(file, variable_names=["emg", "restimulus", "stimulus", "rerepetition", "repetition"])
            emg = np.asarray(content["emg"], dtype=np.float32).T
            movement = np.ravel(content["restimulus"] if "restimulus" in content else content["stimulus"])
        except Exception as error:  # scipy raises anything on a malformed file
            raise RecordingError(f"{file}: has no emg with restimulus: is it a file of Ninapro? ({error})") from error
        rate_hz = NINAPRO_RATES_HZ.get(len(emg))
        if rate_hz is None or len(movement) != emg.shape[1]:
            known = ", ".join(map(str, NINAPRO_RATES_HZ))
            raise RecordingError(f"{file}: has {len(emg)} electrodes; databases with {known} of them are known")
        person = file.stem.split("_")[0]
        for number, (first, last, cue) in enumerate(_runs(movement)):
            label = f"m{int(cue):02d}" if cue else "rest"
            one = _gesture(emg[:, first:last], label, person, f"{file.stem}/{number}")
            yield replace(one, rate_hz=rate_hz, unit="mV", sensor="")

    return _cut_all(path, ".mat", read, window or ARMBAND_WINDOW, hop)


def _gesture(samples: Samples, label: str, person: str, group: str) -> Recording:
    return Recording(
        np.ascontiguousarray(samples, dtype=np.float32),
        ARMBAND_RATE_HZ,
        label,
        unit="counts",
        sensor="myo",
        subject=person,
        condition=person,
        group=group,
    )


def _cut(
    path: Path, suffix: str, read: Callable[[Path], Recording], window: int, hop: int | None, *, name: str = "*"
) -> Dataset:
    return _cut_all(path, suffix, lambda file: iter((read(file),)), window, hop, name=name)


def _cut_all(
    path: Path,
    suffix: str,
    read: Callable[[Path], Iterator[Recording]],
    window: int,
    hop: int | None,
    *,
    name: str = "*",
) -> Dataset:
    """Cut all recordings of a set into windows; stretches shorter than a window are left out."""
    if path.is_dir():
        files = sorted(file for file in path.rglob(f"{name}{suffix}") if file.is_file())
    else:
        files = find_files([path])
    if not files:
        raise RecordingError(f"{path}: holds no {name}{suffix} files: is it the folder of the set?")
    found = [one for file in files for one in read(file) if one.samples.shape[1] >= window]
    return named_recordings_dataset(((one.group, one) for one in found), window, hop or window)


def _parts(file: Path, pattern: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, file.stem)
    if found is None:
        raise RecordingError(f"{file}: its name {file.stem!r} is not of the form {pattern}: is it a file of that set?")
    return found.groups()


def _runs(values: Samples) -> Iterator[tuple[int, int, float]]:
    """Return start, end and value of every stretch of one value."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for first, last in pairwise(edges):
        if last > first:
            yield first, last, float(values[first])


def _every(samples: Samples, factor: int) -> Samples:
    from scipy.signal import decimate

    lowered = decimate(samples.astype(np.float64), factor, ftype="fir", axis=1, zero_phase=True)
    return np.ascontiguousarray(lowered, dtype=np.float32)
