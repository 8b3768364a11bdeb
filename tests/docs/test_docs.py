"""The documentation: it builds, its examples are valid, its code runs, its sentences are short."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer.main
from json_schema import validator

from edgetune_node.cli import COMMANDS as PROGRAMS, build
from edgetune_node.contract import COMMANDS, MESSAGES

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAX_WORDS = 30
MAX_WORDS_OF_A_DOCSTRING = 25
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LOADS_FROM_ELSEWHERE = re.compile(
    r'class="mermaid"|<(?:script|img)[^>]* src="https?:|<link rel="stylesheet" href="https?:'
)
NO_VERB = re.compile(r"(Give|Say|Tell|Take in|Takes in|Hear)s?\b")


def blocks(language: str) -> list[Any]:
    """Every fenced block of a language, as parameters."""
    return [
        pytest.param(re.sub(rf"^{indent}", "", code, flags=re.MULTILINE), id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (indent, found, code) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
        if found == language
    ]


@pytest.mark.parametrize(
    "name", [*(model.topic.split("/")[0] for model in MESSAGES), *(f"cmd-{name}" for name in COMMANDS)]
)
def test_each_message_and_command_has_an_example_that_its_schema_takes(name: str) -> None:
    schema = json.loads((files("edgetune_node") / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    first, *answers = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    validator(schema).validate(first["payload"])
    answered = [first["payload"]["id"]] if name.startswith("cmd-") else []
    assert [answer["payload"]["id"] for answer in answers] == answered


def test_there_is_no_example_of_what_nobody_says() -> None:
    known = {model.topic.split("/")[0] for model in MESSAGES} | {f"cmd-{name}" for name in COMMANDS} | {"context"}
    assert {path.stem for path in EXAMPLES.glob("*.json")} == known


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, env=quiet)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    drawn = [path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.svg")]
    assert drawn
    for page in (tmp_path / "site").rglob("*.html"):
        assert LOADS_FROM_ELSEWHERE.findall(page.read_text(encoding="utf-8")) == []
    assert not [text for text in drawn if "url(" in text and "https:" in text.split("url(", 1)[1][:40]]


@pytest.mark.parametrize(
    "page",
    sorted({*PAGES, *ROOT.glob("*.md"), *ROOT.glob("*/README.md")}),
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_somewhere_in_the_repository(page: Path) -> None:
    """Of the pages that `make docs` builds, mkdocs says so too."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_pages_runs(code: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", blocks("toml"))
def test_toml_in_the_pages_is_toml(code: str) -> None:
    assert tomllib.loads(code)


@pytest.mark.parametrize("code", blocks("sh"))
def test_commands_in_the_pages_have_the_options_that_they_are_given(code: str) -> None:
    group: Any = typer.main.get_command(build(list(PROGRAMS)))
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["edgetune"]:
            continue
        context, command, rest = typer.Context(group), group, words[1:]
        while hasattr(command, "get_command"):
            command = command.get_command(context, rest[0])
            assert command is not None, line
            rest = rest[1:]
        command.make_parser(typer.Context(command)).parse_args(rest)


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted(ROOT.glob("*/README.md"))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_no_sentence_is_long(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("|", "    ", "#")))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    paragraphs = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", text)
    sentences = [each for paragraph in paragraphs for each in re.split(r"(?<=[.!?:;])\s", paragraph)]
    assert [each for each in sentences if len(each.split()) > MAX_WORDS] == []


def docstrings() -> list[tuple[str, str]]:
    """Every first paragraph of a docstring of the three packages, with where it stands."""
    found = []
    for package in ("signal", "nas", "node"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    text = ast.get_docstring(node)
                    if text:
                        where = f"{path.relative_to(ROOT)} {getattr(node, 'name', '')}"
                        found.append((where, " ".join(text.split("\n\n")[0].split())))
    return found


def test_docstrings_open_with_a_verb_of_the_field_or_a_noun() -> None:
    assert [where for where, text in docstrings() if NO_VERB.match(text)] == []


def test_first_sentences_of_docstrings_are_short() -> None:
    long = [
        (where, sentence)
        for where, text in docstrings()
        for sentence in re.split(r"(?<=[.!?;:])\s", text)
        if len(sentence.split()) > MAX_WORDS_OF_A_DOCSTRING
    ]
    assert long == []


def test_the_map_of_the_code_names_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| you look for \|.*?(?=^$)", page, re.MULTILINE | re.DOTALL)
    rows = table.splitlines()[2:]
    for sought in ("chunk becomes a fault", "command is admitted", "candidate is scored", "bundle is written"):
        assert any(sought in row for row in rows)
    assert any("add a message" in row for row in rows)
    for row in rows:
        texts: list[str] = []
        for name in re.findall(r"`([^`]+)`", row):
            if name.endswith((".py", ".pyi", ".toml")):
                found = [path for path in (ROOT / name, *ROOT.glob(f"*/edgetune_*/**/{name}")) if path.is_file()]
                assert found, f"{name} of: {row}"
                texts += (path.read_text(encoding="utf-8") for path in found)
            elif name.isidentifier() and texts:
                assert any(name in text for text in texts), f"{name} is in no file before it of: {row}"
