"""Home Assistant, metrics and Sparkplug at a running node: made where set, told what happens, closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_node.config import Settings
    from edgetune_node.contract import Topics
    from edgetune_node.events import CommandArrived, Publish
    from edgetune_node.integrations import Announcements, Figures, MetricsServer, SparkplugEdgeNode
    from edgetune_node.mqtt import Link

SPARKPLUG_FILE = "sparkplug.sqlite"
MEMORY = "announced.json"
"""File in the data folder: which announcements a broker may keep."""


class PlantSystems:
    """What other systems of the plant get, besides the node's messages; nothing is imported for what is off.

    Parameters
    ----------
    settings, topics
        The node's.
    link
        Publishes announcements.
    post
        Takes what a host asks of the node, from another thread.

    Raises
    ------
    ConfigError
        If metrics cannot be listened for.
    """

    def __init__(
        self, settings: Settings, topics: Topics, link: Link, *, post: Callable[[CommandArrived], bool | None]
    ) -> None:
        self._announcements: Announcements | None = None
        self._figures: Figures | None = None
        self._server: MetricsServer | None = None
        self._sparkplug: SparkplugEdgeNode | None = None
        memory = settings.node.data_dir / MEMORY
        if settings.home_assistant.prefix is not None or memory.exists():
            from edgetune_node.integrations import Announcements, discovery

            self._announcements = Announcements(discovery(settings, topics), memory, link.announce)
        address = settings.metrics.address
        if address is not None:
            from edgetune_node.integrations import Figures, MetricsServer

            self._figures = Figures(topics, [section.id for section in settings.asset])
            self._server = MetricsServer(address, self._figures.families)

        if settings.sparkplug is not None:
            from edgetune_node.integrations import SparkplugEdgeNode  # it imports protobuf

            path = settings.node.data_dir / SPARKPLUG_FILE
            self._sparkplug = SparkplugEdgeNode(settings, topics, path, post=post)

    @property
    def problems(self) -> list[str]:
        """What other systems do not get, and why."""
        announced = None if self._announcements is None else self._announcements.problem
        return [*([announced] if announced else []), *([] if self._sparkplug is None else self._sparkplug.problems)]

    @property
    def snapshots(self) -> dict[str, Callable[[Path], object]]:
        """What copies each database in the data folder."""
        return {} if self._sparkplug is None else {SPARKPLUG_FILE: self._sparkplug.copy_events}

    def start(self) -> None:
        """Begin to connect where a system has a connection of its own."""
        if self._sparkplug is not None:
            self._sparkplug.start()

    def heard(self, effect: Publish) -> None:
        """Take note of a message that the node publishes."""
        if self._figures is not None:
            self._figures.heard(effect)
        if self._sparkplug is not None:
            self._sparkplug.published(effect)

    def linked(self, *, connected: bool) -> None:
        """Take note that the broker came or went."""
        if self._figures is not None:
            self._figures.broker_connected = connected
        if connected and self._announcements is not None:
            self._announcements.connected()

    def look(self) -> None:
        """Write again what was taken from the data folder."""
        if self._announcements is not None:
            self._announcements.look()

    def stop(self, drain_s: float) -> None:
        """Begin to end, within ``drain_s``; announcements stay, and `status` says that the node has gone."""
        if self._server is not None:
            self._server.close()
        if self._sparkplug is not None:
            self._sparkplug.stop(drain_s)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of what `stop` began."""
        if self._sparkplug is not None:
            self._sparkplug.join(timeout_s)
