"""Parts of a split never share a sample or a recording, and say what is missing where they cannot be made."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_signal import Dataset, Recording, RecordingError, Split, merge_library, recordings_dataset, split_dataset

if TYPE_CHECKING:
    from collections.abc import Callable


def parts_of(split: Split) -> tuple[Any, ...]:
    return split.train, split.validation, split.test


def assert_no_shared_samples(data: Dataset, split: Split) -> None:
    everything = np.concatenate(parts_of(split))
    assert len(set(everything.tolist())) == len(everything)
    part = np.full(len(data), -1)
    for number, members in enumerate(parts_of(split)):
        part[members] = number
    for group in np.unique(data.group):
        own = np.flatnonzero((data.group == group) & (data.start >= 0) & (part >= 0))
        near = np.abs(data.start[own][:, None] - data.start[own]) < data.length
        differ = part[own][:, None] != part[own]
        assert not (near & differ).any()


@st.composite
def recorded(draw: st.DrawFn, max_groups: int = 5) -> Dataset:
    """Recordings of random lengths and conditions, some with held-out ends, cut with any hop."""
    window = draw(st.integers(2, 12))
    hop = draw(st.integers(1, 15))
    held = draw(st.booleans())
    recordings = []
    for label in "abc"[: draw(st.integers(2, 3))]:
        for number in range(draw(st.integers(1, max_groups))):
            n = draw(st.integers(8 * window + 8 * hop, 200 + 16 * window))
            start = draw(st.sampled_from([n, n - n // 4, 0])) if held and number else n
            condition = draw(st.sampled_from(["hot", "cold"]))
            samples = np.zeros((1, n), np.float32)
            recordings.append(
                Recording(samples, 100.0, label, group=f"{label}{number}", condition=condition, held_out_from=start)
            )
    return recordings_dataset(recordings, window, hop)


@given(recorded(), st.integers(0, 9))
def test_no_two_windows_of_different_parts_share_a_sample(data: Dataset, seed: int) -> None:
    try:
        split = split_dataset(data, seed=seed)
    except RecordingError as error:
        assert "add" in str(error)  # noqa: PT017 - some draws hold out too much
        return
    assert_no_shared_samples(data, split)
    for members in (split.train, split.validation):
        assert set(data.label[members].tolist()) == set(range(len(data.classes)))
    if data.held_out is not None:
        held = set(np.flatnonzero(data.held_out).tolist())
        assert held <= set(split.test.tolist())
        decided = np.unique(data.label[data.held_out])
        assert set(split.test[np.isin(data.label[split.test], decided)].tolist()) <= held


@given(recorded(), st.integers(0, 9))
def test_a_group_is_not_split_when_its_class_has_three(data: Dataset, seed: int) -> None:
    data = replace(data, held_out=None)
    split = split_dataset(data, seed=seed)
    for label in range(len(data.classes)):
        groups = np.unique(data.group[data.label == label])
        holding = [
            sum(bool((data.group[members] == group).any()) for members in parts_of(split)) for group in groups.tolist()
        ]
        if len(groups) >= 3:
            assert holding == [1] * len(groups)
            assert sum(map(len, parts_of(split))) > 0
        else:
            assert holding == [3] * len(groups)


@given(recorded(max_groups=2), st.integers(0, 9))
def test_blocks_of_a_cut_recording_stand_a_windows_length_apart(data: Dataset, seed: int) -> None:
    data = replace(data, held_out=None)
    split = split_dataset(data, seed=seed)
    for group in np.unique(data.group):
        spans = sorted(
            (int(own.min()), int(own.max()) + data.length)
            for own in (data.start[members][data.group[members] == group] for members in parts_of(split))
        )
        assert all(after[0] - before[1] >= data.length for before, after in itertools.pairwise(spans))


@given(st.lists(st.integers(3, 30), min_size=2, max_size=4), st.integers(0, 9))
def test_independent_windows_are_divided_evenly_by_class(counts: list[int], seed: int) -> None:
    label = np.repeat(np.arange(len(counts)), counts)
    data = independent(label)
    split = split_dataset(data, seed=seed)
    assert sum(map(len, parts_of(split))) == len(data)
    for number, count in enumerate(counts):
        for members in (split.validation, split.test):
            assert np.count_nonzero(data.label[members] == number) == max(1, round(0.2 * count))


def independent(label: np.ndarray) -> Dataset:
    n = len(label)
    return Dataset(
        x=np.zeros((n, 1, 4), np.float32),
        label=label.astype(np.int64),
        classes=tuple("abcdefgh"[: int(label.max()) + 1]),
        rate_hz=100.0,
        unit="",
        group=np.arange(n),
        start=np.full(n, -1),
        condition=np.zeros(n, np.int64),
        conditions=("",),
    )


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    data = independent(np.arange(300) % 3)
    first, same, other = (split_dataset(data, seed=seed) for seed in (1, 1, 2))
    for mine, yours in zip(parts_of(first), parts_of(same), strict=True):
        np.testing.assert_array_equal(mine, yours)
    assert not np.array_equal(first.test, other.test)


def test_shares_are_the_wanted_ones() -> None:
    split = split_dataset(independent(np.arange(1000) % 2), seed=0, validation=0.1, test=0.3)
    assert [len(members) for members in parts_of(split)] == [600, 100, 300]
    without = split_dataset(independent(np.arange(1000) % 2), seed=0, validation=0.1, test=0)
    assert [len(members) for members in parts_of(without)] == [900, 100, 0]
    with pytest.raises(ValueError, match="leave some for training"):
        split_dataset(independent(np.arange(10) % 2), seed=0, validation=0.5, test=0.5)


def test_conditions_take_turns_among_the_groups(recording_of: Callable[..., Recording]) -> None:
    recordings = [
        recording_of(label, n=200, group=f"{label} {condition} {take}", condition=condition)
        for label in "ab"
        for condition in ("person 1", "person 2", "person 3")
        for take in range(5)
    ]
    data = recordings_dataset(recordings, 50, 50)
    split = split_dataset(data, seed=3)
    for label in (0, 1):
        for members in parts_of(split):
            assert set(data.condition[members][data.label[members] == label].tolist()) == {0, 1, 2}


def test_a_group_with_several_classes_stays_whole() -> None:
    data = independent(np.arange(80) % 2)
    sessions = replace(data, group=np.arange(80) // 16, start=(np.arange(80) % 16) * 4)
    split = split_dataset(sessions, seed=0)
    owners = [set(sessions.group[members].tolist()) for members in parts_of(split)]
    assert sum(map(len, owners)) == 5
    assert len(set.union(*owners)) == 5


def test_windows_of_several_classes_that_overlap_in_a_short_session_share_nothing() -> None:
    data = independent(np.arange(60) % 2)
    session = replace(data, group=np.zeros(60, np.int64), start=np.arange(60) * 2)
    assert_no_shared_samples(session, split_dataset(session, seed=0))


def test_of_three_takes_with_the_last_held_out_one_trains_and_one_validates(
    recording_of: Callable[..., Recording],
) -> None:
    recordings = [
        recording_of(label, n=500, group=f"{label} {take}", held_out_from=0 if take == 2 else 500)
        for label in "ab"
        for take in range(3)
    ]
    data = recordings_dataset(recordings, 50, 50)
    split = split_dataset(data, seed=0)
    for label in (0, 1):
        groups = [set(data.group[members][data.label[members] == label].tolist()) for members in parts_of(split)]
        assert [len(group) for group in groups] == [1, 1, 1]


def test_of_two_takes_each_gives_to_training_and_validation_and_its_last_quarter_to_the_test(
    recording_of: Callable[..., Recording],
) -> None:
    recordings = [
        recording_of(label, n=1000, group=f"{label} {take}", held_out_from=750) for label in "ab" for take in range(2)
    ]
    data = recordings_dataset(recordings, 50, 25)
    split = split_dataset(data, seed=0)
    assert data.held_out is not None
    np.testing.assert_array_equal(split.test, np.flatnonzero(data.held_out))
    for members in (split.train, split.validation):
        assert len(np.unique(data.group[members])) == 4


def test_a_large_library_does_not_push_new_data_out_of_training(recording_of: Callable[..., Recording]) -> None:
    new = recordings_dataset([recording_of(label, group=label, condition="new") for label in "ab"], 50, 50)
    old = recordings_dataset(
        [
            recording_of(label, seed=take + 1, group=f"{label} {take}", condition="old")
            for label in "ab"
            for take in range(5)
        ],
        50,
        50,
    )
    merged = merge_library(new, old)
    split = split_dataset(merged, seed=0)
    for members in (split.train, split.validation):
        assert set(merged.condition[members].tolist()) == {0, 1}
    assert set(merged.condition[split.test].tolist()) == {0}


def test_too_little_data_is_refused_with_what_to_add(recording_of: Callable[..., Recording]) -> None:
    data = recordings_dataset([recording_of("a"), recording_of("short", n=100, group="s")], 50, 50)
    with pytest.raises(
        RecordingError,
        match=r"class 'short' has nothing left for training.*add 2 or more recordings, or one of at least 0\.3 s",
    ):
        split_dataset(data, seed=0)
    with pytest.raises(RecordingError, match=r"class 'b' .* it has 1 windows, add 2 or more"):
        split_dataset(independent(np.array([0] * 10 + [1])), seed=0)


def test_every_window_of_every_recording_held_out_is_refused(recording_of: Callable[..., Recording]) -> None:
    data = recordings_dataset([recording_of("a"), recording_of("b", seed=1, held_out_from=0)], 50, 50)
    with pytest.raises(RecordingError, match="class 'b' has nothing left for training or validation"):
        split_dataset(data, seed=0)
