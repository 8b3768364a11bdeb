"""Sends commands for whoever is at a page, and fetches waveforms and trends from nodes."""

from __future__ import annotations

import json
import math
import re
import time
from array import array
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetune_node.contract import ASSET_COMMANDS, NODE_COMMANDS, Topics
from edgetune_node.errors import NodeError
from edgetune_node.operator import OperatorClient, readable, rows_of, wait_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_node.operator import PartedAnswer

FORBIDDEN = frozenset({"forget"})
"""Erases a person for good: a command line is asked for that."""
SIMULATE = "simulate"
"""No command of a node: puts a simulated machine into a condition, where there is one."""
WITH_NAME = frozenset({"acknowledge", "shelve"})
ANSWER_S = 45.0
READ_S = 3.0
DRAWN = 1200
"""Pairs of lowest and highest value that a waveform is drawn from: more than a wide page has pixels for."""
MOST_CHANNELS = 64
_LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class RequestError(NodeError):
    """What a page asks for makes no sense; says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command to one asset, checked.

    Attributes
    ----------
    reads
        It changes nothing, so that whoever may read may send it.
    """

    node: str
    asset: str | None
    name: str
    fields: dict[str, Any]

    @property
    def reads(self) -> bool:
        """Whether it changes nothing on the node."""
        if self.name == "capture":  # with ``now`` the node records, and keeps that
            return isinstance(self.fields.get("event"), str) and not self.fields.get("now")
        return self.name == "history"


def read_order(content: Mapping[str, Any], by: str) -> Order:
    """Read what a page sent: ``node``, ``asset``, ``name`` and ``fields``, which the node itself checks.

    Raises
    ------
    RequestError
        Naming what is wrong.
    """
    node, asset, name, fields = (content.get(key) for key in ("node", "asset", "name", "fields"))
    if not isinstance(name, str) or name not in {*ASSET_COMMANDS, *NODE_COMMANDS, SIMULATE} - FORBIDDEN:
        raise RequestError(f"the page cannot send a command {name!r}")
    if not isinstance(fields, dict):
        raise RequestError("fields: must be an object")
    whole = name in NODE_COMMANDS
    for level in (node, *(() if whole else (asset,))):
        if not isinstance(level, str) or not _LEVEL.fullmatch(level):
            raise RequestError(f"{level!r} is no id of a node or an asset")
    given = {key: value for key, value in fields.items() if key not in {"id", "expires"}}
    if name in WITH_NAME:
        given["by"] = by
    return Order(str(node), None if whole else str(asset), name, given)


def check_login(mqtt: Any, namespace: str) -> bool:
    """Connect with a person's login, and return whether it was given any node's retained status.

    Raises
    ------
    NodeError
        The broker does not take the login, or refuses the subscription.
    """
    with OperatorClient(mqtt) as client:
        client.subscribe(f"{namespace}/+/status")
        return next(client.messages(READ_S), None) is not None


def send(mqtt: Any, topics: Topics, order: Order) -> str:
    """Send a command and return its id; answers come to all pages by themselves."""
    with OperatorClient(mqtt, topics, order.asset) as client:
        if order.name == SIMULATE:
            client.publish(topics.asset(str(order.asset), "simulator"), json.dumps(order.fields).encode())
            return SIMULATE
        return client.send(order.name, **order.fields)


def fetch(mqtt: Any, topics: Topics, order: Order) -> tuple[str, dict[str, Any]]:
    """Send a command whose answer comes in parts; return its id, and that answer as a page draws it."""
    with OperatorClient(mqtt, topics, order.asset) as client:
        command_id = client.send(order.name, **order.fields)
        answer = wait_parts(client, command_id, timeout=ANSWER_S)
    if order.name == "history":
        return command_id, {**answer.detail, "rows": rows_of(answer), "asked": time.time()}
    return command_id, {**answer.detail, "drawn": drawn(answer)}


@readable()
def drawn(answer: PartedAnswer) -> list[list[float]]:
    """Return lowest and highest value of each short piece, alternating, one list for each channel."""
    channels = int(answer.detail["channels"])
    if not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"{channels} channels")
    values = array("f")
    for number in sorted(answer.parts):
        values.frombytes(b64decode(answer.parts[number]["data"]))
    if not all(map(math.isfinite, values)):
        raise ValueError("values that are not finite")
    found: list[list[float]] = []
    for channel in range(channels):
        own = values[channel::channels]
        step = max(1, len(own) // DRAWN)
        pieces = [own[start : start + step] for start in range(0, len(own), step)]
        found.append([round(value, 5) for piece in pieces for value in (min(piece), max(piece))])
    return found
