"""A folder of an import is there with its files, or as it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgetune_signal.files.staging import StagedFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("before", [False, True])
def test_a_folder_in_which_nothing_was_put_stays_only_where_it_was_before(tmp_path: Path, *, before: bool) -> None:
    out = tmp_path / "out"
    if before:
        out.mkdir()
    with StagedFolder(out) as staged:
        staged.path("a.npz").write_bytes(b"a")
    assert out.exists() == before
    assert not before or list(out.iterdir()) == []


def test_a_new_folder_keeps_what_was_put_in_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with StagedFolder(out) as staged:
        staged.path("a.npz").write_bytes(b"a")
        staged.commit()
    assert [path.name for path in out.iterdir()] == ["a.npz"]
