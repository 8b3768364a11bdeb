"""What ``edgetune doctor`` finds out at the broker: what it lacks, and which of the node's topics it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.cli.local.finding import Finding
from edgetune_node.contract import MESSAGES, Response, Status
from edgetune_node.integrations import discovery
from edgetune_node.operator import BrokerError, BrokerLimits, LastWill, OperatorClient, TopicTrial, connect_with_will

if TYPE_CHECKING:
    from edgetune_node.config import AssetSection, MqttSection, Settings
    from edgetune_node.contract import Topics

ECHO_S = 3.0
PROBE = "resp/doctor"
OTHER_TASKS = {"fault": {"sign", "sign_start", "emg"}, "sign": {"fault", "vibration"}}
"""Topics that an asset of a task never publishes."""


def check_limits(mqtt: MqttSection, topics: Topics) -> tuple[list[Finding], BrokerLimits]:
    """Whether the broker keeps messages, takes QoS 1 and a last will; return what it can do, too."""
    will = LastWill(f"{topics.base}/{PROBE}", b"")  # where this process is killed, it changes nothing
    try:
        client, _ = connect_with_will(will, mqtt, topics)
    except BrokerError as error:
        seen = f"it takes a connection without a last will, but with one: {error.seen}"
        return [Finding("broker", "problem", seen, _give(topics))], BrokerLimits()
    with client:
        limits = client.limits
    silent = ": it hangs up on a last will that asks for more" if mqtt.protocol == "3.1.1" else ""
    findings = []
    if not limits.retain:
        seen = f"the broker keeps no retained messages{silent}"
        advice = "who connects later sees a state only when it is said again; choose a broker that keeps them"
        findings.append(Finding("broker", "warning", seen, advice))
    if limits.qos == 0:
        seen = f"the broker's maximum QoS is 0{silent}"
        advice = "faults, answers and commands may be lost on the way; choose a broker that takes QoS 1"
        findings.append(Finding("broker", "warning", seen, advice))
    return findings, limits


def check_access(settings: Settings, topics: Topics, limits: BrokerLimits, *, running: bool) -> list[Finding]:
    """Whether the node's user may subscribe and publish where the node has to.

    Parameters
    ----------
    limits
        What the broker can do, from `check_limits`.
    running
        Whether the node is there; then only its ``resp/doctor`` topics are published on.
    """
    findings = _subscriptions(settings, topics)
    announced = dict.fromkeys(discovery(settings, topics), True)
    with TopicTrial(settings.mqtt, limits, topics.node(Status.topic), ECHO_S) as trial:
        for base, asset in [(topics.base, None), *((f"{topics.base}/{each.id}", each) for each in settings.asset)]:
            published = _published(base, asset) | ({} if asset else announced)
            trial.run(f"{base}/{PROBE}", {} if running else published)
    findings += _refusals(trial, settings.mqtt, topics)
    if findings:
        return findings
    seen = f"subscribed and published below {topics.base}, and heard it back"
    if running or trial.started:
        seen += "; the topics of a running node were left alone: its health names what the broker refuses"
    return [Finding("access", "ok", seen)]


def _published(base: str, asset: AssetSection | None) -> dict[str, bool]:
    """Topics that a node, or its asset, publishes on, and whether they are retained."""
    owner = "node" if asset is None else "asset"
    left_out = set() if asset is None else OTHER_TASKS[asset.task]
    return {
        f"{base}/{kind.topic}": kind.retained
        for kind in MESSAGES
        if kind.owner == owner and kind is not Response and kind.topic not in left_out
    }


def _subscriptions(settings: Settings, topics: Topics) -> list[Finding]:
    findings = []
    mqtt_assets = tuple(section.id for section in settings.asset if section.source.type == "mqtt")
    wanted = topics.subscriptions(mqtt_assets)
    while wanted:
        try:
            with OperatorClient(settings.mqtt, topics) as client:
                while wanted:
                    name, qos = wanted.pop(0)
                    client.subscribe(name, qos=qos)
        except BrokerError as error:  # the next on a connection of its own: this one may be asked for again and again
            findings.append(Finding("access", "problem", error.seen, "give the node's user read access"))
    return findings


def _refusals(trial: TopicTrial, mqtt: MqttSection, topics: Topics) -> list[Finding]:
    by_reason: dict[str, list[str]] = {}
    for name, why in trial.refused.items():
        by_reason.setdefault(why, []).append(name)
    seen = [f"broker {mqtt.where} does not take {', '.join(names)}: {why}" for why, names in by_reason.items()]
    if trial.vanished:
        seen.append(f"{', '.join(trial.vanished)}: published, but did not come back; the broker's ACL lets it vanish")
    findings = [Finding("access", "problem", each, _give(topics)) for each in seen]
    if trial.untried:
        many = f"{len(trial.untried)} topics were not tried, since the broker ended so many connections"
        findings.append(Finding("access", "warning", many, "correct the others, and run doctor again"))
    return findings


def _give(topics: Topics) -> str:
    return f"give the node's user {topics.base}/# to read and write; `edgetune doctor --acl` prints its access list"
