"""A fault that grows, comes and goes, or is half known is one event, and its severity never falls while it grows."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from manual_clock import START_NS, ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import Classification
from edgetune_node.contract.topics import Topics
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.asset import Asset
from edgetune_signal import Chunk, Recording, read_recording
from edgetune_signal.datasets.dataset import named_recordings_dataset
from edgetune_signal.recordings import read_snapshots
from edgetune_signal.simulators import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgetune_nas.bundle.read import Bundle

LENGTH, HOP = 512, 256
LEARNED: Final = 0.6
"""Part of each known recording that a model learns; the rest is played."""
LEVELS: Final = ("none", "watch", "warning", "alarm", "danger")


class Machine:
    """An asset that recordings are played to, one after the other as one stream, and the faults it publishes."""

    def __init__(self, bundle: Bundle, rate_hz: float, **settings: Any) -> None:
        section = AssetSection(
            **{"id": "m", "rate_hz": rate_hz, "window": {"length": LENGTH, "hop": LENGTH}, **settings}
        )
        self.clock = ManualClock()
        numbers = count()
        publisher = Publisher(Topics("edgetune", "n"), "boot", self.clock)
        self.asset = Asset(section, publisher, lambda: f"e{next(numbers)}")
        self.asset.swap(bundle, None)
        self.said: list[Fault] = []
        self.distances: list[float | None] = []
        self._sequence = count()

    def hears(self, *recordings: Recording) -> list[Fault]:
        """Play recordings in blocks of a tenth of a second; return what is said of faults meanwhile."""
        before = len(self.said)
        for recording in recordings:
            block = round(recording.rate_hz / 10)
            for start in range(0, recording.samples.shape[1], block):
                self._hears(recording.samples[:, start : start + block], recording.rate_hz)
        return self.said[before:]

    def hears_after(self, silence_s: float, snapshot: Recording) -> None:
        """Play a snapshot that comes after a silence."""
        self.clock.now += silence_s
        self._hears(snapshot.samples, snapshot.rate_hz, gap=True)

    def _hears(self, samples: Any, rate_hz: float, *, gap: bool = False) -> None:
        self.clock.now += samples.shape[1] / rate_hz
        time_ns = START_NS + round(self.clock.now * 1e9)
        chunk = Chunk(samples, time_ns, rate_hz, next(self._sequence), gap=gap)
        for each in (*self.asset.listen(chunk), *self.asset.tick()):
            if isinstance(each.message, Fault):
                self.said.append(each.message)
            elif isinstance(each.message, Classification):
                self.distances.append(each.message.distance)

    @property
    def events(self) -> list[str]:
        """Events in the order of their raise."""
        return list(dict.fromkeys(each.event for each in self.said if each.active and each.event))

    @property
    def levels(self) -> list[int]:
        """Severity of each message on an active event."""
        return [LEVELS.index(each.severity) for each in self.said if each.active]


def part(recording: Recording, first: float, last: float) -> Recording:
    samples = recording.samples
    return replace(recording, samples=samples[:, round(first * samples.shape[1]) : round(last * samples.shape[1])])


def model_of(known: Iterable[Recording], folder: Path) -> Bundle:
    """Learn the first part of recordings, by closed forms alone where they are of several classes."""
    named = [(each.label, part(each, 0, LEARNED)) for each in known]
    done = search(named_recordings_dataset(named, LENGTH, HOP), task="fault", budget=Budget(), out=folder, candidates=1)
    return load_bundle(done.bundle)


def assert_one_event_that_grows(machine: Machine) -> None:
    assert machine.events == ["e0"]
    assert machine.said[-1].active
    assert machine.levels == sorted(machine.levels)
    assert machine.levels[0] >= LEVELS.index("warning")


# ---- a simulated machine ---------------------------------------------------------------------------------------

RATE: Final = 12_000.0
GROWING: Final = ("slight", "moderate", "severe")


def simulated(condition: str, seconds: float, seed: int = 0) -> Recording:
    samples = BearingSimulator(rate_hz=RATE, condition=condition, seed=seed).generate(round(seconds * RATE))
    return Recording(samples.astype(np.float32), RATE, condition, "g")


@pytest.fixture(scope="module")
def healthy_model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return model_of([simulated("normal", 20)], tmp_path_factory.mktemp("health"))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["inner", "outer", "ball"])
def test_a_fault_that_grows_is_one_event_whose_severity_never_falls(healthy_model: Bundle, place: str) -> None:
    machine = Machine(healthy_model, RATE, machine={"bearing": "6205", "shaft_rpm": 1797})
    assert [each for each in machine.hears(simulated("normal", 8, seed=1)) if each.active] == []
    machine.hears(*(simulated(f"{place}_{severity}", 11) for severity in GROWING))
    assert_one_event_that_grows(machine)


def test_a_fault_that_comes_and_goes_every_ten_seconds_is_one_event(healthy_model: Bundle) -> None:
    machine = Machine(healthy_model, RATE)
    machine.hears(simulated("normal", 8, seed=1))
    for _ in range(3):
        machine.hears(simulated("inner_moderate", 10), simulated("normal", 10, seed=2))
    assert_one_event_that_grows(machine)


@pytest.mark.slow
def test_a_fault_beyond_the_known_one_is_one_event(tmp_path: Path) -> None:
    known = [simulated("normal", 12), simulated("ball_slight", 12)]
    machine = Machine(model_of(known, tmp_path), RATE, alarm={"raise_after_s": 5})
    machine.hears(simulated("normal", 8, seed=1), simulated("ball_moderate", 30))
    assert_one_event_that_grows(machine)


EVERY_S: Final = 600.0
SNAPSHOTS: Final = 400
"""Nearly three days in which a fault grows from nothing."""


@pytest.mark.slow
def test_a_fault_that_grows_over_days_is_not_learned_as_health(healthy_model: Bundle) -> None:
    duty = {"on_s": 0.2, "every_s": EVERY_S}
    settings: dict[str, Any] = {"source": {"duty": duty}, "alarm": {"raise_after_s": 3600, "clear_after_s": 7200}}
    machine, newcomer = (Machine(healthy_model, RATE, **settings) for _ in range(2))
    healthy, faulty = simulated("normal", 80, seed=1).samples, simulated("inner_moderate", 80, seed=2).samples
    size = round(0.2 * RATE)
    bounds = []
    for number in range(SNAPSHOTS):
        own = slice(number * size, (number + 1) * size)
        strength = (number / SNAPSHOTS) ** 2
        snapshot = Recording((healthy[:, own] + strength * faulty[:, own]).astype(np.float32), RATE, "", "g")
        machine.hears_after(EVERY_S - 0.2, snapshot)
        learned = machine.asset.learned()
        assert learned is not None
        bounds.append((learned.seconds, learned.claim(healthy_model.card.metrics)[1]))
    newcomer.hears_after(0.0, snapshot)
    assert machine.distances[-4:] == newcomer.distances[-4:]
    assert machine.events == ["e0"]
    assert machine.said[-1].active
    [raised, *_] = [number for number, (seconds, _) in enumerate(bounds[1:]) if seconds == bounds[number][0]]
    assert 0.1 < raised / SNAPSHOTS < 0.6
    most = [bound for _, bound in bounds[:raised]]
    assert most == sorted(most, reverse=True)  # health that is heard tightens what the model promises
    assert bounds[raised][0] == pytest.approx(raised * EVERY_S, rel=0.1)
    assert bounds[-1] == bounds[raised + 1]  # what follows the raise is no health


# ---- real machines ---------------------------------------------------------------------------------------------

HEALTHY_SNAPSHOTS: Final = 40
"""Snapshots of a run to failure that are learned, some seven minutes."""
MOST_EVENTS: Final = 3
"""Of a run to failure: an early change may pass once or twice."""
CWRU: Final = "cwru_de_1797rpm"
CWRU_BEARING: Final = {"bearing": "6205", "shaft_rpm": 1797}


def real(path: Path) -> Recording:
    return replace(read_recording(path), unit="g")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["inner", "ball"])
@pytest.mark.parametrize("known", [("normal",), ("normal", "inner_007", "ball_007")])
def test_cwru_severities_in_turn_are_one_event(
    recordings_dir: Path, tmp_path: Path, place: str, known: tuple[str, ...]
) -> None:
    recordings = {name: real(recordings_dir / CWRU / f"{name}.npz") for name in known}
    machine = Machine(model_of(recordings.values(), tmp_path), RATE, machine=CWRU_BEARING)
    assert not any(each.active for each in machine.hears(part(recordings["normal"], LEARNED, 1)))
    machine.hears(*(real(recordings_dir / CWRU / f"{place}_{mils}.npz") for mils in ("007", "014", "021")))
    assert_one_event_that_grows(machine)


@pytest.mark.slow
def test_an_unknown_severity_of_a_known_fault_is_one_event(recordings_dir: Path, tmp_path: Path) -> None:
    known = [real(recordings_dir / CWRU / f"{name}.npz") for name in ("normal", "ball_007", "inner_007")]
    machine = Machine(model_of(known, tmp_path), RATE, alarm={"raise_after_s": 1, "clear_after_s": 5})
    machine.hears(part(known[0], LEARNED, 1), *3 * [real(recordings_dir / CWRU / "ball_014.npz")])
    assert_one_event_that_grows(machine)


@pytest.mark.slow
def test_a_real_fault_that_comes_and_goes_is_one_event(recordings_dir: Path, tmp_path: Path) -> None:
    normal, faulty = (real(recordings_dir / CWRU / f"{name}.npz") for name in ("normal", "inner_007"))
    machine = Machine(model_of([normal], tmp_path), RATE)
    for _ in range(3):
        machine.hears(part(normal, LEARNED, 1), faulty)
    assert_one_event_that_grows(machine)


@pytest.mark.slow
@pytest.mark.parametrize("rpm", [600, 900, 1200])
@pytest.mark.parametrize("place", ["IR", "OR"])
def test_hit_severities_in_turn_are_one_event(recordings_dir: Path, tmp_path: Path, rpm: int, place: str) -> None:
    folder = recordings_dir / "foreign" / "hit_mfs" / f"{rpm}rpm"
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}")
    normal = real(folder / f"Normal_{rpm}.npz")
    machine = Machine(model_of([normal], tmp_path), normal.rate_hz, alarm={"raise_after_s": 5})
    assert not any(each.active for each in machine.hears(part(normal, LEARNED, 1)))
    machine.hears(*(real(folder / f"{place}{severity}_{rpm}.npz") for severity in (2, 5, 8)))
    assert_one_event_that_grows(machine)


@pytest.mark.slow
@pytest.mark.parametrize("bearing", ["bearing1_2", "bearing3_1"])
def test_a_real_run_to_failure_is_not_learned_as_health(recordings_dir: Path, tmp_path: Path, bearing: str) -> None:
    path = recordings_dir / "foreign" / "femto" / f"{bearing}.npz"
    if not path.is_file():
        pytest.skip(f"no run to failure at {path}")
    series = read_snapshots(path)
    snapshots = [Recording(series.snapshot(at), series.rate_hz, "normal", "g") for at in range(len(series.time_s))]
    known = [(str(at), each) for at, each in enumerate(snapshots[:HEALTHY_SNAPSHOTS])]
    length = snapshots[0].samples.shape[1]
    done = search(named_recordings_dataset(known, length, length), task="fault", budget=Budget(), out=tmp_path)
    bundle = load_bundle(done.bundle)
    settings = {"channels": len(snapshots[0].samples), "window": {"length": length, "hop": length}}
    machine, newcomer = (Machine(bundle, series.rate_hz, **settings) for _ in range(2))
    for each in snapshots[HEALTHY_SNAPSHOTS:]:
        machine.hears_after(10.0, each)
    for each in snapshots[-5:]:
        newcomer.hears_after(10.0, each)
    assert machine.distances[-5:] == newcomer.distances
    assert machine.said[-1].active
    assert len(machine.events) <= MOST_EVENTS
    learned = machine.asset.learned()
    assert learned is not None
    assert learned.raised == len(machine.events)
