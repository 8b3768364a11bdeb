"""``edgetune run``: the node itself."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from edgetune_node.terminal import stop_signals

if TYPE_CHECKING:
    from collections.abc import Callable

SWITCH_S = 0.0005
LOGGED_S = 0.5
"""Seconds at the end for log lines that wait; with a stop's four they stay within what SIGTERM is promised."""


def run(
    config: Annotated[Path, typer.Option(help="The node's configuration; config.example.toml documents it.")],
    *,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log debugging entries too.")] = False,
) -> None:
    """Run the node until it is told to stop (SIGTERM, SIGHUP or Ctrl-C)."""
    _on_stop(lambda _name: os._exit(0))  # a kill is safe at any time, and nothing is to be told yet
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # structlog would load it, for tracebacks: 5 MiB
    from edgetune_node.clock import SystemClock
    from edgetune_node.config import load_settings
    from edgetune_node.ops import logs
    from edgetune_node.runtime import Service

    # Where two threads compute, each waits this long at every lock and copy of the other; 5 ms by default, which at the
    # end of a search and at many times real time made the thread that classifies too slow for its samples.
    sys.setswitchinterval(SWITCH_S)
    settings = load_settings(config)
    stderr = sys.stderr
    log_writer = logs.configure(verbose=verbose)
    try:
        service = Service(settings, SystemClock(), log_writer)
        _on_stop(service.stop)
        code = service.run()
    except BaseException:
        sys.stderr = stderr  # what went wrong is told by whoever called
        raise
    finally:
        log_writer.close(LOGGED_S)
    os._exit(code)  # everything is on disk; a thread that some driver or disk holds up would keep the process alive


def _on_stop(stop: Callable[[str], object]) -> None:
    """Have signals that end the node call ``stop`` with their name."""
    for number in stop_signals():
        signal.signal(number, lambda number, _frame: stop(signal.Signals(number).name))
