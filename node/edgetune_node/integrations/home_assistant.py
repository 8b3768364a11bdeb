"""Home Assistant's MQTT discovery: one device an asset, in one retained message each.

The form is that of a device's discovery payload (Home Assistant 2024.11 and later). Values come from the node's own
topics by templates, so nothing is published twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, get_args

from edgetune_node.contract import Phase, Severity

if TYPE_CHECKING:
    from edgetune_node.config import AssetSection, Settings
    from edgetune_node.contract import Topics

BY: Final = "home-assistant"
"""Who has acknowledged a fault by the button."""
COMMON: Final = f"""\
"id": "{BY}-{{{{ now().timestamp() }}}}", "expires": "{{{{ (utcnow() + timedelta(minutes=5)).isoformat() }}}}"\
"""
"""Template of what every command needs; what waits at a broker for longer than the 5 minutes is not carried out."""
LOUDEST: Final = "{%% set known = (value_json.%s or []) | reject('none') | list %%}{{ known | max if known else None }}"
"""Template of the largest channel of an indicator, unknown where no channel has one."""
UNITS: Final = {"m/s2": "m/s²"}


def discovery(settings: Settings, topics: Topics) -> dict[str, bytes]:
    """Return the retained payload of each discovery topic; empty where ``[home_assistant]`` is off."""
    prefix = settings.home_assistant.prefix
    if prefix is None:
        return {}
    found = {}
    for section in settings.asset:
        name = _name(topics, section)
        payload = _device(settings, topics, section, name)
        found[f"{prefix}/device/{name}/config"] = json.dumps(payload, ensure_ascii=False).encode()
    return found


def _name(topics: Topics, section: AssetSection) -> str:
    """Return a name of letters, digits and underscores that no other asset of the plant has."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", f"{topics.node_id}_{section.id}")
    return f"edgetune_{readable}_{hashlib.sha256(topics.asset(section.id, '').encode()).hexdigest()[:8]}"


def _device(settings: Settings, topics: Topics, section: AssetSection, name: str) -> dict[str, Any]:
    ours = version("edgetune")
    entities = _entities(topics, section, commands=settings.mqtt.command_key is None)
    return {
        "device": {
            "identifiers": [name],
            "name": f"{topics.node_id} {section.id}",
            "manufacturer": "Edgetune",
            "model": "vibration monitor" if section.task == "fault" else "sign monitor",
            "sw_version": ours,
        },
        "origin": {"name": "edgetune", "sw_version": ours},
        "availability": [
            {
                "topic": topics.node("status"),
                "value_template": "{{ 'online' if value_json.status == 'online' else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": {key: {"unique_id": f"{name}_{key}", **entity} for key, entity in entities.items()},
    }


def _entities(topics: Topics, section: AssetSection, *, commands: bool) -> dict[str, dict[str, Any]]:
    def sensor(name: str, leaf: str, template: str, **more: Any) -> dict[str, Any]:
        topic = topics.asset(section.id, leaf)
        return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template, **more}

    def button(name: str, command: str, fields: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": "button",
            "name": name,
            "command_topic": topics.asset(section.id, f"cmd/{command}"),
            "command_template": f"{{{COMMON}, {fields}}}",
            **more,
        }

    diagnostic = {"entity_category": "diagnostic"}
    found = {
        "phase": sensor(
            "Phase", "state", "{{ value_json.phase }}", device_class="enum", options=list(get_args(Phase)), **diagnostic
        ),
        "accuracy": sensor(
            "Model accuracy",
            "model",
            "{{ (value_json.accuracy * 100) | round(1) if value_json.accuracy is not none else None }}",
            unit_of_measurement="%",
            state_class="measurement",
            **diagnostic,
        ),
        "ram": sensor(
            "Model RAM",
            "model",
            "{{ value_json.arena_bytes }}",
            unit_of_measurement="B",
            device_class="data_size",
            state_class="measurement",
            **diagnostic,
        ),
    }
    if commands:  # else they would have to be signed
        found["recalibrate"] = button(
            "Recalibrate from stored recordings", "recalibrate", '"source": "stored"', entity_category="config"
        )
    if section.task == "sign":
        return {"sign": sensor("Sign", "sign", "{{ value_json.class }}"), **found}
    fault = topics.asset(section.id, "fault")
    found |= {
        "fault": {
            "platform": "binary_sensor",
            "name": "Fault",
            "state_topic": fault,
            "value_template": "{{ ('ON' if value_json.active else 'OFF')"
            " if value_json.judged or value_json.active else None }}",
            "device_class": "problem",
            "json_attributes_topic": fault,
            "json_attributes_template": "{{ {'event': value_json.event, 'acknowledged': value_json.acknowledged,"
            " 'zone': value_json.evidence.zone, 'action': value_json.evidence.action} | tojson }}",
        },
        "class": sensor("Condition", "fault", "{{ value_json.class }}"),
        "severity": sensor(
            "Severity",
            "fault",
            "{{ value_json.severity if value_json.severity != 'unknown' else None }}",
            device_class="enum",
            options=list(get_args(Severity)),
        ),
        "velocity": sensor(
            "Velocity RMS",
            "vibration",
            LOUDEST % "velocity_rms_mm_s",
            unit_of_measurement="mm/s",
            device_class="speed",
            state_class="measurement",
        ),
        "rms": sensor(
            "RMS",
            "vibration",
            LOUDEST % "rms",
            unit_of_measurement=UNITS.get(section.unit, section.unit),
            state_class="measurement",
        ),
    }
    if commands:
        found["acknowledge"] = button("Acknowledge fault", "acknowledge", f'"by": "{BY}"')
    return found
