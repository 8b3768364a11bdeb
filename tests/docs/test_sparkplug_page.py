"""The page of Sparkplug B: the tests that it names exist, and no statement is listed twice."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from edgetune_node.integrations.sparkplug.catalogue import COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "sparkplug.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split(" | ") for line in PAGE.partition("## Conformance")[2].splitlines() if line[:3] == "| `"]
ROWS = [row for row in ROWS if row[0].strip() != "`tck-id-`"]


def test_every_test_that_the_page_names_exists() -> None:
    files = (ROOT / "tests" / "node" / "integrations" / "sparkplug").glob("test_*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    there = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named - there == set()


def test_no_statement_is_listed_twice_and_each_has_a_test() -> None:
    ids = [each for row in ROWS for each in re.findall(r"`([\w-]+)`", row[0])]
    assert len(ids) == len(set(ids)) > 100
    assert all("`test_" in row[-1] for row in ROWS)


def test_every_command_that_is_a_metric_is_named() -> None:
    [row] = [line for line in PAGE.splitlines() if "`command/NAME`:" in line]
    assert set(COMMANDS) <= set(re.findall(r"`(\w+)`", row))
