"""Recordings and simulations come in the time of the clock, and a file chooses among them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import SourceError, StreamSpec
from edgetune_signal.sources.paced import PacedSource

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.stream.clock import SourceClock
    from edgetune_signal.stream.types import Samples


class Counting:
    """A player of zeros that knows two names."""

    def __init__(self) -> None:
        self.playing = "first"

    def play(self, n: int) -> tuple[Samples, bool]:
        return np.zeros((1, n), np.float32), False

    def pause_s(self) -> float:
        return 0.0

    def select(self, name: str) -> None:
        if name not in ("first", "second"):
            raise SourceError(f"no {name!r}")
        self.playing = name


def paced(clock: SourceClock, speed: float = 1.0, select_file: Path | None = None) -> tuple[PacedSource, Counting]:
    player = Counting()
    spec = StreamSpec(1, 1000.0, "g")
    path = str(select_file) if select_file else None
    return PacedSource(player, spec, speed=speed, block_s=0.1, select_file=path, clock=clock), player


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_chunk_comes_when_its_last_sample_is_due(clock: Any, speed: float) -> None:
    source, _ = paced(clock, speed)
    for number in range(1, 6):
        chunk = source.read(10.0)
        assert chunk is not None
        assert clock.now == pytest.approx(number * 0.1 / speed)
        assert chunk.time_ns == clock_start(clock) + (number - 1) * 100_000_000


def clock_start(clock: Any) -> int:
    return int(clock.utc_ns() - round(clock.now * 1e9))


def test_nothing_comes_before_it_is_due(clock: Any) -> None:
    source, _ = paced(clock)
    assert source.read(0.04) is None
    assert source.read(0.04) is None
    assert source.read(0.04) is not None
    assert clock.now == pytest.approx(0.1)


def test_speed_zero_never_waits(clock: Any) -> None:
    source, _ = paced(clock, 0.0)
    assert all(source.read(0.0) is not None for _ in range(100))
    assert clock.now == 0


def test_a_reader_a_little_late_catches_up_without_a_gap(clock: Any) -> None:
    source, _ = paced(clock)
    source.read(1.0)
    clock.now += 5.0
    chunks = [source.read(0.0) for _ in range(50)]
    assert [chunk is not None and chunk.gap for chunk in chunks] == [False] * 50
    assert None not in chunks
    assert source.read(0.0) is None


def test_a_reader_very_late_gets_a_gap_and_the_present_time(clock: Any) -> None:
    source, _ = paced(clock)
    source.read(1.0)
    clock.now += 3600.0
    present = clock.utc_ns()
    chunk = source.read(1.0)
    assert chunk is not None
    assert (chunk.gap, chunk.time_ns, chunk.sequence) == (True, present, 1)


def test_the_select_file_switches_a_running_machine(clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "playing.txt"
    source, player = paced(clock, select_file=file)
    source.read(1.0)
    assert player.playing == "first"
    file.write_text("second\n")
    source.read(1.0)
    source.read(1.0)
    assert player.playing == "second"
    file.write_text("")
    source.read(1.0)
    source.read(1.0)
    assert (player.playing, source.last_error) == ("second", None)


def test_a_wrong_name_in_the_select_file_is_noted_and_stops_nothing(clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "playing.txt"
    source, player = paced(clock, select_file=file)
    file.write_bytes(b"third\xff")
    assert source.read(1.0) is not None
    assert player.playing == "first"
    noted = source.last_error
    file.write_text("second")
    source.read(1.0)
    source.read(1.0)
    assert (noted, player.playing, source.last_error) == ("no 'third\ufffd'", "second", None)


def test_a_pipe_as_select_file_is_named_and_not_waited_for(clock: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    source, _ = paced(clock, select_file=tmp_path / "pipe")
    assert source.read(1.0) is not None
    assert "is no file; write the name into one" in str(source.last_error)


def test_a_name_chosen_by_hand_stays_until_the_select_file_changes(clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "playing.txt"
    file.write_text("second")
    source, player = paced(clock, select_file=file)
    source.read(1.0)
    source.select("first")
    source.read(1.0)
    source.read(1.0)
    assert player.playing == "first"


def test_the_select_file_is_looked_at_ten_times_a_second_at_most(clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "playing.txt"
    source, player = paced(clock, 0.0, file)
    source.read(0.0)
    file.write_text("second")
    source.read(0.0)
    assert player.playing == "first"
    clock.now += 0.11
    source.read(0.0)
    assert player.playing == "second"
