"""Messages of nodes, and commands to them with who sent them; no more is read at a time than is handed on."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from edgetune_node.contract import PROPERTY, unseal
from edgetune_node.operator import OperatorClient, object_or_none

if TYPE_CHECKING:
    import paho.mqtt.client as paho

MOST_BYTES = 256 * 1024
"""Longest payload that is read."""
MOST_BEHIND = 1024 * 1024
"""Bytes of payloads that may wait to be handed on; objects made of them are up to twenty times as large."""
MOST_BEHIND_FIRST = 16 * 2**20
"""The same before anything is handed on: what is retained may come before the broker confirms a subscription."""
BEHIND_S = 5.0
"""A broker that is not heard for much longer ends the connection."""
MOST_SHOWN = 2000
"""Characters of a command's fields that a log shows."""
MOST_NAME = 64
"""Characters of an id or a name: no node takes a longer one."""
OWN_FIELDS = frozenset({"id", "expires"})


class Overhearing(OperatorClient):
    """Connects as `OperatorClient` does; commands come as what `sent` makes of them."""

    def __init__(self, mqtt: Any) -> None:
        self._sizes: deque[int] = deque()
        self._behind = 0
        self._most = MOST_BEHIND_FIRST
        self._room = threading.Condition()
        super().__init__(mqtt, parse=parse)

    def taken(self, count: int) -> None:
        """Note that this many messages were handed on."""
        with self._room:
            self._most = MOST_BEHIND
            for _ in range(count):
                self._behind -= self._sizes.popleft()
            self._room.notify_all()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        content = sent(message, payload) if "/cmd/" in message.topic else parse(payload)
        if content is None:
            return
        with self._room:  # the broker keeps the rest meanwhile
            self._room.wait_for(lambda: self._behind < self._most, BEHIND_S)
            self._sizes.append(len(payload))
            self._behind += len(payload)
        self._inbox.put((message.topic, content))


def parse(payload: bytes) -> dict[str, Any] | None:
    """Read a JSON object; an empty payload is an empty object, anything else is passed over."""
    if not payload:
        return {}
    return object_or_none(payload) if len(payload) <= MOST_BYTES else None


def sent(message: Any, payload: bytes) -> dict[str, Any] | None:
    """Return a command's id, fields and what is known of its sender; None of what is no command.

    With MQTT 5 the last level of the response topic names the client, where `edgetune` sent the command. A plant has
    one key for signatures. The node's answer says whether a signature is right.
    """
    if len(payload) > MOST_BYTES:
        return None
    inner, signature = unseal(payload)
    content = object_or_none(inner)
    if content is None or not isinstance(content.get("id"), str) or len(content["id"]) > MOST_NAME:
        return None
    properties = getattr(message, "properties", None)
    users = dict(getattr(properties, "UserProperty", ()))
    answers, base = getattr(properties, "ResponseTopic", ""), message.topic.partition("/cmd/")[0]
    own = answers.startswith(f"{base}/resp/") and answers.count("/") > base.count("/") + 2
    by = content.get("by")
    fields = {key: value for key, value in content.items() if key not in OWN_FIELDS}
    return {
        "id": content["id"],
        "fields": fields if _can_be_shown(fields) else {"...": f"{len(inner)} bytes"},
        "by": by[:MOST_NAME] if isinstance(by, str) else None,
        "client": answers.rpartition("/")[2][:MOST_NAME] if own else None,
        "signed": signature is not None or PROPERTY in users,
    }


def _can_be_shown(fields: dict[str, Any]) -> bool:
    """Whether fields are short, of numbers that JSON has, and not nested too deeply to be written."""
    try:
        return len(json.dumps(fields, allow_nan=False)) <= MOST_SHOWN
    except (ValueError, RecursionError):
        return False
