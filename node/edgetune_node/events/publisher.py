"""Stamps what the node says: time, boot, a sequence number per topic, and where it goes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edgetune_node.contract import Message, Response
from edgetune_node.events.effects import Durability, Publish

if TYPE_CHECKING:
    from datetime import datetime

    from edgetune_node.clock import Clock
    from edgetune_node.contract import Topics


class Emitter:
    """Makes `Publish` effects out of message fields.

    Parameters
    ----------
    topics, boot, clock
        Where messages go, which life of the process they come from, and what time it is.
    """

    def __init__(self, topics: Topics, boot: str, clock: Clock) -> None:
        self.topics = topics
        self.boot = boot
        self.clock = clock
        self._counts: Counter[str] = Counter()

    def publish(
        self,
        kind: type[Message],
        asset: str | None,
        durability: Durability,
        *,
        ts: datetime | None = None,
        topic: str | None = None,
        correlation: bytes | None = None,
        **fields: Any,
    ) -> Publish:
        """Message of ``kind`` with ``fields``, stamped; ``ts`` defaults to now, ``topic`` to the message's own."""
        if topic is None:
            topic = self.topics.node(kind.topic) if asset is None else self.topics.asset(asset, kind.topic)
        message = kind(
            ts=ts or self.clock.utc(),
            boot=self.boot,
            seq=self._counts[topic],
            clock_synced=self.clock.synced(),
            **fields,
        )
        self._counts[topic] += 1
        return Publish(topic, message, durability, correlation)

    def respond(
        self,
        asset: str | None,
        response: dict[str, Any],
        *,
        name: str | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        durability: Durability = Durability.RARE,
    ) -> list[Publish]:
        """Answer to a command on ``resp/<name>``, and on the MQTT 5 response topic where one was given.

        An answer says in its ``detail`` where a response topic was not used, and why.
        ``name`` is that of the command that is answered, where it is not the one that ``response`` speaks of.
        """
        problem = None if response_topic is None else self.topics.unusable(response_topic)
        if problem is not None:
            response_topic = None
            response = {**response, "detail": {**response.get("detail", {}), "response_topic": f"not used: {problem}"}}
        leaf = f"resp/{name or response['command']}"
        own = self.topics.node(leaf) if asset is None else self.topics.asset(asset, leaf)
        topics = [own] + ([response_topic] if response_topic and response_topic != own else [])
        return [
            self.publish(Response, asset, durability, topic=topic, correlation=correlation, **response)
            for topic in topics
        ]
