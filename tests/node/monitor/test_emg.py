"""A person's gestures as the node tells them: one sign each, from a real model on simulated and on real signals."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from manual_clock import START_NS, ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.clock import from_ns
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.topics import Topics
from edgetune_node.events.events import NovelSegment
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.asset import Asset
from edgetune_signal import ArmbandSimulator, Chunk, Recording, recordings_dataset
from edgetune_signal.datasets.converters import read_myo

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from edgetune_nas.bundle.read import Bundle
    from edgetune_signal.stream.types import Samples

RATE, LENGTH, HOP = 200, 52, 13
GESTURES = ("fist", "open_hand", "wrist_flexion")


class Person:
    """An asset with a model, which hears what a test plays to it and keeps what it says."""

    def __init__(self, bundle: Bundle, rest: str = "rest", **settings: Any) -> None:
        section = {
            "id": "arm",
            "task": "sign",
            "channels": 8,
            "rate_hz": RATE,
            "unit": "counts",
            "rest_class": rest,
            "subject": "3",
        }
        section |= {"window": {"length": LENGTH, "hop": HOP}, **settings}
        self.clock = ManualClock()
        numbers = itertools.count()
        publisher = Publisher(Topics("edgetune", "n"), "boot", self.clock)
        self.asset = Asset(AssetSection(**section), publisher, lambda: f"e{next(numbers)}")
        self.asset.swap(bundle, None)
        self.said: list[Any] = []
        self.kept: list[tuple[Recording, float]] = []
        self.gap = False
        self.ahead_s = 0.0
        self._sequence = 0

    def hears(self, samples: Samples) -> None:
        for start in range(0, samples.shape[1], 20):
            part = samples[:, start : start + 20]
            at_ns = START_NS + round((self.clock.now + self.ahead_s) * 1e9)
            chunk = Chunk(part, at_ns, RATE, self._sequence, gap=self.gap)
            self.gap = False
            self._sequence += 1
            self.clock.now += part.shape[1] / RATE
            self.said += [effect.message for effect in self.asset.listen(chunk)]
            self.kept += self.asset.novel_stretches(self.asset.subject, "")

    def signs(self) -> list[Any]:
        return [message for message in self.said if message.topic == "sign"]

    def seconds(self, time: datetime) -> float:
        return (time - from_ns(START_NS)).total_seconds()


def learned(recordings: list[Recording], folder: Path) -> Bundle:
    data = recordings_dataset(recordings, LENGTH, HOP)
    return load_bundle(search(data, task="sign", budget=Budget(ram_bytes=4096), out=folder, candidates=3).bundle)


def recorded(gesture: str, take: int) -> Recording:
    armband = ArmbandSimulator(subject="3", gesture=gesture, seed=10 + take)
    armband.generate(200)
    return Recording(armband.generate(1000), RATE, gesture, "counts", group=f"{gesture} {take}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    takes = [recorded(gesture, take) for gesture in ("rest", *GESTURES) for take in range(3)]
    return learned(takes, tmp_path_factory.mktemp("search"))


def played(*script: tuple[str, float], seed: int = 1) -> Samples:
    armband = ArmbandSimulator(subject="3", seed=seed)
    parts = []
    for gesture, seconds in script:
        armband.select(gesture)
        parts.append(armband.generate(round(seconds * RATE)))
    return np.concatenate(parts, axis=1)


def test_each_gesture_of_a_simulated_person_is_one_sign_with_its_beginning_and_end(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("rest", 3), ("fist", 2), ("rest", 2), ("open_hand", 1), ("rest", 2), ("fist", 2), ("rest", 2)))
    signs = person.signs()
    assert [sign.class_ for sign in signs] == ["fist", "open_hand", "fist"]
    for sign, begin_s, end_s in zip(signs, (3, 7, 10), (5, 8, 12), strict=True):
        assert (sign.start_from, sign.end_from) == ("signal", "signal")
        assert person.seconds(sign.start) == pytest.approx(begin_s, abs=0.06)
        assert 0 < person.seconds(sign.end) - end_s < 0.4  # contractions relax with a time constant of 0.09 s
        assert sign.windows <= sign.of
        assert sign.model == model.card.id


@pytest.mark.slow
def test_rest_is_no_sign_and_a_gesture_held_for_a_minute_is_one(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("rest", 60)))
    assert person.signs() == []
    person.hears(played(("fist", 60), ("rest", 2)))
    (sign,) = person.signs()
    assert sign.class_ == "fist"
    assert person.seconds(sign.end) - person.seconds(sign.start) == pytest.approx(60, abs=0.5)


def test_who_never_rests_learns_why_there_are_no_signs(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("fist", 35)))
    assert person.signs() == []
    [problem] = person.asset.problems
    assert problem == "arm: no sign is recognised before rest was heard: rest; else record 'rest' again"
    person.hears(played(("rest", 2), ("fist", 2), ("rest", 2)))
    assert [sign.class_ for sign in person.signs()] == ["fist"]
    assert person.asset.problems == ()


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_where_the_clock_is_set_every_sign_begins_before_it_ends(model: Bundle, jump_s: float) -> None:
    person = Person(model)
    heard = played(("rest", 3), ("fist", 2), ("rest", 2), ("fist", 2), ("rest", 2), ("open_hand", 1), ("rest", 2))
    person.hears(heard[:, : 8 * RATE])
    person.ahead_s = jump_s
    person.hears(heard[:, 8 * RATE :])
    signs = person.signs()
    assert [sign.class_ for sign in signs] == ["fist", "fist", "fist", "open_hand"]
    for sign in signs:
        assert 0 < (sign.end - sign.start).total_seconds() < 3
    assert [person.seconds(sign.start) > 2000 for sign in signs] == [False, False, jump_s > 0, jump_s > 0]


def test_a_gesture_that_the_model_never_learned_is_one_unknown_sign_and_is_kept_for_a_name(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("rest", 3), ("pinch", 3), ("rest", 2), ("fist", 2), ("rest", 2)))
    unknown, known = person.signs()
    assert (unknown.class_, unknown.confidence, known.class_) == ("unknown", 0.0, "fist")
    assert unknown.distance > 1 > known.distance
    assert person.seconds(unknown.start) == pytest.approx(3, abs=0.06)
    assert 0 < person.seconds(unknown.end) - 6 < 0.4
    held = [one for one in person.said if one.topic == "classification" and 3.5 <= person.seconds(one.ts) < 6]
    verdicts = [(one.class_, one.confidence, tuple(one.quality)) for one in held if one.class_ != "rest"]
    assert set(verdicts) == {("unknown", 0.0, ("novel",))}
    assert len(verdicts) > 0.8 * len(held)
    assert all(sum(one.probabilities.values()) == pytest.approx(1, abs=0.01) for one in held)
    ((recording, distance),) = person.kept
    assert (recording.label, recording.group, recording.subject) == ("novel", f"novel-{unknown.event}", "3")
    assert recording.seconds == pytest.approx(person.seconds(unknown.end) - person.seconds(unknown.start), abs=0.02)
    assert np.abs(recording.samples).mean() > 3 * np.abs(played(("rest", 3))).mean()
    assert distance == pytest.approx(unknown.distance, abs=1e-3)
    assert person.asset.suggested == ()  # until it is on disk
    person.asset.novelty.stored((NovelSegment(unknown.event, recording.seconds, distance),))
    assert unknown.event in person.asset.suggested[0]


def test_without_the_distance_a_model_names_what_it_can_as_before(model: Bundle) -> None:
    for plain in (Person(replace(model, novelty=None)), Person(model, alarm={"severity": {"novel": "none"}})):
        plain.hears(played(("rest", 3), ("pinch", 3), ("rest", 2)))
        assert {sign.class_ for sign in plain.signs()} <= set(GESTURES)
        assert {sign.distance for sign in plain.signs()} <= {None}
        assert plain.kept == []


def test_rest_that_is_not_as_it_was_is_rest(model: Bundle) -> None:
    person = Person(model)
    louder = np.round(1.4 * played(("rest", 10)))
    person.hears(louder)
    told = [one for one in person.said if one.topic == "classification"]
    assert model.novelty is not None
    assert {(one.class_, tuple(one.quality)) for one in told} == {("rest", ())}
    assert (person.signs(), person.kept) == ([], [])


def test_what_one_person_began_is_not_kept_as_another_s(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("rest", 3), ("pinch", 3)))
    (ended, *_) = person.asset.wear("4", model, None)
    assert (ended.message.class_, ended.message.subject) == ("unknown", "3")
    person.hears(played(("rest", 2)))
    assert person.kept == []


@pytest.mark.parametrize("garbage", ["flat", "clipped", "noise", "nan", "huge"])
def test_garbage_is_no_known_sign(model: Bundle, garbage: str) -> None:
    random = np.random.default_rng(0)
    shape = (8, 1000)
    samples = {
        "flat": np.full(shape, 5.0),
        "clipped": np.where(random.normal(size=shape) > 0, 127.0, -128.0),
        "noise": random.normal(0, 60, shape),
        "nan": np.where(random.random(shape) < 0.01, np.nan, random.normal(0, 10, shape)),
        "huge": random.normal(0, 1e30, shape),
    }[garbage].astype(np.float32)
    person = Person(model)
    person.hears(np.concatenate([played(("rest", 3)), samples, played(("rest", 2), ("fist", 2), ("rest", 2))], axis=1))
    *before, last = person.signs()
    assert last.class_ == "fist"
    assert {sign.class_ for sign in before} <= {"unknown"}


def test_a_person_who_passes_from_sign_to_sign_makes_two_that_touch(model: Bundle) -> None:
    person = Person(model)
    person.hears(played(("rest", 3), ("fist", 3), ("wrist_flexion", 3), ("rest", 2)))
    first, second = person.signs()
    assert (first.class_, second.class_) == ("fist", "wrist_flexion")
    assert (first.end, first.end_from) == (second.start, second.start_from) == (first.end, "windows")
    assert person.seconds(first.end) == pytest.approx(6, abs=0.4)


def test_a_gap_ends_a_sign_where_the_samples_end(model: Bundle) -> None:
    person = Person(model)
    samples = played(("rest", 3), ("fist", 4), ("rest", 2))
    person.hears(samples[:, :1000])
    person.gap = True
    person.hears(samples[:, 1000:])
    before, after = person.signs()
    assert (before.end_from, after.start_from) == ("windows", "windows")
    assert person.seconds(before.end) <= 5 <= person.seconds(after.start)


def test_features_are_told_every_emg_s_and_nothing_of_vibration(model: Bundle) -> None:
    person = Person(model, emg_s=0.5)
    person.hears(played(("rest", 3)))
    quiet = [message for message in person.said if message.topic == "emg"]
    assert len(quiet) == 5  # after 1 s, and then every half second
    person.said.clear()
    person.hears(played(("fist", 3)))
    loud = [message for message in person.said if message.topic == "emg"]
    assert {message.topic for message in person.said} == {"classification", "emg", "sign_start"}
    assert (loud[-1].unit, loud[-1].seconds, loud[-1].quality) == ("counts", 1.0, [])
    assert all(len(values) == 8 for values in (loud[-1].rms, loud[-1].zero_crossings, loud[-1].median_frequency_hz))
    assert max(loud[-1].envelope) > 5 * max(quiet[-1].envelope)
    assert all(20 < frequency < 92 for frequency in loud[-1].median_frequency_hz)  # the simulator's band


@pytest.mark.parametrize(("mains_hz", "named"), [(50, ["hum"]), (60, [])])
def test_a_hum_of_the_mains_is_named(model: Bundle, mains_hz: int, named: list[str]) -> None:
    person = Person(model, mains_hz=mains_hz)
    samples = played(("fist", 3)).astype(np.float32)
    hum = np.sin(2 * np.pi * 50 * np.arange(samples.shape[1]) / RATE) * 2**0.5 * samples.std()
    person.hears((samples + hum).astype(np.float32))
    last = [message for message in person.said if message.topic == "emg"][-1]
    assert last.quality == named


def test_a_channel_that_is_flat_or_broken_has_null(model: Bundle) -> None:
    person = Person(model)
    samples = played(("rest", 3))
    samples[2] = 4
    samples[3, 500:] = np.nan
    person.hears(samples)
    last = [message for message in person.said if message.topic == "emg"][-1]
    assert set(last.quality) == {"flat", "nan"}
    assert last.median_frequency_hz[2] is None
    assert last.rms[3] is None
    assert last.rms[2] == 0


@pytest.mark.slow
def test_each_gesture_of_a_real_person_is_one_sign(recordings_dir: Path, tmp_path: Path) -> None:
    takes = read_myo(recordings_dir / "myo_gestures" / "male0.npz")
    wearer = Person(learned([take.recording for take in takes if take.cycle < 2], tmp_path), rest="neutral")
    unheard = {(take.cycle, take.recording.label): take.recording.samples for take in takes if take.cycle >= 2}
    gestures, borders_s = [], []
    for (cycle, label), samples in unheard.items():
        if label == "neutral":
            continue
        for part in (unheard[cycle, "neutral"], samples):
            wearer.hears(part)
            borders_s.append(wearer.clock.now)
        gestures.append(label)
    wearer.hears(unheard[3, "neutral"])
    signs = wearer.signs()
    assert [sign.class_ for sign in signs] == gestures
    for sign, begin_s, end_s in zip(signs, borders_s[::2], borders_s[1::2], strict=True):
        assert wearer.seconds(sign.start) == pytest.approx(begin_s, abs=0.15)
        assert wearer.seconds(sign.end) == pytest.approx(end_s, abs=0.3)
