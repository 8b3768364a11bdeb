"""What is renamed into its place stays there over a power cut once its folder has been flushed too."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[BinaryIO]:
    """Write a file under another name beside it and then put it in place: it is the old one or the whole new one.

    Raises
    ------
    OSError
        Where it cannot be written; nothing temporary is left.
    """
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or a folder with the names in it, to the disk; `OSError` where the disk will not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
