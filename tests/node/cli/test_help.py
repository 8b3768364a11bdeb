"""What ``--help`` and ``--version`` say."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from edgetune_node.cli import COMMANDS, PANELS, build

ROOT = Path(__file__).resolve().parents[3]


def options(command: Any) -> set[str]:
    own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return own.union(*(options(child) for child in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("command", [*COMMANDS, "bundle show"])
def test_flags_are_shown_without_a_value(cli: Any, command: str) -> None:
    shown = cli(*command.split(), "--help")
    assert shown.code == 0
    assert "--help" in shown.out
    assert "<bool>" not in shown.out


def test_the_help_lists_every_command_once_in_its_panel(cli: Any) -> None:
    shown = cli("--help").out
    panels = [shown.index(f"─ {panel} ") for panel in PANELS]
    assert panels == sorted(panels)
    assert "─ Commands ─" not in shown
    for end, held in zip([*panels[1:], len(shown)], PANELS.values(), strict=True):
        for name in held:
            assert shown.count(f"│ {name} ") == 1
            assert panels[list(PANELS.values()).index(held)] < shown.index(f"│ {name} ") < end


def test_the_version_is_that_of_the_distribution(cli: Any) -> None:
    assert cli("--version").out == f"edgetune {version('edgetune')}\n"


def test_the_help_names_limits_and_conditions(cli: Any) -> None:
    assert cli("search", "--help").out.count("(default: no limit)") == 3
    shown = " ".join(cli("simulate", "--help").out.split())
    for condition in ("normal", "outer_severe", "wrist_flexion"):
        assert condition in shown


def test_the_generated_page_explains_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "tools"))
    pages = importlib.import_module("reference").command_line()
    every = options(typer.main.get_command(build(list(COMMANDS))))
    assert {"--config", "--ram"} < every
    assert {option for option in every if option not in pages} == set()
