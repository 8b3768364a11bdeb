"""The model card as it stands in ``card.json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from refusals import refused_fields

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget, InputSpec, LibraryUse, Metrics, ModelCard
from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_budget_without_limits_searches_a_minute() -> None:
    assert Budget() == Budget(ram_bytes=None, flash_bytes=None, macs=None, search_seconds=60)


@pytest.mark.parametrize("field", ["ram_bytes", "flash_bytes", "macs", "search_seconds"])
def test_a_budget_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Budget.model_validate({field: 0})
    assert refused_fields(caught) == [field]


def test_a_field_that_no_card_has_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Budget.model_validate({"ram": 4096})
    assert refused_fields(caught) == ["ram"]


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"length": 0}, {"rate_hz": 0}, {"rate_hz": float("nan")}])
def test_an_input_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError) as caught:
        InputSpec.model_validate({"channels": 1, "length": 512, "rate_hz": 12_000, "unit": "g", **wrong})
    assert refused_fields(caught) == list(wrong)


def test_a_card_cannot_be_changed() -> None:
    budget = Budget()
    with pytest.raises(ValidationError) as caught:
        budget.ram_bytes = 1  # type: ignore[misc]
    assert [each["type"] for each in caught.value.errors()] == ["frozen_instance"]


@pytest.mark.parametrize("name", ["ab", "-abcd", "Model", "a/../b", "a" * 65, "a b c d"])
def test_an_id_that_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelCard.model_validate({"id": name})
    assert "id" in refused_fields(caught)


def test_metrics_survive_the_file() -> None:
    metrics = Metrics(
        accuracy=0.9,
        accuracy_low=0.8,
        accuracy_high=0.95,
        macro_f1=0.89,
        calibration_error=0.03,
        windows=100,
        confusion=[[50, 0], [10, 40]],
        accuracy_by_condition={"0 hp": 0.9},
    )

    assert Metrics.model_validate_json(metrics.model_dump_json()) == metrics


def without_deployed(card: dict[str, Any]) -> None:
    del card["measured"][card["deployed"]]


def with_a_class_twice(card: dict[str, Any]) -> None:
    card["classes"] = [card["classes"][0]] * 2


def without_a_number(card: dict[str, Any]) -> None:
    card["metrics"]["accuracy"] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [(without_deployed, "deployed"), (with_a_class_twice, "classes"), (without_a_number, "accuracy")],
)
def test_a_card_that_contradicts_itself_is_refused_by_name(
    tmp_path: Path, write_tiny_bundle: Callable[..., Path], spoil: Callable[[dict[str, Any]], None], named: str
) -> None:
    bundle = write_tiny_bundle(tmp_path)
    card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    spoil(card)
    (bundle / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(BundleError, match=named):
        load_bundle(bundle)


def test_a_library_is_told_in_one_line() -> None:
    solved = LibraryUse(recordings=1, windows=20, role="means_and_spread", weight=0.2, spread_weight=0.5)
    prior = "a prior of means (weight 0.2 beside 1) and of spread (weight 0.5 beside 0.5)"
    assert solved.text == f"20 windows of 1 recording, {prior}"
    trained = LibraryUse(recordings=None, windows=20, role="trained_first", weight=0.5)
    assert trained.text == "20 windows, learned in the first 50% of the training"
