"""What is learned of a healthy machine is a whole file or the one before; a damaged one is named and set aside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgetune_node.monitor.heard import Heard, ModeWindows, SensorLook
from edgetune_node.storage.heard import MOST_BYTES, HeardFile

if TYPE_CHECKING:
    from pathlib import Path

LOOK = SensorLook(level=(0.1, 0.2), mean=(0.0, 1.0), mean_error=(0.01, 0.01), at_extreme=0.0, mains=0.1, together=0.3)
HEARD = Heard(
    model="m1", seconds=3600.5, raised=1, modes=(ModeWindows(shaft_rpm=1500.0, windows=60),), sensor=(LOOK, LOOK)
)


def test_what_is_written_is_read_again_and_replaces_what_was_there(tmp_path: Path) -> None:
    file = HeardFile(tmp_path)
    assert file.read() == (None, None)
    for heard in (Heard(model="m0"), HEARD):
        file.write(heard.model_dump_json().encode())
    assert HeardFile(tmp_path).read() == (HEARD, None)
    assert [path.name for path in tmp_path.iterdir()] == ["heard.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid JSON"),
        (HEARD.model_dump_json().encode()[:-20], "Invalid JSON"),
        (json.dumps({**HEARD.model_dump(), "format": 2}).encode(), "format: Input should be 1"),
        (json.dumps({**HEARD.model_dump(), "seconds": -1}).encode(), "seconds"),
        (json.dumps({**HEARD.model_dump(), "raised": 10**400}).encode(), "raised"),
        (HEARD.model_dump_json().encode().replace(b"0.2", b"NaN"), "sensor.0.level.1"),
        (b" " * (MOST_BYTES + 1), "larger than"),
    ],
)
def test_a_damaged_file_is_named_and_set_aside(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "heard.json").write_bytes(content)
    heard, problem = HeardFile(tmp_path).read()
    assert heard is None
    assert problem is not None
    for part in (str(tmp_path / "heard.json"), reason, "it now is heard.json.damaged", "learned anew"):
        assert part in problem
    assert (tmp_path / "heard.json.damaged").read_bytes() == content
    assert HeardFile(tmp_path).read() == (None, None)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = HeardFile(tmp_path)
    file.write(HEARD.model_dump_json().encode())
    (tmp_path / ".tmp-heard.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.write(b"{}")
    assert file.read() == (HEARD, None)


def test_what_cannot_be_read_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / "heard.json").mkdir()
    heard, problem = HeardFile(tmp_path).read()
    assert heard is None
    assert problem is not None
    assert "cannot be read: Is a directory" in problem
