"""Keeps the files of an import out of sight until all of them are there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgetune_signal.durable import replacing, sync
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PREFIX: Final = ".import-"
JOURNAL: Final = "placing"
"""Names that are being put in place, in the hidden folder; as long as it is there, the import is not made."""
_BUSY: Final = (errno.EAGAIN, errno.EACCES)


class StagedFolder:
    """A folder in which files appear together, or not at all; a context manager.

    Files are written into a hidden folder inside, and `commit` puts them in place. What an import left that was killed
    is removed by the next.

    Parameters
    ----------
    out
        The folder; it is made where it is not there, and removed again if nothing came of it.

    Raises
    ------
    RecordingError
        On entry: it cannot be made or written, or another import is writing into it.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._hidden = out
        self._descriptor: int | None = None
        self._made = False
        self.removed: list[str] = []
        """Files of an interrupted import that were removed on entry."""

    def __enter__(self) -> Self:
        try:
            self._made = not self._out.exists()
            self._out.mkdir(parents=True, exist_ok=True)
            self._lock()
            self.removed = _clean(self._out)
            self._hidden = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._out))
        except OSError as error:
            self._unlock()
            raise RecordingError(f"{self._out}: {error.strerror}: choose another folder (--out)") from error
        except RecordingError:
            self._unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            _undo(self._out, self._hidden)
            if self._made:
                with suppress(OSError):  # recordings are in it
                    self._out.rmdir()
        finally:
            self._unlock()

    def path(self, name: str) -> Path:
        """Return where to write a file.

        Raises
        ------
        RecordingError
            One of that name is there already.
        """
        for there in (self._out / name, self._hidden / name):
            if there.exists():
                raise RecordingError(f"{self._out / name} is there already: choose another folder, or remove it")
        return self._hidden / name

    def commit(self) -> None:
        """Put all files in place.

        Raises
        ------
        RecordingError
            It cannot be done; then none is in place.
        """
        names = sorted(path.name for path in self._hidden.iterdir())
        journal = self._hidden / JOURNAL
        try:
            with replacing(journal, journal.with_suffix(".part")) as file:
                file.write("\n".join(names).encode())
            for name in names:
                _place(self._hidden / name, self._out / name)
            sync(self._out)
            journal.unlink()
            sync(self._hidden)
        except OSError as error:
            raise RecordingError(f"{self._out}: {error.strerror}: nothing was imported; try again") from error

    def _lock(self) -> None:
        self._descriptor = os.open(self._out, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                raise RecordingError(f"{self._out}: another import is writing into it: wait until it ends") from error

    def _unlock(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def _place(staged: Path, target: Path) -> None:
    """Link a file into its place; one that is there stays, and the error says so."""
    try:
        os.link(staged, target)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network drives know no hard links
        if target.exists():
            raise FileExistsError(errno.EEXIST, f"{target.name} is there already") from None
        staged.rename(target)


def _undo(out: Path, hidden: Path) -> list[str]:
    """Remove a hidden folder, and what it had put in place without being done; return what it held."""
    names = [path.name for path in hidden.glob("*.npz")]
    with suppress(FileNotFoundError):
        for name in (hidden / JOURNAL).read_text(encoding="utf-8").splitlines():
            staged, target = hidden / name, out / name
            if target.exists() and (not staged.exists() or staged.samefile(target)):
                target.unlink()
                names += [name] * (name not in names)
        (hidden / JOURNAL).unlink()  # from here on nothing in place is this import's
    shutil.rmtree(hidden)
    return names


def _clean(out: Path) -> list[str]:
    """Remove what imports left that were killed; the lock on ``out`` tells that none is alive."""
    found = [path for path in sorted(out.glob(f"{PREFIX}*")) if path.is_dir() and not path.is_symlink()]
    return [name for hidden in found for name in _undo(out, hidden)]
