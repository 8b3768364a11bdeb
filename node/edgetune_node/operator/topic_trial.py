"""Publishes on topics one after the other, and notes which of them a broker refuses; what it keeps stays as it is.

Where nothing is retained an empty message is published, which leaves nothing behind. Where something is retained, that
is published again as it was. A retained message is risked only on topics that can be read: else nobody could tell what
it would overwrite.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from edgetune_node.operator.broker_errors import BrokerError, RefusedError
from edgetune_node.operator.client import HUNG_UP, OperatorClient, object_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgetune_node.config import MqttSection
    from edgetune_node.operator.broker_limits import BrokerLimits

MOST_HANG_UPS = 10
"""Topics that may cost a connection, and so a second or two each, before the others are left untried."""


@dataclass(slots=True)
class _Topic:
    """What came of one topic: whether it was published on, came back, is published on again, and what is kept there."""

    published: bool = False
    came_back: bool = False
    again: bool = False
    kept: bytes = b""


class TopicTrial:
    """A client that may lose its connection with every message.

    Parameters
    ----------
    mqtt, limits
        The broker, and what it can do.
    status
        The topic on which a node says that it is online: from then on nothing retained is published.
    echo_s
        Seconds to wait for what was published to come back.

    Attributes
    ----------
    refused
        Topics that the broker refuses, each with what it does in place of taking a message.
    vanished
        Topics whose messages were taken, but did not come back.
    untried
        Topics that were left out after `MOST_HANG_UPS` ended connections.
    started
        Whether the node has said meanwhile that it is online.
    """

    def __init__(self, mqtt: MqttSection, limits: BrokerLimits, status: str, echo_s: float) -> None:
        self._mqtt, self._limits, self._status, self._echo_s = mqtt, limits, status, echo_s
        self._confirms = mqtt.protocol == "5" and limits.qos > 0  # else a refusal shows only in what stays away
        self._client: OperatorClient | None = None
        self._hang_ups = 0
        self._topics: dict[str, _Topic] = {}
        self._mark = json.dumps({"probe": uuid.uuid4().hex}).encode()
        self.refused: dict[str, str] = {}
        self.vanished: list[str] = []
        self.untried: list[str] = []
        self.started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, probe: str, others: Mapping[str, bool]) -> None:
        """Publish a mark on ``probe``, which must come back, and on ``others`` (whether retained) as is said above."""
        self._close()
        self._topics = {name: _Topic() for name in (probe, *others)}
        self._publish_all({probe: self._mark})
        self._publish_all({name: b"" for name in others if not self._topics[name].kept})
        if self._limits.retain:
            again = [name for name, retained in others.items() if retained and self._is_readable(name)]
            for name in again:
                self._topics[name].published, self._topics[name].again = False, True
            self._publish_all(dict.fromkeys(again), retain=True)
        must_return = [probe] if self._confirms else list(self._topics)
        self.vanished += [n for n in must_return if self._topics[n].published and not self._topics[n].came_back]

    def _publish_all(self, payloads: dict[str, bytes] | dict[str, None], *, retain: bool = False) -> None:
        """Publish, None for what is kept there, and wait for it; once more what an ended connection took along."""
        while left := [name for name in payloads if self._is_left(name)]:
            for name in left:
                if retain:
                    self._hear(())
                    if self.started:
                        return
                payload = payloads[name]
                self._publish(name, self._topics[name].kept if payload is None else payload, retain=retain)
            self._hear(payloads)

    def _is_readable(self, name: str) -> bool:
        return bool(self._topics[name].kept) or self._topics[name].came_back

    def _is_left(self, name: str) -> bool:
        return not self._topics[name].published and name not in self.refused and name not in self.untried

    def _publish(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        if self._hang_ups >= MOST_HANG_UPS:
            self.untried.append(name)
            return
        try:
            client = self._opened()
            connections = client.connections
            client.publish(name, payload, retain=retain)
            if self._limits.qos == 0:  # nothing is acknowledged, so ask for something that is
                client.subscribe(next(iter(self._topics)))
                if client.connections != connections:
                    raise RefusedError("", "write", HUNG_UP, hung_up=True)  # noqa: TRY301 - as publish does
        except RefusedError as error:
            self.refused[name] = error.why + (" (retained)" if retain else "")
            self._lose(hung_up=error.hung_up)
        except BrokerError as error:
            self.refused[name] = error.seen
            self._lose(hung_up=True)
        else:
            self._topics[name].published = True

    def _hear(self, names: Iterable[str]) -> None:
        """Process what comes until each of ``names`` that was published on has come back, or time is up."""
        waited_for = [topic for name in names if (topic := self._topics[name]).published]
        deadline = time.monotonic() + self._echo_s
        while self._client is not None:
            missing = any(not topic.came_back for topic in waited_for)
            wait_s = max(0.0, deadline - time.monotonic()) if missing else 0.0
            item = next(self._client.messages(wait_s), None)
            if item is None:
                return
            self._take(item[0], item[1]["payload"])

    def _take(self, name: str, payload: bytes) -> None:
        topic = self._topics.get(name)
        if topic is None:
            return
        if payload in {b"", self._mark} or topic.again:
            topic.came_back = True
        if payload not in {b"", self._mark}:
            topic.kept = payload
            if name == self._status:
                self.started = self.started or (object_or_none(payload) or {}).get("status") == "online"

    def _opened(self) -> OperatorClient:
        if self._client is None:
            self._client = OperatorClient(self._mqtt, parse=_whole)
            self._client.limits = self._limits
            try:
                self._client.subscribe(*self._topics)
            except RefusedError as error:
                if error.hung_up:  # what comes back is then not heard
                    self._close()
                    self._client = OperatorClient(self._mqtt, parse=_whole)
                    self._client.limits = self._limits
        return self._client

    def _lose(self, *, hung_up: bool) -> None:
        if hung_up:  # or it would be sent again on the next connection
            self._hang_ups += 1
            self._close()
            for topic in self._topics.values():
                topic.published = topic.published and topic.came_back

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _whole(payload: bytes) -> dict[str, Any]:
    return {"payload": payload}
