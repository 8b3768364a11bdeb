from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.integrations.announcements import Announcements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class FakeBroker:
    """Keeps retained messages; confirms them at once, or not at all."""

    def __init__(self, *, confirms: bool = True) -> None:
        self.kept: dict[str, bytes] = {}
        self._confirms = confirms

    def announce(self, topic: str, payload: bytes, arrived: Callable[[], None] | None = None) -> None:
        self.kept[topic] = payload
        if not payload:
            del self.kept[topic]
        if self._confirms and arrived is not None:
            arrived()


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "announced.json"


def test_what_is_wanted_is_noted_before_it_is_announced(memory: Path) -> None:
    seen: list[Any] = []
    Announcements(
        {"a": b"1"}, memory, lambda *said: seen.append((said[0], json.loads(memory.read_bytes())))
    ).connected()
    assert seen == [("a", ["a"])]


def test_what_is_no_longer_wanted_is_removed_in_a_later_life_and_forgotten_once_confirmed(memory: Path) -> None:
    broker = FakeBroker()
    Announcements({"a": b"1", "b": b"2"}, memory, broker.announce).connected()
    Announcements({"b": b"2"}, memory, broker.announce).connected()
    assert broker.kept == {"b": b"2"}
    assert json.loads(memory.read_bytes()) == ["b"]
    Announcements({}, memory, broker.announce).connected()
    assert broker.kept == {}
    assert not memory.exists()


def test_a_removal_that_the_broker_has_not_confirmed_is_tried_again(memory: Path) -> None:
    Announcements({"a": b"1"}, memory, FakeBroker().announce).connected()
    Announcements({}, memory, FakeBroker(confirms=False).announce).connected()
    assert json.loads(memory.read_bytes()) == ["a"]


def test_nothing_is_announced_that_cannot_be_noted(tmp_path: Path) -> None:
    broker = FakeBroker()
    (tmp_path / "data").write_text("a file where the folder should be")
    announcements = Announcements({"a": b"1"}, tmp_path / "data" / "announced.json", broker.announce)
    announcements.connected()
    assert broker.kept == {}
    assert announcements.problem is not None
    assert "announced.json cannot be" in announcements.problem
    (tmp_path / "data").unlink()
    (tmp_path / "data").mkdir()
    announcements.connected()
    assert broker.kept == {"a": b"1"}
    assert announcements.problem is None


def test_a_damaged_memory_is_named(memory: Path) -> None:
    memory.write_text("{")
    announcements = Announcements({}, memory, FakeBroker().announce)
    assert announcements.problem is not None
    assert str(memory) in announcements.problem


@pytest.mark.parametrize(
    "content", ['"abc"', '{"a": 1}', "[1]", '[""]', '["a/#"]', '["$SYS/a"]', '["\\ud800"]', "[" * 9999]
)
def test_a_memory_that_is_no_list_of_topics_is_named_and_nothing_is_removed(content: str, memory: Path) -> None:
    memory.write_text(content, encoding="ascii")
    announcements = Announcements({"p": b"1"}, memory, lambda topic, *_: said.append(topic))
    said: list[str] = []
    assert "cannot be read" in (announcements.problem or "")
    announcements.connected()
    assert said == ["p"]


def test_a_memory_that_went_with_the_data_folder_is_written_again(memory: Path) -> None:
    announcements = Announcements({"a": b"1"}, memory, FakeBroker().announce)
    announcements.connected()
    memory.unlink()
    announcements.connected()
    assert json.loads(memory.read_bytes()) == ["a"]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("[")])
def test_a_memory_that_is_taken_away_or_overwritten_is_written_again(
    memory: Path, spoil: Callable[[Path], object]
) -> None:
    announcements = Announcements({"a": b"1"}, memory, FakeBroker().announce)
    announcements.connected()
    spoil(memory)
    announcements.look()
    assert json.loads(memory.read_bytes()) == ["a"]
    assert announcements.problem is None
