"""Blocks of windows: all of them, in order, none larger than it may be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgetune_nas.portions import portions


@given(windows=st.integers(0, 60), channels=st.integers(1, 4), length=st.integers(1, 20), limit=st.integers(1, 900))
def test_portions_are_all_the_windows_in_order_and_no_larger_than_the_limit(
    windows: int, channels: int, length: int, limit: int
) -> None:
    x = np.arange(windows * channels * length, dtype=np.float32).reshape(windows, channels, length)
    cut = portions(x, limit)
    assert np.array_equal(np.concatenate(cut), x)
    assert all(len(portion) <= 1 or portion.nbytes <= limit for portion in cut)
    assert all(len(portion) == len(cut[0]) for portion in cut[:-1])
    assert all(np.shares_memory(portion, x) for portion in cut if windows)
