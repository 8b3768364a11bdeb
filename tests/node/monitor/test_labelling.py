"""What is kept for ``cmd/label`` are the last seconds without a gap, whatever the size of the chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from edgetune_node.monitor.labelling import RECENT_S, Recent
from edgetune_signal import Chunk

RATE_HZ = 10.0


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60))
def test_the_newest_chunks_are_kept_that_reach_back_far_enough(arrivals: list[tuple[int, bool]]) -> None:
    recent = Recent(RATE_HZ)
    chunks: list[Chunk] = []
    for number, (size, gap) in enumerate(arrivals):
        chunk = Chunk(np.zeros((1, size), np.float32), number, RATE_HZ, number, gap=gap)
        chunks = [chunk] if gap else [*chunks, chunk]
        recent.push(chunk)
    expected: list[Chunk] = []
    for chunk in reversed(chunks):
        if sum(part.samples.shape[1] for part in expected) >= RECENT_S * RATE_HZ:
            break
        expected.insert(0, chunk)
    assert [part.sequence for part in recent.chunks] == [part.sequence for part in expected]


def test_a_missing_chunk_is_a_gap() -> None:
    recent = Recent(RATE_HZ)
    for number in (0, 1, 3):
        recent.push(Chunk(np.zeros((1, 5), np.float32), number, RATE_HZ, number))
    assert [part.sequence for part in recent.chunks] == [3]


def test_where_the_clock_is_set_what_was_before_moves_with_it() -> None:
    recent = Recent(RATE_HZ)
    times_ns = [0, 500_000_000, 3600_000_000_000, 3600_500_000_000]
    moved = []
    for number, time_ns in enumerate(times_ns):
        recent.push(Chunk(np.zeros((1, 5), np.float32), time_ns, RATE_HZ, number))
        moved.append(recent.moved_ns)
    assert moved == [0, 0, 3599_000_000_000, 0]
    assert [part.time_ns for part in recent.chunks] == [3599_000_000_000 + 500_000_000 * n for n in range(4)]
