"""The health benchmark's own rules: when a method raises, and what it was asked on was not learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from bench_health import alarmed, events
from health_methods import others
from health_sets import HOP, WINDOW, machines, windows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("over", "raised"),
    [([1] * 7 + [0] * 9, False), ([0] * 5 + [1] * 8 + [0] * 5, True), ([1, 1, 0], False), ([1], True)],
)
def test_eight_of_ten_windows_raise(over: list[int], raised: bool) -> None:  # noqa: FBT001
    assert alarmed(np.array(over) * 2.0) is raised


def test_an_event_begins_with_four_of_five_and_ends_with_one_of_six() -> None:
    over = np.array([0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1], float)
    assert events(over) == [(6, 13), (18, None)]
    assert events(np.zeros(9)) == []


def test_what_is_asked_was_not_learned_and_every_method_hears_a_louder_machine(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "foreign" / "gear"
    folder.mkdir(parents=True)
    for name, label, level in (("h", "normal", 1.0), ("b", "broken", 3.0)):
        samples = (level * rng.normal(size=(2, 40_000))).astype(np.float32)
        np.savez(folder / f"{name}.npz", samples=samples, rate_hz=1e4, label=label, unit="g", group=name)
    (machine,) = machines(tmp_path)
    healthy, faulty = machine.asked
    assert (machine.name, healthy.label, faulty.label) == ("gearbox", "normal", "broken")
    assert len(machine.learn) == (24_000 - WINDOW) // HOP + 1
    assert not np.isin(windows(healthy.samples)[:, 0, 0], machine.learn.x[:, 0, 0]).any()
    for name, ratios in others(machine.learn).items():
        assert alarmed(ratios(windows(faulty.samples))), name
        if name != "log bands, 99.5 %":  # whose limit comes from the very windows that it learned
            assert not alarmed(ratios(windows(healthy.samples))), name
