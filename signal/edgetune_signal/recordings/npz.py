"""Reads the arrays of an ``.npz`` archive one by one, checking sizes before anything is allocated."""

from __future__ import annotations

import io
import math
import stat
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_ARRAY_BYTES = 2 << 30
"""No array of a recording or data set may be larger."""
MAX_EXPANSION = 100
SMALL_ARRAY_BYTES = 64 << 20
"""No larger array may take more than `MAX_EXPANSION` times its packed size: a sensor's noise never packs so well, and
text and labels, which may, are small."""
MAX_SCALAR_BYTES = 1 << 16
"""No name, rate or other single value may take more."""
MAX_HEADER_BYTES = 1 << 14
"""Of an array's header no more is unpacked, whatever length it claims; numpy takes less."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes; other ways to pack claim memory of their own."""

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BROKEN = (
    OSError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,  # an encrypted member
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    MemoryError,  # of a header that is nested too deep
    tokenize.TokenError,  # numpy reads headers as Python literals
)


class Npz:
    """An open ``.npz`` archive.

    Every failure is a `RecordingError` that names the file and the array. No array is ever unpickled.

    Attributes
    ----------
    path
        The file.
    size
        Its bytes.
    names
        Its arrays.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, size: int) -> None:
        self.path = path
        self.size = size
        self._archive = archive
        self.names = tuple(
            name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy") and name != ".npy"
        )

    def require(self, *names: str) -> None:
        """Raise `RecordingError` when an array is missing."""
        missing = [name for name in names if name not in self.names]
        if missing:
            held = ", ".join(sorted(self.names)) or "nothing"
            raise RecordingError(f"{self.path}: {' and '.join(missing)} missing; the file holds {held}")

    def shape(self, name: str) -> tuple[int, ...]:
        """Return an array's shape without reading its values."""
        with self._member(name) as file:
            return self._header(name, file)[0]

    def array(self, name: str, *, max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[Any]:
        """Return an array of numbers, booleans or text."""
        with self._member(name) as file:
            shape, dtype = self._header(name, file)
            size = math.prod(shape) * dtype.itemsize
            info = self._archive.getinfo(f"{name}.npy")
            stored, packed = info.file_size, min(info.compress_size, self.size)
            if size > max_bytes or size > stored:
                limit = f"at most {max_bytes} are read" if size > max_bytes else f"the archive holds {stored}"
                raise RecordingError(f"{self.path}: {name} {shape} {dtype} would take {size} bytes, {limit}")
            if size > max(SMALL_ARRAY_BYTES, MAX_EXPANSION * packed):
                raise RecordingError(
                    f"{self.path}: {name} {shape} {dtype} would take {size} bytes out of {packed} packed ones, more "
                    f"than {MAX_EXPANSION} times as many: no sensor delivers that; is it meant, use numpy.savez"
                )
        with self._member(name) as file:
            values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # at the end the check sum is compared
                raise RecordingError(
                    f"{self.path}: {name} has more in it than {shape} {dtype}: it is damaged; write it anew"
                )
            if values.dtype.kind == "U" and not _is_text(values):
                raise RecordingError(f"{self.path}: {name} has half of a surrogate pair in it: write it anew")
            return values

    def numbers(self, name: str) -> NDArray[np.float32]:
        """Return an array of finite real numbers as ``float32``."""
        values = self.array(name)
        if values.dtype.kind not in "iuf":
            raise RecordingError(f"{self.path}: {name} must be numbers, not {values.dtype}")
        with np.errstate(over="ignore"):
            numbers: NDArray[np.float32] = values.astype(np.float32, copy=False)
        finite = np.isfinite(numbers)
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise RecordingError(f"{self.path}: {name}{list(where)} is not a finite number: cut that part out")
        return numbers

    def number(self, name: str) -> float:
        """Return a single number."""
        values = self.array(name, max_bytes=MAX_SCALAR_BYTES)
        if values.size != 1 or values.dtype.kind not in "iuf":
            raise RecordingError(f"{self.path}: {name} must be one number, not {values.dtype} {values.shape}")
        return float(values.reshape(-1)[0])

    def integer(self, name: str) -> int:
        """Return a single whole number."""
        values = self.array(name, max_bytes=MAX_SCALAR_BYTES)
        if values.size != 1 or values.dtype.kind not in "iu":
            raise RecordingError(f"{self.path}: {name} must be one whole number, not {values.dtype} {values.shape}")
        return int(values.reshape(-1)[0])

    def text(self, name: str) -> str:
        """Return a single text."""
        values = self.array(name, max_bytes=MAX_SCALAR_BYTES)
        if values.size != 1 or values.dtype.kind != "U":
            raise RecordingError(f"{self.path}: {name} must be one text, not {values.dtype} {values.shape}")
        return str(values.reshape(-1)[0])

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        try:
            if self._archive.getinfo(f"{name}.npy").compress_type not in COMPRESSIONS:
                raise RecordingError(f"{self.path}: {name} is packed in another way than numpy.savez packs")
            with self._archive.open(f"{name}.npy") as file:
                yield file
        except _BROKEN as error:
            raise RecordingError(f"{self.path}: {name} cannot be read: {error}") from error

    def _header(self, name: str, member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        file = io.BytesIO(member.read(MAX_HEADER_BYTES))
        reader = _HEADER_READERS.get(np.lib.format.read_magic(file))
        if reader is None:
            raise RecordingError(f"{self.path}: {name} has an unknown array format: write it with numpy.savez")
        shape, _, dtype = reader(file)
        if dtype.kind not in "biufcU":
            raise RecordingError(f"{self.path}: {name} holds {dtype}: only numbers and text are read, never objects")
        return shape, dtype


@contextmanager
def open_npz(path: Path, content: bytes | None = None) -> Iterator[Npz]:
    """Open an ``.npz`` archive for reading.

    Parameters
    ----------
    path
        The file.
    content
        What it holds, where that was read already.

    Raises
    ------
    RecordingError
        The file is absent or no archive; inside the block, an array cannot be read.
    """
    try:
        size = _regular_size(path) if content is None else len(content)
        archive = zipfile.ZipFile(path if content is None else io.BytesIO(content))
    except _BROKEN as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordingError(f"{path}: cannot be read as an .npz archive: {reason}") from error
    with archive:
        yield Npz(path, archive, size)


def _is_text(values: NDArray[np.str_]) -> bool:
    try:
        "".join(values.flat).encode()
    except UnicodeEncodeError:
        return False
    return True


def _regular_size(path: Path) -> int:
    """Bytes of a file; what is none, such as a pipe, could keep a reader waiting for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RecordingError(f"{path}: is no file")
    return found.st_size
