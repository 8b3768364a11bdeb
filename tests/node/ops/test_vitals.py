"""A disk that fills up is named before writes fail."""

from __future__ import annotations

import pytest

from edgetune_node.ops.vitals import disk_problem

MIB = 2**20


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (128 * MIB, None),
        (128 * MIB - 1, "at the reserve recordings and searches stop"),
        (64 * MIB, "at the reserve recordings and searches stop"),
        (64 * MIB - 1, "nothing is recorded or searched"),
        (0, "disk: 0 MiB free, 64 MiB kept in reserve (disk_reserve_bytes); nothing is recorded or searched"),
    ],
)
def test_a_disk_is_named_from_twice_the_reserve_on(free: int, told: str | None) -> None:
    found = disk_problem(free, 64 * MIB)
    assert (found is None) == (told is None)
    assert (told or "") in (found or "")


def test_without_a_reserve_nothing_is_named() -> None:
    assert disk_problem(0, 0) is None
