"""Home Assistant's discovery, against the keys that its documentation has, and with its template language.

Keys: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the pages sensor.mqtt,
binary_sensor.mqtt and button.mqtt; required ones and choices as in homeassistant/components/mqtt/schemas.py.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from configuring import SMALL, load, problems_of
from jinja2 import Environment, StrictUndefined

from edgetune_node.contract import Acknowledge, Recalibrate, Topics, access_list, parse_command
from edgetune_node.errors import CommandError
from edgetune_node.integrations.home_assistant import discovery

if TYPE_CHECKING:
    from edgetune_node.contract import Command

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
ARMBAND = '[[asset]]\nid = "arm.1"\ntask = "sign"\nrate_hz = 200\nchannels = 8\nwindow = { length = 52, hop = 13 }\n'
ON = '[home_assistant]\nprefix = "homeassistant"\n'

DEVICE = {
    *("configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name"),
    *("serial_number", "suggested_area", "sw_version", "via_device"),
}
ORIGIN = {"name", "sw_version", "support_url"}
AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
ROOT = {
    *("availability", "availability_mode", "availability_template", "availability_topic", "command_topic"),
    *("components", "device", "encoding", "origin", "payload_available", "payload_not_available", "qos", "state_topic"),
}
COMMON = {
    *("availability", "default_entity_id", "device_class", "enabled_by_default", "encoding", "entity_category"),
    *("entity_picture", "icon", "json_attributes_template", "json_attributes_topic", "name", "platform", "qos"),
    "unique_id",
}
PLATFORMS: dict[str, tuple[set[str], set[str]]] = {
    "sensor": (
        {"state_topic"},
        {
            *("expire_after", "force_update", "last_reset_value_template", "options", "state_class"),
            *("suggested_display_precision", "unit_of_measurement", "value_template"),
        },
    ),
    "binary_sensor": (
        {"state_topic"},
        {"expire_after", "force_update", "off_delay", "payload_off", "payload_on", "value_template"},
    ),
    "button": ({"command_topic"}, {"command_template", "payload_press", "retain"}),
}
"""Of each platform: the keys that it must have, and those that it may have besides `COMMON`."""
UNITS = {"data_size": {"B", "kB", "KiB"}, "speed": {"mm/s", "m/s"}, "enum": {None}, "problem": {None}}
"""Units that a device class takes, of those that matter here."""
CATEGORIES = {None, "config", "diagnostic"}


def devices(tmp_path: Path, text: str) -> dict[str, dict[str, Any]]:
    settings = load(tmp_path, text)
    found = discovery(settings, Topics(settings.node.namespace, settings.node.id))
    return {topic: json.loads(payload) for topic, payload in found.items()}


def render(template: str, said: dict[str, Any] | None = None) -> str:
    """As Home Assistant renders a template: its environment adds these names."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - as there: what is rendered is JSON
    names = {
        "value_json": said,
        "now": lambda: datetime.now(UTC),
        "utcnow": lambda: datetime.now(UTC),
        "timedelta": timedelta,
    }
    return environment.from_string(template).render(**names)


def example(leaf: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((EXAMPLES / f"{leaf}.json").read_text(encoding="utf-8"))[0]["payload"]
    return payload


def shown(entity: dict[str, Any], said: dict[str, Any]) -> str:
    return render(entity["value_template"], said)


def test_there_is_one_device_an_asset_with_documented_keys_alone(tmp_path: Path) -> None:
    found = devices(tmp_path, SMALL + ARMBAND + ON)
    assert len(found) == 2
    for topic, device in found.items():
        assert re.fullmatch(r"homeassistant/device/[A-Za-z0-9_-]+/config", topic)
        assert set(device) <= ROOT
        assert {"device", "origin", "components"} <= set(device)
        assert set(device["device"]) <= DEVICE
        assert device["device"]["identifiers"]
        assert set(device["origin"]) <= ORIGIN
        assert "name" in device["origin"]
        for each in device["availability"]:
            assert set(each) <= AVAILABILITY
            assert "topic" in each
        for entity in device["components"].values():
            required, optional = PLATFORMS[entity["platform"]]
            assert required <= set(entity) <= required | optional | COMMON
            assert entity.get("unit_of_measurement") in UNITS.get(entity.get("device_class"), {None, "%", "g"})
            assert entity.get("entity_category") in CATEGORIES
            assert (entity.get("device_class") == "enum") == ("options" in entity)
    names = [entity["unique_id"] for device in found.values() for entity in device["components"].values()]
    assert len(set(names)) == len(names)


def test_entities_show_what_the_node_says(tmp_path: Path) -> None:
    [device] = devices(tmp_path, SMALL + ON).values()
    entities = device["components"]
    fault, vibration, model = example("fault"), example("vibration"), example("model")
    assert shown(entities["fault"], fault) == "ON"
    assert shown(entities["fault"], {**fault, "active": False}) == "OFF"
    assert shown(entities["class"], fault) == "inner"
    assert shown(entities["severity"], fault) in entities["severity"]["options"]
    assert json.loads(render(entities["fault"]["json_attributes_template"], fault))["event"] == fault["event"]
    assert float(shown(entities["velocity"], vibration)) == max(vibration["velocity_rms_mm_s"])
    assert float(shown(entities["rms"], {**vibration, "rms": [0.1, None, 0.3]})) == 0.3
    assert float(shown(entities["accuracy"], {**model, "accuracy": 0.987})) == 98.7
    assert int(shown(entities["ram"], model)) == model["arena_bytes"]
    assert shown(entities["phase"], example("state")) in entities["phase"]["options"]


def test_what_is_not_known_is_shown_as_unknown(tmp_path: Path) -> None:
    [device] = devices(tmp_path, SMALL + ON).values()
    entities = device["components"]
    unjudged = {**example("fault"), "active": False, "judged": False, "class": None, "severity": "unknown"}
    silent = {**example("vibration"), "rms": [None], "velocity_rms_mm_s": None}
    none = {**example("model"), "accuracy": None, "arena_bytes": None}
    said = {"fault": unjudged, "class": unjudged, "severity": unjudged, "velocity": silent, "rms": silent}
    said |= {"accuracy": none, "ram": none}
    assert {name: shown(entities[name], payload) for name, payload in said.items()} == dict.fromkeys(said, "None")


@pytest.mark.parametrize(("status", "there"), [("online", "online"), ("stopped", "offline"), ("offline", "offline")])
def test_a_device_is_there_while_its_node_is_online(tmp_path: Path, status: str, there: str) -> None:
    [device] = devices(tmp_path, SMALL + ON).values()
    [availability] = device["availability"]
    assert availability["topic"] == "edgetune/edge1/status"
    assert render(availability["value_template"], {"status": status}) == there


@pytest.mark.parametrize(("key", "kind"), [("acknowledge", Acknowledge), ("recalibrate", Recalibrate)])
def test_a_button_sends_a_command_that_the_node_takes(tmp_path: Path, key: str, kind: type[Command]) -> None:
    [device] = devices(tmp_path, SMALL + ON).values()
    button = device["components"][key]
    assert button["command_topic"] == f"edgetune/edge1/bearing1/cmd/{key}"
    pressed = [render(button["command_template"]).encode() for _ in range(2)]
    commands = [parse_command(key, payload, now=datetime.now(UTC)) for payload in pressed]
    assert {type(command) for command in commands} == {kind}
    assert commands[0].id != commands[1].id
    with pytest.raises(CommandError, match="expired"):
        parse_command(key, pressed[0], now=datetime.now(UTC) + timedelta(minutes=6))


def test_signed_nodes_have_no_buttons_for_home_assistant_cannot_sign(tmp_path: Path) -> None:
    [device] = devices(tmp_path, f'{SMALL}{ON}[mqtt]\ncommand_key = "{"k" * 32}"\n').values()
    assert "button" not in {entity["platform"] for entity in device["components"].values()}


def test_ids_that_look_alike_make_devices_of_their_own(tmp_path: Path) -> None:
    twins = ARMBAND.replace("arm.1", "arm_1")
    assert len(devices(tmp_path, SMALL + ARMBAND + twins + ON)) == 3


def test_it_is_off_by_default_and_a_wrong_prefix_is_named(tmp_path: Path) -> None:
    assert devices(tmp_path, SMALL) == {}
    [problem] = problems_of(tmp_path, SMALL + '[home_assistant]\nprefix = "home//assistant"\n')
    assert problem.startswith("home_assistant.prefix: has an empty level")


def test_the_access_list_lets_the_node_announce_and_home_assistant_act(tmp_path: Path) -> None:
    topics = Topics("edgetune", "edge1")
    [topic] = discovery(load(tmp_path, SMALL + ON), topics)
    rules = access_list(topics, "edge1", [topic]).split("user ")
    [node] = [each for each in rules if each.startswith("edge1")]
    [home] = [each for each in rules if each.startswith("home_assistant")]
    assert f"topic readwrite {topic}" in node
    assert f"topic read {topic}" in home
    assert [line for line in home.splitlines() if "write" in line] == [
        "topic write edgetune/edge1/+/cmd/acknowledge",
        "topic write edgetune/edge1/+/cmd/recalibrate",
    ]
    assert "home_assistant" not in access_list(topics, "edge1")
