"""Whether a running node is alive, asked of the broker: what it last said of itself must be good and fresh.

``python -m edgetune_node.cli.remote.live --config FILE`` prints one line per problem and ends 1 where there is any. It
is the health check of the containers, and so imports nothing that a node's messages do not need.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edgetune_node.config import load_settings
from edgetune_node.contract import Health, Status, Topics, problems
from edgetune_node.errors import ConfigError
from edgetune_node.operator import BrokerError, OperatorClient

if TYPE_CHECKING:
    from edgetune_node.config import Settings
    from edgetune_node.contract import AssetHealth

MAX_AGE_S = 10.0
START_S = 60.0
"""How long after its start a node may be without the first samples of an asset."""
INTERVALS = 3
"""How many intervals of ``health`` may pass without one: one message is QoS 0 and may be lost."""
RETAINED_S = 2.0


def check_live(settings: Settings, *, max_age_s: float = MAX_AGE_S) -> list[str]:
    """Ask the broker what the configured node last said of itself.

    Connects as a client of its own, so that the node is not disturbed, and waits at most 2 s for its messages.

    Parameters
    ----------
    settings
        The node's configuration.
    max_age_s
        Seconds that an asset may have been without samples.

    Returns
    -------
    list of str
        One sentence per problem; empty where the node is online, publishes, and has fresh samples of every asset.
    """
    topics = Topics(settings.node.namespace, settings.node.id)
    wanted = {topics.node(Status.topic), topics.node(Health.topic)}
    said: dict[str, dict[str, Any]] = {}
    try:
        with OperatorClient(settings.mqtt, topics) as client:
            client.subscribe(*sorted(wanted))
            for topic, payload in client.messages(RETAINED_S):
                said[topic] = payload
                if said.keys() == wanted:
                    break
    except BrokerError as error:
        return [str(error)]
    status, health = said.get(topics.node(Status.topic)), said.get(topics.node(Health.topic))
    if status is None:
        return [f"{topics.base} is not known to broker {settings.mqtt.where}; is it running?"]
    try:
        return find_problems(
            Status.model_validate(status),
            None if health is None else Health.model_validate(health),
            datetime.now(UTC),
            interval_s=settings.node.health_interval_s,
            max_age_s=max_age_s,
        )
    except ValidationError as error:
        return [f"{topics.base} says what this version does not understand: {'; '.join(problems(error))}"]


def find_problems(
    status: Status, health: Health | None, now: datetime, *, interval_s: float, max_age_s: float
) -> list[str]:
    """Judge a node by its last messages.

    Parameters
    ----------
    status, health
        What it last said; ``health`` is None where it never came.
    now
        The time of day.
    interval_s
        Seconds from one ``health`` to the next.
    max_age_s
        Seconds that an asset may have been without samples.
    """
    if status.status != "online":
        return [f"the node is {status.status}"]
    if health is None or health.boot != status.boot:
        return ["the node is online, but has published no health since it started"]
    age_s = (now - health.ts).total_seconds()
    if age_s > INTERVALS * interval_s:
        return [
            f"health is {age_s:.0f} s old not at most {INTERVALS * interval_s:g} s; the node hangs, or the clock jumped"
        ]
    if age_s < -INTERVALS * interval_s:
        return [f"health is {-age_s:.0f} s ahead of the clock; the clock was set back, or is not the node's"]
    return [problem for asset in health.assets if (problem := _asset_problem(asset, health.uptime_s, max_age_s))]


def _asset_problem(asset: AssetHealth, uptime_s: float, max_age_s: float) -> str | None:
    if asset.source_error is not None:
        return f"{asset.id}: its source fails: {asset.source_error}"
    if asset.sample_age_s is None:
        return f"{asset.id}: no samples since the start {uptime_s:.0f} s ago" if uptime_s > START_S else None
    if asset.sample_age_s > max_age_s:
        return f"{asset.id}: no samples for {asset.sample_age_s:.0f} s, where {max_age_s:g} s are allowed"
    return None


def main() -> None:
    """Check the node of a configuration file; end 0 without problems, else 1, which is all a health check may say."""
    parser = argparse.ArgumentParser(
        prog="python -m edgetune_node.cli.remote.live", description="Is a running node alive?"
    )
    parser.add_argument("--config", type=Path, required=True, help="The node's configuration.")
    parser.add_argument("--max-age", type=float, default=MAX_AGE_S, help="Seconds without samples that are allowed.")
    given = parser.parse_args()
    try:
        found = check_live(load_settings(given.config), max_age_s=given.max_age)
    except ConfigError as error:
        found = [str(error)]
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
