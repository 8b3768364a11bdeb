"""Sets of recorded signs as whole sessions: what is learned of a person, and what is then played in order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

REST: Final = "rest"
LEARNED: Final = 3
"""Takes of each sign that are learned, of myo41, shift21 and 3DC."""


@dataclass(frozen=True)
class Span:
    """Samples ``begin`` to ``end`` of a play, in which ``label`` is asked for."""

    begin: int
    end: int
    label: str


@dataclass(frozen=True)
class Play:
    """A stream that is heard from its first sample on; only ``spans`` count.

    ``taken`` is the sample at which the first take of its sign has ended, 0 where there is none.
    """

    session: str
    samples: Floats
    spans: tuple[Span, ...]
    taken: int = 0

    def after_take(self) -> Play:
        """Return the play with the spans that follow its first take."""
        return replace(self, spans=tuple(each for each in self.spans if each.begin >= self.taken))


@dataclass(frozen=True)
class Person:
    """One person's takes to learn from, sessions in order, and the first take of each sign of each later session."""

    name: str
    rate_hz: float
    learned: tuple[Recording, ...]
    plays: tuple[Play, ...]
    later: dict[str, tuple[Recording, ...]] = field(default_factory=dict)

    @property
    def recorded(self) -> tuple[Recording, ...]:
        """What a node has of a person who gave one new take of each sign in each later session."""
        return (*self.learned, *itertools.chain(*self.later.values()))


@dataclass(frozen=True)
class SignSet:
    """A data set: where it is, who is in it, its sessions in words, and what cannot be measured with it."""

    folder: str
    people: Callable[[Path], Iterator[Person]]
    sessions: dict[str, str]
    note: str


# ---- myo41: files of a minute with a cue ---------------------------------------------------------------------------


def _parts(cue: NDArray[np.int8]) -> Iterator[tuple[int, int, bool]]:
    """Return first index, end, and whether a gesture is asked for, of each part of a recording."""
    borders = [0, *(np.flatnonzero(np.diff(cue)) + 1).tolist(), len(cue)]
    return ((begin, end, bool(cue[begin])) for begin, end in itertools.pairwise(borders))


def myo41(folder: Path) -> Iterator[Person]:
    """Return people who make each sign six times a file, with rest between, in three sessions.

    The first `LEARNED` takes of session 1 are learned with their pauses, and half of the file of slight movements.
    """
    for person in sorted(each for each in folder.iterdir() if each.is_dir()):
        learned: list[Recording] = []
        later: dict[str, list[Recording]] = {}
        plays: list[Play] = []
        for path in sorted(person.glob("s*_g*.npz")):
            with np.load(path) as data:
                label, samples, cue = str(data["label"]), data["samples"].astype(np.float32), data["cue"]
            session, name = path.stem[:2], f"{person.name} {path.stem}"
            heard_from = taken = 0
            if session == "s1":
                mine, heard_from = _calibration(name, label, samples, cue, LEARNED)
                learned += mine
            elif cue.any():
                mine, taken = _calibration(name, label, samples, cue, 1)
                later.setdefault(session, []).extend(mine)
            spans = tuple(
                Span(begin, end, label if asked else REST) for begin, end, asked in _parts(cue) if begin >= heard_from
            )
            if not cue.any() and heard_from:  # the other half of the slight movements
                spans = (Span(heard_from, samples.shape[1], REST),)
            plays.append(Play(session, samples, spans, taken))
        of_later = {session: tuple(takes) for session, takes in later.items()}
        yield Person(person.name, 200.0, tuple(learned), tuple(plays), of_later)


def _calibration(
    name: str, label: str, samples: Floats, cue: NDArray[np.int8], takes: int
) -> tuple[list[Recording], int]:
    """Return what is learned of a file, and the sample from which it is heard."""
    if not cue.any():
        half = samples.shape[1] // 2
        return [Recording(samples[:, :half], 200.0, REST, "counts", group=name)], half
    learned, take, heard_from = [], 0, 0
    for begin, end, asked in _parts(cue):
        if take == takes:
            break
        late = round((0.75 if asked else 1.0) * 200) if begin else 0  # people react
        part = samples[:, begin + late : end]
        learned.append(Recording(part, 200.0, label if asked else REST, "counts", group=f"{name} {begin}"))
        take += asked
        heard_from = end
    return learned, heard_from


# ---- takes, one after the other ------------------------------------------------------------------------------------


def _in_a_row(session: str, takes: list[Recording]) -> Play:
    """Return takes as one stream."""
    ends = np.cumsum([each.samples.shape[1] for each in takes]).tolist()
    spans = tuple(Span(begin, end, take.label) for begin, end, take in zip([0, *ends], ends, takes, strict=False))
    return Play(session, np.concatenate([each.samples for each in takes], axis=1), spans)


def _between_rest(session: str, rounds: list[list[Recording]]) -> Play:
    """Return rounds as one stream: the rest of a round stands before each of its signs, and counts the first time."""
    row = [part for rest, *signs in rounds for sign in signs for part in (rest, sign)]
    play = _in_a_row(session, row)
    firsts = {id(take): index for index, take in reversed(list(enumerate(row)))}
    counted = (span for index, span in enumerate(play.spans) if firsts[id(row[index])] == index)
    return replace(play, spans=tuple(counted))


def myo(folder: Path) -> Iterator[Person]:
    """Return people who make six signs for 5 s each without rest between, in four cycles of one stream.

    Two cycles are learned, the others are heard.
    """
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            samples, starts = data["training0_samples"].astype(np.float32), data["training0_start"].tolist()
            names, cycles = data["classes"][data["training0_label"]].tolist(), data["training0_cycle"].tolist()
        labels = [REST if name == "neutral" else str(name) for name in names]
        takes = [
            Recording(samples[:, begin:end], 200.0, label, "counts", group=f"{label} {cycle}")
            for (begin, end), label, cycle in zip(itertools.pairwise(starts), labels, cycles, strict=True)
        ]
        learned = [take for take, cycle in zip(takes, cycles, strict=True) if cycle < 2]
        heard = [take for take, cycle in zip(takes, cycles, strict=True) if cycle >= 2]
        yield Person(path.stem, 200.0, tuple(learned), (_in_a_row("same", heard),))


def _rounds(folder: Path, pattern: str, rest: str) -> list[list[Recording]]:
    """Return the takes of each round in the order of their names, rest first."""
    rounds: dict[str, list[Recording]] = {}
    for path in sorted(folder.glob(pattern)):
        with np.load(path) as data:
            label = str(data["label"])
            take = Recording(
                data["samples"].astype(np.float32), float(data["rate_hz"]), label, str(data["unit"]), group=path.stem
            )
        own = rounds.setdefault(path.stem.rsplit("_", 1)[0], [])
        own.insert(0 if label == rest else len(own), replace(take, label=REST if label == rest else label))
    return list(rounds.values())


def shift21(folder: Path) -> Iterator[Person]:
    """Return people who make four signs for 3 s each, before and after their armband was moved by an electrode."""
    for person in sorted(each for each in folder.iterdir() if each.is_dir()):
        before = _rounds(person, "training_*.npz", "c2")
        after = _rounds(person, "trial_*.npz", "c2")
        plays = (_between_rest("same", before[LEARNED:]), _between_rest("moved", after))
        yield Person(person.name, 200.0, tuple(itertools.chain(*before[:LEARNED])), plays)


def dc22(folder: Path) -> Iterator[Person]:
    """Return people who make ten signs for 5 s each, and again after a break."""
    for person in sorted(each for each in folder.iterdir() if each.is_dir()):
        first, later = _rounds(person, "train_*.npz", "g0"), _rounds(person, "test_*.npz", "g0")
        plays = (_between_rest("same", first[LEARNED:]), _between_rest("later", later))
        yield Person(person.name, 1000.0, tuple(itertools.chain(*first[:LEARNED])), plays)


SETS: Final = {
    "myo41": SignSet("foreign/myo41", myo41, {"s1": "same", "s2": "second", "s3": "third"}, ""),
    "myo": SignSet(
        "myo_gestures",
        myo,
        {"same": "same"},
        "no rest between signs, so that they follow one another; rest only where a cycle begins, 5 s each",
    ),
    "shift21": SignSet(
        "foreign/shift21",
        shift21,
        {"same": "same", "moved": "moved"},
        "takes of 3 s that were recorded apart; the rest between them is the 3 s of each round, and counts once",
    ),
    "3dc": SignSet(
        "foreign/dc22",
        dc22,
        {"same": "same", "later": "later"},
        "takes of 5 s that were recorded apart; the rest between them is the 5 s of each round, and counts once",
    ),
}
