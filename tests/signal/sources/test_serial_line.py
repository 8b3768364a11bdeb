"""Microcontrollers on a serial line, over a pty: what is damaged, lost or unplugged is counted and leaves a gap."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import tty
import zlib
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_signal import Block, SourceError, SourceOptionsError, StreamSpec, encode_block, install_hint, open_source
from edgetune_signal.sources.conformance import CHECKS, read_chunk, sending
from edgetune_signal.sources.serial_formats import MAX_FRAME_BYTES, BlockParser, LineParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_signal import Source
    from edgetune_signal.sources.live import Piece

pyserial = pytest.importorskip("serial", reason="pyserial is not installed: pip install 'edgetune[serial]'")
EXAMPLES = Path(__file__).parents[3] / "signal" / "examples"
SPEC = StreamSpec(2, 1000.0, "g")
N = 20


def frame(number: int, **changes: Any) -> bytes:
    fields = {"samples": np.full((2, N), number % 1000, np.int16), "sequence": number, "time_ns": 0, "rate_hz": 1000.0}
    block = encode_block(Block(**({"unit": "g"} | fields | changes)))
    return block + zlib.crc32(block).to_bytes(4, "little")


def numbers(pieces: list[Piece]) -> list[int]:
    return [int(piece.samples[0, 0]) for piece in pieces]


class Line:
    """A pty whose other end can be opened at ``port``, and pulled out and put in again."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "ttyUSB0"
        self.plug_in()

    def plug_in(self) -> None:
        self.end, other = os.openpty()
        tty.setraw(other)
        self.port.symlink_to(os.ttyname(other))
        os.close(other)

    def pull_out(self) -> None:
        self.port.unlink()
        os.close(self.end)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.end, data) :]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    os.close(made.end)


def opened(line: Line, spec: StreamSpec = SPEC, **options: Any) -> Source:
    source = open_source("serial", spec, {"port": str(line.port), **options})
    assert source.read(0.0) is None  # the first read opens the port
    return source


@pytest.fixture
def streaming(line: Line) -> Iterator[None]:
    """Sends frames until the test ends, whoever listens; some are torn where nobody does."""
    os.set_blocking(line.end, False)
    with sending(lambda number: os.write(line.end, frame(number))):
        yield


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.usefixtures("streaming")
def test_a_serial_line_keeps_the_contract(check: Callable[[Callable[[], Source]], None], line: Line) -> None:
    check(lambda: open_source("serial", SPEC, {"port": str(line.port)}))


@given(cuts=st.lists(st.integers(0, 6 * 129)), skipped=st.integers(0, 128))
def test_frames_are_found_however_the_bytes_are_cut_and_wherever_listening_begins(
    cuts: list[int], skipped: int
) -> None:
    parser = BlockParser(SPEC)
    stream = b"".join(map(frame, range(6)))[skipped:]
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [piece for a, b in pairwise(edges) for piece in parser.push(stream[a:b])]
    assert numbers(pieces) == list(range(1 if skipped else 0, 6))
    assert not any(piece.gap for piece in pieces)
    assert (parser.damaged, parser.lost) == (0, 0)


@settings(max_examples=30)
@given(at=st.integers(129, 5 * 129 - 1), flip=st.integers(1, 255))
def test_one_damaged_byte_costs_one_frame_which_is_a_gap_and_counted(at: int, flip: int) -> None:
    parser = BlockParser(SPEC)
    stream = bytearray(b"".join(map(frame, range(200))))
    stream[at] ^= flip
    pieces = parser.push(bytes(stream))
    hit = at // 129
    assert numbers(pieces) == [number for number in range(200) if number != hit]
    assert [number for number, piece in zip(numbers(pieces), pieces, strict=True) if piece.gap] == [hit + 1]
    assert (parser.damaged, parser.lost) == (1, 1)


@settings(max_examples=30)
@given(garbage=st.binary(max_size=300))
def test_any_garbage_costs_nothing_behind_it_and_memory_stays_bounded(garbage: bytes) -> None:
    parser = BlockParser(SPEC)
    pieces = parser.push(frame(0) + garbage)
    for number in range(1, 200):
        pieces += parser.push(frame(number))
        assert len(parser._held) <= MAX_FRAME_BYTES + len(garbage) + 200
    assert numbers(pieces) == list(range(200))


def test_a_lost_frame_is_a_gap_and_counted() -> None:
    parser = BlockParser(SPEC)
    pieces = parser.push(frame(0) + frame(1) + frame(5))
    assert [piece.gap for piece in pieces] == [False, False, True]
    assert (parser.damaged, parser.lost) == (0, 3)


def test_a_frame_of_another_unit_is_refused_with_the_reason() -> None:
    parser = BlockParser(SPEC)
    assert parser.push(frame(0, unit="V")) == []
    assert "unit 'V' where the stream has 'g'" in str(parser.refusal)


@pytest.mark.parametrize("separator", [",", ";", "\t", "  ", ", "])
def test_lines_of_numbers_are_samples(separator: str) -> None:
    parser = LineParser(SPEC, scale=0.5, counter=False)
    text = "half a line\n" + "".join(f"{k}{separator}-{k}.5\r\n" for k in range(5)) + "7"
    pieces = parser.push(text[:31].encode()) + parser.push(text[31:].encode())
    whole = np.concatenate([piece.samples for piece in pieces], axis=1)
    np.testing.assert_array_equal(whole, [[k * 0.5 for k in range(5)], [-(k + 0.5) * 0.5 for k in range(5)]])
    assert whole.dtype == np.float32
    assert parser.damaged == 0


@pytest.mark.parametrize("bad", [b"1", b"1,2,3", b"1,x", b"nan,1", b"1,2" + b" " * 2000, b"\xff\xfe"])
def test_a_line_that_is_none_is_a_gap_and_counted(bad: bytes) -> None:
    parser = LineParser(SPEC, scale=1.0, counter=False)
    pieces = parser.push(b"\n1,1\n2,2\n")
    pieces += parser.push(bad)
    pieces += parser.push(b" x\n3,3\n4,4\n")
    assert [piece.samples[0].tolist() for piece in pieces] == [[1, 2], [3, 4]]
    assert [piece.gap for piece in pieces] == [False, True]
    assert parser.damaged >= 1


def test_a_digit_too_many_in_a_counter_is_a_gap_and_not_a_million_lost_lines() -> None:
    parser = LineParser(StreamSpec(1, 1000.0, "V"), scale=1.0, counter=True)
    pieces = parser.push(b"\n1,1\n22222222222222222222,2\n3,3\n")
    assert [piece.gap for piece in pieces] == [False, True, True]
    assert (parser.damaged, parser.lost) == (0, 0)


def test_a_counter_tells_lost_lines_and_may_wrap() -> None:
    parser = LineParser(StreamSpec(1, 1000.0, "V"), scale=1.0, counter=True)
    pieces = parser.push(b"\n253,1\n254,2\n255,3\n0,4\n1,5\n4,6\n5,7\n")
    assert [piece.samples[0].tolist() for piece in pieces] == [[1, 2, 3, 4, 5], [6, 7]]
    assert [piece.gap for piece in pieces] == [False, True]
    assert parser.lost == 2


def test_damage_on_the_line_is_reported_and_the_stream_goes_on(line: Line) -> None:
    with closing(opened(line)) as source:
        broken = bytearray(frame(1))
        broken[60] ^= 1
        line.send(frame(0) + broken + frame(2) + frame(3))
        chunks = [read_chunk(source) for _ in range(3)]
        assert [int(chunk.samples[0, 0]) for chunk in chunks] == [0, 2, 3]
        assert [chunk.gap for chunk in chunks] == [False, True, False]
        assert "1 frames or lines damaged, 1 lost" in str(getattr(source, "last_error", None))


def test_lines_come_over_a_serial_line(line: Line) -> None:
    with closing(opened(line, format="lines", scale=0.001)) as source:
        line.send(b"booting...\n" + b"".join(b"%d,%d\n" % (k, -k) for k in range(40)))
        np.testing.assert_allclose(read_chunk(source).samples[1, :20], -np.arange(20) / 1000, rtol=1e-6)


def test_a_port_that_speaks_something_else_is_told_from_a_silent_one(line: Line) -> None:
    with closing(opened(line)) as source:
        assert getattr(source, "last_error", "") is None
        for _ in range(3):
            line.send(b"\x55" * 2000)
            assert source.read(0.0) is None
        deadline = time.monotonic() + 30
        while getattr(source, "last_error", None) is None and time.monotonic() < deadline:
            assert source.read(0.05) is None  # what is sent passes through a thread of the kernel
        assert "are baud = 115200 and format what the sender uses?" in str(getattr(source, "last_error", None))


def test_a_port_pulled_out_is_an_error_and_put_in_again_goes_on_after_a_gap(line: Line) -> None:
    with closing(opened(line)) as source:
        line.send(frame(0))
        assert not read_chunk(source).gap
        line.pull_out()
        with pytest.raises(SourceError, match=rf"serial port {line.port} was unplugged"):
            source.read(30.0)
        with pytest.raises(SourceError, match=r"cannot be opened: there is none of that name; there are "):
            source.read(30.0)
        line.plug_in()
        assert source.read(0.0) is None
        line.send(frame(0))
        assert read_chunk(source).gap


def test_a_port_that_another_program_has_is_named(line: Line) -> None:
    with (
        closing(opened(line)),
        closing(open_source("serial", SPEC, {"port": str(line.port)})) as second,
        pytest.raises(SourceError, match="another program uses it"),
    ):
        second.read(0.0)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_c_sender_of_the_readme_is_heard(line: Line, tmp_path: Path) -> None:
    (tmp_path / "sender.c").write_text(
        '#include <stdio.h>\n#include "serial_frame.h"\n'
        "int main(void) {\n"
        "    static uint8_t frame[EDGETUNE_FRAME_BYTES(2 * 20)];\n"
        "    int16_t samples[2 * 20];\n"
        "    for (int k = 0; k < 40; k++) samples[k] = (int16_t)(k % 2 ? -k : k);\n"
        "    for (uint32_t number = 0; number < 3; number++)\n"
        "        fwrite(frame, 1, edgetune_frame(frame, number, samples, 2, 20, 1000, 0.001f, 'g'), stdout);\n"
        "    return 0;\n}\n"
    )
    program = tmp_path / "sender"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{EXAMPLES}"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(tmp_path / "sender.c")], check=True, timeout=300)
    with closing(opened(line)) as source:
        line.send(subprocess.run([str(program)], check=True, capture_output=True, timeout=300).stdout)
        chunks = [read_chunk(source) for _ in range(3)]
        assert [chunk.gap for chunk in chunks] == [False] * 3
        expected = np.stack([np.arange(0, 40, 2), -np.arange(1, 40, 2)]) / 1000
        np.testing.assert_allclose(chunks[2].samples, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"port"}),
        ({"port": "", "baud": 0, "format": "xml"}, {"port", "baud", "format"}),
        ({"port": "/dev/ttyUSB0", "scale": 2, "counter": True, "parity": "N"}, {"scale", "counter", "parity"}),
    ],
)
def test_all_wrong_options_are_named(options: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source("serial", SPEC, options)
    assert {problem.split()[0] for problem in caught.value.problems} == names


def test_without_pyserial_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(SourceError, match=re.escape(install_hint("serial"))):
        open_source("serial", SPEC, {"port": "/dev/ttyUSB0"})
