"""Home Assistant and metrics at a running node: made where they are set, told what happens, closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_node.config import Settings
    from edgetune_node.contract import Topics
    from edgetune_node.events import Publish
    from edgetune_node.integrations import Announcements, Figures, MetricsServer
    from edgetune_node.mqtt import Link

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

    Raises
    ------
    ConfigError
        If metrics cannot be listened for.
    """

    def __init__(self, settings: Settings, topics: Topics, link: Link) -> None:
        self._announcements: Announcements | None = None
        self._figures: Figures | None = None
        self._server: MetricsServer | None = None
        memory = settings.node.data_dir / MEMORY
        if settings.home_assistant.prefix is not None or memory.exists():
            from edgetune_node.integrations import Announcements, discovery

            self._announcements = Announcements(discovery(settings, topics), memory, link.announce)
        address = settings.metrics.address
        if address is not None:
            from edgetune_node.integrations import Figures, MetricsServer

            self._figures = Figures(topics, [section.id for section in settings.asset])
            self._server = MetricsServer(address, self._figures.families)

    @property
    def problem(self) -> str | None:
        """Why something is not announced; None where all is."""
        return None if self._announcements is None else self._announcements.problem

    def heard(self, effect: Publish) -> None:
        """Take note of a message that the node publishes."""
        if self._figures is not None:
            self._figures.heard(effect)

    def linked(self, *, connected: bool) -> None:
        """Take note that the broker came or went."""
        if self._figures is not None:
            self._figures.broker_connected = connected
        if connected and self._announcements is not None:
            self._announcements.connected()

    def close(self) -> None:
        """Stop listening; announcements stay, and `status` says that the node has gone."""
        if self._server is not None:
            self._server.close()
