"""Batches of windows: all of them, in order, none larger than it may be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from edgetune_nas.usage import batches


@given(windows=st.integers(0, 60), channels=st.integers(1, 4), length=st.integers(1, 20), limit=st.integers(1, 900))
def test_batches_are_all_the_windows_in_order_and_no_larger_than_the_limit(
    windows: int, channels: int, length: int, limit: int
) -> None:
    x = np.arange(windows * channels * length, dtype=np.float32).reshape(windows, channels, length)
    cut = batches(x, limit)
    assert np.array_equal(np.concatenate(cut), x)
    assert all(len(batch) <= 1 or batch.nbytes <= limit for batch in cut)
    assert all(len(batch) == len(cut[0]) for batch in cut[:-1])
    assert all(np.shares_memory(batch, x) for batch in cut if windows)
