"""Lines typed on standard input, looked at without waiting for them."""

from __future__ import annotations

import os
import select

READ_BYTES = 4096


class InputLines:
    """Reads a file descriptor directly: a thread inside ``input()`` could not be ended.

    Parameters
    ----------
    descriptor
        Where lines come from; 0 is standard input.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def poll(self) -> list[str]:
        """Return the lines that are complete by now, without their ends, possibly none."""
        while not self.ended and select.select([self._descriptor], [], [], 0)[0]:
            data = os.read(self._descriptor, READ_BYTES)
            self._rest += data
            if not data:
                self.ended = True
                self._rest += b"\n" if self._rest else b""
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode("utf-8", errors="replace").strip() for line in lines]
