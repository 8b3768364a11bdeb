"""Text files that people write: small, whatever stands in their place."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 1 << 20
"""A device such as /dev/zero would otherwise be read until the memory is full."""
NO_WRITER_S: Final = 5.0
"""Seconds to wait for somebody who writes into a pipe."""
WRITER_S: Final = 60.0
"""Seconds to wait for what somebody writes, as a password that has to be typed first."""


def read_small_file(path: Path) -> str:
    """Return the text of a UTF-8 file, or of a pipe, that has at most `MAX_FILE_BYTES`.

    Raises
    ------
    OSError
        Where it cannot be read, or has more, or is a pipe that nobody writes into, or that does not end in time.
    UnicodeDecodeError
        Where it is not UTF-8.
    """
    descriptor = os.open(
        path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    )  # else a pipe is waited for, here and for ever
    try:
        data = _read(descriptor, path)
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data.decode("utf-8").replace("\r\n", "\n")


def _read(descriptor: int, path: Path) -> bytes:
    """Read up to one byte more than is allowed."""
    data = b""
    began_s = time.monotonic()
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    written = not stat.S_ISFIFO(mode)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(data) <= MAX_FILE_BYTES:
        try:
            piece = os.read(descriptor, MAX_FILE_BYTES + 1 - len(data))
        except BlockingIOError:
            reason, limit_s = "somebody has it open and does not end it", WRITER_S
        else:
            data += piece
            if piece:
                continue
            if data or written:
                break
            reason, limit_s = "it is a pipe, and nobody writes into it", NO_WRITER_S
        left_s = began_s + limit_s - time.monotonic()
        if left_s <= 0:
            raise OSError(errno.ETIMEDOUT, reason, str(path))
        written = bool(poll.poll(left_s * 1000)) or written  # also where a writer came and went
    return data
