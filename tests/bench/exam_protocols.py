"""Protocols of the examination: what is learned and what is asked, divided by recording, load, speed, session or time.

Only ``cwru-fe`` divides by window, as the literature on that file does; it says so and counts in no mean.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets.converters import read_myo
from edgetune_signal.datasets.load import Dataset, load_dataset, recordings_dataset
from edgetune_signal.recordings.recording import Recording, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Task

KIB = 1024
EARLY_SHARE = 0.7
ARMBAND_WINDOW, ARMBAND_HOP = 50, 25
REACTION = 100
"""Samples after a cue that are left out: half a second until the hand has followed it."""
OFFSET, HUM = 5.0, 1.0
"""Disturbances in multiples of the signal's RMS."""
MAINS_HZ = 50.0
OFF_FREQUENCY = 1.005
WHOLE = "test"


@dataclass(frozen=True, eq=False)
class Sheet:
    """What one model may learn from, and the tests that it is asked about; nothing of a test is in ``learn``."""

    learn: Dataset
    tests: dict[str, Dataset]
    library: Dataset | None = None


@dataclass(frozen=True)
class Protocol:
    """A protocol: every one of ``subjects`` (people; one machine is ``("",)``) has a model and tests of its own.

    Attributes
    ----------
    load
        Sheet of one subject, read from the folder of data.
    tests
        Names of the tests that every sheet has.
    by_window
        Whether neighbouring windows of one recording stand on both sides.
    mains_hz
        What the search is told of the mains; the default of a node.
    """

    name: str
    title: str
    task: Task
    ram_bytes: int
    load: Callable[[Path, str], Sheet]
    subjects: Callable[[Path], Sequence[str]] = lambda _: ("",)
    tests: tuple[str, ...] = (WHOLE,)
    by_window: bool = False
    mains_hz: float = MAINS_HZ


# ---- machines ----------------------------------------------------------------------------------------------------


def _recordings(folder: Path) -> list[Recording]:
    """Recordings of a folder, each a group of its own."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"{folder} has no recordings; set EDGETUNE_DATA to the folder of data")
    read = ((file, read_recording(file)) for file in files)
    return [replace(one, group=f"{folder.name}/{file.stem}") for file, one in read]


def part_of(label: str) -> str:
    """Part of a CWRU label, its severity left out."""
    return label.partition("_")[0]


def divided(
    recordings: Iterable[Recording], learned: Callable[[Recording], bool], window: int, hop: int | None = None
) -> Sheet:
    """Divide by whole recordings; those not ``learned`` are the test."""
    known, asked = [], []
    for one in recordings:
        (known if learned(one) else asked).append(one)
    return Sheet(
        recordings_dataset(known, window, hop or window), {WHOLE: recordings_dataset(asked, window, hop or window)}
    )


def early_late(recordings: Iterable[Recording], window: int) -> Sheet:
    """Learn the first part of every recording, ask about the last; a window's length between them is left out."""
    early, late = [], []
    for one in recordings:
        at = round(EARLY_SHARE * one.samples.shape[1])
        for kept, samples, name in (
            (early, one.samples[:, :at], "early"),
            (late, one.samples[:, at + window :], "late"),
        ):
            kept.append(replace(one, samples=samples, group=f"{one.group}/{name}", held_out_from=sys.maxsize))
    return Sheet(recordings_dataset(early, window, window), {WHOLE: recordings_dataset(late, window, window)})


def _cwru(folder: Path, rpm: int, name: Callable[[str], str]) -> list[Recording]:
    return [replace(one, unit="g", label=name(one.label)) for one in _recordings(folder / f"cwru_de_{rpm}rpm")]


def _cwru_load(folder: Path, _: str, name: Callable[[str], str]) -> Sheet:
    both = _cwru(folder, 1797, name) + _cwru(folder, 1772, name)
    return divided(both, lambda one: one.condition == "1797rpm", 512)


def _cwru_later(folder: Path, _: str, offset: float = 0.0) -> Sheet:
    recordings = _cwru(folder, 1797, part_of)
    return early_late(disturbed(recordings, offset=offset) if offset else recordings, 512)


def _cwru_windows(folder: Path, _: str) -> Sheet:
    """Ask about forty random windows of each class, as BearingNAS does."""
    data = load_dataset(folder / "cwru_fe_512.npz", unit="g")
    rng = np.random.default_rng(1000)
    asked = np.zeros(len(data), np.bool_)
    for label in range(len(data.classes)):
        own = rng.permutation(np.flatnonzero(data.label == label))
        asked[own[: len(own) // 4 if len(own) < 160 else 40]] = True
    return Sheet(data.select(np.flatnonzero(~asked)), {WHOLE: data.select(np.flatnonzero(asked))})


def _hit(folder: Path, _: str, asked: int, *, severities: bool = False) -> Sheet:
    found = []
    for speed in sorted((folder / "foreign" / "hit_mfs").iterdir()):
        for one in _recordings(speed):
            severity = one.group.rpartition("/")[2].partition("_")[0]
            found.append(replace(one, label=severity) if severities else one)
    return divided(found, lambda one: one.condition != f"{asked}rpm", 1024)


def _mfpt(folder: Path, _: str, asked: tuple[str, ...]) -> Sheet:
    return divided(_recordings(folder / "foreign" / "mfpt"), lambda one: one.condition not in asked, 1024)


def _uestc(folder: Path, _: str, asked: int) -> Sheet:
    found = [one for speed in (800, 1200) for one in _recordings(folder / "foreign" / "uestc" / f"{speed}rpm")]
    return divided(found, lambda one: one.condition != f"{asked}rpm", 1024)


def _gear(folder: Path, _: str) -> Sheet:
    asked = ("load20", "load60")
    return divided(_recordings(folder / "foreign" / "gear"), lambda one: one.condition not in asked, 512)


def _motors(folder: Path, _: str) -> Sheet:
    """Ask about the last recordings of each state, in the order in which they were made."""
    recordings = _recordings(folder / "foreign" / "motor")
    last: set[str] = set()
    for label in sorted({one.label for one in recordings}):
        own = [one.group for one in recordings if one.label == label]
        last.update(own[round(EARLY_SHARE * len(own)) :])
    return divided(recordings, lambda one: one.group not in last, 512, 256)


# ---- people ------------------------------------------------------------------------------------------------------


def people(*parts: str) -> Callable[[Path], list[str]]:
    """Names of the people in a folder of the data."""

    def find(folder: Path) -> list[str]:
        return sorted(path.stem for path in folder.joinpath(*parts).iterdir())

    return find


def _armband(recordings: Iterable[Recording]) -> Dataset:
    return recordings_dataset(recordings, ARMBAND_WINDOW, ARMBAND_HOP)


def _myo(folder: Path, person: str, takes: int, **disturbance: float) -> Sheet:
    """Learn the first takes of a person; the fourth is always the test."""
    found = read_myo(folder / "myo_gestures" / f"{person}.npz")
    recordings = [take.recording for take in found]
    if disturbance:
        recordings = disturbed(recordings, **disturbance)
    numbered = list(zip([take.cycle for take in found], recordings, strict=True))
    return Sheet(
        _armband(one for cycle, one in numbered if cycle < takes),
        {WHOLE: _armband(one for cycle, one in numbered if cycle == 3)},
    )


def _myo41(folder: Path, person: str, takes: int = 3) -> Sheet:
    """Learn the first takes of each gesture in session 1; ask about its other takes and the two later sessions."""
    learned: list[Recording] = []
    asked: dict[str, list[Recording]] = {"same session": [], "session 2": [], "session 3": []}
    for file in sorted((folder / "foreign" / "myo41" / person).glob("*.npz")):
        with np.load(file, allow_pickle=False) as npz:
            cue = npz["cue"] != 0
        whole = read_recording(file)
        spans = _spans(cue) if cue.any() else _rests(len(cue))
        for number, (first, end) in enumerate(spans):
            samples = whole.samples[:, first + REACTION : end]
            one = replace(
                whole, samples=samples, group=f"{person}/{file.stem}/{number}", held_out_from=samples.shape[1]
            )
            if samples.shape[1] < ARMBAND_WINDOW:
                continue
            if whole.condition == "session1" and number < takes:
                learned.append(one)
            else:
                later = whole.condition.replace("session", "session ")
                asked["same session" if whole.condition == "session1" else later].append(one)
    return Sheet(_armband(learned), {name: _armband(takes) for name, takes in asked.items()})


def _spans(cue: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of the cue."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], cue.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _rests(samples: int, each: int = 1000) -> list[tuple[int, int]]:
    """Stretches of rest as long and as far apart as gestures are."""
    return [(at, at + each) for at in range(each, samples - each + 1, 2 * each)]


def _dc22(folder: Path, person: str, takes: int = 3) -> Sheet:
    """Learn three takes; ask about the fourth, and about all of them after a break."""
    recordings = _recordings(folder / "foreign" / "dc22" / person)
    first = tuple(f"{person}/train_r{take}_" for take in range(takes))
    kept = {
        "same session": [one for one in recordings if one.group.startswith(f"{person}/train_r{takes}_")],
        "after the break": [one for one in recordings if one.group.startswith(f"{person}/test_")],
    }
    learned = (one for one in recordings if one.group.startswith(first))
    return Sheet(
        recordings_dataset(learned, 250, 125),
        {name: recordings_dataset(takes, 250, 125) for name, takes in kept.items()},
    )


def _shift21(folder: Path, person: str) -> Sheet:
    """Learn one take after the armband was moved, with three from before as the library; ask about another take."""
    everybody = people("foreign", "shift21")(folder)
    trial = 1 + everybody.index(person) % 4
    recordings = _recordings(folder / "foreign" / "shift21" / person)

    def of(*names: str) -> Dataset:
        return _armband(one for one in recordings if one.group.split("/")[1].startswith(names))

    return Sheet(
        of(f"trial_{trial}_r0_"),
        {WHOLE: of(f"trial_{trial}_r1_")},
        library=of("training_r0_", "training_r1_", "training_r2_"),
    )


def _isl(folder: Path, _: str, *, later: bool) -> Sheet:
    """Ask about three gestures in ten of each sign: the last ones made, or any."""
    file = folder / "isl_alphabet.npz"
    data = load_dataset(file, converter="isl")
    with np.load(file, allow_pickle=False) as npz:
        stamps = [f"{stamp[6:8]}{stamp[3:5]}{stamp[:2]}{stamp[9:]}" for stamp in npz["timestamp"].tolist()]
    order = np.argsort(stamps, kind="stable") if later else np.random.default_rng(1000).permutation(len(data))
    asked = np.zeros(len(data), np.bool_)
    for label in range(len(data.classes)):
        own = order[data.label[order] == label]
        asked[own[round(EARLY_SHARE * len(own)) :]] = True
    return Sheet(data.select(np.flatnonzero(~asked)), {WHOLE: data.select(np.flatnonzero(asked))})


# ---- disturbances ------------------------------------------------------------------------------------------------


def disturbed(
    recordings: Sequence[Recording], *, offset: float = 0.0, hum: float = 0.0, frequency: float = 1.0
) -> list[Recording]:
    """Add a constant to each channel, and mains hum of another phase to each recording.

    ``offset`` and ``hum`` are multiples of the RMS of all recordings; the sign of the constant differs by channel.
    """
    rng = np.random.default_rng(1000)
    total = sum(float((one.samples.astype(np.float64) ** 2).sum()) for one in recordings)
    rms = (total / sum(one.samples.size for one in recordings)) ** 0.5
    constant = offset * rms * rng.choice([-1.0, 1.0], size=(recordings[0].samples.shape[0], 1))
    found = []
    for one in recordings:
        time = np.arange(one.samples.shape[1]) / one.rate_hz
        wave = np.sin(2 * np.pi * (MAINS_HZ * frequency * time + rng.random()))
        added = constant + 2**0.5 * hum * rms * wave
        found.append(replace(one, samples=(one.samples + added).astype(np.float32)))
    return found


_MYO = people("myo_gestures")
_HUM_OFF = {"hum": HUM, "frequency": OFF_FREQUENCY}
_HUM_60 = {"hum": HUM, "frequency": 60 / MAINS_HZ}
PROTOCOLS = (
    Protocol("cwru-load", "CWRU 1797 -> 1772 rpm, 9 faults", "fault", 4 * KIB, partial(_cwru_load, name=str)),
    Protocol(
        "cwru-load-parts",
        "CWRU 1797 -> 1772 rpm, severities pooled",
        "fault",
        4 * KIB,
        partial(_cwru_load, name=part_of),
    ),
    Protocol("cwru-later", "CWRU 1797 rpm, severities pooled, first 70 % -> last 30 %", "fault", 4 * KIB, _cwru_later),
    Protocol(
        "cwru-later-offset",
        "CWRU 1797 rpm, the same with an offset of 5 RMS",
        "fault",
        4 * KIB,
        partial(_cwru_later, offset=OFFSET),
    ),
    Protocol("cwru-fe", "CWRU fan end, random windows*", "fault", KIB, _cwru_windows, by_window=True),
    Protocol("hit-parts", "HIT 600 + 1200 -> 900 rpm, parts", "fault", 4 * KIB, partial(_hit, asked=900)),
    Protocol(
        "hit-severities",
        "HIT 600 + 1200 -> 900 rpm, 7 severities",
        "fault",
        4 * KIB,
        partial(_hit, asked=900, severities=True),
    ),
    Protocol("hit-faster", "HIT 600 + 900 -> 1200 rpm, parts", "fault", 4 * KIB, partial(_hit, asked=1200)),
    Protocol("mfpt", "MFPT, loads between", "fault", 4 * KIB, partial(_mfpt, asked=("50lbs", "150lbs"))),
    Protocol(
        "mfpt-outside", "MFPT, loads outside", "fault", 4 * KIB, partial(_mfpt, asked=("0lbs", "25lbs", "200lbs"))
    ),
    Protocol("uestc-faster", "UESTC 800 -> 1200 rpm", "fault", 4 * KIB, partial(_uestc, asked=1200)),
    Protocol("uestc-slower", "UESTC 1200 -> 800 rpm", "fault", 4 * KIB, partial(_uestc, asked=800)),
    Protocol("gear", "gearbox, loads between", "fault", 16 * KIB, _gear),
    Protocol("motors", "motors, later recordings", "fault", 16 * KIB, _motors),
    Protocol("myo-1", "Myo, 1 take, next take", "sign", 4 * KIB, partial(_myo, takes=1), _MYO),
    Protocol("myo-2", "Myo, 2 takes, next take", "sign", 4 * KIB, partial(_myo, takes=2), _MYO),
    Protocol("myo-3", "Myo, 3 takes, next take", "sign", 4 * KIB, partial(_myo, takes=3), _MYO),
    Protocol(
        "myo-offset", "Myo, 3 takes, offset of 5 RMS", "sign", 4 * KIB, partial(_myo, takes=3, offset=OFFSET), _MYO
    ),
    Protocol("myo-hum", "Myo, 3 takes, 50 Hz hum of 1 RMS", "sign", 4 * KIB, partial(_myo, takes=3, hum=HUM), _MYO),
    Protocol(
        "myo-hum-off", "Myo, 3 takes, the hum at 50.25 Hz", "sign", 4 * KIB, partial(_myo, takes=3, **_HUM_OFF), _MYO
    ),
    Protocol(
        "myo-hum-60",
        "Myo, 3 takes, 60 Hz hum of 1 RMS",
        "sign",
        4 * KIB,
        partial(_myo, takes=3, **_HUM_60),
        _MYO,
        mains_hz=60.0,
    ),
    Protocol(
        "myo41",
        "myo41, 3 takes",
        "sign",
        4 * KIB,
        _myo41,
        people("foreign", "myo41"),
        ("same session", "session 2", "session 3"),
    ),
    Protocol(
        "dc22", "3DC, 3 takes", "sign", 16 * KIB, _dc22, people("foreign", "dc22"), ("same session", "after the break")
    ),
    Protocol(
        "shift21", "armband moved, 1 new take, old as library", "sign", 4 * KIB, _shift21, people("foreign", "shift21")
    ),
    Protocol("isl", "Italian signs, random gestures", "sign", 3584, partial(_isl, later=False)),
    Protocol("isl-later", "Italian signs, later gestures", "sign", 3584, partial(_isl, later=True)),
)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
