"""What ``edgetune doctor`` finds out of Sparkplug B: the broker's rights, and whether the primary host is there."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from edgetune_node.cli.local.finding import Finding
from edgetune_node.operator import BrokerError, OperatorClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgetune_node.config import Settings

CHECK = "sparkplug"
ECHO_S = 3.0
STATE_S = 1.5
"""Seconds to wait for what a broker keeps of a host."""
GIVE = "give the node's user these topics; `edgetune doctor --acl` prints its access list"


def sparkplug_access(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the lines of an access list that Sparkplug B needs besides; none where it is off."""
    section = settings.sparkplug
    if section is None:
        return {}
    from edgetune_node.integrations import SparkplugNames

    return SparkplugNames(section.group, settings.node.id).access(section.primary_host)


def check_sparkplug(settings: Settings) -> list[Finding]:
    """Whether the broker lets the edge node subscribe and publish, and whether its primary host is there.

    One death is published that no host takes for one, since no birth has its number; a running node is not disturbed.
    """
    section = settings.sparkplug
    if section is None:
        return []
    from edgetune_node.integrations import SparkplugNames

    names = SparkplugNames(section.group, settings.node.id)
    devices = [asset.id for asset in settings.asset]
    wanted = [*names.subscriptions(devices, section.primary_host), (names.topic("NBIRTH"), 0)]
    findings = _subscriptions(settings, wanted) + _death(settings, names.topic("NDEATH"))
    if section.primary_host is not None:
        findings += _host(settings, section.primary_host)
    if any(finding.level == "problem" for finding in findings):
        return findings
    seen = (
        f"edge node {section.group}/{settings.node.id} with {len(devices)} device(s): subscribed, published and heard"
    )
    return [Finding(CHECK, "ok", seen), *findings]


def _subscriptions(settings: Settings, wanted: list[tuple[str, int]]) -> list[Finding]:
    findings = []
    while wanted:
        try:
            with OperatorClient(settings.mqtt, parse=_whole) as client:
                while wanted:
                    name, qos = wanted.pop(0)
                    client.subscribe(name, qos=qos)
        except BrokerError as error:  # the next on a connection of its own: this one may have been ended
            findings.append(Finding(CHECK, "problem", error.seen, GIVE))
    return findings


def _death(settings: Settings, topic: str) -> list[Finding]:
    """Publish a death that is none and wait until it comes back, which it does where it may be written and read."""
    from edgetune_node.integrations import SparkplugNames, harmless_death

    section = settings.sparkplug
    assert section is not None  # noqa: S101 - for mypy
    names = SparkplugNames(section.group, settings.node.id)
    sent = harmless_death(names, time.time_ns() // 1_000_000)
    try:
        with OperatorClient(settings.mqtt, parse=_whole) as client:
            client.subscribe(topic, qos=0)
            client.publish(topic, sent.payload)
            if any(body["payload"] == sent.payload for _, body in client.messages(ECHO_S)):
                return []
    except BrokerError as error:
        return [Finding(CHECK, "problem", error.seen, GIVE)]
    seen = f"{topic}: published, but did not come back; the broker's ACL lets it vanish"
    return [Finding(CHECK, "problem", seen, GIVE)]


def _host(settings: Settings, host: str) -> list[Finding]:
    """Find what the broker keeps of the primary host, and of others where it keeps nothing of that one."""
    from edgetune_node.integrations import state_topic

    wanted = state_topic(host)
    kept: dict[str, Any] = {}
    try:
        with OperatorClient(settings.mqtt, parse=_whole) as client:
            client.subscribe(wanted, qos=1)
            with contextlib.suppress(BrokerError):  # the node itself needs no more
                client.subscribe(state_topic("+"), f"STATE/{host}", qos=0)
            for topic, body in client.messages(STATE_S):
                kept[topic] = body["payload"]
                if topic == wanted:
                    break
    except BrokerError as error:
        return [Finding(CHECK, "warning", f"which hosts there are cannot be read: {error.seen}", GIVE)]
    waits = "until then the node publishes nothing over Sparkplug, and keeps faults and signs"
    if wanted in kept:
        online = _online(kept[wanted])
        if online:
            return [Finding(CHECK, "ok", f"the primary host {host} is online")]
        said = "is offline" if online is False else "publishes a state that cannot be read"
        return [Finding(CHECK, "warning", f"the primary host {host} {said}", f"start it; {waits}")]
    if f"STATE/{host}" in kept:
        advice = "set the host application to Sparkplug 3.0, or leave primary_host out"
        return [Finding(CHECK, "warning", f"{host} says that it is there by Sparkplug 2.2 only", advice)]
    others = sorted(topic.rpartition("/")[2] for topic in kept)
    seen = f"no primary host {host} has said that it is there" + (f"; there are: {', '.join(others)}" if others else "")
    return [Finding(CHECK, "warning", seen, f"correct primary_host in [sparkplug], or start the host; {waits}")]


def _online(payload: bytes) -> bool | None:
    try:
        state = json.loads(payload)
    except ValueError:
        return None
    online = state.get("online") if isinstance(state, dict) else None
    return online if isinstance(online, bool) else None


def _whole(payload: bytes) -> dict[str, Any]:
    return {"payload": payload}
