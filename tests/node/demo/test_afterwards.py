"""The demo's last lines name commands and pages that there are."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edgetune_node.cli import COMMANDS, build
from edgetune_node.demo import afterwards, next_steps

ROOT = Path(__file__).resolve().parents[3]
PRINTED = [command for commands in afterwards.STEPS.values() for command in commands]


@pytest.mark.parametrize("printed", PRINTED)
def test_each_printed_command_exists_and_has_its_options(printed: str) -> None:
    name, *rest = shlex.split(printed)
    group: Any = typer.main.get_command(build(list(COMMANDS)))
    command = group.get_command(typer.Context(group), name)
    assert command is not None
    command.make_parser(typer.Context(command)).parse_args(rest)


@pytest.mark.parametrize("page", [*afterwards.PAGES, "config.example.toml"])
def test_each_file_is_in_the_repository_and_is_named(page: str) -> None:
    assert page in next_steps()
    assert (ROOT / page).is_file()


@pytest.mark.parametrize(
    ("called", "found", "shown"),
    [
        ("/x/bin/edgetune", "/x/bin/edgetune", "edgetune"),
        (".venv/bin/edgetune", None, ".venv/bin/edgetune"),
        (".venv/bin/edgetune", "/usr/bin/edgetune", ".venv/bin/edgetune"),
        ("/x/edgetune_node/__main__.py", None, "edgetune"),
    ],
)
def test_the_program_is_called_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, called: str, found: str | None, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "demo"])
    monkeypatch.setattr(afterwards.shutil, "which", lambda _name: found)
    lines = next_steps().splitlines()
    assert [line.strip() for line in lines if line.startswith("    ")] == [f"{shown} {each}" for each in PRINTED]
