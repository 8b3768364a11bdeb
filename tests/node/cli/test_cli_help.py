"""What ``--help`` and ``--version`` say."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from edgetune_node.cli import COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS, "bundle show"])
def test_flags_are_shown_without_a_value(cli: Any, command: str) -> None:
    shown = cli(*command.split(), "--help")
    assert shown.code == 0
    assert "--help" in shown.out
    assert "<bool>" not in shown.out


def test_the_version_is_that_of_the_distribution(cli: Any) -> None:
    assert cli("--version").out == f"edgetune {version('edgetune')}\n"


def test_the_help_names_limits_and_conditions(cli: Any) -> None:
    assert cli("search", "--help").out.count("(default: no limit)") == 3
    shown = " ".join(cli("simulate", "--help").out.split())
    for condition in ("normal", "outer_severe", "wrist_flexion"):
        assert condition in shown
