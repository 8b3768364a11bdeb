"""Loads labelled windows: an ``.npz`` of windows, a folder of recordings, or a public data set by its converter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.datasets.converters import CONVERTERS, fitting_converters
from edgetune_signal.datasets.dataset import (
    INDEPENDENT,
    Dataset,
    finished,
    merge_library,
    named_recordings_dataset,
    recordings_dataset,
    require_classes,
)
from edgetune_signal.errors import RecordingError
from edgetune_signal.files import (
    ImportOptions,
    ReadOptions,
    find_files,
    plan_labels,
    read_file,
    read_series,
    recording_names,
)
from edgetune_signal.hints import did_you_mean
from edgetune_signal.recordings import Npz, Recording, is_snapshots, open_npz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CONVERTERS", "INDEPENDENT", "Dataset", "load_dataset", "merge_library", "recordings_dataset"]

_WINDOWS_NDIM = 3
HEALTHY = "normal"
"""Label of a series of snapshots that says none: it is taken for one of a healthy machine."""


def load_dataset(
    path: Path,
    *,
    window: int | None = None,
    hop: int | None = None,
    unit: str | None = None,
    converter: str | None = None,
    one_class: bool = False,
    reading: ReadOptions | None = None,
) -> Dataset:
    """Load labelled windows.

    Parameters
    ----------
    path
        An ``.npz`` with ``x (windows, channels, length)``, ``label`` (indices into ``classes`` or names), ``rate_hz``,
        and optionally ``classes``, ``group``, ``condition`` and ``unit``; or a folder of recordings or series of
        snapshots; or, with ``one_class``, one of these; or whatever the converter reads; or a folder of files of other
        programs, one folder a class, or names that are classes with a number behind.
    window, hop
        How recordings are cut, in samples; without ``hop`` windows stand side by side. Without ``window`` each snapshot
        of a series is one.
    unit
        Unit of the samples where the data do not say.
    converter
        Name in `edgetune_signal.datasets.converters.CONVERTERS`: ``isl``, ``isl-imu``, ``myo``, ``cwru-mat``.

    one_class
        Whether windows of one class alone will do, as for a test.
    reading
        What a person says of recordings and of files of other programs; ``unit`` wins over its unit.

    Raises
    ------
    RecordingError
        The data are absent, malformed, of different rates, units or channels, of one class only, or shorter than a
        window; the message names the file and what to do.
    """
    if not path.exists():
        raise RecordingError(f"{path}: there is no such file or folder")
    for name, value in (("window", window), ("hop", hop)):
        if value is not None and value < 1:
            raise RecordingError(f"{name} must be at least 1 sample, not {value}")
    reading = replace(reading or ReadOptions(), unit=unit)
    if replace(reading, unit=None) != ReadOptions() and (converter is not None or _has_windows(path)):
        what = f"converter {converter}" if converter is not None else "a file of windows"
        raise RecordingError(f"{path}: {what} says all of its samples: leave out columns, rate and what else was said")
    if converter is not None:
        convert = CONVERTERS.get(converter)
        if convert is None:
            known, near = ", ".join(sorted(CONVERTERS)), did_you_mean(converter, CONVERTERS)
            raise RecordingError(f"there is no converter {converter!r}; there are {known}{near}")
        dataset = convert(path, window, hop)
    elif path.is_dir():
        dataset = _load_folder(path, window, hop, reading)
    elif one_class and path.suffix == ".npz" and is_recording(path) and (window is not None or is_snapshots(path)):
        parts = _parts(path, path.stem, reading)
        length = window or parts[0][1].samples.shape[1]
        dataset = named_recordings_dataset(parts, length, hop or length)
    elif one_class and window is not None and path.suffix != ".npz":
        dataset = named_recordings_dataset([(path.stem, read_file(path, reading))], window, hop or window)
    else:
        dataset = _load_windows(path, window)
    if unit and dataset.unit and unit != dataset.unit:
        raise RecordingError(f"{path}: the data are in {dataset.unit!r}, not in {unit!r}: leave the unit out")
    if not one_class:
        require_classes(dataset, str(path))
    return replace(dataset, unit=dataset.unit or unit or "")


def _load_folder(path: Path, window: int | None, hop: int | None, reading: ReadOptions) -> Dataset:
    files = sorted(path.glob("*.npz"))
    if window is None:
        raise RecordingError(f"{path}: say how many samples a window has; recordings are cut into windows")
    if files:
        named = [part for file in files for part in _parts(file, str(file), reading)]
    else:
        named = [(str(file), one) for file, one in _foreign(path, reading)]
    return named_recordings_dataset(named, window, hop or window)


def _parts(file: Path, name: str, reading: ReadOptions) -> list[tuple[str, Recording]]:
    """Return a recording with its name, or every snapshot of a series, all of one group."""
    if not is_snapshots(file):
        return [(name, read_file(file, reading))]
    series = read_series(file, reading)
    return [
        (
            name,
            Recording(
                samples=series.snapshot(number),
                rate_hz=series.rate_hz,
                label=series.label or HEALTHY,
                unit=series.unit,
                group=name,
                shaft_rpm=series.shaft_rpm,
            ),
        )
        for number in range(len(series.samples))
    ]


def _foreign(path: Path, reading: ReadOptions) -> Iterator[tuple[Path, Recording]]:
    """Read the files of other programs in a folder: classes are folders where there are several, else names."""
    files = find_files([path])
    folders = {file.parent for file in files}
    options = ImportOptions(label_from="folder" if len(folders) > 1 else "name")
    labels = plan_labels([path], options)
    for file, group in recording_names(files).items():
        yield file, replace(read_file(file, reading, label=labels[file].label), group=group)


def is_recording(path: Path) -> bool:
    """Whether a file is one recording, which has to be cut into windows; `RecordingError` where it cannot be read."""
    with open_npz(path) as npz:
        return "samples" in npz.names and "x" not in npz.names


def _has_windows(path: Path) -> bool:
    """Whether a file holds windows that are cut already."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    with open_npz(path) as npz:
        return "x" in npz.names


def _load_windows(path: Path, window: int | None) -> Dataset:
    single = RecordingError(
        f"{path}: is a single recording; give the folder that holds all of them, or, where there is none but a "
        "healthy one, say how many samples a window has"
    )
    if path.suffix != ".npz":
        raise single
    with open_npz(path) as npz:
        if "samples" in npz.names and "x" not in npz.names:
            raise single
        fitting = [] if "x" in npz.names else fitting_converters(npz.names)
        if fitting:
            raise RecordingError(
                f"{path}: x missing, but the file looks like a public data set: give --converter {' or '.join(fitting)}"
            )
        npz.require("x", "label", "rate_hz")
        rate_hz = npz.number("rate_hz")
        if not (np.isfinite(rate_hz) and rate_hz > 0):
            raise RecordingError(f"{path}: rate_hz must be a positive number, not {rate_hz}")
        x = npz.numbers("x")
        if x.ndim != _WINDOWS_NDIM or 0 in x.shape:
            raise RecordingError(f"{path}: x must be (windows, channels, length) and not empty, not {x.shape}")
        if window is not None and window != x.shape[2]:
            raise RecordingError(f"{path}: its windows have {x.shape[2]} samples, not {window}, and are not cut again")
        label, classes = _labels(npz, len(x))
        condition, conditions = _named(npz, "condition", len(x))
        if "group" in npz.names:
            group, groups = _named(npz, "group", len(x))
            start = _position_in_group(group) * x.shape[2]
        else:
            group, groups = np.arange(len(x), dtype=np.int64), ()
            start = np.full(len(x), INDEPENDENT, dtype=np.int64)
        unit = npz.text("unit") if "unit" in npz.names else ""
    dataset = Dataset(
        x=x,
        label=label,
        classes=classes,
        rate_hz=rate_hz,
        unit=unit,
        group=group,
        start=start,
        condition=condition,
        conditions=conditions,
        groups=groups,
    )
    return finished(dataset, str(path))


def _labels(npz: Npz, windows: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Read labels given as indices into ``classes`` or as names."""
    values = _column(npz, "label", windows)
    if "classes" in npz.names:
        names = npz.array("classes")
        if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
            raise RecordingError(f"{npz.path}: classes must be a list of different names")
        classes = tuple(str(name) for name in names)
    elif values.dtype.kind == "U":
        classes = tuple(str(name) for name in np.unique(values))
    else:
        raise RecordingError(f"{npz.path}: classes missing: the labels are numbers, so say what they stand for")
    if values.dtype.kind == "U":
        unknown = sorted(set(values.tolist()) - set(classes))
        if unknown:
            raise RecordingError(f"{npz.path}: label {unknown[0]!r} is none of the classes {', '.join(classes)}")
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index[name] for name in values.tolist()], dtype=np.int64), classes
    if values.dtype.kind not in "iu":
        raise RecordingError(f"{npz.path}: label must be whole numbers or names, not {values.dtype}")
    label = values.astype(np.int64)
    wrong = np.flatnonzero((label < 0) | (label >= len(classes)))
    if len(wrong):
        at = int(wrong[0])
        raise RecordingError(f"{npz.path}: label[{at}] is {label[at]}, and classes has indices 0 to {len(classes) - 1}")
    return label, classes


def _named(npz: Npz, name: str, windows: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Read a column of numbers or names as indices into its distinct names; absent, all windows share an empty one."""
    if name not in npz.names:
        return np.zeros(windows, dtype=np.int64), ("",)
    values = _column(npz, name, windows)
    if values.dtype.kind not in "iufU":
        raise RecordingError(f"{npz.path}: {name} must be numbers or names, not {values.dtype}")
    distinct, index = np.unique(values, return_inverse=True)
    return index.reshape(-1).astype(np.int64), tuple(str(value) for value in distinct.tolist())


def _column(npz: Npz, name: str, windows: int) -> NDArray[Any]:
    values = npz.array(name)
    if values.shape != (windows,):
        raise RecordingError(f"{npz.path}: {name} must have one value per window, ({windows},), not {values.shape}")
    return values


def _position_in_group(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each window's number within its group, in file order."""
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    position = np.empty(len(group), dtype=np.int64)
    position[order] = np.arange(len(group)) - first
    return position
