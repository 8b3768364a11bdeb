"""A child process that leaves nothing behind: its log in a file, its whole family ended with it."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 15
KILL_WAIT_S = 5.0


class ChildProcess:
    """A process in a session of its own, so that Ctrl-C reaches the demo alone and the demo decides who ends when.

    Parameters
    ----------
    command
        Program and arguments.
    log
        File that takes its standard output and standard error.
    environment
        Its environment; that of this process by default.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def log_tail(self) -> str:
        """Last lines of what it wrote."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])

    def stop(self, wait_s: float = 30.0) -> int:
        """Ask it to end (SIGTERM), wait, kill what is left of it and of its children; give its exit code."""
        family = _descendants(self.pid) if self.code is None else []
        if self.code is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for process in family:
            if process.is_running():
                _kill(process)
        psutil.wait_procs(family, timeout=KILL_WAIT_S)
        return self._process.wait(KILL_WAIT_S)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
