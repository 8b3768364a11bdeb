"""``[sparkplug]``: off by default, and names that every broker takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from configuring import SMALL, load, problems_of

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_off_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, SMALL).sparkplug is None


@pytest.mark.parametrize("name", ["Plant1", "Werk Süd", "a", "A.B-c_1", "工場"])
def test_a_level_of_a_topic_is_a_name(tmp_path: Path, name: str) -> None:
    section = load(tmp_path, f'[sparkplug]\ngroup = "{name}"\nprimary_host = "{name}"\n{SMALL}').sparkplug
    assert section is not None
    assert (section.group, section.primary_host) == (name, name)


@pytest.mark.parametrize("name", ["", "a/b", "+", "a#", " a", "a ", r"a\u0000", r"a\nb", "x" * 65])
@pytest.mark.parametrize("key", ["group", "primary_host"])
def test_a_name_that_is_no_level_of_a_topic_is_refused(tmp_path: Path, name: str, key: str) -> None:
    other = "" if key == "group" else 'group = "g"\n'
    [problem] = problems_of(tmp_path, f'[sparkplug]\n{other}{key} = "{name}"\n{SMALL}')
    assert f"sparkplug.{key}" in problem


def test_the_group_is_needed(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, f'[sparkplug]\nprimary_host = "scada1"\n{SMALL}')
    assert "sparkplug.group" in problem


def test_it_can_be_given_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_SPARKPLUG__GROUP", "Plant9")
    section = load(tmp_path, SMALL).sparkplug
    assert section is not None
    assert section.group == "Plant9"
