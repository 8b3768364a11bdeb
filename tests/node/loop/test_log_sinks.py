"""Nobody takes what a node logs: it lives, says so, stops when it is told to, and can be started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

CLOSED = ("sh", "-c", 'exec "$@" 2>&-', "sh")


@contextlib.contextmanager
def opened(path: Any) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def two_lines() -> Iterator[int]:
    """A pipe into ``head -2``."""
    reader, writer = os.pipe()
    with subprocess.Popen(["head", "-2"], stdin=reader, stdout=subprocess.DEVNULL):
        os.close(reader)
        try:
            yield writer
        finally:
            os.close(writer)


def open_pipe(_folder: Path) -> tuple[int, int]:
    return os.pipe()


def open_fifo(folder: Path) -> tuple[int, int]:
    os.mkfifo(folder / "log")
    return tuple(os.open(folder / "log", os.O_RDWR) for _ in range(2))  # type: ignore[return-value]


@contextlib.contextmanager
def unread_pipe(ends: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that takes not one byte more."""
    reader, writer = ends
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"\n" * size)
    os.set_blocking(writer, True)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def about_the_log(health: dict[str, Any]) -> str:
    return "".join(problem for problem in health["problems"] if problem.startswith("log: "))


def lives(loop: Any, problem: str) -> int:
    """Stop a node that has said what is wrong with its log, and still classifies; give its exit code."""
    loop.wait("health", lambda health: problem in about_the_log(health))
    loop.forget()
    loop.wait("vibration", lambda _: True)
    loop.wait("health", lambda health: problem in about_the_log(health))
    assert loop.reply(loop.command("record", label="normal", seconds=1))["status"] == "done"
    loop.send(signal.SIGTERM)
    code: int = loop.ended()
    loop.forget()
    return code


def test_a_node_outlives_a_log_that_is_always_full(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    with opened("/dev/full") as full:
        for _ in range(2):
            loop.start(stderr=full)
            assert lives(loop, "No space left on device") == 0


def test_a_node_outlives_the_reader_of_its_log(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    for _ in range(2):
        with two_lines() as pipe:
            loop.start(stderr=pipe)
        loop.command("cancel")  # one more line
        assert lives(loop, "Broken pipe") == 0


def test_lines_lost_are_counted(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    reader, writer = os.pipe()
    os.close(reader)
    loop.start(stderr=writer)
    os.close(writer)
    health = loop.wait("health", lambda health: health["log_lines_lost"] > 0)
    assert f"{health['log_lines_lost']} lines were lost" in about_the_log(health)


@pytest.mark.parametrize("opened_by", [open_pipe, open_fifo])
def test_a_node_whose_log_nobody_reads_goes_on_and_stops(
    node: Callable[..., Any], bearing: str, opened_by: Callable[[Path], tuple[int, int]]
) -> None:
    loop = node(bearing)
    with unread_pipe(opened_by(loop.folder)) as (_, writer):
        for _ in range(2):
            loop.start(stderr=writer)
            assert lives(loop, "nobody reads the pipe") == 0


def test_a_node_needs_no_stderr(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    for _ in range(2):
        loop.start(prefix=CLOSED)
        assert lives(loop, "") == 0
    loop.start()
    health = loop.wait("health", lambda found: found["boot"] == loop.boot)
    assert health["problems"] == []  # the outbox is not damaged by what was reported


def test_a_log_on_a_full_disk_goes_on_when_there_is_room(
    node: Callable[..., Any], bearing: str, small_disk: Any, until: Callable[..., None]
) -> None:
    loop = node(bearing)
    path = small_disk.folder / "node.log"
    with opened(path) as log:
        small_disk.fill()
        loop.start(stderr=log)
        loop.wait("health", lambda health: "No space left on device" in about_the_log(health))
        loop.forget()
        small_disk.free()
        loop.wait("health", lambda health: not about_the_log(health))
        until(lambda: b"node started" in path.read_bytes())
        path.unlink()
        assert lives(loop, "") == 0
