"""Whom the engine trusts beyond a score: closed forms of many bands, and correlations of channels."""

from __future__ import annotations

import pytest
from engines import make_engine, run_engine

from edgetune_nas.model.search_space import Bank, Together
from edgetune_nas.search.engine import MANY_BANDS, TOGETHER_MARGIN
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.task_profile import standard_error


def _many_bands(candidate: Candidate) -> bool:
    frontend = candidate.genotype.frontend
    return candidate.genotype.closed_form and isinstance(frontend, Bank) and frontend.bands >= MANY_BANDS


def test_a_closed_form_of_many_bands_is_asked_first() -> None:
    many = [_many_bands(each) for each in run_engine(make_engine(trains=False))]
    assert many[0]
    assert many == sorted(many, reverse=True)


ONE_RECORDING = (0.2, 0.3, 0.2, 0.3, 0.2)
"""What others are better by in each part of one recording."""


@pytest.mark.parametrize(
    ("leads", "sure"),
    [
        ((), False),
        ((0.0,) * 20, False),
        ((0.0,) * 19 + (0.5,), False),
        ((-0.2, 0.3, 0.2, -0.3), False),
        ((0.0, 0.0, 0.2, 0.2), False),
        ((*ONE_RECORDING, *(0.0,) * 15), True),
        ((*ONE_RECORDING, *(-each for each in ONE_RECORDING)), False),
        ((0.01,) * 10, True),
    ],
)
def test_a_closed_form_of_many_bands_wins_unless_another_is_surely_right_more_often(
    leads: tuple[float, ...], *, sure: bool
) -> None:
    engine = make_engine()
    asked: list[Candidate] = []
    while batch := list(iter(engine.ask, None)):
        asked += batch
        for each in batch:
            right = tuple(0.5 + lead * (not _many_bands(each)) for lead in leads)
            score = 0.8 if _many_bands(each) else 0.9
            engine.tell(Result(each.number, score, score, 1.0, 0.1, right=right))
    assert engine.best is not None
    best = engine.best.candidate
    assert _many_bands(best) != sure
    if not sure:
        assert best.genotype.frontend.bands == max(e.genotype.frontend.bands for e in asked if _many_bands(e))


def test_candidates_are_compared_where_both_were_asked() -> None:
    engine = make_engine()
    while batch := list(iter(engine.ask, None)):
        for each in batch:
            right = (0.0, 0.9, None, 0.9) if _many_bands(each) else (None, 0.9, 1.0, 0.9)
            score = 0.8 if _many_bands(each) else 0.9
            engine.tell(Result(each.number, score, score, 1.0, 0.1, right=right))
    assert engine.best is not None
    assert _many_bands(engine.best.candidate)


@pytest.mark.parametrize("behind", [0.0, TOGETHER_MARGIN / 2, 2 * TOGETHER_MARGIN])
def test_correlations_of_electrodes_are_the_best_within_a_margin(behind: float) -> None:
    engine = make_engine((8, 50), task="sign", trains=False)
    asked = run_engine(engine, lambda candidate: 0.98 - behind * _correlated(candidate))
    assert any(map(_correlated, asked))
    assert engine.best is not None
    assert _correlated(engine.best.candidate) == (behind < TOGETHER_MARGIN)


def _correlated(candidate: Candidate) -> bool:
    frontend = candidate.genotype.frontend
    return isinstance(frontend, Together) and frontend.correlate and frontend.differences > 0


def test_the_fewer_recordings_tell_the_more_a_candidate_must_lead() -> None:
    margins = [standard_error(recordings) for recordings in (2, 4, 10, 100, 1000)]
    assert margins == sorted(margins, reverse=True)
    assert margins[2] == pytest.approx((12 / 14 * 2 / 14 / 14) ** 0.5)


def test_of_as_many_bands_the_rectified_ones_are_the_best_whatever_a_saturated_validation_says() -> None:
    engine = make_engine()
    run_engine(
        engine, lambda each: 0.98 + standard_error(1000) / 2 * (_many_bands(each) and each.genotype.frontend.p == 2)
    )
    assert engine.best is not None
    assert engine.best.candidate.genotype.frontend.p == 1
