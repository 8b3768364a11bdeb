"""A warning before a search whose time leaves none to train in."""

from __future__ import annotations

import pytest

from edgetune_nas.search.loop import EXPORT_SECONDS, SLOWEST, TORCH_SECONDS
from edgetune_nas.search.short_time import NEVER_SECONDS, SURE_SECONDS, short_time


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(10.0, "10 s is too short to train"), (15.0, "15 s may be too short to train any"), (20.0, None), (60.0, None)],
)
def test_a_time_too_short_to_train_in_is_told_beforehand(seconds: float, told: str | None) -> None:
    warning = short_time(seconds)
    assert warning is None if told is None else str(warning).startswith(told)


def test_the_bounds_are_those_that_the_search_keeps() -> None:
    assert NEVER_SECONDS == TORCH_SECONDS + EXPORT_SECONDS
    assert SURE_SECONDS == TORCH_SECONDS + SLOWEST * EXPORT_SECONDS
