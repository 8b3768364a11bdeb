"""What kind of test an accuracy comes from, and how an accuracy is written for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_nas.card import Metrics, ModelCard, TestedOn
    from edgetune_signal.datasets import Dataset

TESTED_ON: dict[TestedOn, str] = {
    "other_conditions": "tested on other conditions",
    "other_recordings": "tested on other recordings of the same conditions",
    "later_in_the_same_recordings": "tested on other parts of the same recordings",
}


def recordings_of(dataset: Dataset) -> NDArray[np.int64] | None:
    """Return the number of each window's recording; None where the data do not say what was recorded together."""
    unnamed = not dataset.groups and bool((dataset.start == INDEPENDENT).all())
    return None if unnamed and len(np.unique(dataset.group)) == len(dataset) else dataset.group


def kind_of_test(learned: Dataset, test: Dataset) -> TestedOn:
    """Return what a network learned from ``learned`` is asked by ``test``; both are parts of one data set.

    Windows that nobody assigned to recordings count as parts of the same ones.
    """
    if recordings_of(test) is None or np.isin(test.group, learned.group).any():
        return "later_in_the_same_recordings"
    if not np.isin(test.condition, learned.condition).any():
        return "other_conditions"
    return "other_recordings"


def classes_in_parts(learned: Dataset, test: Dataset) -> list[str]:
    """Return the classes tested on parts of recordings whose other parts were learned; none where all or none are."""
    if recordings_of(test) is None:
        return []
    shared = set(test.label[np.isin(test.group, learned.group)].tolist())
    every = set(test.label.tolist())
    return [] if shared == every else [test.classes[index] for index in sorted(shared)]


def how_tested(tested_on: TestedOn | None, in_parts: Sequence[str] = ()) -> str:
    """Write how the test data were held apart; empty where nobody said."""
    if tested_on is None:
        return ""
    return f"tested on other recordings, {', '.join(in_parts)} on other parts" if in_parts else TESTED_ON[tested_on]


def accuracy_text(
    metrics: Metrics, tested_on: TestedOn | None, digits: int = 2, *, in_parts: Sequence[str] = ()
) -> str:
    """Write an accuracy with its interval, what the interval rests on, and how it was tested."""
    if metrics.accuracy is None:
        return "none of a health model"
    rests = "" if metrics.recordings is None else f" of {metrics.recordings} recording{'s' * (metrics.recordings > 1)}"
    return accuracy_sentence(
        metrics.accuracy,
        (metrics.accuracy_low, metrics.accuracy_high),
        tested_on,
        windows=f"{metrics.windows} held-out windows{rests}",
        digits=digits,
        in_parts=in_parts,
    )


def card_accuracy(card: ModelCard, digits: int = 2) -> str:
    """Write the accuracy that a card promises, or what a health model promises in its place."""
    if card.kind == "health":
        return f"none: a health model, {false_alarms_text(card)}"
    before = " (measured before it learned the test windows too)" if card.measured_before_refit else ""
    return (
        accuracy_text(card.metrics, card.tested_on, digits, in_parts=card.tested_in_parts)
        + before
        + _left_out_text(card, digits)
    )


def _left_out_text(card: ModelCard, digits: int) -> str:
    if not (shares := card.accuracy_left_out):
        return ""
    worst = min(shares, key=shares.__getitem__)
    mean = sum(shares.values()) / len(shares)
    return f"; in conditions left out of training {mean:.{digits}%}, at worst {shares[worst]:.{digits}%} ({worst})"


def false_alarms_text(card: ModelCard) -> str:
    """Write how often a health model calls health unlike itself, and what the health heard supports."""
    metrics = card.metrics
    share = accuracy_text(metrics.model_copy(update=_as_share(metrics)), card.tested_on, 1)
    heard, supported = metrics.healthy_seconds or 0.0, metrics.supported_per_month or 0.0
    return (
        f"over its limit at {share}; {heard:.0f} s of health rule out more than {supported:,.0f} false alarms a month "
        "and no fewer"
    )


def _as_share(metrics: Metrics) -> dict[str, float | None]:
    """Return the false alarms in the place of the accuracy; both are shares of windows with an interval."""
    return {
        "accuracy": metrics.false_alarms,
        "accuracy_low": metrics.false_alarms_low,
        "accuracy_high": metrics.false_alarms_high,
    }


def accuracy_sentence(
    accuracy: float,
    bounds: tuple[float | None, float | None],
    tested_on: TestedOn | None,
    *,
    windows: str = "",
    digits: int = 1,
    in_parts: Sequence[str] = (),
) -> str:
    """Write an accuracy with as much as is known of its interval and its test."""
    low, high = bounds
    parts = [] if low is None or high is None else [f"95 % interval {low:.{digits}%} to {high:.{digits}%}"]
    parts += [each for each in (windows, how_tested(tested_on, in_parts)) if each]
    return f"{accuracy:.{digits}%}" + (f" ({', '.join(parts)})" if parts else "")
