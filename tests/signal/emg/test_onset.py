"""When a gesture began and ended is told from the signal: on the simulated armband, and on real recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from manual_clock import START_NS

from edgetune_signal import ARMBAND_GESTURES, Activity, ArmbandSimulator, Window
from edgetune_signal.datasets.converters import read_myo

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE, LENGTH, HOP = 200.0, 52, 13


def windows(samples: NDArray[np.float32]) -> list[Window]:
    starts = range(0, samples.shape[1] - LENGTH + 1, HOP)
    return [
        Window(samples[:, start : start + LENGTH], START_NS + round((start + LENGTH - 1) / RATE * 1e9), number)
        for number, start in enumerate(starts)
    ]


def middle_s(window: Window) -> float:
    return (window.time_ns - START_NS) / 1e9 - (LENGTH - 1) / 2 / RATE


def told(samples: NDArray[np.float32], begin_s: float, end_s: float) -> tuple[float, float]:
    """Seconds at which a network that knows the truth learns of beginning and end."""
    activity = Activity(RATE, HOP, 2.0)
    began = ended = inside = None
    for window in windows(samples):
        activity.push(window)
        if middle_s(window) < begin_s:
            activity.rest(window)
        elif middle_s(window) < end_s:
            began = began or activity.began(window.time_ns)
            inside = window.time_ns - round((LENGTH - 1) / RATE * 1e9)
        elif middle_s(window) > end_s + 0.4 and ended is None and inside is not None:
            ended = activity.ended(inside)
    assert began is not None
    assert ended is not None
    return (began - START_NS) / 1e9, (ended - START_NS) / 1e9


@pytest.mark.parametrize("subject", ["0", "1", "2"])
@pytest.mark.parametrize("gesture", ARMBAND_GESTURES[1:])
def test_a_simulated_gesture_begins_and_ends_when_it_does(gesture: str, subject: str) -> None:
    armband = ArmbandSimulator(subject=subject, seed=7)
    parts = [armband.generate(600)]
    armband.select(gesture)
    parts.append(armband.generate(400))
    armband.select("rest")
    parts.append(armband.generate(400))
    began, ended = told(np.concatenate(parts, axis=1), 3, 5)
    assert began == pytest.approx(3, abs=0.05)
    assert 5.1 < ended < 5.4  # contractions relax with a time constant of 0.09 s


def test_real_gestures_begin_and_end_when_they_do(recordings_dir: Path) -> None:
    errors = []
    for path in sorted((recordings_dir / "myo_gestures").glob("*.npz")):
        takes = {(take.recording.label, take.cycle): take.recording.samples for take in read_myo(path)}
        for (label, cycle), samples in takes.items():
            if label != "neutral" and cycle == 1:
                rest = takes["neutral", cycle]
                begin_s = rest.shape[1] / RATE
                end_s = begin_s + samples.shape[1] / RATE
                began, ended = told(np.concatenate([rest, samples, rest], axis=1), begin_s, end_s)
                errors += [abs(began - begin_s), abs(ended - end_s)]
    assert len(errors) == 2 * 6 * 6
    assert np.median(errors) <= 0.025  # half the envelope's average
    assert np.quantile(errors, 0.9) <= LENGTH / RATE / 2  # what the windows alone would tell


def test_nothing_is_told_without_enough_rest_or_outside_what_is_remembered() -> None:
    armband = ArmbandSimulator()
    activity = Activity(RATE, HOP, 1.0)
    assert activity.began(START_NS) is None
    for window in windows(armband.generate(150)):
        activity.push(window)
        activity.rest(window)
    armband.select("fist")
    burst = windows(armband.generate(600))
    activity.push(burst[0])
    assert activity.began(burst[0].time_ns) is None  # half a second of rest is too little
    assert activity.ended(START_NS - 10**10) is None
    assert activity.ended(START_NS + 10**11) is None


def resting(seconds: float = 2.0, remembered_s: float = 1.0) -> Activity:
    activity = Activity(RATE, HOP, remembered_s)
    for window in windows(ArmbandSimulator(seed=1).generate(round(seconds * RATE))):
        activity.push(window)
        activity.rest(window)
    return activity


def test_rest_has_no_activity() -> None:
    activity = resting()
    last = windows(ArmbandSimulator(seed=1).generate(400))[-1]
    assert activity.began(last.time_ns) is None
    assert activity.ended(last.time_ns) is None


def test_an_activity_that_began_before_what_is_remembered_has_no_beginning() -> None:
    activity = resting()
    held = windows(ArmbandSimulator(gesture="fist").generate(600))
    for window in held:
        activity.push(window)
    assert activity.began(held[-1].time_ns) is None
    assert activity.ended(held[-1].time_ns) is None  # nor has it ended


def test_after_a_gap_only_what_follows_counts() -> None:
    activity = resting(remembered_s=2.0)
    armband = ArmbandSimulator(gesture="fist")
    armband.generate(100)
    held = windows(armband.generate(LENGTH))
    activity.push(Window(held[0].samples, held[0].time_ns, 0, ("gap",)))
    assert activity.began(held[0].time_ns) is None


def test_samples_that_are_not_finite_teach_nothing_of_rest() -> None:
    armband = ArmbandSimulator(seed=1)
    still = armband.generate(600)
    armband.select("fist")
    stream = windows(np.concatenate([still, armband.generate(200)], axis=1))
    plain, misled = Activity(RATE, HOP, 2.0), Activity(RATE, HOP, 2.0)
    for window in stream:
        for activity in (plain, misled):
            activity.push(window)
            if middle_s(window) < 3:
                activity.rest(window)
        misled.rest(Window(np.full((8, LENGTH), np.nan, np.float32), window.time_ns, 0))
    began = plain.began(stream[-1].time_ns)
    assert began is not None
    assert misled.began(stream[-1].time_ns) == began
