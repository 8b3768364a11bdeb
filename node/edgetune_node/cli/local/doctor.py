"""``edgetune doctor``: looks at everything a node depends on, and says what to do about what it finds."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from edgetune_node.cli.local.access_checks import check_access, check_limits
from edgetune_node.cli.local.checks import check_clock, check_disk, check_packages
from edgetune_node.cli.local.finding import Finding
from edgetune_node.cli.local.metrics_check import check_metrics
from edgetune_node.cli.local.source_check import listen, name_error, source_findings
from edgetune_node.cli.local.sparkplug_checks import check_sparkplug, sparkplug_access
from edgetune_node.clock import SystemClock
from edgetune_node.config import insecure, load_settings
from edgetune_node.contract import Topics, access_list
from edgetune_node.errors import ConfigError
from edgetune_node.integrations import discovery
from edgetune_node.operator import BrokerError, OperatorClient
from edgetune_signal import MqttSource, SourceError, open_source

if TYPE_CHECKING:
    from edgetune_node.config import AssetSection, MqttSection, Settings
    from edgetune_node.operator import BrokerLimits

LISTEN_S = 3.0
RETAINED_S = 2.0
HOUR_S = 3600.0
TELLING_S = 24 * HOUR_S
"""Seconds of health that a bound on false alarms needs; less of it allows a hundred a month."""
SHAREABLE = frozenset({"mqtt", "simulated", "replay"})
"""Sources that may be opened a second time while the node runs; a sensor may not."""
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    *,
    config: Annotated[Path, typer.Option(help="The node's configuration.")] = Path("config.toml"),
    acl: Annotated[
        bool,
        typer.Option("--acl", help="Print the broker's access list for this node (mosquitto's), and check nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check configuration, broker, sources, model store, disk, clock and packages.

    A running node is not disturbed. Ends 0 where nothing or only warnings were found, 1 with problems, 2 where
    the configuration is wrong.
    """
    console = Console(stderr=as_json)
    try:
        settings = load_settings(config)
    except ConfigError as error:
        wrong = [
            Finding("configuration", "problem", problem, f"correct it in {error.where}") for problem in error.problems
        ]
        _report(wrong, console, as_json=as_json)
        raise typer.Exit(2) from None
    if acl:
        topics = Topics(settings.node.namespace, settings.node.id)
        user = settings.mqtt.username or settings.node.id
        sys.stdout.write(access_list(topics, user, discovery(settings, topics), sparkplug_access(settings)))
        return
    message = f"listening to {len(settings.asset)} source(s) for {LISTEN_S:g} s"
    if console.is_terminal:
        with console.status(message):
            findings = examine(settings)
    else:
        findings = examine(settings)
    replaced = [Finding("configuration", "warning", each.replaced) for each in settings.asset if each.replaced]
    _report([Finding("configuration", "ok", f"{config} is right"), *replaced, *findings], console, as_json=as_json)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> list[Finding]:
    """Examine everything but the configuration itself."""
    findings = []
    online = False
    topics = Topics(settings.node.namespace, settings.node.id)
    health: dict[str, Any] = {}
    broker: OperatorClient | None = None
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(OperatorClient(settings.mqtt, topics))
        except BrokerError as error:
            findings.append(
                Finding("broker", "problem", error.seen, "correct [mqtt] in the configuration, or start the broker")
            )
        else:
            lacks, limits = check_limits(settings.mqtt, topics)
            node, online, health = _node(broker, topics)
            findings += [_broker(settings.mqtt, limits), *lacks, node]
            findings += check_access(settings, topics, limits, running=online)
            findings += check_sparkplug(settings)
        sources = [
            _known(section, health) if online and section.source.type not in SHAREABLE else None
            for section in settings.asset
        ]
        with ThreadPoolExecutor(max_workers=len(settings.asset)) as pool:
            heard = pool.map(
                lambda section, known: (
                    known or try_source(section, settings.mqtt, topics, reachable=broker is not None, running=online)
                ),
                settings.asset,
                sources,
            )
            findings += [finding for of_asset in heard for finding in of_asset]
    findings += _promised(health) if online else []
    findings += check_metrics(settings.metrics.address, running=online)
    packages = check_packages()
    if all(finding.level != "problem" for finding in packages):
        from edgetune_node.cli.local.model_checks import check_models  # it imports onnxruntime

        for section in settings.asset:
            findings += check_models(section, settings.node.data_dir)
    findings += check_disk(settings.node.data_dir, settings.node.disk_reserve_bytes)
    return [*findings, *check_clock(SystemClock()), *packages]


def try_source(
    section: AssetSection, mqtt: MqttSection, topics: Topics, *, reachable: bool, running: bool = False
) -> list[Finding]:
    """Open an asset's source, or listen to its samples topic, and measure what comes.

    Samples that others publish are missed only by a node that is ``running``; before, they may not have begun.
    """
    name = f"source {section.id}"
    if section.source.type != "mqtt":
        try:
            source = open_source(section.source.type, section.spec, section.source.options)
        except SourceError as error:
            return [Finding(name, "problem", str(error), "do what it says, or correct [asset.source]")]
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and that is what is to be found out
            seen = f"opening it raised {name_error(error)}"
            return [Finding(name, "problem", seen, "correct the plug-in, or its options in [asset.source]")]
        try:
            return source_findings(section, listen(source, LISTEN_S))
        finally:
            source.close()
    if not reachable:
        return [Finding(name, "warning", "not examined, since the broker cannot be used", "correct [mqtt] first")]
    received = MqttSource(section.spec)

    def feed(payload: bytes) -> dict[str, Any] | None:
        received.feed(payload)
        return None

    try:
        with OperatorClient(mqtt, topics, section.id, parse=feed) as client:
            client.subscribe(topics.asset(section.id, "samples"), qos=0)
            findings = source_findings(section, listen(received, LISTEN_S), missed=running)
    except BrokerError as error:
        return [Finding(name, "problem", str(error), "give the node's user read access")]
    if received.refused:
        seen = f"{received.refused} blocks do not fit: {received.last_error}"
        advice = "correct channels, rate_hz and unit of this asset, or the sender"
        findings = [Finding(name, "problem", seen, advice), *(item for item in findings if item.level == "ok")]
    return findings


def _broker(mqtt: MqttSection, limits: BrokerLimits) -> Finding:
    most = ", QoS 1 at most" if limits.qos == 1 else ""
    seen = f"{mqtt.where} takes MQTT {mqtt.protocol}" + (" over TLS" if mqtt.tls else "") + most
    open_to = insecure.unasked(mqtt)
    if open_to:
        return Finding("broker", "warning", seen, "; ".join(open_to))
    return Finding("broker", "ok", seen)


def _node(client: OperatorClient, topics: Topics) -> tuple[Finding, bool, dict[str, Any]]:
    """Whether the node runs, and its last ``health``."""
    wanted = topics.node("status"), topics.node("health")
    try:
        client.subscribe(*wanted)
    except BrokerError as error:
        return Finding("node", "warning", str(error), "give the node's user read access"), False, {}
    latest: dict[str, dict[str, Any]] = {}
    for topic, payload in client.messages(RETAINED_S):
        latest[topic] = payload
        if latest.keys() >= set(wanted):
            break
    status = latest.get(wanted[0], {}).get("status")
    if status == "online":
        return Finding("node", "ok", f"{topics.base} is running"), True, latest.get(wanted[1], {})
    return Finding("node", "ok", f"{topics.base} is {status or 'not known to the broker yet'}"), False, {}


def _known(section: AssetSection, health: dict[str, Any]) -> list[Finding]:
    """Return what the running node says of a sensor that must not be opened twice."""
    name = f"source {section.id}"
    for item in health.get("assets") or []:
        if item.get("id") == section.id:
            age, error = item.get("sample_age_s"), item.get("source_error")
            if error or age is None or age > LISTEN_S:
                seen = str(error or f"the running node has had no samples {'yet' if age is None else f'for {age:g} s'}")
                return [Finding(name, "problem", seen, "look at the sensor and its cable")]
            seen = f"in use by the running node, which had samples {age:g} s ago; its rate was not measured"
            return [Finding(name, "ok", seen)]
    return [Finding(name, "warning", "in use by the running node, which says nothing of it", "stop it and try again")]


def _promised(health: dict[str, Any]) -> list[Finding]:
    """Return how often each model in use may raise a false alarm, by the health recorded for it and heard since."""
    found = []
    for item in health.get("assets") or []:
        most, seconds, raised = (item.get(name) for name in ("supported_per_month", "healthy_seconds", "raised"))
        if most is None or seconds is None:
            continue
        heard = f"{seconds:,.0f} s" if seconds < HOUR_S else f"{seconds / HOUR_S:,.3g} h"
        bound = f"at most {most:,g} false alarms a month at 95 % confidence, by {heard} of health"
        if seconds < TELLING_S:
            bound = f"{heard} of health tell nothing of false alarms a month yet; a day is the least"
        seen = f"{bound}; faults raised since the model is in use: {raised}"
        found.append(Finding(f"alarms {item.get('id')}", "ok", seen))
    return found


def _report(findings: list[Finding], console: Console, *, as_json: bool) -> None:
    if as_json:
        problems = sum(finding.level == "problem" for finding in findings)
        warnings = sum(finding.level == "warning" for finding in findings)
        shown = [finding.json() for finding in findings]
        sys.stdout.write(json.dumps({"problems": problems, "warnings": warnings, "findings": shown}) + "\n")
        return
    for finding in findings:
        line = Text.assemble(
            (f"{finding.level:8}", _STYLES[finding.level]), (f"{finding.check}: ", "bold"), finding.seen
        )
        console.print(line, soft_wrap=not console.is_terminal)
        if finding.advice:
            console.print(Text(f"        {finding.advice}", style="dim"), soft_wrap=not console.is_terminal)
