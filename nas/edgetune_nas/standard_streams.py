"""Standard streams that cannot end a program: closed ones lead nowhere, and what stderr does not take is dropped."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2
MODES = {0: os.O_RDONLY, STDOUT: os.O_WRONLY, STDERR: os.O_WRONLY}


class _Forgiving(io.FileIO):
    """A file that never fails: what cannot be written is dropped."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def mend() -> None:
    """Open closed standard streams on the null device, and let writing to stderr never fail.

    Call it before anything else opens a file. A file that got the number of a closed stderr would receive whatever this
    process and its children report.
    """
    for descriptor, mode in MODES.items():
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    if sys.stdout is None:
        sys.stdout = open(STDOUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
    if sys.stderr is None or sys.stderr is sys.__stderr__:  # else somebody captures it
        raw = _Forgiving(STDERR, "w", closefd=False)
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        # without a buffer: it would write a line again that a signal interrupted just after it was written
        sys.stderr = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", write_through=True)
