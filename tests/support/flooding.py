"""A client that floods a node through its broker, until it is ended: ``flooding.py PORT KIND PER_SECOND ASSET...``.

It speaks MQTT 3.1.1 by itself, for a library would be the slowest part. Once it floods it prints a line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.integrations.sparkplug.payload import DataType, Metric, encode
from edgetune_signal import Block, encode_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
BASE = "edgetune/n1"
KIB = 1024
MIB = 1024 * KIB
BATCH = 64


def publish(topic: str, payload: bytes, number: int, *, qos: int) -> bytes:
    """One PUBLISH packet."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + (struct.pack(">H", number % 65_535 + 1) if qos else b"") + payload
    length, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([0x30 | qos << 1]) + bytes(length) + body


def padded(fields: dict[str, object], size: int) -> bytes:
    """A JSON object of so many bytes."""
    bare = json.dumps(fields).encode()
    return bare[:-1] + b" " * (size - len(bare)) + b"}"


def context(asset: str, number: int) -> bytes:
    payload = padded({"shaft_rpm": 1000 + number % 1000}, 16_000)
    return publish(f"{BASE}/{asset}/context", payload, number, qos=0)


def context_1(asset: str, number: int) -> bytes:
    payload = padded({"shaft_rpm": 1000 + number % 1000}, 16_000)
    return publish(f"{BASE}/{asset}/context", payload, number, qos=1)


def commands_0(asset: str, number: int) -> bytes:
    return publish(f"{BASE}/{asset}/cmd/cancel", json.dumps({"id": f"flood-{number}"}).encode(), number, qos=0)


def commands_1(asset: str, number: int) -> bytes:
    return publish(f"{BASE}/{asset}/cmd/cancel", json.dumps({"id": f"flood-{number}"}).encode(), number, qos=1)


def backups(_asset: str, number: int) -> bytes:
    return publish(f"{BASE}/cmd/backup", json.dumps({"id": f"flood-{number}"}).encode(), number, qos=1)


def evidence(asset: str, number: int) -> bytes:
    name, more = (("history", {}), ("capture", {"now": True}), ("capture", {"event": "none"}))[number % 3]
    return publish(f"{BASE}/{asset}/cmd/{name}", json.dumps({"id": f"flood-{number}", **more}).encode(), number, qos=1)


def garbage(asset: str, number: int) -> bytes:
    return publish(f"{BASE}/{asset}/cmd/cancel", b"\xff" * 16_000, number, qos=number % 2)


def samples(asset: str, number: int) -> bytes:
    block = Block(np.full((1, 4096), number % 7, np.float32), number, 10**18 + number, 12_000.0, "g")
    return publish(f"{BASE}/{asset}/samples", encode_block(block), number, qos=0)


def bad_samples(asset: str, number: int) -> bytes:
    return publish(f"{BASE}/{asset}/samples", b"\x00" * 16_000, number, qos=0)


def big(asset: str, number: int) -> bytes:
    leaf = ("context", "cmd/cancel", "samples")[number % 3]
    return publish(f"{BASE}/{asset}/{leaf}", bytes(3 * MIB), number, qos=1)


def sparkplug(asset: str, number: int) -> bytes:
    asked = Metric("command/rollback", DataType.STRING, json.dumps({"id": f"flood-{number}"}).ljust(16_000), 0)
    return publish(f"spBv1.0/Plant1/DCMD/n1/{asset}", encode([asked], time_ms=0, seq=None), number, qos=0)


KINDS: dict[str, Callable[[str, int], bytes]] = {
    "context": context,
    "context-1": context_1,
    "commands-0": commands_0,
    "commands-1": commands_1,
    "backups": backups,
    "evidence": evidence,
    "garbage": garbage,
    "samples": samples,
    "bad-samples": bad_samples,
    "big": big,
    "sparkplug": sparkplug,
}


@contextlib.contextmanager
def flooded(port: int, kind: str, *assets: str, per_second: float = 0) -> Iterator[None]:
    """Flood in a process of its own; as fast as the broker takes it, where no pace is given."""
    command = [sys.executable, __file__, str(port), kind, str(per_second), *assets]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), f"the flood of {kind} did not begin"
        try:
            yield
        finally:
            process.kill()


def main(port: int, kind: str, per_second: float, assets: list[str]) -> None:
    name = f"flood-{kind}".encode()
    variable = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
    with socket.create_connection((HOST, port)) as out:
        out.sendall(b"\x10" + bytes([len(variable)]) + variable)
        assert out.recv(4)[:1] == b"\x20", "the broker does not take the flood"

        def discard() -> None:
            with contextlib.suppress(OSError):
                while out.recv(65_536):
                    pass

        threading.Thread(target=discard, daemon=True).start()
        make, numbers = KINDS[kind], itertools.count()
        batch = 1 if kind == "big" else BATCH
        began_s = time.monotonic()
        for turn in itertools.count():
            out.sendall(
                b"".join(make(assets[number % len(assets)], number) for number in itertools.islice(numbers, batch))
            )
            if turn == 0:
                print(flush=True)  # noqa: T201 - whoever started it waits for that
            if per_second:
                time.sleep(max(0.0, began_s + (turn + 1) * batch / per_second - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:])
