"""Writes down the MQTT contract for other people's tools: JSON Schemas and an AsyncAPI 3 document, from the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic.json_schema import models_json_schema

from edgetune_node.contract.commands import COMMANDS
from edgetune_node.contract.context import Context
from edgetune_node.contract.messages import MESSAGES, Response
from edgetune_node.contract.topics import ASSET_COMMANDS, NODE_COMMANDS
from edgetune_node.contract.words import describe, example_of

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from edgetune_node.contract.message import Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES = "urn:edgetune:contract:"
"""What the ``$id`` of every schema begins with; name and version of the payload follow."""
COMPONENT = "#/components/schemas/{model}"
PARAMETERS = {
    "namespace": "Levels above the node, for example `acme/plant1/press-shop/line3`; may contain slashes.",
    "node_id": "The node.",
    "asset_id": "One of the node's assets.",
    "command": "Last level of the command's topic.",
}
BINDING: Final = "0.2.0"
SERVERS: Final = {
    name: {
        "host": f"broker.example.org:{port}",
        "protocol": protocol,
        "protocolVersion": "5",
        "description": f"{description} MQTT 3.1.1 can be had, too.",
        "bindings": {
            "mqtt": {
                "clientId": "edgetune-edge1",
                "cleanSession": False,
                "lastWill": {
                    "topic": "edgetune/edge1/status",
                    "qos": 1,
                    "message": "Payload of `status` that says offline.",
                    "retain": True,
                },
                "keepAlive": 30,
                "sessionExpiryInterval": 86_400,
                "maximumPacketSize": 4_194_304,
                "bindingVersion": BINDING,
            }
        },
    }
    for name, protocol, port, description in (
        ("tls", "mqtts", 8883, "The plant's broker, with TLS."),
        ("plain", "mqtt", 1883, "A broker on the same machine, or in a network of its own."),
        ("websockets", "wss", 443, "The plant's broker, by websockets with TLS."),
    )
}
SAMPLES = "Sample blocks, for assets whose source is `mqtt`; docs/reference/sample-block.md defines the bytes."


def generate() -> dict[str, dict[str, Any]]:
    """Return every document by its file name.

    Returns
    -------
    dict
        ``<leaf>.json`` for what a node publishes, ``cmd-<name>.json`` for commands, ``context.json`` for what the plant
        may tell, and ``asyncapi.json`` for all of them with topics, QoS and retain flags.
    """
    documents = {f"{_key(model)}.json": _schema(_key(model), model, "serialization") for model in MESSAGES}
    documents |= {f"cmd-{name}.json": _schema(f"cmd-{name}", model, "validation") for name, model in COMMANDS.items()}
    documents["context.json"] = _schema("context", Context, "validation")
    documents["asyncapi.json"] = _asyncapi()
    return documents


def write_schemas(folder: Path) -> list[Path]:
    """Write every document of `generate` into a folder, which is made where it is missing; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, document in generate().items():
        path = folder / name
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _key(model: type[Message]) -> str:
    return model.topic.split("/")[0]


def described(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """Return a model's JSON Schema with description, unit and example of each property."""
    return describe(model.model_json_schema(by_alias=True, mode=mode))


def _schema(name: str, model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    document = described(model, mode)
    version = str(document["properties"].get("schema", {}).get("const", f"{name}/1"))
    return {"$schema": DIALECT, "$id": f"{NAMES}{version.replace('/', ':')}", **document}


def _asyncapi() -> dict[str, Any]:
    inputs: list[type[BaseModel]] = [*COMMANDS.values(), Context]
    references, definitions = models_json_schema(
        [*((model, "serialization") for model in MESSAGES), *((model, "validation") for model in inputs)],
        ref_template=COMPONENT,
    )
    schemas = describe(definitions)["$defs"]
    payloads = {model: schema for (model, _), schema in references.items()}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}

    def add(key: str, message: str, address: str, action: str, *, qos: int, retain: bool) -> None:
        names = [name for name in PARAMETERS if f"{{{name}}}" in address]
        channels[key] = {
            "address": address,
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            "parameters": {name: {"description": PARAMETERS[name]} for name in names},
        }
        operations[f"{action}-{key}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{key}"},
            "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": BINDING}},
        }

    for model in MESSAGES:
        key = _key(model)
        messages[key] = _message(key, model, payloads[model], schemas)
        leaf = model.topic.replace("+", "{command}")
        add(key, key, f"{_base(model.owner)}/{leaf}", "send", qos=model.qos, retain=model.retained)
    add(
        "node-resp",
        "resp",
        f"{_base('node')}/{Response.topic.replace('+', '{command}')}",
        "send",
        qos=Response.qos,
        retain=Response.retained,
    )
    for owner, names in (("node", NODE_COMMANDS), ("asset", ASSET_COMMANDS)):
        for name in names:
            key = f"cmd-{name}"
            messages[key] = _message(key, COMMANDS[name], payloads[COMMANDS[name]], schemas)
            add(key, key, f"{_base(owner)}/cmd/{name}", "receive", qos=1, retain=False)
            reply = "node-resp" if owner == "node" else "resp"
            operations[f"receive-{key}"]["reply"] = {"channel": {"$ref": f"#/channels/{reply}"}}
    messages["context"] = _message("context", Context, payloads[Context], schemas)
    add("context", "context", f"{_base('asset')}/context", "receive", qos=1, retain=True)
    messages["samples"] = {"name": "samples", "contentType": "application/octet-stream", "description": SAMPLES}
    add("samples", "samples", f"{_base('asset')}/samples", "receive", qos=0, retain=False)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Edgetune",
            "version": "1",
            "description": "What an Edgetune node says over MQTT (send) and what it can be told (receive).",
            "license": {"name": "Apache-2.0"},
        },
        "servers": SERVERS,
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _base(owner: str) -> str:
    return "{namespace}/{node_id}" if owner == "node" else "{namespace}/{node_id}/{asset_id}"


def _message(key: str, model: type[BaseModel], payload: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": key,
        "title": key,
        "summary": (model.__doc__ or "").split("\n")[0],
        "payload": payload,
        "contentType": "application/json",
        "bindings": {"mqtt": {"bindingVersion": BINDING}},
        "examples": [{"name": key, "payload": example_of(schemas[model.__name__])}],
    }
