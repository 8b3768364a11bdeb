"""Text files that people write: small, whatever stands in their place."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 1 << 20
"""A device such as /dev/zero would otherwise be read until the memory is full."""


def read_small_file(path: Path) -> str:
    """Return the text of a UTF-8 file, or of a pipe, that has at most `MAX_FILE_BYTES`.

    Raises
    ------
    OSError
        Where it cannot be read, or has more.
    UnicodeDecodeError
        Where it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data.decode("utf-8").replace("\r\n", "\n")
