"""Reads HDF5 files, those of MATLAB 7.3 among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files.extras import needed
from edgetune_signal.files.tree import Leaf, find_signal

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.files.signal_file import ReadOptions, WholeFile

MAX_BYTES: Final = 1 << 31
MAX_OBJECTS: Final = 10_000
MAX_WORD: Final = 64
"""Characters of a label at most."""


def open_hdf5(path: Path, options: ReadOptions) -> WholeFile:
    """Open an HDF5 file; ``variable`` names a data set, as ``group/name``.

    Links to other files are not followed. Attributes of a data set and of its groups may say rate and unit.

    Raises
    ------
    RecordingError
        It is no HDF5 file, is too large, or several data sets may be meant.
    """
    h5py = needed(path, "h5py")
    try:
        with h5py.File(path, "r") as file:
            leaves = _leaves(path, h5py, file)
    except RecordingError:
        raise
    except Exception as error:  # h5py raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as an HDF5 file: {error}") from error
    return find_signal(path, leaves, options)


def _leaves(path: Path, h5py: Any, file: Any) -> list[Leaf]:
    leaves: list[Leaf] = []
    total = 0
    pending: list[tuple[str, Any]] = [("", file)]
    for _ in range(MAX_OBJECTS):
        if not pending:
            return leaves
        name, node = pending.pop()
        leaves += _attributes(name, node)
        if isinstance(node, h5py.Group):
            for key in node:
                link = node.get(key, getlink=True)
                if not isinstance(link, h5py.ExternalLink | h5py.SoftLink) and not key.startswith("#"):
                    pending.append((f"{name}/{key}".lstrip("/"), node[key]))
        elif isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf" and not node.external and not node.is_virtual:
            total += int(node.nbytes)
            if total > MAX_BYTES:
                raise RecordingError(f"{path}: holds more than {MAX_BYTES} bytes of numbers: cut it")
            leaves.append(Leaf(name, _text(node, np.asarray(node[()]))))
        elif isinstance(node, h5py.Dataset) and _is_words(h5py, node):
            total += MAX_WORD * int(node.size)
            if total > MAX_BYTES:
                raise RecordingError(f"{path}: holds more than {MAX_BYTES} bytes of labels: cut it")
            words = [str(word)[:MAX_WORD] for word in np.ravel(node.asstr(errors="replace")[()])]
            leaves.append(Leaf(name, np.array(words, dtype=str)))
    raise RecordingError(f"{path}: holds more than {MAX_OBJECTS} objects: cut it")


def _is_words(h5py: Any, node: Any) -> bool:
    """Whether a data set holds texts, such as labels of the rows."""
    stored = not node.external and not node.is_virtual
    return stored and node.size > 0 and h5py.check_string_dtype(node.dtype) is not None


def _text(node: Any, value: Any) -> Any:
    """Return MATLAB's text, which is stored as numbers of characters, as text."""
    if node.attrs.get("MATLAB_class") == b"char":
        return np.array("".join(chr(int(code)) for code in np.ravel(value)[:200]))
    return value


def _attributes(name: str, node: Any) -> list[Leaf]:
    found = []
    for key, value in node.attrs.items():
        if isinstance(value, bytes | str):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            found.append(Leaf(f"{name}/{key}".lstrip("/"), np.array(text)))
        elif isinstance(value, np.generic | np.ndarray) and np.asarray(value).dtype.kind in "iuf":
            found.append(Leaf(f"{name}/{key}".lstrip("/"), np.asarray(value)))
    return found
