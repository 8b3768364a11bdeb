"""Generate the pages of the reference while mkdocs builds: messages, commands, command line and settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from mkdocs.exceptions import PluginError
from typer.cli import get_docs_for_click

from edgetune_node.cli import COMMANDS as PROGRAMS, build
from edgetune_node.contract import ASSET_COMMANDS, COMMANDS, MESSAGES, NODE_COMMANDS, Context, described

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page
    from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
REPLACED = re.compile(r"<!-- make docs replaces this -->.*<!-- until here -->", re.DOTALL)
"""What of a page is for readers of the repository; the site has the generated part in its place."""


def on_page_markdown(markdown: str, page: Page, **_given: Any) -> str:
    """Put the generated part into a page that has a place for it."""
    write = GENERATED.get(page.file.src_uri)
    if write is None:
        return markdown
    written, places = REPLACED.subn(lambda _: write(), markdown)
    if places != 1:
        raise PluginError(f"{page.file.src_uri} has {places} places for its generated part, not 1")
    return written


def messages() -> str:
    """Return every message that a node publishes: topic, fields, and one as a node sent it."""
    parts = []
    for model in MESSAGES:
        leaf = model.topic.replace("+", "<command>")
        base = "{namespace}/{node_id}" + ("" if model.owner == "node" else "/{asset_id}")
        retained = "retained" if model.retained else "not retained"
        parts += [f"## {leaf.split('/')[0]}", sentence(model), f"Topic `{base}/{leaf}`, QoS {model.qos}, {retained}."]
        parts += [fields(model, "serialization"), example(leaf.split("/")[0])]
    return "\n\n".join(parts)


def commands() -> str:
    """Return every command: topic, fields, and one with its answer."""
    parts = []
    for name in (*ASSET_COMMANDS, *NODE_COMMANDS):
        model = COMMANDS[name]
        whose = "asset" if name in ASSET_COMMANDS else "node"
        parts += [f"## {name}", sentence(model), f"A command of the {whose}."]
        parts += [fields(model, "validation"), example(f"cmd-{name}")]
    parts += ["## context", sentence(Context), "What the plant may publish, retained, on `context` of an asset."]
    parts += [fields(Context, "validation"), example("context")]
    return "\n\n".join(parts)


def command_line() -> str:
    """Return every program of the command line, from what `--help` says."""
    group: Any = typer.main.get_command(build(list(PROGRAMS)))
    context = typer.Context(group, info_name="edgetune")
    return get_docs_for_click(obj=group, ctx=context, name="edgetune", indent=1)


def settings() -> str:
    """Return every setting: the example configuration, which explains each."""
    example_config = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    return f"```toml\n{example_config}\n```\n"


def sentence(model: type[BaseModel]) -> str:
    """Return the first paragraph of a model's docstring."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def fields(model: type[BaseModel], mode: Any) -> str:
    """Return a table of a model's fields: name, kind, whether it may be missing, meaning."""
    schema = described(model, mode)
    required = set(schema.get("required", ()))
    rows = ["| field | kind | | meaning |", "|---|---|---|---|"]
    for name, found in schema.get("properties", {}).items():
        needed = "" if name in required else "optional"
        meaning = " ".join(str(found.get("description", "")).split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {kind(found)} | {needed} | {meaning} |")
    return "\n".join(rows)


def kind(found: dict[str, Any]) -> str:
    """Return what a property may hold, in a few words."""
    if "$ref" in found:
        return str(found["$ref"]).rpartition("/")[2]
    if "const" in found:
        return f"`{json.dumps(found['const'])}`"
    if "enum" in found:
        return ", ".join(f"`{json.dumps(each)}`" for each in found["enum"])
    if "anyOf" in found:
        return " or ".join(kind(each) for each in found["anyOf"])
    if found.get("type") == "array":
        return f"array of {kind(found.get('items', {}))}"
    return str(found.get("format") or found.get("type", "any"))


def example(name: str) -> str:
    """Return a recorded example as a block of code; nothing where none was recorded."""
    path = EXAMPLES / f"{name}.json"
    if not path.exists():
        return ""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    return "\n\n".join(
        f"`{each['topic']}`\n\n```json\n{json.dumps(each['payload'], indent=2)}\n```" for each in recorded
    )


GENERATED = {
    "reference/messages.md": messages,
    "reference/commands.md": commands,
    "reference/command-line.md": command_line,
    "reference/settings.md": settings,
}
