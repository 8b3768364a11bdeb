"""Files that options name: a pipe is read, but never waited for without end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetune_node.config import small_files
from edgetune_node.config.mqtt import TlsSection
from edgetune_node.config.small_files import MAX_FILE_BYTES, read_small_file
from edgetune_node.errors import ConfigError
from edgetune_node.mqtt.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def writer(pipe: Path) -> Iterator[int]:
    """The end of a pipe into which nothing is written."""
    descriptor = os.open(pipe, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def write(pipe: Path, text: str) -> threading.Thread:
    thread = threading.Thread(target=pipe.write_text, args=[text])
    thread.start()
    return thread


@pytest.mark.parametrize("text", ["", "key = 1\r\n", "x" * 200_000])
def test_what_is_written_into_a_pipe_is_read_to_its_end(pipe: Path, text: str) -> None:
    thread = write(pipe, text)
    assert read_small_file(pipe) == text.replace("\r\n", "\n")
    thread.join()


def test_a_pipe_that_nobody_writes_into_is_given_up(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_files, "NO_WRITER_S", 0.1)
    with pytest.raises(TimeoutError, match="it is a pipe, and nobody writes into it"):
        read_small_file(pipe)


@pytest.mark.parametrize("begun", [b"", b"key = "])
def test_a_pipe_that_nobody_ends_is_given_up(
    pipe: Path, writer: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.write(writer, begun)
    monkeypatch.setattr(small_files, "WRITER_S", 0.1)
    with pytest.raises(TimeoutError, match="somebody has it open and does not end it"):
        read_small_file(pipe)


def test_what_a_shell_passes_as_a_file_is_read() -> None:
    program = """
import sys
from pathlib import Path
from edgetune_node.config import read_small_file
print(read_small_file(Path(sys.argv[1])))
"""
    command = ["bash", "-c", 'exec "$0" -c "$1" <(echo secret)', sys.executable, program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "secret\n\n"


def test_a_device_that_does_not_end_is_too_large() -> None:
    with pytest.raises(OSError, match="too large") as caught:
        read_small_file(Path("/dev/zero"))
    assert caught.value.errno == errno.EFBIG


def test_a_file_may_be_as_large_as_is_said(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read_small_file(path)) == MAX_FILE_BYTES


def test_no_file_of_tls_may_be_a_pipe(pipe: Path) -> None:
    for section in (TlsSection(ca_file=pipe), TlsSection(certificate_file=pipe, key_file=pipe)):
        with pytest.raises(ConfigError, match="is no file but a folder, pipe or device"):
            tls_context(section)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["run", "--config"],
        ["doctor", "--config"],
        ["watch", "--config"],
        ["watch", "--password-file"],
        ["recalibrate", "--command-key-file"],
        ["watch", "--broker", "mqtts://127.0.0.1:1", "--ca"],
        ["bundle", "import", "--unsigned", "archive.zip", "--config"],
        ["bundle", "import", "archive.zip", "--config", "config.toml", "--key"],
    ],
)
def test_no_command_waits_for_a_pipe(pipe: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "edgetune_node", *words, str(pipe)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode in (1, 2)
    assert "pipe" in done.stdout + done.stderr
