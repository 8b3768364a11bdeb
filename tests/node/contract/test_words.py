"""The contract explains itself: every property has a description, an example, and a unit where its name tells one."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import npm
import pytest
from json_schema import validator

from edgetune_node.contract.commands import COMMANDS, parse_command
from edgetune_node.contract.context import parse_context
from edgetune_node.contract.message_words import MESSAGE_WORDS
from edgetune_node.contract.messages import MESSAGES
from edgetune_node.contract.schemas import generate
from edgetune_node.contract.words import COMMAND_WORDS, UNITS, example_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS = {name: document for name, document in generate().items() if name != "asyncapi.json"}
ASYNCAPI = generate()["asyncapi.json"]
PACKAGE = "@asyncapi/parser@3"

SCRIPT = """
import { Parser } from '@asyncapi/parser'
import { readFileSync } from 'node:fs'
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
const found = diagnostics.map(each => `${each.path.join('.')}: ${each.message}`)
console.log(JSON.stringify({ version: document?.version(), channels: document?.allChannels().length, found }))
"""


def objects(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object in a document, with the name of its model."""
    yield document["title"], document
    yield from ((name, each) for name, each in document.get("$defs", {}).items() if "properties" in each)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_property_has_a_description_and_an_example_that_is_valid(name: str) -> None:
    document = DOCUMENTS[name]
    for model, schema in objects(document):
        for key, found in schema["properties"].items():
            where = f"{model}.{key}: add it to contract/words.py or message_words.py, or describe the field"
            assert found.get("description"), where
            assert found.get("examples"), where
            check = {"$defs": document.get("$defs", {}), **found}
            checks = validator(check)
            for example in found["examples"]:
                assert list(checks.iter_errors(example)) == [], f"{where}: {example!r}"
            if key.endswith(tuple(UNITS)):
                assert found["x-unit"], where


def test_no_word_is_about_what_is_not_there() -> None:
    known: dict[str, set[str]] = {}
    for document in DOCUMENTS.values():
        for model, schema in objects(document):
            known.setdefault(model, set()).update(schema["properties"])
    told = {**MESSAGE_WORDS, **COMMAND_WORDS}
    assert [(model, key) for model, words in told.items() for key in words if key not in known.get(model, ())] == []


def test_every_schema_has_an_id_of_its_own() -> None:
    ids = {name: document["$id"] for name, document in DOCUMENTS.items()}
    assert len(set(ids.values())) == len(ids)
    assert ids["fault.json"] == "urn:edgetune:contract:fault:2"
    assert ids["cmd-shelve.json"] == "urn:edgetune:contract:cmd-shelve:1"


@pytest.mark.parametrize("model", MESSAGES, ids=lambda model: model.__name__)
def test_the_example_of_a_message_is_one(model: Any) -> None:
    document = DOCUMENTS[f"{model.topic.split('/')[0]}.json"]
    model.model_validate(example_of(document))
    validator(document).validate(example_of(document))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_of_a_command_is_carried_out(name: str) -> None:
    example = example_of(DOCUMENTS[f"cmd-{name}.json"])
    assert isinstance(
        parse_command(name, json.dumps(example).encode(), now=datetime(2026, 1, 1, tzinfo=UTC)), COMMANDS[name]
    )


def test_the_example_of_a_context_is_one() -> None:
    assert parse_context(json.dumps(example_of(DOCUMENTS["context.json"])).encode()).running is True


def test_every_message_of_the_asyncapi_document_has_an_example_and_every_server_its_binding() -> None:
    messages = ASYNCAPI["components"]["messages"]
    assert [name for name, message in messages.items() if name != "samples" and not message["examples"]] == []
    assert {server["protocol"] for server in ASYNCAPI["servers"].values()} == {"mqtt", "mqtts", "wss"}
    assert all(server["bindings"]["mqtt"]["lastWill"]["retain"] for server in ASYNCAPI["servers"].values())


@pytest.mark.slow
def test_the_official_parser_finds_nothing_wrong(tmp_path: Path) -> None:
    npm.install(tmp_path, PACKAGE)
    (tmp_path / "check.mjs").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "asyncapi.json").write_text(json.dumps(ASYNCAPI), encoding="utf-8")
    parsed = subprocess.run(
        ["node", "check.mjs", "asyncapi.json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(parsed.stdout) == {"version": "3.1.0", "channels": len(ASYNCAPI["channels"]), "found": []}
