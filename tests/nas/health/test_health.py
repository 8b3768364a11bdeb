"""Health models: blocks that judge one another, the limit, the shapes, and the distance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_nas.errors import DataError
from edgetune_nas.health.choice import candidates, choose, held_out
from edgetune_nas.health.detector import Whitening, crossed, features
from edgetune_nas.health.folds import APART, BLOCKS, blocks
from edgetune_nas.health.imitation import STRENGTHS, imitations
from edgetune_nas.health.limit import TIMES, LimitRule, alarms_within, healthy_seconds, supported_per_month
from edgetune_nas.health.shapes import health_shapes
from edgetune_nas.model import plan
from edgetune_signal.datasets import INDEPENDENT, Dataset

RATE_HZ = 1000.0


def _healthy(
    recordings: int = 1, each: int = 60, hop: int = 64, channels: int = 1, conditions: int = 1, length: int = 128
) -> Dataset:
    """Coloured noise of a machine, one condition after the other louder."""
    rng = np.random.default_rng(5)
    count = recordings * each
    group = np.repeat(np.arange(recordings), each)
    condition = group % conditions
    noise = rng.normal(size=(count, channels, length + 2))
    x = (noise[:, :, 2:] + 0.7 * noise[:, :, 1:-1]) * (1 + condition[:, None, None])
    return Dataset(
        x=x.astype(np.float32),
        label=np.zeros(count, np.int64),
        classes=("normal",),
        rate_hz=RATE_HZ,
        unit="g",
        group=group,
        start=np.tile(np.arange(each) * hop, recordings),
        condition=condition,
        conditions=tuple(map(str, range(conditions))),
    )


# ---- blocks --------------------------------------------------------------------------------------------------------


def test_one_recording_is_cut_into_parts_that_share_no_sample() -> None:
    data = _healthy(hop=64)
    block = blocks(data)
    assert set(block.tolist()) == {APART, *range(BLOCKS)}
    for number in range(1, BLOCKS):
        before = data.start[(block < number) & (block != APART)].max()
        assert data.start[block == number].min() >= before + data.length
    assert (block == APART).sum() == BLOCKS - 1


def test_windows_side_by_side_are_all_used() -> None:
    assert (blocks(_healthy(hop=128)) != APART).all()


def test_three_recordings_of_a_condition_stay_whole() -> None:
    data = _healthy(recordings=3)
    block = blocks(data)
    assert [set(block[data.group == group].tolist()) for group in range(3)] == [{0}, {1}, {2}]


def test_a_condition_that_was_recorded_once_is_in_every_block() -> None:
    data = _healthy(recordings=3, conditions=3)
    block = blocks(data)
    for number in range(BLOCKS):
        assert set(data.condition[block == number].tolist()) == {0, 1, 2}


def test_too_few_windows_are_refused_saying_how_many_would_do() -> None:
    with pytest.raises(DataError, match="7 windows of health are too few to judge one another; record 40 or more"):
        blocks(_healthy(each=7))


def test_windows_of_nobody_knows_which_recording_are_divided_in_their_order() -> None:
    data = _healthy()
    unnamed = replace(data, group=np.arange(len(data)), start=np.full(len(data), INDEPENDENT))
    block = blocks(unnamed)
    assert (np.diff(block) >= 0).all()
    assert np.bincount(block).tolist() == [12] * BLOCKS


@pytest.mark.parametrize(("hop", "seconds"), [(64, (59 * 64 + 128) / RATE_HZ), (128, 60 * 0.128), (200, 60 * 0.128)])
def test_time_that_windows_share_is_heard_once(hop: int, seconds: float) -> None:
    assert healthy_seconds(_healthy(hop=hop)) == pytest.approx(seconds)
    data = _healthy(hop=hop)
    apart = replace(data, start=np.full(len(data), INDEPENDENT))
    assert healthy_seconds(apart) == pytest.approx(60 * 0.128)


# ---- the distance --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.5, 100), offset=st.floats(-50, 50), rank=st.sampled_from([None, 2, 4]))
def test_the_distance_does_not_depend_on_the_units_of_features(scale: float, offset: float, rank: int | None) -> None:
    known = np.random.default_rng(2).normal(size=(200, 6)) * np.arange(1, 7)
    asked = known[:20] + 3
    plain = Whitening.fit(known, rank).distances(asked)
    other = Whitening.fit(offset + scale * known, rank).distances(offset + scale * asked)
    assert other == pytest.approx(plain, rel=0.02)


def test_health_is_about_one_away_and_the_limit_is_a_multiple_of_the_median() -> None:
    known = np.random.default_rng(3).normal(size=(400, 16))
    distances, index = crossed(known, np.arange(400) // 80, None)
    assert sorted(index.tolist()) == list(range(400))
    assert np.median(distances) == pytest.approx(1, abs=0.1)
    limit = _rule(400, seconds=600.0).limit(distances, index)
    assert limit == TIMES * np.median(distances)
    assert (distances > limit).sum() == 0


def test_a_window_is_judged_by_other_blocks_only() -> None:
    """A window that is alone in its kind is near itself where it was learned, and far where it was not."""
    known = np.random.default_rng(4).normal(size=(100, 4))
    known[7] = 30
    block = np.arange(100) // 20
    distances, index = crossed(known, block, None)
    assert distances[index.tolist().index(7)] > 2 * Whitening.fit(known, None).distances(known[7:8])[0]


@pytest.mark.parametrize(
    ("alarms", "seconds", "most"), [(0, 600.0, 13_149), (0, 86_400.0, 91.3), (4, 86_400.0, 11 * 30.44)]
)
def test_what_health_supports_is_three_over_the_time(alarms: int, seconds: float, most: float) -> None:
    assert supported_per_month(alarms, seconds) == pytest.approx(most, rel=2e-3)


# ---- the limit -----------------------------------------------------------------------------------------------------


def _rule(windows: int, seconds: float, per_month: float = 0.1) -> LimitRule:
    """Return the rule of windows in stretches of ten, a minute each."""
    return LimitRule(np.arange(windows) // 10, np.arange(windows), seconds, per_month)


def test_little_health_cannot_measure_a_rate_and_much_can() -> None:
    """A thousand alarms a month are 3 in 2.2 hours."""
    assert alarms_within(1000 * 7200 / 2_629_800) is None
    assert alarms_within(1000 * 9000 / 2_629_800) == 0
    for alarms in range(20):
        seconds = (3 + alarms + 2 * alarms**0.5) * 2629.8
        assert alarms_within(1000 * (seconds + 1) / 2_629_800) == alarms
        assert supported_per_month(alarms, seconds) == pytest.approx(1000)


def test_with_much_health_the_limit_is_the_lowest_that_keeps_to_the_rate() -> None:
    rng = np.random.default_rng(6)
    distances, index = rng.gamma(30, 1 / 30, 6000), np.arange(6000)
    distances[4000:4010] = 9.0
    short, long = _rule(6000, seconds=600.0, per_month=1000), _rule(6000, seconds=36_000.0, per_month=1000)
    assert short.limit(distances, index) == TIMES * np.median(distances)
    limit = long.limit(distances, index)
    allowed = alarms_within(1000 * 36_000 / 2_629_800)
    assert allowed == 5
    assert long.alarms(distances / limit, index) == allowed
    assert long.alarms(distances / (limit * 0.999), index) > allowed
    assert limit < short.limit(distances, index)


def test_a_stretch_is_one_alarm_and_a_few_windows_over_the_limit_are_none() -> None:
    ratios, index = np.full(40, 0.5), np.arange(40)
    rule = _rule(40, seconds=60.0)
    ratios[:7] = 2.0
    assert rule.alarms(ratios, index) == 0
    ratios[7] = 2.0
    assert rule.alarms(ratios, index) == 1
    ratios[10:20] = 2.0
    assert rule.alarms(ratios, index) == 2


# ---- shapes and their choice ---------------------------------------------------------------------------------------


def test_every_shape_of_a_channel_of_512_samples_fits_a_kibibyte_of_arena_and_two_of_flash() -> None:
    for shape in health_shapes((1, 512)):
        cost = plan((1, 512), shape.layers((1, 512)))
        assert cost.arena_bytes <= 1024, shape.name
        assert cost.flash_bytes <= 2048, shape.name


@settings(max_examples=40, deadline=None)
@given(channels=st.integers(1, 64), length=st.integers(4, 4096))
def test_there_is_a_shape_for_every_window(channels: int, length: int) -> None:
    assert health_shapes((channels, length))


def test_imitated_changes_have_the_strength_that_they_say() -> None:
    data = _healthy(channels=2)
    changed = imitations(data.x, np.random.default_rng(0)).reshape(len(STRENGTHS), *data.x.shape)
    level = data.x.std(axis=(0, 2))
    for strength, windows in zip(STRENGTHS, changed, strict=True):
        added = np.sqrt(((windows - data.x) ** 2).mean(axis=(0, 2)))
        assert added == pytest.approx(strength * level, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_the_chosen_model_is_silent_at_health_it_has_not_learned_and_finds_impacts(channels: int) -> None:
    data = _healthy(each=150, channels=channels, length=512, hop=512)
    block = blocks(data)
    tried = candidates(health_shapes((channels, 512)), data.x, seed=0)
    rule = LimitRule.of(data, block, 0.1)
    best = choose(tried, block, rule)
    ratios, index = held_out(tried, block, rule)
    assert len(ratios) == len(index) == (block != APART).sum()
    assert (ratios > 1).mean() <= 0.01
    assert rule.alarms(ratios, index) == 0
    assert best.over <= 0.01
    loud = data.x.copy()
    loud[:, :, ::32] += 12 * data.x.std()
    assert (best.whitening.distances(features(best.candidate.frontend, loud)) > best.limit).mean() > 0.95


def test_what_is_no_better_than_the_first_shape_does_not_take_its_place() -> None:
    data = _healthy(each=150, length=512, hop=512)
    tried = candidates(health_shapes((1, 512)), data.x, seed=0)
    same = [tried[0], replace(tried[0])]
    block = blocks(data)
    rule = LimitRule.of(data, block, 0.1)
    assert choose(same, block, rule).candidate is same[0]
    deaf = replace(tried[0], changed=tried[0].healthy)
    assert choose([deaf, tried[0]], block, rule).candidate is tried[0]
