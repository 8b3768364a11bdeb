"""The engine: what it asks, what it refuses, whom it prefers, when it stops."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from engines import make_engine, parameters_matter, result_of, run_engine
from hypothesis import given, settings, strategies as st

from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError
from edgetune_nas.model.seed_architectures import emg_networks
from edgetune_nas.search.engine import CHALLENGER_MEMBERS, MOST_MEMBERS
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.task_profile import BRACKET_SIZE, FAULT, SIGN

if TYPE_CHECKING:
    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape

SHAPES: tuple[Shape, ...] = ((1, 512), (8, 400), (3, 4096), (6, 128))
LIMITS = ("ram_bytes", "flash_bytes", "macs")


@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms_are_asked_before_anything_is_trained(shape: Shape) -> None:
    steps = [candidate.steps for candidate in run_engine(make_engine(shape))]
    first_trained = next(index for index, each in enumerate(steps) if each)
    assert first_trained >= 3
    assert not any(steps[:first_trained])
    assert all(steps[first_trained:])


def test_equal_seeds_ask_the_same_and_other_seeds_something_else() -> None:
    first, second, other = (run_engine(make_engine(seed=seed)) for seed in (4, 4, 5))
    assert first == second
    assert [each.genotype for each in first] != [each.genotype for each in other]


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_the_order_of_results_within_a_batch_changes_nothing(seed: int) -> None:
    in_order, shuffled = make_engine(), make_engine()
    assert run_engine(in_order) == run_engine(shuffled, order=random.Random(seed))
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
        engine = make_engine(shape, budget=budget, task=task, seed=seed)
    except BudgetError:
        return
    asked = run_engine(engine)
    assert asked
    assert all(each.cost.arena_bytes <= ram and each.cost.flash_bytes <= flash for each in asked)
    assert engine.considered == engine.rejected + len({each.genotype for each in asked})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("trains", [True, False])
def test_a_hopeless_budget_names_the_smallest_that_would_do(shape: Shape, limit: str, *, trains: bool) -> None:
    with pytest.raises(BudgetError) as caught:
        make_engine(shape, budget=Budget.model_validate({limit: 1}), trains=trains)
    assert (caught.value.limit, caught.value.asked) == (limit, 1)
    enough = caught.value.smallest
    assert run_engine(make_engine(shape, budget=Budget.model_validate({limit: enough}), trains=trains))
    with pytest.raises(BudgetError):
        make_engine(shape, budget=Budget.model_validate({limit: enough - 1}), trains=trains)


def test_a_limit_is_named_such_that_raising_it_alone_is_enough() -> None:
    with pytest.raises(BudgetError) as caught:
        make_engine(budget=Budget(ram_bytes=600, flash_bytes=60))
    budget = Budget(ram_bytes=600, flash_bytes=60).model_copy(update={caught.value.limit: caught.value.smallest})
    assert run_engine(make_engine(budget=budget))


def test_a_bracket_starts_with_a_fixed_number_and_halves_it() -> None:
    asked = run_engine(make_engine())
    sizes, steps = zip(*FAULT.rungs, strict=True)
    trained = [each.steps for each in asked if each.steps]
    assert trained[: sizes[0]] == [steps[0]] * BRACKET_SIZE
    assert trained[sizes[0] : sizes[0] + sizes[1]] == [steps[1]] * sizes[1]


def test_the_best_of_a_rung_go_on_to_the_next() -> None:
    asked = [each for each in run_engine(make_engine()) if each.steps]
    first, second = asked[:BRACKET_SIZE], asked[BRACKET_SIZE : BRACKET_SIZE + 3]
    best = sorted(first, key=parameters_matter, reverse=True)[:3]
    assert {each.genotype for each in second} == {each.genotype for each in best}


def test_nothing_is_asked_while_results_are_missing() -> None:
    engine = make_engine()
    batch = list(iter(engine.ask, None))
    assert engine.ask() is None
    assert engine.stopped_by is None
    for candidate in batch[:-1]:
        engine.tell(result_of(candidate, 0.5))
    assert engine.ask() is None
    engine.tell(result_of(batch[-1], 0.5))
    assert engine.ask() is not None


def test_a_search_that_finds_nothing_better_has_converged() -> None:
    engine = make_engine()
    asked = run_engine(engine, lambda _: 0.9)
    assert engine.stopped_by == "converged"
    assert sum(bool(each.steps) for each in asked) == sum(size for size, _ in FAULT.rungs)


def test_a_search_goes_on_while_it_finds_better_ones() -> None:
    engine = make_engine(limit=60)
    run_engine(engine, lambda candidate: candidate.number / 1000)
    assert engine.stopped_by == "candidates"
    assert len({scored.candidate.genotype for scored in engine.scored}) == 60


def closed_forms_lead(candidate: Candidate) -> float:
    return 0.5 if candidate.steps else 0.9


def test_where_a_closed_form_leads_the_best_network_that_can_be_an_ensemble_is_compared_as_one() -> None:
    engine = make_engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = run_engine(engine, closed_forms_lead)
    assert engine.best is not None
    assert engine.best.candidate.steps == 0
    assert [candidate.members for candidate in asked if candidate.members > 1] == [CHALLENGER_MEMBERS]
    challenger = asked[-1]
    assert challenger.members == CHALLENGER_MEMBERS <= engine.members(challenger.genotype)
    assert challenger.steps == SIGN.rungs[-1][1]
    assert challenger.genotype in [candidate.genotype for candidate in asked[:-1] if candidate.steps]


def test_an_ensemble_that_wins_the_comparison_is_the_best() -> None:
    engine = make_engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = run_engine(engine, lambda candidate: 0.95 if candidate.members > 1 else closed_forms_lead(candidate))
    assert engine.best is not None
    assert engine.best.candidate == asked[-1]


def test_where_a_trained_network_leads_none_is_compared() -> None:
    engine = make_engine((8, 400), task="sign", budget=Budget(ram_bytes=6000))
    asked = run_engine(engine, lambda candidate: 0.9 if candidate.steps else 0.5)
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
    pairs = make_engine((8, 400), budget=budget, task="sign")
    engine = make_engine((8, 400), budget=budget, task="sign", most_members=most_members)

    def score(candidate: Candidate) -> float:
        if candidate.genotype not in emg_networks((8, 400)):
            return 0.5
        return 0.9 + (lead if pairs.members(candidate.genotype) == 2 else 0.0)

    asked = run_engine(engine, score)
    assert {pairs.members(candidate.genotype) for candidate in asked} >= {2, MOST_MEMBERS}
    assert engine.best is not None
    assert (pairs.members(engine.best.candidate.genotype) > 2) == larger


@pytest.mark.parametrize("lead", [0.5 * SIGN.selection_margin, 1.5 * SIGN.selection_margin])
def test_a_drawn_architecture_must_beat_the_best_seed_by_more_than_the_margin(lead: float) -> None:
    engine = make_engine((8, 400), task="sign", most_members=1)
    seeds = emg_networks((8, 400))

    def score(candidate: Candidate) -> float:
        if not candidate.steps:
            return 0.5
        return 0.9 + (0.0 if candidate.genotype in seeds else lead)

    run_engine(engine, score)
    assert engine.best is not None
    assert (engine.best.candidate.genotype in seeds) == (lead < SIGN.selection_margin)


def test_without_training_only_closed_forms_are_asked() -> None:
    engine = make_engine(trains=False)
    assert all(each.genotype.closed_form for each in run_engine(engine))
    assert engine.stopped_by == "converged"
    assert engine.trained == 0


def test_results_in_conditions_left_out_are_compared_with_no_others() -> None:
    engine = make_engine()
    while (candidate := engine.ask()) is not None:
        crossed = not candidate.steps or candidate.steps >= 120
        score = 0.6 if crossed else 0.99
        engine.tell(Result(candidate.number, score, score, 1.0, 0.1, crossed=crossed))
    chosen = [engine.best, *engine.finalists, *engine.pareto_front]
    assert all(each is not None and each.result.crossed for each in chosen)


def test_a_search_for_the_smallest_trusts_no_bands() -> None:
    engine = make_engine(trains=False, floor=0.9)
    asked = run_engine(engine, lambda _: 0.95)
    assert engine.best is not None
    assert engine.best.candidate.cost.arena_bytes == min(each.cost.arena_bytes for each in asked)


def test_kinds_add_rows_to_closed_forms_alone() -> None:
    one, several = (run_engine(make_engine(kinds=kinds, limit=30), lambda _: 0.5) for kinds in ((), (3, *[1] * 9)))
    more = {each.genotype: each.cost.parameters for each in several}
    both = [each for each in one if each.genotype in more]
    assert any(each.steps for each in both)
    for each in both:
        assert (more[each.genotype] > each.cost.parameters) == each.genotype.closed_form


def test_of_equally_good_ones_the_smallest_is_the_best() -> None:
    engine = make_engine((1, 400), task="sign", trains=False)
    asked = run_engine(engine, lambda _: 0.95)
    assert engine.best is not None
    assert engine.best.candidate.cost.arena_bytes == min(each.cost.arena_bytes for each in asked)


def test_a_score_within_the_tolerance_is_equal_and_one_beyond_is_not() -> None:
    for tolerance, expected in ((0.001, "small"), (0.0004, "large")):
        engine = make_engine((8, 400), task="sign", trains=False, tolerance=tolerance)
        asked: list[Candidate] = list(iter(engine.ask, None))
        large = max(asked, key=lambda each: each.cost.arena_bytes)
        small = min(asked, key=lambda each: each.cost.arena_bytes)
        scores = {large.number: 0.99, small.number: 0.9895}
        for candidate in asked:
            engine.tell(result_of(candidate, scores.get(candidate.number, 0.1)))
        assert engine.best is not None
        wanted = small if expected == "small" else large
        assert engine.best.candidate.cost.arena_bytes == wanted.cost.arena_bytes


def test_a_little_score_is_given_up_for_steadiness_and_no_more() -> None:
    for score, expected in ((0.97, "best"), (0.98, "steady")):
        engine = make_engine((8, 400), task="sign", trains=False)
        asked: list[Candidate] = list(iter(engine.ask, None))
        told = {asked[0].number: (0.99, 0.6), asked[1].number: (score, 0.95)}
        for candidate in asked:
            told_score, steadiness = told.get(candidate.number, (0.5, 0.99))
            engine.tell(Result(candidate.number, told_score, told_score, 1.0, 0.1, steadiness))
        assert engine.best is not None
        assert engine.best.candidate == (asked[0] if expected == "best" else asked[1])


def test_the_pareto_front_holds_every_candidate_that_none_beats_in_both() -> None:
    engine = make_engine()
    run_engine(engine)
    front = [(each.candidate.cost.arena_bytes, each.result.score) for each in engine.pareto_front]
    assert front == sorted(front)
    assert [score for _, score in front] == sorted({score for _, score in front})
    for scored in engine.scored:
        arena, score = scored.candidate.cost.arena_bytes, scored.result.score
        assert any(a <= arena and s >= score for a, s in front)
