"""Windows are cut from a stream of any chunk sizes and never span a gap."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_signal import Chunk, SourceError, Windower
from edgetune_signal.stream.clock import offset_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_signal import Window


def ramp(n: int, channels: int = 1) -> np.ndarray:
    return (np.arange(n, dtype=np.float32) + 1000 * np.arange(channels, dtype=np.float32)[:, None]).astype(np.float32)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=20),
    st.integers(1, 17),
    st.integers(1, 40),
    st.integers(1, 3),
)
def test_windows_are_slices_of_the_stream_whatever_the_chunks(
    sizes: list[int], length: int, hop: int, channels: int
) -> None:
    samples = ramp(sum(sizes), channels)
    windower = Windower(channels, length, hop)
    windows: list[Window] = []
    done = 0
    for number, size in enumerate(sizes):
        windows += windower.push(Chunk(samples[:, done : done + size], done * 10**6, 1000.0, number))
        done += size
    starts = range(0, sum(sizes) - length + 1, hop)
    assert [w.sequence for w in windows] == list(range(len(starts)))
    for start, window in zip(starts, windows, strict=True):
        np.testing.assert_array_equal(window.samples, samples[:, start : start + length])
        assert window.time_ns == (start + length - 1) * 10**6


@given(st.integers(0, 10**13), st.floats(1e-3, 1e7))
def test_sample_times_are_exact_for_any_rate_and_any_uptime(samples: int, rate_hz: float) -> None:
    assert offset_ns(samples, rate_hz) == int(Fraction(samples) * 10**9 / Fraction(rate_hz))


@pytest.mark.parametrize("breaking", ["gap", "sequence", "rate"])
def test_a_break_in_the_stream_starts_a_fresh_window(chunks_of: Callable[..., list[Chunk]], breaking: str) -> None:
    first, second, third = chunks_of(ramp(30), [10, 10, 10])
    changed = {
        "gap": replace(second, gap=True),
        "sequence": replace(second, sequence=7),
        "rate": replace(second, rate_hz=999.0),
    }
    windower = Windower(1, 12, 12)
    assert windower.push(first) == []
    assert windower.push(changed[breaking]) == []
    third = replace(third, sequence=changed[breaking].sequence + 1, rate_hz=changed[breaking].rate_hz)
    (window,) = windower.push(third)
    np.testing.assert_array_equal(window.samples[0], np.arange(10, 22))
    assert window.sequence == 0


def test_windows_are_counted_without_holes_across_gaps_and_resets() -> None:
    windower = Windower(1, 4, 4)
    numbers = [w.sequence for w in windower.push(Chunk(ramp(8), 0, 1000.0, 0))]
    numbers += [w.sequence for w in windower.push(Chunk(ramp(4), 0, 1000.0, 5))]
    windower.reset()
    numbers += [w.sequence for w in windower.push(Chunk(ramp(4), 0, 1000.0, 90))]
    assert numbers == [0, 1, 2, 3]


def test_reset_forgets_a_half_collected_window() -> None:
    windower = Windower(1, 4, 4)
    windower.push(Chunk(ramp(3), 0, 1000.0, 0))
    windower.reset()
    assert windower.push(Chunk(ramp(3), 0, 1000.0, 1)) == []


def test_a_window_owns_its_samples() -> None:
    windower = Windower(1, 4, 2)
    chunk = Chunk(ramp(4), 0, 1000.0, 0)
    (window,) = windower.push(chunk)
    chunk.samples[:] = -1
    windower.push(Chunk(ramp(8), 4 * 10**6, 1000.0, 1))
    np.testing.assert_array_equal(window.samples[0], np.arange(4))


@pytest.mark.parametrize("shape", [(2, 5), (5,), (1, 5, 1)])
def test_a_chunk_of_another_shape_is_refused_by_name_and_changes_nothing(shape: tuple[int, ...]) -> None:
    windower = Windower(1, 4, 4)
    windower.push(Chunk(ramp(2), 0, 1000.0, 0))
    with pytest.raises(SourceError, match=r"shape .* where \(1, n\) is expected"):
        windower.push(Chunk(np.zeros(shape, np.float32), 0, 1000.0, 1))
    assert len(windower.push(Chunk(ramp(2), 0, 1000.0, 1))) == 1


@pytest.mark.parametrize(("channels", "length", "hop"), [(0, 4, 4), (1, 0, 4), (1, 4, 0)])
def test_impossible_windows_are_refused(channels: int, length: int, hop: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Windower(channels, length, hop)


def test_a_window_carries_its_quality() -> None:
    samples = ramp(12)
    samples[0, 5] = np.nan
    samples[0, 8:12] = 3.0
    windows = Windower(1, 4, 4).push(Chunk(samples, 0, 1000.0, 0))
    assert [w.quality for w in windows] == [(), ("nan",), ("flat",)]


def test_the_first_window_after_a_gap_says_so_and_only_that_one() -> None:
    random = np.random.default_rng(0)
    windower = Windower(1, 64, 64)
    flags = []
    for number in range(4):
        samples = random.normal(size=(1, 128)).astype(np.float32)
        chunk = Chunk(samples, number * 128 * 10**6, 1000.0, number, gap=number == 2)
        flags += [window.quality for window in windower.push(chunk)]
    assert flags == [(), (), (), (), ("gap",), (), (), ()]


def test_a_window_repeats_what_the_source_says_of_the_stream() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32)
    (window,) = Windower(1, 64, 64).push(Chunk(samples, 0, 1000.0, 0, quality=("rate_off",)))
    assert window.quality == ("rate_off",)


def walk(samples: np.ndarray, rate_hz: float = 1000.0, hop: int = 64) -> list[bool]:
    windower = Windower(samples.shape[0], 64, hop)
    chunk = Chunk(samples.astype(np.float32), 0, rate_hz, 0)
    return ["dc_drift" in window.quality for window in windower.push(chunk)]


@pytest.mark.parametrize("hop", [16, 64, 128])
def test_a_step_of_the_mean_is_drift_until_the_baseline_has_followed(hop: int) -> None:
    samples = np.random.default_rng(0).normal(size=(2, 40_000))
    samples[1, 10_000:] += 20.0
    drifted = walk(samples, hop=hop)
    step = 10_000 // hop
    assert not any(drifted[: step - 64 // hop - 1])
    assert all(drifted[step + 1 : step + 200 // hop])
    assert not any(drifted[-50:])


def test_slow_vibration_and_a_louder_machine_are_no_drift() -> None:
    time_s = np.arange(30_000) / 1000.0
    loud = np.where(time_s > 15, 10.0, 1.0) * np.random.default_rng(0).normal(size=30_000)
    assert not any(walk(np.stack([np.sin(2 * np.pi * 1.0 * time_s), loud])))


def test_samples_that_are_not_finite_do_not_spoil_the_baseline() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 20_000))
    samples[0, 5_000], samples[0, 6_000] = np.inf, np.nan
    assert not any(walk(samples))
