"""Two clocks that are read one after the other tell of one moment."""

from __future__ import annotations

from edgetune_signal.stream.clock import LOOKS, of_one_moment


class Waiting:
    """Two clocks that go alike; the thread has to wait for a second before each of the first looks at the other."""

    def __init__(self, waits: int) -> None:
        self.now_s = 100.0
        self.waits = waits

    def clock_s(self) -> float:
        return self.now_s

    def other(self) -> float:
        if self.waits:
            self.waits -= 1
            self.now_s += 1.0
        return self.now_s + 5000.0


def test_a_thread_that_has_to_wait_looks_again() -> None:
    clocks = Waiting(LOOKS - 1)
    before_s, other_s = of_one_moment(clocks.clock_s, clocks.other)
    assert (before_s, other_s - before_s) == (100.0 + LOOKS - 1, 5000.0)


def test_the_last_look_is_taken_as_it_is() -> None:
    clocks = Waiting(1000)
    before_s, other_s = of_one_moment(clocks.clock_s, clocks.other)
    assert (other_s - before_s, clocks.waits) == (5001.0, 1000 - LOOKS)


def test_a_longer_moment_allows_a_wait() -> None:
    clocks = Waiting(1)
    before_s, other_s = of_one_moment(clocks.clock_s, clocks.other, 2.0)
    assert (before_s, other_s) == (100.0, 5101.0)
