"""An armband that is put on turned or mirrored is recognised from signs that nobody labelled."""

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
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.messages import CalibrationStatus
from edgetune_node.contract.topics import Topics
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.armband import ArmbandWatch, Placement, placements
from edgetune_node.monitor.asset import Asset
from edgetune_node.monitor.restoring import Restored, restored
from edgetune_signal import ArmbandSimulator, Chunk, Recording, recordings_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.bundle.read import Bundle

RATE = 200
SIGNS = ("fist", "open_hand", "wrist_flexion", "pinch")


class Arm:
    """A person who makes signs, with the armband worn in some way."""

    def __init__(self, bundle: Bundle, armband: str = "as worn", kept: Restored | None = None) -> None:
        section = AssetSection(
            id="arm",
            task="sign",
            channels=8,
            rate_hz=RATE,
            unit="counts",
            subject="3",
            window={"length": 52, "hop": 13},
            sign={"armband": armband, "unknown": "few"},
        )
        self.clock = ManualClock()
        numbers = itertools.count()
        publisher = Publisher(Topics("edgetune", "n"), "boot", self.clock)
        self.asset = Asset(section, publisher, lambda: f"e{next(numbers)}", kept)
        self.asset.wear("3", bundle, None)
        self.said: list[Any] = []
        self._sequence = 0

    def hears(self, samples: NDArray[np.float32], worn: Placement, *, held: bool = False) -> None:
        """Return what electrodes record that are worn so; turned back it is as at calibration."""
        samples = samples[np.argsort(worn.order(8))]
        for start in range(0, samples.shape[1], 20):
            part = samples[:, start : start + 20]
            chunk = Chunk(part, START_NS + round(self.clock.now * 1e9), RATE, self._sequence)
            self._sequence += 1
            self.clock.now += part.shape[1] / RATE
            chunk = self.asset.as_calibrated(chunk, held=held)
            self.said += [effect.message for effect in self.asset.listen(chunk)]

    def signs(self) -> list[str]:
        """Return the signs since this was called last."""
        found = [message.class_ for message in self.said if message.topic == "sign"]
        self.said = [message for message in self.said if message.topic != "sign"]
        return found


def played(*gestures: str, seed: int = 1) -> NDArray[np.float32]:
    armband = ArmbandSimulator(subject="3", seed=seed)
    parts = []
    for gesture in gestures:
        for each in ("rest", gesture):
            armband.select(each)
            parts.append(armband.generate(2 * RATE))
    armband.select("rest")
    return np.concatenate([*parts, armband.generate(2 * RATE)], axis=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    takes = []
    for gesture, take in itertools.product(("rest", *SIGNS), range(3)):
        armband = ArmbandSimulator(subject="3", gesture=gesture, seed=10 + take)
        armband.generate(200)
        samples = armband.generate(1000)
        takes.append(Recording(samples, RATE, gesture, "counts", group=f"{gesture} {take}"))
    folder = tmp_path_factory.mktemp("search")
    data = recordings_dataset(takes, 52, 13)
    return load_bundle(search(data, task="sign", budget=Budget(ram_bytes=4096), out=folder, candidates=3).bundle)


WORN = [Placement(1), Placement(-2), Placement(4), Placement(0, mirrored=True), Placement(3, mirrored=True)]


@pytest.mark.slow
@pytest.mark.parametrize("worn", WORN)
def test_a_turned_armband_is_said_with_what_to_do(model: Bundle, worn: Placement) -> None:
    arm = Arm(model)
    arm.hears(played(*SIGNS), worn)
    [suggested] = [each for each in arm.asset.suggested if "armband" in each]
    assert ("mirrored" in suggested) == worn.mirrored
    assert (f"turned by {abs(worn.turn)} electrode" in suggested) == (worn.turn != 0)
    assert suggested.endswith("wear it as before, or recalibrate with one take of each sign")
    arm.hears(played(*SIGNS, *SIGNS), Placement())
    assert not any("armband" in each for each in arm.asset.suggested)


@pytest.mark.slow
@pytest.mark.parametrize("worn", WORN)
def test_a_ring_is_turned_back_announced_and_recognises_signs_again(model: Bundle, worn: Placement) -> None:
    arm = Arm(model, "ring")
    arm.hears(played(*SIGNS), worn)
    arm.signs()
    arm.hears(played(*SIGNS, seed=2), worn)
    assert arm.signs() == list(SIGNS)
    features = [message for message in arm.said if message.topic == "emg"][-1]
    assert (features.turn, features.mirrored) == (worn.turn, worn.mirrored)
    [suggested] = [each for each in arm.asset.suggested if "armband" in each]
    assert suggested.endswith("its channels are turned back; publish profile with the subject to undo that")
    arm.hears(played(*SIGNS, *SIGNS, seed=3), Placement(2))  # moved again: turned back from there
    arm.signs()
    arm.hears(played(*SIGNS, seed=4), Placement(2))
    assert arm.signs() == list(SIGNS)
    arm.asset.rename("3")
    chunk = Chunk(np.ones((8, 1), np.float32), 0, RATE, 0)
    assert arm.asset.as_calibrated(chunk) is chunk
    assert not any("armband" in each for each in arm.asset.suggested)


@pytest.mark.slow
def test_a_ring_stays_turned_back_over_a_restart_with_the_model_that_it_was_turned_for(model: Bundle) -> None:
    arm = Arm(model, "ring")
    arm.hears(played(*SIGNS), Placement(-1))
    turned = arm.asset.armband
    assert turned is not None
    assert (turned.model, turned.turn, turned.mirrored) == (model.card.id, -1, False)
    said = CalibrationStatus(phase="idle", instruction="", percent=0.0, armband=turned).model_dump_json(by_alias=True)
    kept = restored("arm", {"calibration": said.encode()}.get)
    arm = Arm(model, "ring", kept)
    arm.hears(played(*SIGNS, seed=2), Placement(-1))
    assert arm.signs() == list(SIGNS)
    assert arm.asset.armband == turned
    arm.asset.rename("3")
    assert arm.asset.armband is None
    other = turned.model_copy(update={"model": "another"})
    assert Arm(model, "ring", replace(kept, armband=other)).asset.armband is None
    assert Arm(model, "as worn", kept).asset.armband is None


@pytest.mark.slow
def test_channels_are_not_turned_within_a_job_and_stay_turned_for_the_model_that_it_makes(model: Bundle) -> None:
    arm = Arm(model, "ring")
    arm.hears(played(*SIGNS), Placement(1), held=True)
    assert arm.asset.armband is None
    arm.hears(played(*SIGNS, seed=2), Placement(1))
    turned = arm.asset.armband
    assert turned is not None
    arm.hears(played(*SIGNS, seed=3), Placement(-2), held=True)  # put on in another way meanwhile
    assert arm.asset.armband == turned
    later = replace(model, card=model.card.model_copy(update={"id": "later"}))
    arm.asset.swap(later, model.card.id)  # it has learned what was turned back
    assert arm.asset.armband == turned.model_copy(update={"model": "later"})
    arm.signs()
    arm.hears(played(*SIGNS[:2], seed=4), Placement(1))
    assert arm.signs() == list(SIGNS[:2])
    arm.asset.wear("4", later, None)
    assert arm.asset.armband is None


@pytest.mark.slow
def test_an_armband_that_is_worn_as_before_is_never_turned(model: Bundle) -> None:
    arm = Arm(model, "ring")
    for seed in range(4):
        arm.hears(played(*SIGNS, seed=seed), Placement())
        assert arm.signs() == list(SIGNS)
        assert not any("armband" in each for each in arm.asset.suggested)


@pytest.mark.slow
def test_one_kind_of_sign_alone_tells_nothing(model: Bundle) -> None:
    arm = Arm(model, "ring")
    arm.hears(played(*["fist"] * 6), Placement(2))
    assert not any("armband" in each for each in arm.asset.suggested)


@pytest.mark.parametrize("channels", [4, 5, 8, 16])
def test_turns_follow_one_another_as_their_orders_do(channels: int) -> None:
    every = placements(channels)
    assert len({tuple(each.order(channels)) for each in every}) == len(every) == 2 * channels
    assert every[0].as_before
    for one, two in itertools.product(every, every):
        assert (one.then(two, channels).order(channels) == one.order(channels)[two.order(channels)]).all()


def test_a_dead_electrode_is_named_in_emg_and_in_health(model: Bundle) -> None:
    arm = Arm(model)
    samples = played("fist")
    samples[2] = 1.0
    arm.hears(samples, Placement())
    features = [message for message in arm.said if message.topic == "emg"][-1]
    assert features.electrodes == [[], [], ["dead"], [], [], [], [], []]
    assert "arm: electrodes: channel 3 dead; check contact and cable" in arm.asset.problems


@pytest.mark.slow
def test_real_armbands_that_were_moved_are_found_and_others_are_not(recordings_dir: Path, tmp_path: Path) -> None:
    found = {"before": 0, "after": 0}
    people = sorted((recordings_dir / "foreign" / "shift21").iterdir())[:3]
    for person in people:
        takes: dict[str, list[tuple[str, NDArray[np.float32], str]]] = {"before": [], "after": []}
        for path in sorted(person.glob("*.npz")):
            with np.load(path) as data:
                take = path.stem, data["samples"].astype(np.float32), str(data["label"])
                takes[str(data["condition"])].append(take)
        learn = [
            Recording(samples, 200.0, label, "counts", group=name)
            for name, samples, label in takes["before"]
            if "_r4_" not in name
        ]
        data = recordings_dataset(learn, 52, 13)
        made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=tmp_path / person.name, candidates=3)
        bundle = load_bundle(made.bundle)
        quiet = min({label for *_, label in takes["before"]}, key=lambda c: _level(takes["before"], c))
        for condition in found:
            watch = ArmbandWatch(8, quiet)
            watch.use(bundle)
            for name, samples, label in takes[condition]:
                if label == quiet or (condition == "before" and "_r4_" not in name):
                    continue
                for start in range(0, samples.shape[1] - 52, 13):
                    watch.hear(samples[:, start : start + 52], running=True)
                watch.hear(samples[:, :52], running=False)
            found[condition] += not watch.placement.as_before
    assert found == {"before": 0, "after": len(people)}


def _level(takes: list[tuple[str, NDArray[np.float32], str]], label: str) -> float:
    return float(np.mean([samples.std() for _, samples, each in takes if each == label]))
