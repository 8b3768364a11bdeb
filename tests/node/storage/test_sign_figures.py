"""A new model's card says what a node finds in the person's own recordings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.bundle.read import read_card
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.settings import AssetSection
from edgetune_node.storage.sign_figures import note_sign_figures
from edgetune_signal import ArmbandSimulator, Recording, RecordingStore, recordings_dataset

if TYPE_CHECKING:
    from pathlib import Path

SECTION = AssetSection(
    id="arm",
    task="sign",
    channels=8,
    rate_hz=200,
    unit="counts",
    subject="3",
    window={"length": 52, "hop": 13},
    sign={"unknown": "few"},
)


def recorded(gesture: str, take: int, seconds: int = 5, **marks: object) -> Recording:
    armband = ArmbandSimulator(subject="3", gesture=gesture, seed=10 + take)
    armband.generate(200)
    return Recording(armband.generate(200 * seconds), 200.0, gesture, "counts", group=f"{gesture}{take}", **marks)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    takes = [recorded(gesture, take) for gesture in ("rest", "fist", "open_hand") for take in range(3)]
    data = recordings_dataset(takes, 52, 13)
    return search(data, task="sign", budget=Budget(ram_bytes=4096), out=folder, candidates=3).bundle


@pytest.mark.slow
def test_false_signs_are_counted_in_rest_that_was_not_learned_and_effort_is_noted(bundle: Path, tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "recordings", 2**24)
    store.add(recorded("rest", 7, 12, held_out_from=400))
    store.add(recorded("rest", 8, 10))  # learned as a whole
    store.add(recorded("rest", 9, 20, held_out_from=0, subject="somebody else"))
    store.add(recorded("fist", 7, held_out_from=0))
    store.add(recorded("pinch", 7, held_out_from=0))  # no class of the model
    card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    note_sign_figures(bundle, SECTION, store, "3")
    signs = read_card(bundle).signs
    assert signs is not None
    assert (signs.false_per_minute_of_rest, signs.rest_seconds) == (0.0, 10.0)
    assert set(signs.power) == {"rest", "fist"}
    assert np.mean(signs.power["fist"]) > 10 * np.mean(signs.power["rest"])
    noted = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    assert {name: value for name, value in noted.items() if name != "signs"} == {
        name: value for name, value in card.items() if name != "signs"
    }
    assert not list(bundle.glob(".tmp*"))


def test_gestures_in_what_was_called_rest_count_as_false(bundle: Path, tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "recordings", 2**24)
    parts = [recorded(gesture, 3, 2).samples for gesture in ("rest", "fist", "rest", "open_hand", "rest")]
    moved = Recording(np.concatenate(parts, axis=1), 200.0, "rest", "counts", subject="3", held_out_from=0)
    store.add(moved)
    made = tmp_path / bundle.name
    made.mkdir()
    for file in bundle.iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    card = json.loads((made / "card.json").read_text(encoding="utf-8"))
    (made / "card.json").write_text(json.dumps({**card, "signs": None}), encoding="utf-8")
    note_sign_figures(made, SECTION, store, "3")
    signs = read_card(made).signs
    assert signs is not None
    assert signs.false_per_minute_of_rest == pytest.approx(2 * 60 / 10)
    note_sign_figures(made, SECTION, RecordingStore(tmp_path / "none", 2**20), "3")
    assert read_card(made).signs == signs  # what was measured once stays
