"""Lines are written in order where they can be, and otherwise dropped oldest first, counted and told."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from edgetune_node.ops.log_writer import MAX_BYTES, MAX_LINES, LogStream, LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):  # a test has closed it
            os.close(end)


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)


def test_lines_are_written_in_order_and_to_the_last_when_it_closes(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1])
    for number in range(100):
        writer.write(f"{number} \udcff\n")
    writer.close(60)
    assert os.read(pipe[0], 65_536).decode() == "".join(f"{number} \\udcff\n" for number in range(100))
    assert (writer.lost, writer.problem) == (0, None)


@pytest.mark.parametrize("blocking", [True, False])
def test_the_oldest_go_where_nobody_reads_and_that_is_told(
    pipe: tuple[int, int], until: Callable[..., None], monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    monkeypatch.setattr("edgetune_node.ops.log_writer.SLOW_S", 0.01)
    reader, descriptor = pipe
    fill(descriptor)
    os.set_blocking(descriptor, blocking)
    writer = LogWriter(descriptor)
    writer.write("first\n")
    until(lambda: not writer._lines)
    for number in range(MAX_LINES + 7):
        writer.write(f"{number}\n")
    assert writer.lost == 7
    until(lambda: writer.problem)
    assert "nobody reads the pipe; 7 lines were lost" in str(writer.problem)
    with os.fdopen(os.dup(reader), "rb") as stream:
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.extend(stream))
        thread.start()
        writer.close(60)
        os.close(descriptor)
        thread.join()
    assert found[0].endswith(b"first\n")
    assert found[1] == b"7\n"
    assert found[-1] == f"{MAX_LINES + 6}\n".encode()
    assert writer.problem is None


def test_what_waits_is_bounded_in_bytes(pipe: tuple[int, int], until: Callable[..., None]) -> None:
    fill(pipe[1])
    writer = LogWriter(pipe[1])
    writer.write("first\n")
    until(lambda: not writer._lines)
    for _ in range(3):
        writer.write("x" * (MAX_BYTES // 2))
    assert writer.lost == 1
    with os.fdopen(os.dup(pipe[0]), "rb") as stream:  # else its thread writes on into another pipe
        thread = threading.Thread(target=stream.read)
        thread.start()
        writer.close(60)
        os.close(pipe[1])
        thread.join()


def test_a_closed_pipe_loses_lines_at_once(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = LogWriter(pipe[1])
    writer.write("gone\n")
    writer.write("too\n")
    writer.close(60)
    assert writer.lost == 2
    assert "Broken pipe" in str(writer.problem)
    problem, lost = writer.told
    assert (problem, lost) == (writer.problem, 2)
    assert "; 2 lines were lost" in str(problem)


def test_what_is_printed_goes_through_the_queue_in_whole_lines(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1])
    stream = LogStream(writer)
    print("a", 1, file=stream)
    stream.write("begun")
    stream.flush()
    stream.write(" and ended\nnot")
    writer.close(60)
    assert os.read(pipe[0], 1000) == b"a 1\nbegun and ended\n"


LOSES = """
import os, sys
from edgetune_node.ops import logs
reader, full = os.pipe()
os.set_blocking(full, False)
try:
    while True:
        os.write(full, bytes(65536))
except BlockingIOError:
    pass
kept = os.dup(2)
os.dup2(full, 2)
writer = logs.configure()
import structlog
for number in range(1500):
    structlog.get_logger().info("line", number=number)
print("Traceback of a thread", file=sys.stderr)
os.dup2(kept, 2)
writer.close(60)
"""


def test_a_loss_is_logged_where_lines_can_be_written_again() -> None:
    ran = subprocess.run([sys.executable, "-c", LOSES], capture_output=True, text=True, timeout=120, check=True)
    lines = ran.stderr.splitlines()
    assert "Traceback of a thread" in lines
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    [told] = [entry for entry in entries if entry["event"] == "log lines were lost"]
    assert told["lines"] + len(entries) - 1 == 1500
