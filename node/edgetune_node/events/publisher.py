"""Stamps messages and addresses them.

Whoever has something to publish builds a typed message (`edgetune_node.contract`) without time, boot or sequence
number. `Publisher` sets these and wraps the message in a `Publish` effect, which the service carries out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgetune_node.events.effects import Durability, Publish

if TYPE_CHECKING:
    from edgetune_node.clock import Clock
    from edgetune_node.contract import Message, Response, Topics


class Publisher:
    """Makes `Publish` effects of messages; keeps a sequence number per topic.

    Parameters
    ----------
    topics
        Where messages go.
    boot
        Name of this life of the process.
    clock
        The time that messages are stamped with.
    """

    def __init__(self, topics: Topics, boot: str, clock: Clock) -> None:
        self.topics = topics
        self.boot = boot
        self.clock = clock
        self._counts: Counter[str] = Counter()

    def publish(
        self,
        message: Message,
        asset: str | None,
        durability: Durability,
        *,
        topic: str | None = None,
        correlation: bytes | None = None,
    ) -> Publish:
        """Return the effect that publishes a message.

        Parameters
        ----------
        message
            What to publish. A ``ts`` that it was built with is kept; else it is now.
        asset
            Whose topic it goes to; None for the node's own.
        durability
            Effort made for it to arrive.
        topic
            Where it goes instead of its own topic.
        correlation
            Correlation data of the command that it answers.
        """
        if topic is None:
            topic = self.topics.node(message.topic) if asset is None else self.topics.asset(asset, message.topic)
        stamp = {"boot": self.boot, "seq": self._counts[topic], "clock_synced": self.clock.synced()}
        if "ts" not in message.model_fields_set:
            stamp["ts"] = self.clock.utc()
        self._counts[topic] += 1
        return Publish(topic, message.model_copy(update=stamp), durability, correlation)

    def respond(
        self,
        asset: str | None,
        response: Response,
        *,
        name: str | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        durability: Durability = Durability.RARE,
    ) -> list[Publish]:
        """Return the effects that answer a command, on ``resp/<name>`` and on its MQTT 5 response topic if it has one.

        If the response topic cannot be used, the answer's ``detail`` says why.
        ``name`` is that of the answered command, if it is not the one in ``response``.
        """
        problem = None if response_topic is None else self.topics.unusable(response_topic)
        if problem is not None:
            response_topic = None
            detail = {**response.detail, "response_topic": f"not used: {problem}"}
            response = response.model_copy(update={"detail": detail})
        leaf = f"resp/{name or response.command}"
        own = self.topics.node(leaf) if asset is None else self.topics.asset(asset, leaf)
        topics = [own] + ([response_topic] if response_topic and response_topic != own else [])
        return [self.publish(response, asset, durability, topic=topic, correlation=correlation) for topic in topics]
