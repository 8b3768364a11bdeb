"""Commands that hosts write to metrics of a device: ``command/acknowledge`` becomes `cmd/acknowledge`."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from edgetune_node.contract import MAX_PAYLOAD_BYTES
from edgetune_node.events import CommandArrived
from edgetune_node.integrations.sparkplug.catalogue import COMMANDS
from edgetune_node.integrations.sparkplug.names import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgetune_node.integrations.sparkplug.payload import Metric, Payload

BY: Final = "sparkplug"
LISTED, LISTED_CHARS = 5, 64
"""Names of metrics in a problem, and characters of each: a host may write any number of any length."""
_DEFAULTS: Final[Mapping[str, dict[str, Any]]] = {
    "acknowledge": {"by": BY},
    "shelve": {"by": BY},
    "recalibrate": {"source": "stored"},
}
"""What a command means that leaves this out, so that a button which writes an empty text is enough."""


def commands_of(
    device: str, payload: Payload, *, retained: bool, signed: bool
) -> tuple[list[CommandArrived], list[str]]:
    """Return the commands of a DCMD, and the names of metrics that cannot be written.

    Parameters
    ----------
    device
        The asset.
    payload
        What was written.
    retained
        Whether the broker kept it: the node refuses such commands.
    signed
        Whether commands need a signature. The text is then passed on as it is: an envelope.
    """
    commands, strangers = [], []
    for metric in payload.metrics:
        name = metric.name.removeprefix(COMMAND)
        if not metric.name.startswith(COMMAND) or name not in COMMANDS:
            strangers.append(metric.name)
            continue
        text = _text(metric)
        command = text if signed else _completed(name, text)
        commands.append(CommandArrived(device, name, command[: MAX_PAYLOAD_BYTES + 1], retained=retained))
    return commands, strangers


def listed(names: Sequence[str]) -> str:
    """Return the first names of some, cut to a length that fits into a problem."""
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(name[:LISTED_CHARS] for name in names[:LISTED]) + rest


def _text(metric: Metric) -> bytes:
    """Return the text that was written; what is no text is refused by the node, which says why."""
    return metric.value.encode() if isinstance(metric.value, str) else json.dumps(metric.value).encode()


def _completed(name: str, text: bytes) -> bytes:
    """Add an ``id`` and defaults to a JSON object, or to an empty text; leave anything else for the node to refuse."""
    if len(text) > MAX_PAYLOAD_BYTES:
        return text
    try:
        given = json.loads(text.strip() or b"{}")
    except (ValueError, RecursionError):
        return text
    if not isinstance(given, dict):
        return text
    return json.dumps({"id": f"{BY}-{uuid.uuid4().hex[:12]}", **_DEFAULTS.get(name, {}), **given}).encode()
