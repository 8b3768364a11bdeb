"""Which reader opens which file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from edgetune_signal.files.signal_file import ReadOptions, SignalInfo, WholeFile, agreed_rate, agreed_unit, chosen
from edgetune_signal.files.text import open_text
from edgetune_signal.files.wav import open_flac, open_wav
from edgetune_signal.recordings import open_npz, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgetune_signal.files.signal_file import SignalFile

MAX_FILES: Final = 100_000


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


def find_files(places: Sequence[Path]) -> list[Path]:
    """Return files that can be read: those that are named, and those in folders and folders inside them, by name.

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
        inside = sorted(path for path in place.rglob("*") if path.is_file() and is_readable(path))
        if not inside:
            raise RecordingError(f"{place}: holds no file that can be read ({' '.join(SUFFIXES)})")
        found += inside
        if len(found) > MAX_FILES:
            raise RecordingError(f"{place}: holds more than {MAX_FILES} files")
    return found
