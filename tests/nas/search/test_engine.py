"""The engine: what it asks, what it refuses, whom it prefers, when it stops."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError
from edgetune_nas.model.search_space import Bank, Together
from edgetune_nas.model.seed_architectures import emg_networks
from edgetune_nas.search.engine import CHALLENGER_MEMBERS, MANY_BANDS, MOST_MEMBERS, TOGETHER_MARGIN, Engine
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.task_profile import BRACKET_SIZE, FAULT, PROFILES, SIGN, standard_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape

SHAPES: tuple[Shape, ...] = ((1, 512), (8, 400), (3, 4096), (6, 128))
LIMITS = ("ram_bytes", "flash_bytes", "macs")


def _engine(
    shape: Shape = (1, 512),
    *,
    budget: Budget | None = None,
    task: Task = "fault",
    seed: int = 0,
    trains: bool = True,
    limit: int | None = None,
    tolerance: float = 0.0,
    most_members: int = MOST_MEMBERS,
    floor: float | None = None,
    kinds: tuple[int, ...] = (),
    recordings: int = 1000,
) -> Engine:
    return Engine(
        shape,
        10,
        budget or Budget(),
        profile=PROFILES[task],
        seed=seed,
        trains=trains,
        limit=limit,
        tolerance=tolerance,
        most_members=most_members,
        floor=floor,
        kinds=kinds,
        recordings=recordings,
    )


def _parameters_matter(candidate: Candidate) -> float:
    """A stand-in for training: better with parameters and steps, the same every time."""
    size = candidate.cost.parameters
    return size / (size + 1000) * (1 - 20 / (20 + candidate.steps) if candidate.steps else 0.6)


def _result(candidate: Candidate, score: float) -> Result:
    return Result(candidate.number, round(score, 2), score, 1.0, 0.1)


def _run(
    engine: Engine,
    score: Callable[[Candidate], float] = _parameters_matter,
    order: random.Random | None = None,
) -> list[Candidate]:
    asked: list[Candidate] = []
    while batch := list(iter(engine.ask, None)):
        asked += batch
        told = list(batch)
        if order is not None:
            order.shuffle(told)
        for candidate in told:
            engine.tell(_result(candidate, score(candidate)))
    return asked


@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms_are_asked_before_anything_is_trained(shape: Shape) -> None:
    steps = [candidate.steps for candidate in _run(_engine(shape))]
    first_trained = next(index for index, each in enumerate(steps) if each)
    assert first_trained >= 3
    assert not any(steps[:first_trained])
    assert all(steps[first_trained:])


def test_equal_seeds_ask_the_same_and_other_seeds_something_else() -> None:
    first, second, other = (_run(_engine(seed=seed)) for seed in (4, 4, 5))
    assert first == second
    assert [each.genotype for each in first] != [each.genotype for each in other]


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_the_order_of_results_within_a_batch_changes_nothing(seed: int) -> None:
    in_order, shuffled = _engine(), _engine()
    assert _run(in_order) == _run(shuffled, order=random.Random(seed))
    assert in_order.best == shuffled.best
    assert in_order.rng_state() == shuffled.rng_state()


@given(
    shape=st.sampled_from(SHAPES),
    task=st.sampled_from(["fault", "sign"]),
    ram=st.integers(1, 16_000),
    flash=st.integers(100, 20_000),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_whatever_is_asked_fits_the_budget(shape: Shape, task: Task, ram: int, flash: int, seed: int) -> None:
    budget = Budget(ram_bytes=ram, flash_bytes=flash)
    try:
        engine = _engine(shape, budget=budget, task=task, seed=seed)
    except BudgetError:
        return
    asked = _run(engine)
    assert asked
    assert all(each.cost.arena_bytes <= ram and each.cost.flash_bytes <= flash for each in asked)
    assert engine.considered == engine.rejected + len({each.genotype for each in asked})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("trains", [True, False])
def test_a_hopeless_budget_names_the_smallest_that_would_do(shape: Shape, limit: str, *, trains: bool) -> None:
    with pytest.raises(BudgetError) as caught:
        _engine(shape, budget=Budget.model_validate({limit: 1}), trains=trains)
    assert (caught.value.limit, caught.value.asked) == (limit, 1)
    enough = caught.value.smallest
    assert _run(_engine(shape, budget=Budget.model_validate({limit: enough}), trains=trains))
    with pytest.raises(BudgetError):
        _engine(shape, budget=Budget.model_validate({limit: enough - 1}), trains=trains)


def test_a_limit_is_named_such_that_raising_it_alone_is_enough() -> None:
    with pytest.raises(BudgetError) as caught:
        _engine(budget=Budget(ram_bytes=600, flash_bytes=60))
    budget = Budget(ram_bytes=600, flash_bytes=60).model_copy(update={caught.value.limit: caught.value.smallest})
    assert _run(_engine(budget=budget))


def test_a_bracket_starts_with_a_fixed_number_and_halves_it() -> None:
    asked = _run(_engine())
    sizes, steps = zip(*FAULT.rungs, strict=True)
    trained = [each.steps for each in asked if each.steps]
    assert trained[: sizes[0]] == [steps[0]] * BRACKET_SIZE
    assert trained[sizes[0] : sizes[0] + sizes[1]] == [steps[1]] * sizes[1]


def test_the_best_of_a_rung_go_on_to_the_next() -> None:
    asked = [each for each in _run(_engine()) if each.steps]
    first, second = asked[:BRACKET_SIZE], asked[BRACKET_SIZE : BRACKET_SIZE + 3]
    best = sorted(first, key=_parameters_matter, reverse=True)[:3]
    assert {each.genotype for each in second} == {each.genotype for each in best}


def test_nothing_is_asked_while_results_are_missing() -> None:
    engine = _engine()
    batch = list(iter(engine.ask, None))
    assert engine.ask() is None
    assert engine.stopped_by is None
    for candidate in batch[:-1]:
        engine.tell(_result(candidate, 0.5))
    assert engine.ask() is None
    engine.tell(_result(batch[-1], 0.5))
    assert engine.ask() is not None


def test_a_search_that_finds_nothing_better_has_converged() -> None:
    engine = _engine()
    asked = _run(engine, lambda _: 0.9)
    assert engine.stopped_by == "converged"
    assert sum(bool(each.steps) for each in asked) == sum(size for size, _ in FAULT.rungs)


def test_a_search_goes_on_while_it_finds_better_ones() -> None:
    engine = _engine(limit=60)
    _run(engine, lambda candidate: candidate.number / 1000)
    assert engine.stopped_by == "candidates"
    assert len({scored.candidate.genotype for scored in engine.scored}) == 60


def closed_forms_lead(candidate: Candidate) -> float:
    return 0.5 if candidate.steps else 0.9


def test_where_a_closed_form_leads_the_best_network_that_can_be_an_ensemble_is_compared_as_one() -> None:
    engine = _engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = _run(engine, closed_forms_lead)
    assert engine.best is not None
    assert engine.best.candidate.steps == 0
    assert [candidate.members for candidate in asked if candidate.members > 1] == [CHALLENGER_MEMBERS]
    challenger = asked[-1]
    assert challenger.members == CHALLENGER_MEMBERS <= engine.members(challenger.genotype)
    assert challenger.steps == SIGN.rungs[-1][1]
    assert challenger.genotype in [candidate.genotype for candidate in asked[:-1] if candidate.steps]


def test_an_ensemble_that_wins_the_comparison_is_the_best() -> None:
    engine = _engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = _run(engine, lambda candidate: 0.95 if candidate.members > 1 else closed_forms_lead(candidate))
    assert engine.best is not None
    assert engine.best.candidate == asked[-1]


def test_where_a_trained_network_leads_none_is_compared() -> None:
    engine = _engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = _run(engine, lambda candidate: 0.9 if candidate.steps else 0.5)
    assert {candidate.members for candidate in asked} == {1}


@pytest.mark.parametrize(
    ("lead", "most_members", "larger"),
    [(0.002, MOST_MEMBERS, True), (0.006, MOST_MEMBERS, False), (0.002, 1, False)],
    ids=["less than two members add", "more than two members add", "no ensembles"],
)
def test_what_a_larger_ensemble_will_add_counts_in_the_comparison(
    lead: float, most_members: int, *, larger: bool
) -> None:
    assert 0.002 < SIGN.ensemble_gain * (1 / 2 - 1 / 4) < 0.006
    budget = Budget(ram_bytes=3584)
    pairs = _engine((8, 400), budget=budget, task="sign")
    engine = _engine((8, 400), budget=budget, task="sign", most_members=most_members)

    def score(candidate: Candidate) -> float:
        if candidate.genotype not in emg_networks((8, 400)):
            return 0.5
        return 0.9 + (lead if pairs.members(candidate.genotype) == 2 else 0.0)

    asked = _run(engine, score)
    assert {pairs.members(candidate.genotype) for candidate in asked} >= {2, MOST_MEMBERS}
    assert engine.best is not None
    assert (pairs.members(engine.best.candidate.genotype) > 2) == larger


@pytest.mark.parametrize("lead", [0.5 * SIGN.selection_margin, 1.5 * SIGN.selection_margin])
def test_a_drawn_architecture_must_beat_the_best_seed_by_more_than_the_margin(lead: float) -> None:
    engine = _engine((8, 400), task="sign", most_members=1)
    seeds = emg_networks((8, 400))

    def score(candidate: Candidate) -> float:
        if not candidate.steps:
            return 0.5
        return 0.9 + (0.0 if candidate.genotype in seeds else lead)

    _run(engine, score)
    assert engine.best is not None
    assert (engine.best.candidate.genotype in seeds) == (lead < SIGN.selection_margin)


def test_without_training_only_closed_forms_are_asked() -> None:
    engine = _engine(trains=False)
    assert all(each.genotype.closed_form for each in _run(engine))
    assert engine.stopped_by == "converged"
    assert engine.trained == 0


def _many_bands(candidate: Candidate) -> bool:
    frontend = candidate.genotype.frontend
    return candidate.genotype.closed_form and isinstance(frontend, Bank) and frontend.bands >= MANY_BANDS


def test_a_closed_form_of_many_bands_is_asked_first() -> None:
    many = [_many_bands(each) for each in _run(_engine(trains=False))]
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
    engine = _engine()
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
    engine = _engine()
    while batch := list(iter(engine.ask, None)):
        for each in batch:
            right = (0.0, 0.9, None, 0.9) if _many_bands(each) else (None, 0.9, 1.0, 0.9)
            score = 0.8 if _many_bands(each) else 0.9
            engine.tell(Result(each.number, score, score, 1.0, 0.1, right=right))
    assert engine.best is not None
    assert _many_bands(engine.best.candidate)


@pytest.mark.parametrize("behind", [0.0, TOGETHER_MARGIN / 2, 2 * TOGETHER_MARGIN])
def test_correlations_of_electrodes_are_the_best_within_a_margin(behind: float) -> None:
    engine = _engine((8, 50), task="sign", trains=False)
    asked = _run(engine, lambda candidate: 0.98 - behind * _correlated(candidate))
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
    engine = _engine()
    _run(engine, lambda each: 0.98 + standard_error(1000) / 2 * (_many_bands(each) and each.genotype.frontend.p == 2))
    assert engine.best is not None
    assert engine.best.candidate.genotype.frontend.p == 1


def test_results_in_conditions_left_out_are_compared_with_no_others() -> None:
    engine = _engine()
    while (candidate := engine.ask()) is not None:
        crossed = not candidate.steps or candidate.steps >= 120
        score = 0.6 if crossed else 0.99
        engine.tell(Result(candidate.number, score, score, 1.0, 0.1, crossed=crossed))
    chosen = [engine.best, *engine.finalists, *engine.pareto_front]
    assert all(each is not None and each.result.crossed for each in chosen)


def test_a_search_for_the_smallest_trusts_no_bands() -> None:
    engine = _engine(trains=False, floor=0.9)
    asked = _run(engine, lambda _: 0.95)
    assert engine.best is not None
    assert engine.best.candidate.cost.arena_bytes == min(each.cost.arena_bytes for each in asked)


def test_kinds_add_rows_to_closed_forms_alone() -> None:
    one, several = (_run(_engine(kinds=kinds, limit=30), lambda _: 0.5) for kinds in ((), (3, *[1] * 9)))
    more = {each.genotype: each.cost.parameters for each in several}
    both = [each for each in one if each.genotype in more]
    assert any(each.steps for each in both)
    for each in both:
        assert (more[each.genotype] > each.cost.parameters) == each.genotype.closed_form


def test_of_equally_good_ones_the_smallest_is_the_best() -> None:
    engine = _engine((1, 400), task="sign", trains=False)
    asked = _run(engine, lambda _: 0.95)
    assert engine.best is not None
    assert engine.best.candidate.cost.arena_bytes == min(each.cost.arena_bytes for each in asked)


def test_a_score_within_the_tolerance_is_equal_and_one_beyond_is_not() -> None:
    for tolerance, expected in ((0.001, "small"), (0.0004, "large")):
        engine = _engine((8, 400), task="sign", trains=False, tolerance=tolerance)
        asked: list[Candidate] = list(iter(engine.ask, None))
        large = max(asked, key=lambda each: each.cost.arena_bytes)
        small = min(asked, key=lambda each: each.cost.arena_bytes)
        scores = {large.number: 0.99, small.number: 0.9895}
        for candidate in asked:
            engine.tell(_result(candidate, scores.get(candidate.number, 0.1)))
        assert engine.best is not None
        wanted = small if expected == "small" else large
        assert engine.best.candidate.cost.arena_bytes == wanted.cost.arena_bytes


def test_a_little_score_is_given_up_for_steadiness_and_no_more() -> None:
    for score, expected in ((0.97, "best"), (0.98, "steady")):
        engine = _engine((8, 400), task="sign", trains=False)
        asked: list[Candidate] = list(iter(engine.ask, None))
        told = {asked[0].number: (0.99, 0.6), asked[1].number: (score, 0.95)}
        for candidate in asked:
            told_score, steadiness = told.get(candidate.number, (0.5, 0.99))
            engine.tell(Result(candidate.number, told_score, told_score, 1.0, 0.1, steadiness))
        assert engine.best is not None
        assert engine.best.candidate == (asked[0] if expected == "best" else asked[1])


def test_the_pareto_front_holds_every_candidate_that_none_beats_in_both() -> None:
    engine = _engine()
    _run(engine)
    front = [(each.candidate.cost.arena_bytes, each.result.score) for each in engine.pareto_front]
    assert front == sorted(front)
    assert [score for _, score in front] == sorted({score for _, score in front})
    for scored in engine.scored:
        arena, score = scored.candidate.cost.arena_bytes, scored.result.score
        assert any(a <= arena and s >= score for a, s in front)
