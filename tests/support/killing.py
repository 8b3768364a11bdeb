"""Runs a command or a function and kills it at a chosen step: the n-th time it is about to change a folder."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = ("link", "mkdir", "rename", "replace", "rmdir", "symlink", "truncate", "unlink", "fsync")
"""Functions of `os` that change what is on the disk, or make it last."""


class Killer:
    """A process that forks for each run, so that a run costs no start of Python."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, step: int, *words: str) -> int:
        """Run ``edgetune WORDS``, or ``module:function`` with the other words, and kill it at its ``step``-th step.

        Steps count from 1. It returns the exit code, or -9.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([step, *words]) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "the process that forks has ended"
        return int(code)


@contextmanager
def killer() -> Iterator[Killer]:
    """Start the process that forks."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


def _main() -> None:
    from edgetune_node.cli import COMMANDS, _load, main

    loaded: dict[str, Any] = {}
    for line in sys.stdin:
        step, command, *words = json.loads(line)
        if command not in loaded:  # before the fork, so that the child need not
            loaded[command] = pkgutil.resolve_name(command) if ":" in command else _load(COMMANDS[command])
        child = os.fork()
        if child == 0:
            sys.argv = ["edgetune", command, *words]
            _run(step, partial(loaded[command], *words) if ":" in command else main)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(step: int, work: Callable[[], object]) -> None:
    count = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    code = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    os._exit(code)


if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # else modules beside this one would stand before others of their names
    _main()
