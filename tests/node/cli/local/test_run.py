"""A node that is told to stop while it starts ends at once, as one that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.mark.slow
def test_a_node_that_is_stopped_while_it_starts_ends_with_0_and_without_a_word(tmp_path: Path) -> None:
    with ExitStack() as stack:
        started = []
        for number in STOPS:
            config = tmp_path / number.name
            os.mkfifo(config)
            command = [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE))
            stack.callback(process.kill)
            started.append((number, config, process))
        for number, config, process in started:
            with config.open("wb"):  # waits until the node reads it
                process.send_signal(number)
                _, said = process.communicate(timeout=60)
            assert (process.returncode, said) == (0, b"")
