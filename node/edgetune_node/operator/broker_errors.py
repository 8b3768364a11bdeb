"""Why a broker cannot be used, in words for a person at the command line."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from edgetune_node.errors import NodeError
from edgetune_node.mqtt import distrust, own_certificate

if TYPE_CHECKING:
    from edgetune_node.config import MqttSection

_HUNG_UP = "Unspecified error"
_LOGIN = {"Bad user name or password", "Not authorized"}


class BrokerError(NodeError):
    """The broker cannot be used.

    Attributes
    ----------
    seen
        What is wrong; the message adds what to do at the command line.
    passing
        True where the same attempt may succeed later (the broker is down), false where something has to be changed.
    """

    def __init__(self, seen: str, advice: str = "", *, passing: bool = False) -> None:
        self.seen = seen
        self.passing = passing
        super().__init__(f"{seen}; {advice}" if advice else seen)


class RefusedError(BrokerError):
    """The broker does not let this user read or write a topic.

    Attributes
    ----------
    why
        Its reason; of a broker that hangs up, that it does.
    hung_up
        Whether it ended the connection rather than to refuse.
    """

    def __init__(self, seen: str, right: str, why: str = "", *, hung_up: bool = False) -> None:
        super().__init__(seen, f"let this user {right} it (the broker's ACL)")
        self.why = why
        self.hung_up = hung_up


class EndedError(BrokerError):
    """The broker took the connection and ended it before it let the client in, for a reason that it does not tell."""


def unreachable(where: str, error: OSError, *, tls: bool) -> BrokerError:
    """Explain why no connection could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerError(f"broker {where}: {distrust(error)}", "--ca names an authority")
    if isinstance(error, ssl.SSLError):
        return BrokerError(f"broker {where} does not speak TLS ({error.reason})", "use mqtt:// for a plain port")
    if isinstance(error, socket.gaierror):
        return BrokerError(f"broker {where}: no such host ({error.strerror})", "check --broker", passing=True)
    if isinstance(error, ConnectionRefusedError):
        return BrokerError(
            f"broker {where} refuses the connection", "is it running, and is the port right? (--broker)", passing=True
        )
    hint = "does it speak TLS there, and is a firewall between?" if tls else "is it running, and is a firewall between?"
    return BrokerError(f"broker {where} cannot be reached: {error}", hint, passing=True)


def ended(mqtt: MqttSection, refusal: str | None) -> BrokerError:
    """Explain why a broker took the connection but did not let the client in; ``refusal`` is None if it is silent."""
    where = f"broker {mqtt.where}"
    if refusal in _LOGIN:
        user = f"user {mqtt.username!r}" if mqtt.username else "a client without user name"
        return BrokerError(
            f"{where} refuses {user}: {refusal}",
            "check the user name (--broker mqtt://user@host) and EDGETUNE_MQTT__PASSWORD or --password-file",
        )
    if refusal and "rotocol" in refusal:
        return BrokerError(f"{where} does not speak MQTT {mqtt.protocol}", "try --protocol 3.1.1")
    kind = EndedError if refusal else BrokerError
    said = f"ended the connection: {refusal}" if refusal else "does not answer"
    if mqtt.tls is not None and refusal == _HUNG_UP:
        said = f"ended the connection without a word; {own_certificate(mqtt.tls)}"
    return kind(
        f"{where} {said}",
        "is it an MQTT broker, and is mqtt:// (plain) or mqtts:// (TLS) right for this port?",
        passing=True,
    )
