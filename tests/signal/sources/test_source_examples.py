"""The example configuration shows every kind of source with every option, and the page of sources explains them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from edgetune_signal import SourceOptionsError, StreamSpec, open_source, source_kinds
from edgetune_signal.sources.conversion import CONVERSION_OPTIONS
from edgetune_signal.sources.registry import ENTRY_POINT_GROUP

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KINDS = sorted(PROJECT["entry-points"][ENTRY_POINT_GROUP])
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")


def examples(kind: str) -> dict[str, object]:
    """What the blocks that begin with this kind's ``type`` set, all in one."""
    blocks = re.findall(rf'(?m)^#   type = "{kind}"\n((?:#   (?:  )?.*\n)*)', EXAMPLE)
    found: dict[str, object] = {}
    for block in blocks:
        found |= tomllib.loads(re.sub(r"(?m)^#   ", "", block))
    return found


def known(kind: str) -> set[str]:
    """Every option that the source itself says it has."""
    if kind == "brainflow":
        pytest.importorskip("brainflow", reason="BrainFlow is not installed: pip install 'edgetune[brainflow]'")
    with pytest.raises(SourceOptionsError) as caught:
        open_source(kind, StreamSpec(1, 1000.0, "uV" if kind == "brainflow" else "g"), {"no-such-option": 1})
    (sentence,) = (problem for problem in caught.value.problems if "is not an option" in problem)
    listed = sentence.partition("(its options: ")[2].rstrip(")")
    return set() if listed == "none" else set(listed.split(", "))


def test_every_built_in_kind_is_installed() -> None:
    assert set(KINDS) <= set(source_kinds())


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_shows_every_option_of_a_source_and_no_other(kind: str) -> None:
    assert f'"{kind}"' in EXAMPLE
    assert set(examples(kind)) == known(kind)


def test_the_example_shows_how_any_source_is_converted() -> None:
    assert all(f"#   {name} = " in EXAMPLE for name in CONVERSION_OPTIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_a_section_with_every_option_of_a_source(kind: str) -> None:
    page = (ROOT / "docs" / "reference" / "sources.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"(?ms)^## `{kind}`\n(.*?)(?=^##)", page)
    assert {option for option in known(kind) if f"`{option}`" not in section} == set()
