"""What an asset does alike for both tasks, whatever monitor it has, and that nobody else changes its state."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from manual_clock import ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.commands import Shelve
from edgetune_node.contract.messages import Classification
from edgetune_node.contract.topics import Topics
from edgetune_node.errors import Refused
from edgetune_node.events.events import NovelChanged, NovelSegment, SourceChanged, SourceRefused
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.asset import Asset
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.bundle.read import Bundle

TASKS = ("fault", "sign")


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "made"))


@pytest.fixture(params=TASKS)
def asset(request: pytest.FixtureRequest) -> Asset:
    return made(request.param)


def made(task: str) -> Asset:
    section = AssetSection.model_validate(
        {"id": "a", "task": task, "rate_hz": 1000, "unit": "g", "subject": "anna", "window": {"length": 64, "hop": 64}}
    )
    ids = itertools.count()
    return Asset(section, Publisher(Topics("edgetune", "n"), "boot", ManualClock()), lambda: f"e{next(ids)}")


def chunk(number: int, *, gap: bool = False) -> Chunk:
    samples = np.random.default_rng(number).normal(size=(1, 64)).astype(np.float32)
    return Chunk(samples, number * 64_000_000, 1000.0, number, gap=gap)


def windows(asset: Asset, heard: Chunk) -> list[Classification]:
    return [each.message for each in asset.listen(heard) if isinstance(each.message, Classification)]


def test_a_window_is_classified_once_there_is_a_model_also_after_a_gap(asset: Asset, bundle: Bundle) -> None:
    assert windows(asset, chunk(0)) == []
    (told,) = asset.swap(bundle, "before")
    assert (told.message.id, told.message.previous, told.message.subject) == (bundle.card.id, "before", "anna")  # type: ignore[attr-defined]
    assert [window.model for window in windows(asset, chunk(1))] == [bundle.card.id]
    assert [window.model for window in windows(asset, chunk(2, gap=True))] == [bundle.card.id]
    assert asset.heard


@pytest.mark.parametrize(("name", "value"), [("bundle", None), ("subject", "ben"), ("context", None)])
def test_nobody_writes_into_an_asset(asset: Asset, name: str, value: object) -> None:
    with pytest.raises(AttributeError):
        setattr(asset, name, value)


def test_what_its_source_and_its_plant_report_is_told_until_it_is_past(asset: Asset) -> None:
    asset.source_changed(SourceRefused("a", "bad block"))
    asset.source_changed(SourceChanged("a", "unplugged"))
    asset.context_arrived(b"nonsense")
    assert asset.trouble == "unplugged"
    refused, misunderstood = asset.problems
    assert refused == "bad block"
    assert misunderstood.startswith("context refused")
    asset.source_changed(SourceRefused("a", None))
    asset.source_changed(SourceChanged("a", None))
    asset.context_arrived(b'{"shaft_rpm": 900}')
    assert (asset.trouble, asset.problems, asset.context.shaft_rpm) == ("", (), 900)
    asset.source_changed(SourceChanged("a", None, ended=True))
    assert asset.trouble == "the recording has ended"


def test_of_what_is_kept_a_failed_labelling_is_no_problem(asset: Asset) -> None:
    asset.novel_changed(NovelChanged("a", (NovelSegment("e1", 5.0, 2.0, "anna"),), error="disk full"))
    assert asset.novelty.problem == "disk full"
    assert "e1" in asset.suggested[0]
    asset.novel_changed(NovelChanged("a", (), job="l1", error="gone"))
    assert (asset.novelty.problem, asset.novelty.kept, asset.suggested) == ("disk full", (), ())


def test_what_is_kept_of_somebody_else_is_suggested_for_a_machine_only() -> None:
    for task in TASKS:
        asset = made(task)
        asset.novel_changed(NovelChanged("a", (NovelSegment("e1", 5.0, 2.0, "ben"),)))
        assert bool(asset.suggested) == (task == "fault")


def test_a_person_has_no_fault_to_acknowledge_or_to_shelve() -> None:
    asset = made("sign")
    with pytest.raises(Refused, match="no fault is active"):
        asset.acknowledge(None, "me", "")
    with pytest.raises(Refused, match="a has task sign: it has no faults to shelve"):
        asset.shelve(Shelve.model_validate({"id": "s", "class": "inner", "seconds": 5, "by": "me"}))
    assert asset.tick() == []
