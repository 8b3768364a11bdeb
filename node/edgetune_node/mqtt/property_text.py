"""Lets paho read every text that MQTT 5 allows in a property.

paho 2.2 takes U+FEFF for malformed, ends the connection, and does so again when the broker sends the message again. One
command with such a response topic would keep a node off line. MQTT 5 allows that character (section 1.5.4).
"""

from __future__ import annotations

from paho.mqtt import properties
from paho.mqtt.exception import MalformedPacket

LENGTH_BYTES = 2


def read_text(buffer: bytes, maxlen: int) -> tuple[str, int]:
    """Read a text with its length before it; return it, and the bytes it took.

    Bytes that are no UTF-8 become U+FFFD: what a broker has passed on is no reason to end the connection.
    """
    if maxlen < LENGTH_BYTES:
        raise MalformedPacket("Not enough data to read string length")
    length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
    if length > maxlen - LENGTH_BYTES:
        raise MalformedPacket("Length delimited string too long")
    end = LENGTH_BYTES + length
    return bytes(buffer[LENGTH_BYTES:end]).decode(errors="replace"), end


def install_reader() -> None:
    """Put `read_text` in the place of paho's own."""
    properties.readUTF = read_text
