"""Kinds: what is one thing is matched across conditions, what differs stays apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from edgetune_nas.training.dataset_parts import divide
from edgetune_nas.training.kinds import MOST_KINDS, find_kinds, match, merge_near
from edgetune_signal.datasets.dataset import INDEPENDENT, Dataset

WINDOWS = 24


def _dataset(recordings: list[tuple[str, float, str, float]]) -> Dataset:
    """Tones in noise: class, relative frequency, condition and loudness of each recording."""
    rng = np.random.default_rng(11)
    classes = tuple(sorted({name for name, *_ in recordings}))
    conditions = tuple(dict.fromkeys(condition for _, _, condition, _ in recordings))
    each = np.repeat(np.arange(len(recordings)), WINDOWS)
    frequency = np.array([one[1] for one in recordings])[each, None]
    loudness = np.array([one[3] for one in recordings])[each, None]
    tone = np.sin(2 * np.pi * frequency * np.arange(512) + rng.uniform(0, 6, (len(each), 1)))
    x = loudness * (tone + rng.normal(0, 0.3, (len(each), 512)))
    return Dataset(
        x=x.astype(np.float32)[:, None],
        label=np.array([classes.index(one[0]) for one in recordings])[each],
        classes=classes,
        rate_hz=1000.0,
        unit="g",
        group=each,
        start=np.tile(np.arange(WINDOWS) * 512, len(recordings)),
        condition=np.array([conditions.index(one[2]) for one in recordings])[each],
        conditions=conditions,
    )


def test_severities_are_kinds_and_a_take_more_of_one_is_not() -> None:
    data = _dataset([("good", 0.05, "", 1), ("worn", 0.2, "", 1), ("worn", 0.4, "", 1), ("worn", 0.2, "", 1)])
    found = find_kinds(data)
    assert found.counts == (1, 2)
    assert found.of_window[::WINDOWS].tolist() == [0, 1, 2, 1]


def test_a_severity_at_another_speed_is_the_same_kind_however_loud() -> None:
    recordings = [
        ("good", 0.05, "slow", 1.0),
        ("worn", 0.2, "slow", 1.0),
        ("worn", 0.4, "slow", 1.0),
        ("good", 0.05, "fast", 4.0),
        ("worn", 0.4, "fast", 4.0),
        ("worn", 0.2, "fast", 4.0),
    ]
    found = find_kinds(_dataset(recordings))
    assert found.counts == (1, 2)
    assert found.of_window[::WINDOWS].tolist() == [0, 1, 2, 0, 2, 1]


def test_a_recording_of_few_windows_joins_the_nearest_kind() -> None:
    data = _dataset([("good", 0.05, "", 1), ("worn", 0.2, "", 1), ("worn", 0.4, "", 1), ("worn", 0.4, "", 1)])
    data = data.select(slice(3 * WINDOWS + 3))
    found = find_kinds(data)
    assert found.counts == (1, 2)
    assert found.of_window[-1] == found.of_window[2 * WINDOWS]


def test_a_class_is_one_kind_where_nothing_tells_recordings_apart() -> None:
    data = _dataset([("good", 0.05, "", 1), ("worn", 0.2, "", 1), ("worn", 0.4, "", 1)])
    single = replace(data, group=np.arange(len(data)), start=np.full(len(data), INDEPENDENT))
    library = replace(data, library=np.arange(len(data)) % 2 == 0)
    short = replace(data, x=data.x[:, :, :12])
    for each in (single, library, short):
        assert find_kinds(each).counts == (1, 1)
        np.testing.assert_array_equal(find_kinds(each).of_window, each.label)


def test_kinds_are_bounded_in_number() -> None:
    tones = [("worn", 0.03 + 0.03 * number, "", 1.0) for number in range(14)]
    assert find_kinds(_dataset([("good", 0.01, "", 1.0), *tones])).counts == (1, MOST_KINDS)


def test_every_kind_is_learned_validated_and_tested() -> None:
    worn = [("worn", frequency, "", 1.0) for frequency in (0.2, 0.3, 0.4)]
    parts = divide(_dataset([("good", 0.05, "", 1.0), *worn]), None, 0, find_kinds)
    train, learned = parts.trained, len(parts.learned)
    for part in (parts.kind[:train], parts.kind[train:learned], parts.kind[learned:]):
        assert set(part) == {0, 1, 2, 3}


def test_kinds_that_cannot_be_divided_leave_the_class_as_a_whole() -> None:
    data = _dataset([("good", 0.05, "", 1), ("worn", 0.2, "", 1), ("worn", 0.4, "", 1), ("worn", 0.3, "", 1)])
    kept = (data.group != 3) | (data.start < 9 * 512)
    data = data.select(np.flatnonzero(kept))
    whole = replace(data, start=np.where(data.group == 3, np.arange(len(data)), data.start))  # windows that all overlap
    parts = divide(whole, None, 0, find_kinds)
    assert set(parts.train.label) == set(parts.validation.label) == set(parts.test.label) == {0, 1}


@pytest.mark.parametrize("seed", range(30))
def test_recordings_are_matched_at_the_least_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 7))
    cost = rng.random((rows, rows + int(rng.integers(0, 4))))
    found = match(cost)
    row, column = linear_sum_assignment(cost)
    assert len(set(found)) == rows
    assert cost[np.arange(rows), found].sum() == pytest.approx(cost[row, column].sum())


def test_near_points_are_merged_and_far_ones_are_not() -> None:
    place = np.array([[0.0, 0], [10, 0], [0.5, 0], [10, 1], [0, 30]])
    assert merge_near(place, 4.0, 8) == [0, 1, 0, 1, 2]
    assert merge_near(place, 4.0, 2) == [0, 0, 0, 0, 1]
