"""Data of the search benchmark: what each task trains on and is measured on, for a split, an amount, a library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets.converters import read_myo
from edgetune_signal.datasets.load import Dataset, load_dataset, merge_library, recordings_dataset
from edgetune_signal.datasets.splits import split_dataset
from edgetune_signal.recordings.recording import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.card import Task

TEST_SHARE = 0.2
WINDOW, HOP = 512, 256
FEW_HOP = 128
MYO_WINDOW, MYO_HOP = 52, 26
PEOPLE = ("female0", "male0", "male1")


@dataclass(frozen=True, eq=False)
class Material:
    """What a system learns from and is asked about.

    Attributes
    ----------
    data
        What is new; its held-out windows, or those that `split_dataset` takes, are the test.
    library
        Older data of other conditions.
    elsewhere
        Windows of a condition that nothing was learned from.
    """

    data: Dataset
    library: Dataset | None = None
    elsewhere: Dataset | None = None

    def divided(self, seed: int) -> tuple[Dataset, Dataset, Dataset]:
        """Training, validation and test windows, as `edgetune_nas.search.search` divides them."""
        data = self.data if self.library is None else merge_library(self.data, self.library)
        split = split_dataset(data, seed=seed)
        return data.select(split.train), data.select(split.validation), data.select(split.test)


@dataclass(frozen=True)
class Part:
    """Which part of a task's data.

    Attributes
    ----------
    split
        Which division into training and test; for people, which person is new.
    amount
        Windows of each class to train on, or seconds of each class of a new condition, or cycles of a new person;
        None for all.
    library
        Whether old data of other conditions may be used.
    """

    split: int
    amount: float | None
    library: bool


def _windows(file: str, converter: str | None, unit: str | None) -> Callable[[Path, Part], Material]:
    def load(folder: Path, part: Part) -> Material:
        return Material(_held_out(load_dataset(folder / file, unit=unit, converter=converter), part.split, part.amount))

    return load


def _held_out(data: Dataset, split: int, each: float | None) -> Dataset:
    """Hold out a fifth of every class; keep ``each`` of the others."""
    rng = np.random.default_rng(1000 + split)
    held_out = np.zeros(len(data), np.bool_)
    keep: list[int] = []
    for label in range(len(data.classes)):
        order = rng.permutation(np.flatnonzero(data.label == label))
        test = round(TEST_SHARE * len(order))
        held_out[order[:test]] = True
        keep += order[: test + (len(order) if each is None else int(each))].tolist()
    return replace(data, held_out=held_out).select(np.sort(np.array(keep)))


def _other_load(folder: Path, _part: Part) -> Material:
    return Material(
        load_dataset(folder / "cwru_de_1797rpm", window=WINDOW, hop=HOP, unit="g"),
        elsewhere=load_dataset(folder / "cwru_de_1772rpm", window=WINDOW, hop=WINDOW, unit="g"),
    )


def _new_load(folder: Path, part: Part) -> Material:
    """Learn from the first seconds of each recording at the new load; the second half of each is the test."""
    recordings = [read_recording(path) for path in sorted((folder / "cwru_de_1772rpm").glob("*.npz"))]
    halves = [one.samples.shape[1] // 2 for one in recordings]
    data = recordings_dataset(
        (
            replace(one, unit="g", condition="1772 rpm", group=f"1772 {one.label}", held_out_from=half)
            for one, half in zip(recordings, halves, strict=True)
        ),
        WINDOW,
        FEW_HOP,
    )
    assert data.held_out is not None
    early = data.start + WINDOW <= (part.amount or 1) * data.rate_hz
    data = data.select(np.flatnonzero(early | data.held_out))
    old = load_dataset(folder / "cwru_de_1797rpm", window=WINDOW, hop=HOP, unit="g") if part.library else None
    return Material(data, None if old is None else replace(old, conditions=("1797 rpm",)))


def _new_person(folder: Path, part: Part) -> Material:
    """Learn from the first cycles of a person; the last two of four are the test, other people are the library."""
    person = PEOPLE[part.split % len(PEOPLE)]
    learned = int(part.amount or 1)
    takes = read_myo(folder / "myo_gestures" / f"{person}.npz")
    chosen = [take for take in takes if take.cycle < learned or take.cycle >= 2]
    data = recordings_dataset(
        (replace(take.recording, held_out_from=0) if take.cycle >= 2 else take.recording for take in chosen),
        MYO_WINDOW,
        MYO_HOP,
    )
    if not part.library:
        return Material(data)
    others = sorted(path for path in (folder / "myo_gestures").glob("*.npz") if path.stem != person)
    old = (take.recording for path in others for take in read_myo(path))
    return Material(data, recordings_dataset(old, MYO_WINDOW, MYO_WINDOW))


@dataclass(frozen=True)
class BenchTask:
    """A task of the benchmark: its name for people, its kind, and how its data are loaded."""

    title: str
    kind: Task
    load: Callable[[Path, Part], Material]


TASKS = {
    "cwru": BenchTask("CWRU, 10 classes", "fault", _windows("cwru_fe_512.npz", None, "g")),
    "isl": BenchTask("ISL EMG, 26 signs", "sign", _windows("isl_alphabet.npz", "isl", None)),
    "isl-imu": BenchTask("ISL EMG + IMU", "sign", _windows("isl_alphabet.npz", "isl-imu", None)),
    "other load": BenchTask("1797 rpm, at 1772", "fault", _other_load),
    "new load": BenchTask("new load, 1772 rpm", "fault", _new_load),
    "new person": BenchTask("new person, Myo", "sign", _new_person),
}
