"""Reads MATLAB files of version 4 to 7.3: variables, structs, and the bearing data of Case Western Reserve."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.hdf5 import open_hdf5
from edgetune_signal.files.signal_file import ReadOptions, SignalInfo, WholeFile, agreed_unit, chosen
from edgetune_signal.files.tree import MIN_SAMPLES, Leaf, find_signal

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.files.signal_file import SignalFile

CHANNEL_KEYS: Final = ("DE", "FE", "BA")
"""Drive end, fan end, base plate."""
CWRU_RATE_HZ: Final = 12000.0
CWRU_UNIT: Final = "g"
MAX_DEPTH: Final = 6
MAX_WORD: Final = 64
"""Characters of a label at most."""
_HDF5: Final = b"\x89HDF"


def open_mat(path: Path, options: ReadOptions) -> SignalFile:
    """Open a ``.mat`` file.

    Parameters
    ----------
    path
        Of version 4 to 7.3; that of 7.3 needs ``edgetune[files]``.
    options
        ``variable`` names what to read, a field of a struct as ``bearing.gs``; it is found where only one may be meant.

    Raises
    ------
    RecordingError
        It is no ``.mat``, several variables may be meant (all are listed), or file and options contradict each other.
    """
    with path.open("rb") as file:
        start = file.read(520)
    if start[:4] == _HDF5 or start[512:516] == _HDF5:
        return open_hdf5(path, options)
    content = _load(path)
    if options.variable is None and any(re.search(r"_(DE|FE|BA)_time$", key) for key in content):
        return _cwru(path, content, options)
    leaves: list[Leaf] = []
    for key, value in content.items():
        if not key.startswith("__"):
            _walk(key, value, leaves, MAX_DEPTH)
    return find_signal(path, leaves, options)


def _walk(name: str, value: Any, leaves: list[Leaf], depth: int) -> None:
    """Collect every array of numbers and every text, with its name in dots."""
    if not isinstance(value, np.ndarray) or depth == 0:
        return
    if value.dtype.names:
        for index, element in enumerate(value.ravel()[:256]):
            at = name if value.size == 1 else f"{name}({index + 1})"
            for field in value.dtype.names:
                _walk(f"{at}.{field}", element[field], leaves, depth - 1)
    elif value.dtype == object and value.size >= MIN_SAMPLES and all(_is_word(element) for element in value.ravel()):
        leaves.append(Leaf(name, np.array([str(np.ravel(each)[0])[:MAX_WORD] for each in value.ravel()])))
    elif value.dtype == object:
        for index, element in enumerate(value.ravel()[:256]):
            _walk(name if value.size == 1 else f"{name}{{{index + 1}}}", element, leaves, depth - 1)
    elif value.dtype.kind in "iufU":
        leaves.append(Leaf(name, value))


def _is_word(element: Any) -> bool:
    """Whether an element of a cell array is one text."""
    return isinstance(element, np.ndarray) and element.dtype.kind == "U" and element.size == 1


def _cwru(path: Path, content: dict[str, Any], options: ReadOptions) -> WholeFile:
    suffix = f"_{options.channel_key}_time"
    keys = [key for key in content if key.endswith(suffix)]
    own = [key for key in keys if re.sub(r"\D", "", key) == path.stem.lstrip("0").zfill(3)]
    found = own or keys
    if len(found) != 1:
        what = "several variables end" if keys else "no variable ends"
        raise RecordingError(
            f"{path}: {what} in {suffix} (the file holds {_held(content)}): choose another channel_key, "
            "or set variable and rate_hz of the source"
        )
    values = np.asarray(content[found[0]])
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise RecordingError(f"{path}: {found[0]} must be numbers, not {values.dtype} {values.shape}")
    samples = values.astype(np.float32).reshape(1, -1)
    rpm = content.get(f"{found[0].removesuffix(suffix)}RPM")
    chosen(path, options.columns, (options.channel_key,))
    info = SignalInfo(
        names=(options.channel_key,),
        rate_hz=options.rate_hz or CWRU_RATE_HZ,
        rate_from="option" if options.rate_hz else "file",
        unit=agreed_unit(path, CWRU_UNIT, options.unit),
        sensor=options.channel_key,
        shaft_rpm=float(np.ravel(rpm)[0]) if rpm is not None and np.size(rpm) else None,
    )
    return WholeFile(info, samples)


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # scipy costs 75 MiB: only who reads .mat files pays

    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=False)
    except Exception as error:  # scipy raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a .mat file: {error}") from error
    return content


def _held(content: dict[str, Any]) -> str:
    return ", ".join(key for key in content if not key.startswith("__")) or "nothing"
