"""Rates are lowered without aliases and units converted as configured, the same however the stream is cut."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_signal import Block, Recording, SourceError, SourceOptionsError, StreamSpec, encode_block, open_source
from edgetune_signal.sources.conformance import CHECKS
from edgetune_signal.sources.conversion import ConvertedSource, check_chunk
from edgetune_signal.stream.decimation import Decimator, rate_ratio
from edgetune_signal.stream.units import unit_factor, units_like

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_signal import Chunk, Source
    from edgetune_signal.stream.types import Samples

RATIOS = [Fraction(1, 2), Fraction(1, 8), Fraction(15, 32), Fraction(2, 3), Fraction(40, 147)]


def sine(hz: float, rate_hz: float, n: int) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)[None].astype(np.float32)


def decimated(samples: Samples, ratio: Fraction, rate_hz: float = 1000.0) -> Samples:
    return Decimator(samples.shape[0], rate_hz * float(ratio), ratio).push(samples)[0]


@settings(max_examples=40)
@given(ratio=st.sampled_from(RATIOS), cuts=st.lists(st.integers(0, 3000), max_size=40), data=st.data())
def test_the_same_samples_come_to_the_last_bit_however_the_stream_is_cut(
    ratio: Fraction, cuts: list[int], data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    samples = np.random.default_rng(seed).normal(0, 1, (2, 3000)).astype(np.float32)
    decimator = Decimator(2, 1000.0 * float(ratio), ratio)
    outputs, firsts = [], []
    for start, end in pairwise([0, *sorted(cuts), 3000]):
        out, first = decimator.push(samples[:, start:end])
        if out.shape[1]:
            firsts.append(start + first - sum(part.shape[1] for part in outputs) / ratio)
        outputs.append(out)
    np.testing.assert_array_equal(np.concatenate(outputs, axis=1), decimated(samples, ratio))
    assert len(set(firsts)) == 1  # and every block says rightly where it lies


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_output_is_the_filtered_input_at_its_own_place(ratio: Fraction) -> None:
    """The plain reference: the samples with zeros between them, filtered, every M-th kept."""
    from edgetune_signal.stream.decimation import _low_pass

    samples = np.random.default_rng(0).normal(0, 1, (1, 3000)).astype(np.float32)
    stuffed = np.zeros(3000 * ratio.numerator)
    stuffed[:: ratio.numerator] = samples[0]
    filtered = np.convolve(stuffed, _low_pass(ratio.denominator, ratio.numerator), mode="valid")
    out = decimated(samples, ratio)[0]
    assert len(out) > 0.6 * 3000 * ratio
    np.testing.assert_allclose(out, filtered[:: ratio.denominator][: len(out)], atol=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
def test_what_lies_above_half_the_new_rate_comes_back_80_db_weaker_at_most(ratio: Fraction) -> None:
    new_hz = 1000.0 * float(ratio)
    worst = 0.0
    for hz in np.linspace(new_hz / 2, 499.0, 23):
        out = decimated(sine(hz, 1000.0, 8000), ratio)
        worst = max(worst, float(np.abs(out).max()))
    assert 20 * math.log10(worst) < -80


@pytest.mark.parametrize("ratio", RATIOS)
def test_what_lies_below_two_fifths_of_the_new_rate_stays_as_it_is(ratio: Fraction) -> None:
    new_hz = 1000.0 * float(ratio)
    decimator = Decimator(1, new_hz, ratio)
    for hz in np.linspace(1.0, 0.4 * new_hz, 12):
        decimator.reset()
        out, first = decimator.push(sine(hz, 1000.0, 8000))
        at = float(first) / 1000.0 + np.arange(out.shape[1]) / new_hz
        np.testing.assert_allclose(out[0], np.sin(2 * np.pi * hz * at), atol=2e-4)  # amplitude and phase


@pytest.mark.parametrize(
    ("rate_hz", "sensor_hz", "ratio"),
    [
        (12000.0, 25600.0, Fraction(15, 32)),
        (1000.0, 1000.0, 1),
        (0.5, 1000.0, Fraction(1, 2000)),
        (997.0, 1000.0, None),
    ],
)
def test_a_ratio_is_exact_or_none(rate_hz: float, sensor_hz: float, ratio: Fraction | None) -> None:
    assert rate_ratio(rate_hz, sensor_hz) == ratio


def test_units_of_one_quantity_are_known_and_others_are_not() -> None:
    assert unit_factor("g", "m/s2") == 9.80665
    assert unit_factor("mg", "g") == pytest.approx(1e-3)
    assert unit_factor("uV", "mV") == pytest.approx(1e-3)
    assert (unit_factor("furlong", "furlong"), unit_factor("V", "g"), unit_factor("counts", "g")) == (1.0, None, None)
    assert units_like("V") == ("V", "mV", "uV")


FAST = StreamSpec(3, 5120.0, "m/s2")


def simulated_at_another_rate_and_unit() -> Source:
    options = {"sensor_rate_hz": 12800, "sensor_unit": "g", "condition": "outer_moderate", "speed": 20.0}
    return open_source("simulated", FAST, options)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_converted_source_keeps_the_contract(check: Callable[[Callable[[], Source]], None]) -> None:
    check(simulated_at_another_rate_and_unit)


def played(recording: Samples, spec: StreamSpec, folder: Path, **options: Any) -> list[Chunk]:
    from edgetune_signal import SourceEnded, write_recording

    rate_hz, unit = options.get("sensor_rate_hz", spec.rate_hz), options.get("sensor_unit", spec.unit)
    write_recording(folder / "take.npz", Recording(recording, rate_hz, "normal", unit=unit))
    chunks = []
    with closing(open_source("replay", spec, {"path": str(folder / "take.npz"), "speed": 0, **options})) as source:
        try:
            while True:
                chunk = source.read(30.0)
                assert chunk is not None
                chunks.append(chunk)
        except SourceEnded:
            return chunks


def test_a_recording_of_a_faster_sensor_plays_at_the_streams_rate_and_in_its_unit(tmp_path: Path) -> None:
    samples = 2 * sine(50, 2000.0, 8000) + sine(900, 2000.0, 8000)
    options = {"sensor_rate_hz": 2000.0, "sensor_unit": "g"}
    chunks = played(samples, StreamSpec(1, 500.0, "m/s2"), tmp_path, **options)
    whole = np.concatenate([chunk.samples for chunk in chunks], axis=1)[0]
    assert np.sqrt(2 * np.mean(whole**2)) == pytest.approx(2 * 9.80665, rel=1e-3)
    assert {chunk.rate_hz for chunk in chunks} == {500.0}
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    for before, after in pairwise(chunks):
        assert abs(after.time_ns - before.time_ns - before.samples.shape[1] * 2_000_000) <= 2


@pytest.mark.parametrize(
    ("options", "given", "wanted"),
    [
        ({"sensor_unit": "V", "sensitivity": 0.1}, 0.25, 2.5),
        ({"sensor_unit": "counts", "sensitivity": 256, "zero": 512}, 640.0, 0.5),
        ({"zero": 0.25}, 1.0, 0.75),
        ({"sensor_unit": "mg"}, 500.0, 0.5),
    ],
)
def test_units_are_converted_as_configured(
    options: dict[str, Any], given: float, wanted: float, tmp_path: Path
) -> None:
    recording = np.full((1, 240), given, np.float32)
    chunks = played(recording, StreamSpec(1, 12000.0, "g"), tmp_path, **options)
    np.testing.assert_allclose(chunks[0].samples, wanted, rtol=1e-6)


def test_a_gap_is_never_bridged_by_the_filter() -> None:
    spec = StreamSpec(1, 500.0, "g")
    source = open_source("mqtt", spec, {"sensor_rate_hz": 2000.0})
    feed = source.feed  # type: ignore[attr-defined]
    for number in [*range(20), *range(21, 40)]:
        value = np.full((1, 100), 1.0 if number < 20 else 3.0, np.float32)
        feed(encode_block(Block(value, number, 10**18 + number * 50_000_000, 2000.0, "g")))
    chunks = []
    while (chunk := source.read(0.0)) is not None:
        chunks.append(chunk)
    assert {round(float(value), 3) for chunk in chunks for value in chunk.samples[0]} == {1.0, 3.0}
    (seam,) = (chunk for chunk in chunks if chunk.gap)
    assert round(float(seam.samples[0, 0]), 3) == 3.0
    first_after_ns = 10**18 + 21 * 50_000_000
    assert 0.04e9 < seam.time_ns - first_after_ns < 0.06e9  # half of the filter's 0.1 s later
    assert source.last_error is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"sensor_rate_hz": 100.0, "sensor_unit": "V", "path": 1}, {"sensor_rate_hz", "sensitivity", "path"}),
        ({"sensor_rate_hz": 12001.0, "path": "/nowhere"}, {"sensor_rate_hz", "path"}),
        ({"sensor_unit": "m/s2", "sensitivity": 9.8}, {"sensitivity", "path"}),
        ({"sensor_unit": "counts", "sensitivity": 0, "zero": "none"}, {"sensitivity", "zero", "path"}),
    ],
)
def test_all_wrong_options_are_named_with_the_sources_own(options: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source("replay", StreamSpec(1, 12000.0, "g"), options)
    assert {problem.split()[0] for problem in caught.value.problems} == names


def test_wrong_options_are_named_even_where_the_source_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"half written")
    options = {"path": str(tmp_path)}
    with pytest.raises(SourceOptionsError, match="sensor_rate_hz must be at least"):
        open_source("replay", StreamSpec(1, 12000.0, "g"), options | {"sensor_rate_hz": 100.0})
    with pytest.raises(SourceError, match="torn"):
        open_source("replay", StreamSpec(1, 12000.0, "g"), options | {"sensor_rate_hz": 24000.0})


def test_a_chunk_of_another_rate_or_channel_count_is_refused() -> None:
    with closing(simulated_at_another_rate_and_unit()) as source:
        assert isinstance(source, ConvertedSource)
        chunk = source.read(30.0)
        assert chunk is not None
        check_chunk(chunk, FAST)
        for spec in (StreamSpec(3, 5000.0, "m/s2"), StreamSpec(1, 5120.0, "m/s2")):
            with pytest.raises(SourceError, match="set channels and rate_hz, or sensor_rate_hz"):
                check_chunk(chunk, spec)


def test_lowering_a_rate_needs_no_scipy() -> None:
    program = (
        "import sys, edgetune_signal as s\n"
        "options = {'speed': 0, 'sensor_rate_hz': 25600}\n"
        "source = s.open_source('simulated', s.StreamSpec(1, 12000.0, 'g'), options)\n"
        "assert source.read(10.0).rate_hz == 12000\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('scipy', 'torch', 'onnx')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
