from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from json_schema import validator

from edgetune_node.contract.commands import COMMANDS, parse_command
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import (
    MESSAGES,
    CalibrationStatus,
    Classification,
    Health,
    Info,
    Model,
    Response,
    State,
    Status,
    Vibration,
)
from edgetune_node.contract.parts import AssetHealth, AssetInfo
from edgetune_node.contract.schemas import generate, write_schemas
from edgetune_node.contract.sign_messages import Emg, Sign, SignStart
from edgetune_node.contract.spectrum import Spectrum
from edgetune_node.contract.topics import ASSET_COMMANDS, NODE_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgetune_node.contract.message import Message

TS = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT: dict[str, Any] = {"ts": TS, "boot": "b1", "seq": 0}
COMMITTED = files("edgetune_node") / "schemas"

ASSET = AssetInfo(id="bearing1", task="fault", channels=1, rate_hz=12e3, unit="g", window=512, hop=512, source="mqtt")
ASSET_HEALTH = AssetHealth(
    id="bearing1",
    samples=1,
    windows=1,
    dropped_chunks=0,
    gaps=0,
    sample_age_s=None,
    inference_p50_us=40.0,
    inference_p99_us=None,
    source_error=None,
)
EXAMPLES: tuple[Message, ...] = (
    Status(**AT, status="offline"),
    Info(**AT, versions={"edgetune": "0.1.0"}, assets=[ASSET], capabilities=[], insecure=[], config={"node": {}}),
    Spectrum(
        **AT,
        event="0a1b2c",
        reason="risen",
        class_="inner",
        severity="alarm",
        seconds=20.0,
        rate_hz=12_000.0,
        unit="g",
        channel=0,
        shaft_rpm=1797.0,
        frequency_hz=[29.95, 162.2],
        amplitude=[0.0123, 0.2],
        envelope_band_hz=[2000.0, 3000.0],
        envelope_hz=[162.2],
        envelope_amplitude=[0.31],
        quality=[],
    ),
    Health(
        **AT,
        uptime_s=1.0,
        rss_bytes=1,
        cpu_percent=1.0,
        temperature_c=None,
        queue_depth=0,
        dropped_chunks=0,
        reconnects=0,
        outbox_depth=0,
        outbox_dropped=0,
        disk_free_bytes=1,
        assets=[ASSET_HEALTH],
    ),
    State(**AT, phase="uncalibrated", reason="no model yet", since=TS),
    Classification(
        **AT, window=1, class_="inner", confidence=0.9, probabilities={"inner": 0.9}, model="m", quality=["clipped"]
    ),
    Fault(
        **AT,
        active=True,
        event="e1",
        class_="inner",
        severity="alarm",
        first_seen=TS,
        last_seen=TS,
        votes=8,
        of=10,
        confidence=0.9,
        model="m",
        evidence={"rms": [0.1]},
    ),
    SignStart(**AT, event="s1", class_="fist", confidence=0.9, start=TS, model="m"),
    Sign(**AT, event="s1", class_="fist", confidence=0.9, start=TS, end=TS, windows=5, model="m"),
    Emg(
        **AT,
        rms=[1.0],
        mean_absolute=[0.8],
        envelope=[1.5],
        waveform_length=[200.0],
        zero_crossings=[90.0],
        median_frequency_hz=[None],
        unit="counts",
        seconds=1.0,
        quality=[],
    ),
    Vibration(**AT, rms=[0.1], peak=[0.4], crest_factor=[4.0], kurtosis=[3.0], unit="g", seconds=1.0, quality=[]),
    Model(**AT),
    CalibrationStatus(**AT, phase="waiting", instruction="Put it into condition 'inner'", percent=12.5, class_="inner"),
    Response(**AT, id=None, command="record", status="rejected", errors=["id: is missing"]),
)
COMMAND_EXAMPLES: dict[str, dict[str, Any]] = {
    "ping": {"expires": "2027-01-01T00:00:00Z"},
    "backup": {"keep": 5},
    "recalibrate": {
        "source": "live",
        "classes": ["normal", "inner"],
        "takes": 2,
        "seconds_per_take": 5,
        "pace": "countdown",
        "countdown_s": 3,
        "budget": {"ram_bytes": 4096, "macs": None, "search_seconds": 45.5},
        "deploy": "always",
    },
    "capture": {"now": True, "before_s": 5, "after_s": 0.5, "samples": False},
    "history": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "step": "day", "figures": ["distance"]},
    "continue": {},
    "record": {"label": "inner", "seconds": 2.5},
    "cancel": {},
    "rollback": {},
    "acknowledge": {"event": "e1", "by": "operator", "comment": "seen"},
    "shelve": {"seconds": 3600, "by": "operator", "class": "inner"},
    "label": {"label": "inner", "seconds": 2},
    "profile": {"subject": "person1", "condition": None},
    "deploy": {"model": "model-1"},
    "forget": {"subject": "person1"},
}


@cache
def validator_of(name: str) -> Any:
    return validator(generate()[name])


def test_the_committed_schemas_are_those_of_the_models(tmp_path: Path) -> None:
    for path in write_schemas(tmp_path):
        committed = (COMMITTED / path.name).read_text(encoding="utf-8")
        assert committed == path.read_text(encoding="utf-8"), (
            f"{path.name} is stale: run `edgetune schema --out node/edgetune_node/schemas`"
        )
    assert {item.name for item in COMMITTED.iterdir()} == {path.name for path in tmp_path.iterdir()}


def test_every_schema_is_a_schema() -> None:
    for name, document in generate().items():
        if name != "asyncapi.json":
            validator(document)


def test_every_message_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(MESSAGES)
    assert set(COMMAND_EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_what_a_node_publishes_fits_its_schema(message: Message) -> None:
    schema = validator_of(f"{message.topic.split('/')[0]}.json")
    data = json.loads(message.json_bytes())
    schema.validate(data)
    assert not schema.is_valid({**data, "surprise": 1})
    assert not schema.is_valid({name: value for name, value in data.items() if name != "ts"})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_fits_its_schema_is_accepted(name: str) -> None:
    data = {"id": "j1", **COMMAND_EXAMPLES[name]}
    validator_of(f"cmd-{name}.json").validate(data)
    parse_command(name, json.dumps(data).encode(), now=TS)


def test_the_schema_refuses_what_the_node_refuses() -> None:
    schema = validator_of("cmd-recalibrate.json")
    good = {"id": "j1", **COMMAND_EXAMPLES["recalibrate"]}
    for wrong in ({"takes": "2"}, {"takes": 0}, {"seconds_per_take": 0}, {"colour": 1}, {"id": ""}, {"deploy": "x"}):
        assert not schema.is_valid({**good, **wrong})


# ---- AsyncAPI ----------------------------------------------------------------------------------------------------


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(document: dict[str, Any], reference: str) -> Any:
    value: Any = document
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = generate()["asyncapi.json"]
    assert document["asyncapi"] == "3.1.0"
    found = set(references(document))
    assert len(found) > 2 * len(MESSAGES)
    for reference in found:
        assert resolve(document, reference)


def test_the_asyncapi_document_has_every_topic_with_its_qos_and_retain_flag() -> None:
    document = generate()["asyncapi.json"]
    seen = {}
    for operation in document["operations"].values():
        address = resolve(document, operation["channel"]["$ref"])["address"]
        mqtt = operation["bindings"]["mqtt"]
        seen[address] = (operation["action"], mqtt["qos"], mqtt["retain"])
    node, asset = "{namespace}/{node_id}", "{namespace}/{node_id}/{asset_id}"
    expected = {
        f"{node if model.owner == 'node' else asset}/{model.topic.replace('+', '{command}')}": (
            "send",
            model.qos,
            model.retained,
        )
        for model in MESSAGES
    }
    expected[f"{node}/resp/{{command}}"] = ("send", 1, False)
    expected |= {f"{node}/cmd/{name}": ("receive", 1, False) for name in NODE_COMMANDS}
    expected |= {f"{asset}/cmd/{name}": ("receive", 1, False) for name in ASSET_COMMANDS}
    expected[f"{asset}/context"] = ("receive", 1, True)
    expected[f"{asset}/samples"] = ("receive", 0, False)
    assert seen == expected


def test_the_parameters_of_every_channel_are_those_of_its_address() -> None:
    for channel in generate()["asyncapi.json"]["channels"].values():
        named = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
        assert set(channel["parameters"]) == named


def test_payloads_in_the_asyncapi_document_validate_as_the_schemas_do() -> None:
    document = generate()["asyncapi.json"]
    for message in EXAMPLES:
        payload = document["components"]["messages"][message.topic.split("/")[0]]["payload"]
        validator({**payload, "components": document["components"]}).validate(json.loads(message.json_bytes()))
