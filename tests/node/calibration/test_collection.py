from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.calibration.take import Take, take_bytes
from edgetune_signal import Chunk, StreamSpec, read_recording, write_recording

if TYPE_CHECKING:
    from pathlib import Path

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SPEC = StreamSpec(channels=2, rate_hz=100.0, unit="g")
NOISE = np.random.default_rng(1).standard_normal((2, 1000)).astype(np.float32)


def chunk(start: int, stop: int, sequence: int, *, gap: bool = False) -> Chunk:
    return Chunk(NOISE[:, start:stop], 10**9 + start * 10**7, 100.0, sequence, gap)


def odd_chunk(samples: np.ndarray, sequence: int = 0, rate_hz: float = 100.0) -> Chunk:
    return Chunk(samples.astype(np.float32), 10**9, rate_hz, sequence)


def test_a_take_holds_exactly_its_samples_and_the_time_of_the_first() -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(30, 90, 7))
    assert not take.complete
    assert take.fraction == pytest.approx(0.6)
    take.push(chunk(90, 150, 8))
    take.push(chunk(150, 200, 9))
    assert take.complete
    recording = take.recording(0, 1)
    np.testing.assert_array_equal(recording.samples, NOISE[:, 30:130])
    assert recording.time_ns == 10**9 + 30 * 10**7
    assert recording.samples.dtype == np.float32


def test_a_recording_says_all_that_is_known_of_it() -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 100, 0))
    recording = take.recording(0, 1, subject="pump 3", condition="full", sensor="adxl", shaft_rpm=1797.0)
    assert (recording.label, recording.unit, recording.rate_hz) == ("inner", "g", 100.0)
    assert (recording.subject, recording.condition, recording.sensor) == ("pump 3", "full", "adxl")
    assert recording.shaft_rpm == 1797.0


def test_what_is_held_out_is_decided_at_capture() -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 100, 0))
    assert take.recording(0, 1).held_out_from == 75
    assert [take.recording(index, 3).held_out_from for index in range(3)] == [100, 100, 0]


def test_every_take_is_a_group_of_its_own() -> None:
    groups = set()
    for index, start in enumerate((0, 200, 400)):
        take = Take("inner", 1.0, SPEC)
        take.push(chunk(start, start + 100, 0))
        groups.add(take.recording(index, 3).group)
    assert len(groups) == 3


def test_a_recording_survives_its_file(tmp_path: Path) -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 100, 0))
    path = tmp_path / "take.npz"
    write_recording(path, take.recording(0, 1))
    np.testing.assert_array_equal(read_recording(path).samples, NOISE[:, :100])


@pytest.mark.parametrize("broken", [chunk(60, 120, 1, gap=True), chunk(60, 120, 5)])
def test_lost_samples_make_a_take_start_again(broken: Chunk) -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 60, 0))
    take.push(broken)
    assert (take.restarts, take.restarted_by) == (1, "samples were lost")
    assert take.fraction == pytest.approx(0.6)
    take.push(chunk(120, 200, broken.sequence + 1))
    np.testing.assert_array_equal(take.recording(0, 1).samples, NOISE[:, 60:160])


def test_a_gap_before_the_first_sample_does_not_matter() -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 100, 12, gap=True))
    assert take.complete
    assert take.restarts == 0


@pytest.mark.parametrize(
    ("misfit", "reason"),
    [
        (odd_chunk(NOISE[:1, :50]), "samples had 1 channels instead of 2"),
        (odd_chunk(NOISE[:, :50], rate_hz=99.0), "samples came at 99 Hz instead of 100 Hz"),
    ],
)
def test_samples_that_do_not_fit_the_stream_make_a_take_start_again(misfit: Chunk, reason: str) -> None:
    take = Take("inner", 1.0, SPEC)
    take.push(chunk(0, 60, 0))
    take.push(misfit)
    take.push(misfit)
    assert (take.restarts, take.restarted_by, take.fraction) == (1, reason, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused_at_once(value: float) -> None:
    take = Take("inner", 1.0, SPEC)
    samples = NOISE[:, :10].copy()
    samples[1, 3] = value
    take.push(odd_chunk(samples))
    assert take.refusal == "samples are not finite (NaN or infinity)"
    take.push(chunk(0, 100, 1))
    assert not take.complete


def test_a_channel_that_stays_constant_is_refused() -> None:
    take = Take("inner", 1.0, SPEC)
    samples = NOISE[:, :100].copy()
    samples[1] = 0.25
    take.push(odd_chunk(samples))
    assert take.refusal == "a channel is constant (flat)"
    assert not take.complete
    with pytest.raises(ValueError, match="not complete"):
        take.recording(0, 1)


def test_a_clipped_take_is_kept_with_a_warning() -> None:
    take = Take("inner", 1.0, SPEC, clip_level=0.5)
    take.push(odd_chunk(NOISE[:, :100].clip(-0.5, 0.5)))
    assert take.complete
    assert "clipped" in take.warnings[0]


def test_a_take_does_not_change_with_the_chunk_it_was_filled_from() -> None:
    samples = NOISE[:, :100].copy()
    take = Take("inner", 1.0, SPEC)
    take.push(odd_chunk(samples))
    samples[:] = 0
    np.testing.assert_array_equal(take.recording(0, 1).samples, NOISE[:, :100])


def test_the_memory_a_take_needs_is_known_before_it_is_made() -> None:
    assert take_bytes(3600, StreamSpec(channels=64, rate_hz=1e6, unit="V")) == 64 * 3600 * 10**6 * 4


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60))
def test_a_complete_take_is_always_one_unbroken_stretch(steps: list[tuple[int, bool]]) -> None:
    take = Take("inner", 1.0, SPEC)
    position = 0
    for sequence, (size, lost) in enumerate(steps):
        position += 3 if lost else 0
        take.push(
            Chunk(
                np.arange(2 * position, 2 * (position + size)).reshape(size, 2).T.astype(np.float32),
                position,
                100.0,
                sequence,
                gap=lost,
            )
        )
        position += size
        assert 0 <= take.fraction <= 1
    if take.complete:
        samples = take.recording(0, 1).samples
        np.testing.assert_array_equal(np.diff(samples, axis=1), 2)
        np.testing.assert_array_equal(samples[0], samples[1] - 1)
