"""What lies far from everything known is told from what is known."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.signal import resample_poly

from edgetune_nas.errors import BundleError
from edgetune_nas.novelty.detector import Novelty, fit_novelty
from edgetune_nas.novelty.features import BandLevels
from edgetune_signal import (
    BearingSimulator,
    SourceEnded,
    StreamSpec,
    open_source,
    read_recording,
    write_recording,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH = 512


def windows(condition: str, count: int, seed: int = 0) -> NDArray[np.float32]:
    samples = BearingSimulator(condition=condition, seed=seed).generate(count * LENGTH)
    return samples.reshape(1, count, LENGTH).swapaxes(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    x = np.concatenate([windows("normal", 80), windows("inner_severe", 80)])
    validation = np.concatenate([windows("normal", 40, seed=1), windows("inner_severe", 40, seed=1)])
    return fit_novelty(x, np.repeat([0, 1], 80), validation)


def test_the_known_is_known_and_the_unknown_is_not(novelty: Novelty) -> None:
    for condition in ("normal", "inner_severe"):
        assert novelty.unknown(windows(condition, 100, seed=2)).mean() <= 0.02
    whistling = windows("normal", 100, seed=2) + np.sin(2 * np.pi / 3 * np.arange(LENGTH)).astype(np.float32)
    assert novelty.unknown(whistling).all()


def reference_features(window: NDArray[np.float64], novelty: Novelty) -> list[float]:
    """One channel, figure by figure."""
    assert isinstance(novelty.describe, BandLevels)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LENGTH) / LENGTH)
    swing = window - window.mean()
    beat = np.abs(swing) / np.abs(swing).mean()
    found = []
    for signal, edges, floor in (
        (swing, novelty.describe.edges, novelty.describe.floor),
        (beat - beat.mean(), novelty.describe.rhythm_edges, 0.0),
    ):
        power = np.abs(np.fft.rfft(signal * hann)) ** 2
        found += [np.log(power[a:b].mean() + floor * power[edges[0] : edges[-1]].mean()) for a, b in pairwise(edges)]
    rms = np.sqrt((swing**2).mean())
    return [*found, np.log((swing**4).mean() / rms**4), np.log(np.abs(swing).max() / rms)]


def test_the_distance_is_mahalanobis_to_the_nearest_class_in_its_own_spread(novelty: Novelty) -> None:
    x = np.concatenate([windows("normal", 5, seed=3), windows("inner_severe", 5, seed=3)])
    assert len(novelty.classes.centres) == 2
    for window, distance in zip(x[:, 0].astype(float), novelty.distances(x), strict=True):
        found = np.array(reference_features(window, novelty))
        apart = []
        for centre, whitening in zip(novelty.classes.centres, novelty.classes.whitenings.astype(float), strict=True):
            metric = whitening @ whitening.T
            apart.append(np.sqrt((found - centre) @ metric @ (found - centre)))
        assert distance == pytest.approx(min(apart), rel=1e-6)


def test_each_class_has_its_own_spread_the_more_windows_the_more() -> None:
    random = np.random.default_rng(0)
    steady = windows("inner_severe", 400)
    moody = windows("normal", 400) * random.uniform(0.01, 100, (400, 1, 1)).astype(np.float32)
    x, label = np.concatenate([steady, moody]), np.repeat([0, 1], 400)
    louder = 3 * windows("inner_severe", 50, seed=1)
    own = [fit_novelty(x[::step], label[::step], x[::7]).distances(louder) for step in (1, 20)]
    assert np.median(own[0]) > 1.2 * np.median(own[1])


def test_a_window_that_is_said_to_be_what_it_is_not_is_as_far_as_that_class(novelty: Novelty) -> None:
    x = windows("inner_severe", 20, seed=4)
    inner, normal = np.ones(20, int), np.zeros(20, int)
    assert not novelty.unknown(x, inner).any()
    assert novelty.unknown(x, normal).all()
    assert np.array_equal(novelty.distances(x, inner), novelty.distances(x))
    mixed = np.arange(20) % 2
    assert np.array_equal(
        novelty.distances(x, mixed), np.where(mixed, novelty.distances(x, inner), novelty.distances(x, normal))
    )
    assert np.array_equal(novelty.distances(x, np.full(20, 7)), novelty.distances(x))  # never trained on


def sensed(condition: str, count: int, seed: int, *, down_db: float) -> NDArray[np.float32]:
    """Windows of a sensor whose anti-alias filter leaves so little of the upper fifth of the spectrum."""
    spectrum = np.fft.rfft(windows(condition, count, seed).astype(np.float64))
    spectrum[:, :, int(0.8 * LENGTH / 2) :] *= 10 ** (-down_db / 20)
    return np.fft.irfft(spectrum, LENGTH).astype(np.float32)


def test_another_anti_alias_filter_makes_nothing_unknown() -> None:
    x, validation = (
        np.concatenate([sensed(condition, 80, seed, down_db=45) for condition in ("normal", "inner_severe")])
        for seed in (0, 1)
    )
    novelty = fit_novelty(x, np.repeat([0, 1], 80), validation)
    assert novelty.unknown(sensed("normal", 100, 5, down_db=80)).mean() <= 0.02
    assert isinstance(novelty.describe, BandLevels)
    without = replace(novelty, describe=replace(novelty.describe, floor=0.0))
    assert without.unknown(sensed("normal", 100, 5, down_db=80)).all()


def test_a_recording_of_a_faster_sensor_that_is_lowered_is_still_known(recordings_dir: Path, tmp_path: Path) -> None:
    recordings = [
        read_recording(recordings_dir / "cwru_de_1797rpm" / f"{name}.npz") for name in ("normal", "inner_007")
    ]
    cut = [each.samples[:, : 200 * LENGTH].reshape(1, 200, LENGTH).swapaxes(0, 1) for each in recordings]
    x, validation = np.concatenate([each[:120] for each in cut]), np.concatenate([each[120:] for each in cut])
    novelty = fit_novelty(x, np.repeat([0, 1], 120), validation)
    for number, recording in enumerate(recordings):
        fast = resample_poly(recording.samples[:, :60_000], 4, 1, axis=1).astype(np.float32)
        write_recording(tmp_path / "fast.npz", replace(recording, samples=fast, rate_hz=48_000.0))
        options = {"path": str(tmp_path / "fast.npz"), "speed": 0, "sensor_rate_hz": 48_000}
        lowered = []
        with closing(open_source("replay", StreamSpec(1, 12_000.0, "g"), options)) as source, suppress(SourceEnded):
            while (chunk := source.read(30.0)) is not None:
                lowered.append(chunk.samples)
        samples = np.concatenate(lowered, axis=1)
        count = samples.shape[1] // LENGTH
        found = samples[:, : count * LENGTH].reshape(1, count, LENGTH).swapaxes(0, 1)
        assert count > 100
        assert novelty.unknown(found, np.full(count, number)).mean() <= 0.05


def test_a_bundle_that_says_no_floor_has_none(novelty: Novelty) -> None:
    file = io.BytesIO()
    with np.load(io.BytesIO(novelty.to_bytes())) as arrays:
        np.savez(file, **{name: arrays[name] for name in arrays.files if name != "floor"})
    before = Novelty.from_bytes(file.getvalue(), 1, LENGTH, 2)
    assert isinstance(before.describe, BandLevels)
    assert before.describe.floor == 0


@pytest.mark.parametrize("floor", [-1e-4, 1.0, np.inf, np.nan])
def test_a_floor_that_is_none_is_refused(novelty: Novelty, floor: float) -> None:
    wrong = replace(novelty, describe=replace(novelty.describe, floor=floor))  # type: ignore[type-var]
    with pytest.raises(BundleError):
        Novelty.from_bytes(wrong.to_bytes(), 1, LENGTH, 2)


def test_it_is_read_back_as_it_was_written(novelty: Novelty) -> None:
    back = Novelty.from_bytes(novelty.to_bytes(), 1, LENGTH, 2)
    x = windows("outer_severe", 5)
    assert np.array_equal(back.distances(x), novelty.distances(x))
    assert back.limit == novelty.limit


def test_what_is_no_such_file_is_refused(novelty: Novelty) -> None:
    data = novelty.to_bytes()
    other = io.BytesIO()
    np.savez(other, edges=np.arange(3))
    for broken in (b"", b"PK", data[: len(data) // 2], other.getvalue()):
        with pytest.raises(BundleError, match=r"novelty\.npz: (cannot be read|rhythm_edges and labels .* missing)"):
            Novelty.from_bytes(broken, 1, LENGTH, 2)
    for channels, length, classes in ((2, LENGTH, 2), (1, 64, 2), (1, LENGTH, 1)):
        with pytest.raises(BundleError, match="does not fit"):
            Novelty.from_bytes(data, channels, length, classes)


def packed(arrays: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("length", [10**8, 10**13])
def test_a_file_that_would_unpack_to_more_than_it_is_costs_no_memory(novelty: Novelty, length: int) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2, length)})
    with zipfile.ZipFile(io.BytesIO(novelty.to_bytes())) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    bomb = packed(arrays | {"centres.npy": header.getvalue() + bytes(20_000_000)})
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=r"centres .* would take"):
            Novelty.from_bytes(bomb, 1, LENGTH, 2)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_any_damage_is_refused_or_unnoticed(novelty: Novelty) -> None:
    with zipfile.ZipFile(io.BytesIO(novelty.to_bytes())) as archive:
        whole = packed({name: archive.read(name) for name in archive.namelist()})
    for number in range(300):
        chance, damaged = random.Random(number), bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= chance.randint(1, 255)
        with suppress(BundleError):
            Novelty.from_bytes(bytes(damaged), 1, LENGTH, 2)


def test_a_limit_that_makes_every_distance_infinite_is_refused(novelty: Novelty) -> None:
    with pytest.raises(BundleError, match="does not fit"):
        Novelty.from_bytes(replace(novelty, limit=5e-324).to_bytes(), 1, LENGTH, 2)


@pytest.mark.parametrize(("channels", "length"), [(1, 4), (8, 52), (64, 64)])
def test_every_shape_of_window_will_do(channels: int, length: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (40, channels, length)).astype(np.float32)
    x[:, 0] = 1.0  # a channel that says nothing
    novelty = fit_novelty(x[:30], np.arange(30) % 2, x[30:])
    assert np.isfinite(novelty.distances(x)).all()
    Novelty.from_bytes(novelty.to_bytes(), channels, length, 2)


def test_on_real_recordings_other_faults_are_unknown(recordings_dir: Path) -> None:
    from edgetune_signal.datasets.load import load_dataset

    data = load_dataset(recordings_dir / "cwru_de_1797rpm", window=LENGTH, unit="g")
    own = {name: data.x[data.label == at] for at, name in enumerate(data.classes)}
    known = ("normal", "inner_007")
    parts = [np.array_split(own[name], 3) for name in known]
    sizes = [len(part[0]) for part in parts]
    train, validation, test = (np.concatenate([part[at] for part in parts]) for at in range(3))
    novelty = fit_novelty(train, np.repeat([0, 1], sizes), validation)
    assert novelty.unknown(test).mean() <= 0.02
    for name in ("inner_021", "outer_centered_007", "outer_orthogonal_007"):
        assert novelty.unknown(own[name]).mean() >= 0.95


def test_a_class_of_several_kinds_has_a_centre_for_each_and_what_lies_between_is_farther() -> None:
    """Two severities of one fault are known, and a third fault, which has the lines of both, is not."""
    rng = np.random.default_rng(3)

    def tone(frequency: float, count: int) -> NDArray[np.float32]:
        phase = rng.uniform(0, 6.28, (count, 1))
        noise = rng.normal(size=(count, 256)) * 0.3
        return (noise + np.sin(frequency * np.arange(256) + phase))[:, None].astype(np.float32)

    x = np.concatenate([tone(0.3, 200), tone(1.0, 200), tone(2.0, 200)])
    label, kind = np.repeat([0, 1, 1], 200), np.repeat([0, 1, 2], 200)
    validation = np.concatenate([tone(0.3, 60), tone(1.0, 60), tone(2.0, 60)])
    pooled, apart = (fit_novelty(x, label, validation, each) for each in (None, kind))
    assert apart.classes.labels.tolist() == [0, 1, 1]
    said = np.ones(40, int)
    known, mixed = np.concatenate([tone(1.0, 20), tone(2.0, 20)]), (tone(1.0, 40) + tone(2.0, 40)) / 2**0.5
    far = [np.median(each.distances(mixed, said)) / each.limit for each in (pooled, apart)]
    assert far[1] > 1.1 * far[0]
    assert not apart.unknown(known, said).any()
    again = Novelty.from_bytes(apart.to_bytes(), 1, 256, 2)
    np.testing.assert_allclose(again.distances(mixed, said), apart.distances(mixed, said))
    assert (apart.distances(known, said) < apart.distances(known, 0 * said)).all()
