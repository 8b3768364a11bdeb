"""A card that contradicts itself is no card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
