"""Which reader opens which file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.hdf5 import open_hdf5
from edgetune_signal.files.libraries import (
    open_edf,
    open_npy,
    open_npz_of_others,
    open_table,
    open_tdms,
    open_uff,
    open_xdf,
)
from edgetune_signal.files.matlab import open_mat
from edgetune_signal.files.pieces import whole_recording
from edgetune_signal.files.signal_file import ReadOptions, SignalInfo, WholeFile, agreed_rate, agreed_unit, chosen
from edgetune_signal.files.text import open_text
from edgetune_signal.files.wav import open_flac, open_wav
from edgetune_signal.recordings import Recording, SnapshotSeries, open_npz, read_recording, read_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgetune_signal.files.signal_file import SignalFile

MAX_FILES: Final = 100_000
Kept = TypeVar("Kept", Recording, SnapshotSeries)


def open_recording(path: Path, options: ReadOptions) -> SignalFile:
    """Open an ``.npz``: a recording of ours, or named arrays of another program."""
    with open_npz(path) as npz:
        ours = "samples" in npz.names
    if not ours:
        return open_npz_of_others(path, options)
    found = read_recording(path)
    names = tuple(str(number + 1) for number in range(len(found.samples)))
    indices = chosen(path, options.columns, names)
    info = SignalInfo(
        names=tuple(names[index] for index in indices),
        rate_hz=agreed_rate(path, found.rate_hz, options.rate_hz),
        rate_from="file",
        unit=agreed_unit(path, found.unit, options.unit),
        time_ns=found.time_ns,
        label=found.label,
        sensor=found.sensor,
        shaft_rpm=found.shaft_rpm,
    )
    return WholeFile(info, found.samples if not options.columns else found.samples[indices])


READERS: Final[dict[str, Callable[[Path, ReadOptions], SignalFile]]] = {
    ".npz": open_recording,
    ".mat": open_mat,
    ".wav": open_wav,
    ".flac": open_flac,
    ".npy": open_npy,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".tdms": open_tdms,
    ".uff": open_uff,
    ".unv": open_uff,
    ".parquet": open_table,
    ".feather": open_table,
    ".arrow": open_table,
    ".edf": open_edf,
    ".bdf": open_edf,
    ".xdf": open_xdf,
    ".xdfz": open_xdf,
    ".csv": open_text,
    ".txt": open_text,
    ".tsv": open_text,
    ".asc": open_text,
    ".lvm": open_text,
    ".dat": open_text,
}
SUFFIXES: Final = tuple(READERS)


def file_suffix(path: Path) -> str:
    """Return the suffix that tells a file's kind, in lower case; ``.gz`` counts for nothing.

    What follows the last point of a name such as ``2003.10.22.12.06.24`` is no suffix.
    """
    inner = Path(path.stem) if path.suffix.lower() == ".gz" else path
    suffix = inner.suffix.lower()
    return "" if suffix[1:].isdecimal() else suffix


def is_readable(path: Path) -> bool:
    """Whether there is a reader for a file: one for its suffix, or it has none and is text."""
    return file_suffix(path) in READERS or (not file_suffix(path) and not path.name.startswith("."))


def open_file(path: Path, options: ReadOptions | None = None) -> SignalFile:
    """Open a file of samples by the reader for its kind.

    Parameters
    ----------
    path
        The file; its suffix tells its kind. One without a suffix is taken for text.
    options
        What a person says of it; by default the file says everything.

    Raises
    ------
    RecordingError
        There is no such file or no reader for it, or it cannot be read; the message says what to do.
    """
    if not path.exists():
        raise RecordingError(f"{path}: there is no such file")
    if not path.is_file():
        raise RecordingError(f"{path}: is no regular file")
    suffix = file_suffix(path)
    reader = READERS.get(suffix, open_text if not suffix else None)
    if reader is None:
        raise RecordingError(
            f"{path}: files of kind {suffix!r} cannot be read; there are readers for {' '.join(SUFFIXES)}"
        )
    return reader(path, options or ReadOptions())


def read_file(path: Path, options: ReadOptions | None = None, *, label: str | None = None) -> Recording:
    """Return a recording of ours with all that it says, or a file of another program as one.

    Raises
    ------
    RecordingError
        It cannot be read, contradicts an option, or is no single recording.
    """
    options = options or ReadOptions()
    if file_suffix(path) != ".npz":
        return whole_recording(path, open_file(path, options), label=label)
    return _agreed(path, read_recording(path), options)


def read_series(path: Path, options: ReadOptions | None = None) -> SnapshotSeries:
    """Return a series of snapshots, with the channels that are asked for; errors as `read_file`."""
    return _agreed(path, read_snapshots(path), options or ReadOptions())


def _agreed(path: Path, found: Kept, options: ReadOptions) -> Kept:
    """Return what a person chose of a recording or a series."""
    agreed_rate(path, found.rate_hz, options.rate_hz)
    unit = agreed_unit(path, found.unit, options.unit)
    names = tuple(str(number + 1) for number in range(found.samples.shape[-2]))
    indices = chosen(path, options.columns, names)
    samples = found.samples[..., indices, :] if options.columns else found.samples
    return replace(found, unit=unit, samples=samples)


def _shown(place: Path, path: Path) -> bool:
    """Whether neither a file below ``place`` nor a folder that it is in is hidden, as what an import has not done."""
    return not any(part.startswith(".") for part in path.relative_to(place).parts)


def find_files(places: Sequence[Path]) -> list[Path]:
    """Return files that can be read: those that are named, and those in folders and folders inside them, by name.

    Hidden files and folders inside are left out.

    Raises
    ------
    RecordingError
        A place is not there, a folder holds none, or there are more than `MAX_FILES`.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise RecordingError(f"{place}: there is no such file or folder")
        if not place.is_dir():
            found.append(place)
            continue
        inside = sorted(
            path for path in place.rglob("*") if path.is_file() and is_readable(path) and _shown(place, path)
        )
        if not inside:
            raise RecordingError(f"{place}: holds no file that can be read ({' '.join(SUFFIXES)})")
        found += inside
        if len(found) > MAX_FILES:
            raise RecordingError(f"{place}: holds more than {MAX_FILES} files")
    return found
