"""Which ways to talk to the broker are insecure, and whether somebody asked for them by name (``mqtt.insecure``)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgetune_node.config.mqtt import Insecure, MqttSection

WORDS: Final[dict[Insecure, str]] = {"plaintext": "no TLS", "anonymous": "no password"}
_DANGER: Final[dict[Insecure, str]] = {
    "plaintext": "who is on the way can read and change everything; set [mqtt.tls]",
    "anonymous": "the broker cannot tell who this is; set mqtt.username and mqtt.password, or a client certificate",
}


def modes(mqtt: MqttSection) -> list[Insecure]:
    """Insecure modes that the settings amount to, whoever asked for them."""
    certified = mqtt.tls is not None and mqtt.tls.certificate_file is not None
    found: dict[Insecure, bool] = {
        "plaintext": mqtt.tls is None,
        "anonymous": mqtt.password is None and not certified,
    }
    return [mode for mode, so in found.items() if so]


def described(mqtt: MqttSection) -> list[str]:
    """Return for ``info`` each insecure mode, and whether it was asked for or should be."""
    return [f"mqtt: {WORDS[mode]}" + _whether(mqtt, mode) for mode in modes(mqtt)]


def unasked(mqtt: MqttSection) -> list[str]:
    """Insecure modes that nobody asked for, with the danger and both ways out; none to a broker on this machine."""
    return [
        f'mqtt: {WORDS[mode]} for {mqtt.host}: {_DANGER[mode]}, or ask for it by name: mqtt.insecure = ["{mode}"]'
        for mode in modes(mqtt)
        if not is_loopback(mqtt.host) and mode not in mqtt.insecure
    ]


def is_loopback(host: str) -> bool:
    """Whether messages to ``host`` never leave this machine; names other than ``localhost`` are not looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _whether(mqtt: MqttSection, mode: Insecure) -> str:
    if mode in mqtt.insecure:
        return " (asked for)"
    return "" if is_loopback(mqtt.host) else " (not asked for)"
