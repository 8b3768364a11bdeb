"""A network that is sure of hardly anything does not keep silent about it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from manual_clock import ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_node.config.settings import AlarmSection, AssetSection, WindowSection
from edgetune_node.contract.topics import Topics
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.asset import Asset
from edgetune_node.monitor.confidence import WINDOWS, ConfidenceMonitor
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def heard(watch: ConfidenceMonitor, *pattern: float) -> str | None:
    for number in range(4 * WINDOWS):
        watch.hear(pattern[number % len(pattern)])
    return watch.reason


def test_it_is_said_where_nine_of_ten_are_in_doubt_and_taken_back_under_half() -> None:
    watch = ConfidenceMonitor(0.5)
    assert heard(watch, 0.4, 0.4, 0.4, 0.5) is None
    assert "min_confidence = 0.5" in (heard(watch, 0.4) or "")
    assert heard(watch, 0.4, 0.4, 0.5) is not None
    assert heard(watch, 0.4, 0.5, 0.5) is None


def test_a_few_windows_say_nothing_and_another_network_begins_anew() -> None:
    watch = ConfidenceMonitor(0.5)
    for _ in range(WINDOWS * 9 // 10):
        watch.hear(0.1)
    assert watch.reason is None
    watch.hear(0.1)
    assert watch.reason is not None
    watch.forget()
    watch.hear(0.1)
    assert watch.reason is None


def test_an_asset_suggests_to_recalibrate_where_nothing_can_be_raised(
    write_tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    section = AssetSection(
        id="b", rate_hz=1000, window=WindowSection(length=64, hop=64), alarm=AlarmSection(min_confidence=1.0)
    )
    ids = itertools.count()
    asset = Asset(section, Publisher(Topics("edgetune", "n"), "boot", ManualClock()), lambda: f"e{next(ids)}")
    bundle = load_bundle(write_tiny_bundle(tmp_path, channels=1, length=64, rate_hz=1000.0))
    asset.swap(bundle, None)
    noise = np.random.default_rng(0).normal(size=(1, 64 * WINDOWS)).astype(np.float32)
    asset.listen(Chunk(noise, 0, 1000.0, 0))
    [suggested] = asset.suggested
    assert "less sure than min_confidence = 1 of most" in suggested
    asset.swap(bundle, None)
    assert asset.suggested == ()
