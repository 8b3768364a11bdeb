"""A gesture that is none of those a person was calibrated for is told from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.errors import BundleError
from edgetune_nas.novelty.detector import MARGIN, Novelty
from edgetune_nas.novelty.features import Levels
from edgetune_nas.novelty.gestures import ALIKE, ALIKE_PARTS, APART, LIBRARY_MARGIN, PARTS, fit_sign_novelty
from edgetune_signal import ArmbandSimulator, recordings_dataset
from edgetune_signal.datasets.converters import read_myo

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH = 52
KNOWN = ("rest", "fist", "open_hand", "wrist_flexion")


def gestures(*names: str, subject: str = "3", seed: int = 0, count: int = 60) -> NDArray[np.float32]:
    parts = []
    for name in names:
        armband = ArmbandSimulator(subject=subject, gesture=name, seed=seed)
        armband.generate(200)
        parts.append(armband.generate(count * LENGTH).reshape(8, count, LENGTH).swapaxes(0, 1))
    return np.concatenate(parts).astype(np.float32)


def learned(x: NDArray[np.float32], label: NDArray[np.integer], take: NDArray[np.integer]) -> Novelty:
    found = fit_sign_novelty(x, label, take)
    assert found is not None
    return found


def several(takes: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Windows of takes of the known gestures, their classes and takes."""
    x = np.concatenate([gestures(*KNOWN, seed=take) for take in range(takes)])
    return x, np.tile(np.repeat(np.arange(4), 60), takes), np.repeat(np.arange(takes), 240)


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    return learned(*several(3))


def test_the_known_is_known_and_another_gesture_is_not(novelty: Novelty) -> None:
    for at, name in enumerate(KNOWN):
        assert novelty.distances(gestures(name, seed=9), np.full(60, at)).mean() < 0.7 * novelty.limit
    for name in ("wrist_extension", "pinch"):
        assert novelty.distances(gestures(name, seed=9)).mean() > 1.2 * novelty.limit


def reference(
    levels: NDArray[np.float64], label: NDArray[np.int64], asked: NDArray[np.float64], named: int | None = None
) -> float:
    """Mean distance of windows to a class, or to the nearest, as the definition has it."""
    names = sorted(set(label.tolist()))
    together = sum((label == at).sum() * np.cov(levels[label == at].T, bias=True) for at in names) / len(label)
    apart = {}
    for at in names:
        one = levels[label == at]
        weight = len(one) / (len(one) + 3 * 8)
        own = weight * np.cov(one.T, bias=True) + (1 - weight) * together
        own = 0.9 * own + 0.1 * np.trace(own) / 8 * np.eye(8)
        off = asked - one.mean(axis=0)
        apart[at] = np.sqrt((off @ np.linalg.inv(own) * off).sum(axis=1))
    return float((np.min(list(apart.values()), axis=0) if named is None else apart[named]).mean())


def test_the_limit_lies_between_what_is_alike_and_what_is_apart() -> None:
    x, label, take = several(2)
    found = learned(x, label, take)
    assert isinstance(found.describe, Levels)
    levels = np.log(np.abs(x - x.mean(axis=2, keepdims=True)).astype(float).mean(axis=2) + found.describe.quiet)
    alike = []
    for one in range(2):
        for at in range(4):
            out = (take == one) & (label == at)
            alike.append(reference(levels[take != one], label[take != one], levels[out], at))
    assert found.limit == pytest.approx(ALIKE * np.median(alike), rel=1e-5)
    apart = [reference(levels[label != at], label[label != at], levels[label == at]) for at in range(4)]
    assert found.limit < APART * np.median(apart)
    x = np.concatenate([gestures("fist", seed=seed) for seed in range(4)])  # four gestures that look the same
    label = np.repeat(np.arange(4), 60)
    found = learned(x, label, label)
    levels = found.describe.of(x)
    apart = [reference(levels[label != at], label[label != at], levels[label == at]) for at in range(4)]
    assert found.limit == pytest.approx(APART * np.median(apart), rel=1e-5)


def test_of_one_take_of_each_gesture_parts_show_what_is_alike() -> None:
    x, label, take = several(1)
    found = learned(x, label, take)
    levels, part = found.describe.of(x), np.tile(np.repeat(np.arange(PARTS), 60 // PARTS), 4)
    alike = []
    for one in range(PARTS):
        for at in range(4):
            out = (part == one) & (label == at)
            alike.append(reference(levels[part != one], label[part != one], levels[out], at))
    assert found.limit == pytest.approx(ALIKE_PARTS * np.median(alike), rel=1e-5)
    assert (found.distances(gestures("pinch", seed=9)) > 2 * found.limit).mean() > 0.9


def test_a_library_of_one_take_counts_only_for_what_the_person_never_made() -> None:
    mine, others = gestures("rest", "fist", "open_hand"), gestures("rest", "fist", "open_hand", "pinch", subject="8")
    label = np.concatenate([np.repeat([0, 1, 2], 60), np.repeat([0, 1, 2, 3], 60)])
    origin = (np.arange(len(label)) >= len(mine)).astype(np.int64)
    found = fit_sign_novelty(np.concatenate([mine, others]), label, label, origin)
    only = np.concatenate([mine, others[180:]])
    same = learned(only, *2 * (np.repeat([0, 1, 2, 3], 60),))
    assert found is not None
    assert np.array_equal(found.classes.centres, same.classes.centres)
    assert found.limit == same.limit


def test_takes_of_a_library_show_how_far_the_next_take_may_lie() -> None:
    """The armband has other gains now, and every take another effort: one new take cannot know that."""
    rng = np.random.default_rng(3)
    gain = rng.uniform(0.5, 2.0, (8, 1)).astype(np.float32)

    def take(seed: int) -> NDArray[np.float32]:
        effort = np.exp(np.random.default_rng(seed).normal(0, 0.3, (4, 1, 1, 1))).astype(np.float32)
        return (gestures(*KNOWN, seed=seed).reshape(4, 60, 8, LENGTH) * effort).reshape(-1, 8, LENGTH)

    new, library = take(0) * gain, np.concatenate([take(1), take(2), take(3)])
    label = np.tile(np.repeat(np.arange(4), 60), 4)
    takes = np.repeat(np.arange(4), 240)
    x = np.concatenate([new, library])
    alone = learned(new, label[:240], takes[:240])
    found = fit_sign_novelty(x, label, takes, (takes > 0).astype(np.int64))
    assert found is not None
    asked = np.concatenate([take(seed) * gain for seed in range(4, 8)])
    said = np.tile(np.repeat(np.arange(4), 60), 4)
    by_default = found.limit * MARGIN / LIBRARY_MARGIN
    assert (found.distances(asked, said) > by_default).mean() < 0.1 < alone.unknown(asked, said).mean()
    turned = np.roll(asked, 4, axis=1)[said != 0]
    assert (found.distances(turned, said[said != 0]) > by_default).mean() > 0.6


def test_two_classes_are_too_few_to_say_what_is_unknown() -> None:
    x, label = gestures("rest", "fist"), np.repeat([0, 1], 60)
    assert fit_sign_novelty(x, label, label) is None


def test_gestures_of_which_nothing_is_heard_give_a_file_that_can_be_read() -> None:
    same = np.zeros((9, 8, LENGTH), np.float32)
    label = np.repeat([0, 1, 2], 3)
    found = learned(same, label, label)
    assert Novelty.from_bytes(found.to_bytes(), 8, LENGTH, 3).limit == found.limit > 0


def test_it_is_read_back_as_it_was_written_and_refused_where_it_does_not_fit(novelty: Novelty) -> None:
    data = novelty.to_bytes()
    back = Novelty.from_bytes(data, 8, LENGTH, 4)
    x = gestures("pinch", seed=5)
    assert np.array_equal(back.distances(x), novelty.distances(x))
    assert isinstance(back.describe, Levels)
    for channels, classes in ((7, 4), (9, 4), (8, 3)):
        with pytest.raises(BundleError, match="does not fit"):
            Novelty.from_bytes(data, channels, LENGTH, classes)
    for quiet in (np.zeros(8), np.full(8, np.nan), np.ones((2, 4)), np.ones(8, np.int64)):
        broken = Novelty(Levels(quiet), novelty.classes, novelty.limit)
        with pytest.raises(BundleError, match="does not fit"):
            Novelty.from_bytes(broken.to_bytes(), 8, LENGTH, 4)


def test_a_dead_channel_and_a_shifted_one_do_no_harm() -> None:
    x, label, take = several(2)
    x[:, 3] = 0
    found = learned(x, label, take)
    again = gestures("fist", seed=9)
    again[:, 3] = 0
    near = found.distances(again, np.ones(60, int))
    assert near.mean() < found.limit
    assert found.distances(again + 1000, np.ones(60, int)) == pytest.approx(near, rel=1e-3)
    again[:, 3] = 1e9 * (-1.0) ** np.arange(LENGTH)
    assert found.unknown(again, np.ones(60, int)).all()


def test_on_real_people_a_gesture_that_was_left_out_is_mostly_unknown(recordings_dir: Path) -> None:
    known, unknown = [], []
    for person in ("female0", "male0"):
        takes = read_myo(recordings_dir / "myo_gestures" / f"{person}.npz")
        for left_out in {take.recording.label for take in takes} - {"neutral"}:
            learning = [t.recording for t in takes if t.cycle < 3 and t.recording.label != left_out]
            data = recordings_dataset(learning, LENGTH, LENGTH // 2)
            found = learned(data.x, data.label, data.group)
            for take in takes:
                label = take.recording.label
                if take.cycle == 2 and label != "neutral":
                    samples = take.recording.samples
                    cuts = np.lib.stride_tricks.sliding_window_view(samples, LENGTH, axis=1)[:, ::26].swapaxes(0, 1)
                    far = found.distances(cuts.astype(np.float32)).mean() > found.limit
                    (unknown if label == left_out else known).append(far)
    assert np.mean(known) <= 0.1
    assert np.mean(unknown) >= 0.6
