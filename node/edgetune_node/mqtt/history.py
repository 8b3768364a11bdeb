"""How a message is marked that tells of the past."""

from __future__ import annotations

import json


def mark_historical(payload: bytes) -> bytes:
    """Set ``historical`` in a message's JSON; anything else stays as it is."""
    try:
        data = json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(data, dict):
        return payload
    return json.dumps({**data, "historical": True}, separators=(",", ":"), ensure_ascii=False).encode()
