"""Signed commands, for brokers that many share: HMAC-SHA256 over a command's topic and its payload, byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from edgetune_node.contract.json_input import parse_object
from edgetune_node.errors import PayloadError, Refused

if TYPE_CHECKING:
    from edgetune_node.contract.commands import Command

PROPERTY = "edgetune-signature"
"""Name of the MQTT 5 user property that holds a signature."""
MAX_AHEAD = timedelta(minutes=10)
"""A command that is good for longer could be kept and sent when nobody expects it any more."""
ENVELOPE = {"payload", "signature"}


def sign(key: bytes, topic: str, payload: bytes) -> str:
    """Signature in hexadecimal of what arrives on ``topic``; it is no good for another node, asset or command.

    The topic is the node's own, as its broker knows it, whatever a bridge on the way puts before it.
    """
    return hmac.new(key, topic.encode() + b"\n" + payload, hashlib.sha256).hexdigest()


def seal(key: bytes, topic: str, payload: bytes) -> bytes:
    """Return the payload in an envelope with its signature, for MQTT 3.1.1, which has no user properties."""
    return json.dumps({"payload": payload.decode(), "signature": sign(key, topic, payload)}).encode()


def unseal(payload: bytes) -> tuple[bytes, str | None]:
    """Open an envelope; what is none comes back as it is, with no signature."""
    try:
        found = parse_object(payload)
    except PayloadError:
        return payload, None
    if set(found) != ENVELOPE:
        return payload, None
    inner, signature = found["payload"], found["signature"]
    if not isinstance(inner, str) or not isinstance(signature, str):
        return payload, None
    return inner.encode(), signature


def check_signature(
    key: bytes, topic: str, payload: bytes, signature: str | None, command: Command, now: datetime
) -> None:
    """Raise `Refused` where a command's signature or time is wrong.

    Parameters
    ----------
    key
        The secret that nodes and operators share.
    topic, payload, signature
        As they came.
    command
        What was read out of the payload; it has not expired.
    now
        The node's time.
    """
    if signature is None:
        raise Refused("this node takes only signed commands, and this one has no signature")
    right = sign(key, topic, payload)
    if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogatepass")):
        raise Refused("the signature is wrong: another key, another topic than this node's own, or an altered payload")
    if command.expires is None:
        raise Refused("expires: a signed command must say when it expires")
    if command.expires > now + MAX_AHEAD:
        minutes = MAX_AHEAD.total_seconds() / 60
        raise Refused(
            f"expires: more than {minutes:.0f} minutes ahead by this node's clock, which says {now.isoformat()}; "
            "expire sooner, or set the clock"
        )
