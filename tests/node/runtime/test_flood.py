"""The end of a flood is noticed once, after some quiet."""

from __future__ import annotations

from edgetune_node.runtime.flood import QUIET_S, Flood


def test_a_flood_has_ended_once_after_it_was_quiet_for_some_seconds() -> None:
    flood = Flood()
    assert not flood.has_ended(0, 0.0)
    assert not flood.has_ended(0, 100.0)  # there was none
    assert not flood.has_ended(5, 101.0)
    assert not flood.has_ended(9, 101.0 + QUIET_S)
    assert not flood.has_ended(9, 101.0 + 2 * QUIET_S)
    assert flood.has_ended(9, 101.1 + 2 * QUIET_S)
    assert not flood.has_ended(9, 200.0)
    assert not flood.has_ended(10, 201.0)
    assert flood.has_ended(10, 202.0 + QUIET_S)
