"""Strength and smoothed class, for those who drive something with signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.card import SignFigures
from edgetune_node.monitor.effort import Effort, Smoother

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIGURES = SignFigures(power={"rest": [1.0, 1.0], "fist": [101.0, 1.0], "open": [1.0, 26.0]})


def window(first: float, second: float, offset: float = 0.0) -> NDArray[np.float32]:
    """A window whose channels have so much power."""
    wave = np.tile([1.0, -1.0], 26)
    return (np.sqrt([[first], [second]]) * wave + offset).astype(np.float32)


def effort(*windows: NDArray[np.float32], figures: SignFigures | None = FIGURES) -> Effort:
    made = Effort("rest", 0.26, 0.065)
    made.calibrate(figures)
    for each in windows:
        made.hear(each)
    return made


@pytest.mark.parametrize(("power", "strength"), [(101, 1.0), (51, 0.5), (1, 0.0), (0, 0.0), (400, 1.0)])
def test_strength_is_power_above_rest_over_that_at_calibration(power: float, strength: float) -> None:
    assert effort(window(power, 1)).strength("fist") == pytest.approx(strength, abs=1e-3)


def test_only_the_sign_s_own_electrodes_count_and_an_offset_does_not() -> None:
    assert effort(window(101, 900, offset=50)).strength("fist") == pytest.approx(1.0)
    assert effort(window(900, 26)).strength("open") == pytest.approx(1.0)


def test_strength_is_averaged_over_half_a_second_and_begins_again_after_a_gap() -> None:
    made = effort(window(101, 1), window(1, 1), window(1, 1), window(1, 1))
    assert made.strength("fist") == pytest.approx(0.25)
    made.hear(window(1, 1))
    assert made.strength("fist") == 0.0
    made.forget()
    assert made.strength("fist") is None


@pytest.mark.parametrize("sign", [None, "unknown", "rest", "wave"])
def test_outside_a_calibrated_sign_there_is_no_strength(sign: str | None) -> None:
    assert effort(window(101, 1)).strength(sign) is None


@pytest.mark.parametrize("figures", [None, SignFigures(), SignFigures(power={"fist": [1.0, 2.0]})])
def test_a_card_that_does_not_say_how_rest_is_gives_no_strength(figures: SignFigures | None) -> None:
    assert effort(window(101, 1), figures=figures).strength("fist") is None


def test_broken_samples_and_another_number_of_channels_give_no_strength() -> None:
    assert effort(np.full((2, 52), np.nan, np.float32)).strength("fist") is None
    assert effort(window(101, 1)[:1]).strength("fist") is None


def test_the_majority_is_said_and_of_equal_ones_the_newest() -> None:
    smoother = Smoother(4)
    said = [smoother.hear(class_) for class_ in ("rest", "fist", "rest", "fist", "fist", "unknown", "unknown")]
    assert said == ["rest", "fist", "rest", "fist", "fist", "fist", "unknown"]
    smoother.forget()
    assert smoother.hear("rest") == "rest"
    assert Smoother(0).hear("fist") == "fist"
