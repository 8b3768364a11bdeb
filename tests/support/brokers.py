"""A real broker to break, a client that records what it sees, and a disk that can be full."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgetune_node.mqtt import WholePacketClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
PATIENCE_S = 120.0


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_S, what: str = "") -> None:
    """Return as soon as ``condition`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s this does not hold: {what or condition}")
        threading.Event().wait(0.005)


def free_port() -> int:
    """Return a port on which nobody listens, below those that the system gives to whoever names none."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)  # each worker seeds the other generator alike
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Broker:
    """A mosquitto process with its own folder; sessions and retained messages survive `stop`, but not `kill`."""

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is neither on PATH nor in /usr/sbin (apt install mosquitto)")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.users = dict(users or {})
        self.acl = acl
        self.tls = tls
        self.more: list[str] = []
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        """Start it, on the port it had before, and wait until it answers."""
        for _ in range(5):
            port = self.port or free_port()
            self._configure(port)
            with (self.folder / "mosquitto.log").open("ab") as log:
                process = subprocess.Popen(
                    [str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if self._answers(port, process):
                self.port, self._process = port, process
                return self
            process.wait(PATIENCE_S)
        pytest.fail(f"mosquitto does not start:\n{self.log()}")

    def stop(self) -> None:
        """End it as a service manager would; it saves sessions and retained messages."""
        if self._process is not None:
            self.thaw()
            wait_until(self._ended_when_asked, what="mosquitto ends")
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None

    def _ended_when_asked(self) -> bool:
        """Ask it to end, again where it was asked before its main loop began: that request it forgets."""
        assert self._process is not None
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return self._process.poll() is not None

    def freeze(self) -> None:
        """Keep every connection open and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What the broker wrote so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "mosquitto.log").read_text(errors="replace")
        return ""

    def _configure(self, port: int) -> None:
        lines = [
            f"listener {port} {self.host}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 100000",
            "message_size_limit 4194304",
            "log_dest stdout",
            f"allow_anonymous {'false' if self.users else 'true'}",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it drops to a user that cannot read this folder
        if self.users:
            passwords = self.folder / "passwords"
            passwords.write_text("".join(f"{user}:{password}\n" for user, password in self.users.items()))
            subprocess.run([str(shutil.which("mosquitto_passwd")), "-U", str(passwords)], check=True)
            lines.append(f"password_file {passwords}")
        if self.acl is not None:
            (self.folder / "acl").write_text(self.acl)
            lines.append(f"acl_file {self.folder / 'acl'}")
        if self.tls is not None:
            ca, certificate, key = self.tls
            lines += [f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}"]
        (self.folder / "mosquitto.conf").write_text("\n".join([*lines, *self.more]) + "\n")

    def _answers(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((self.host, port), timeout=1).close()
            except OSError:
                threading.Event().wait(0.01)
            else:
                return process.poll() is None  # else somebody else listens there
        if process.poll() is None:
            process.kill()
        return False


@dataclass(frozen=True, slots=True)
class Received:
    """One message as a subscriber got it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None
    user_properties: tuple[tuple[str, str], ...] = ()

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.payload)
        return value


class Recorder:
    """A SCADA's side: subscribes (retain as published), collects, and publishes what an operator would."""

    def __init__(
        self,
        broker: Broker,
        *filters: str,
        protocol: str = "5",
        username: str | None = None,
        password: str | None = None,
        tls_ca: Path | None = None,
    ) -> None:
        self.messages: list[Received] = []
        self._changed = threading.Condition()
        self._subscribed = False
        self._filters = filters
        self._five = protocol == "5"
        self._client = WholePacketClient(
            CallbackAPIVersion.VERSION2,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            reconnect_on_failure=True,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(1000)
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls_ca is not None:
            self._client.tls_set(str(tls_ca))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        wait_until(lambda: self._subscribed, what=f"subscribed to {filters}")

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        if not self._filters:
            self._subscribed = True
        elif self._five:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            client.subscribe([(name, options) for name in self._filters])
        else:
            client.subscribe([(name, 1) for name in self._filters])

    def _on_disconnect(self, *_: object) -> None:
        self._subscribed = False

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True

    def subscribed(self) -> bool:
        """Whether the broker would pass on to it what is published now."""
        return self._subscribed

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None) if self._five else None
        user = tuple(getattr(message.properties, "UserProperty", ()))
        with self._changed:
            self.messages.append(
                Received(message.topic, bytes(message.payload), message.qos, message.retain, correlation, user)
            )
            self._changed.notify_all()

    def publish(
        self,
        topic: str,
        payload: bytes | str | dict[str, Any],
        *,
        qos: int = 1,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        user_properties: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Publish (a dict as JSON) and wait until the broker has it; after an outage, once reconnected."""
        wait_until(self._client.is_connected, what="the recorder is connected")
        body = json.dumps(payload) if isinstance(payload, dict) else payload
        properties = None
        if response_topic is not None or correlation is not None or user_properties:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if response_topic is not None:
                properties.ResponseTopic = response_topic
            if correlation is not None:
                properties.CorrelationData = correlation
            for pair in user_properties:
                properties.UserProperty = pair
        self._client.publish(topic, body, qos, retain, properties).wait_for_publish(PATIENCE_S)

    def wait_for(self, predicate: Callable[[Received], bool], seconds: float = PATIENCE_S) -> Received:
        """Return the first message, of those seen already or to come, for which ``predicate`` holds."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for message in self.messages[seen:]:
                    if predicate(message):
                        return message
                seen = len(self.messages)
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    shown = "\n".join(f"  {item.topic} {item.payload[:160]!r}" for item in self.messages[-30:])
                    pytest.fail(f"no such message within {seconds} s; of {len(self.messages)} the last are\n{shown}")

    def wait_for_count(self, topic: str, count: int, seconds: float = PATIENCE_S) -> list[Received]:
        """Wait until ``count`` messages of one topic are there; gives all of them."""
        wait_until(lambda: len(self.on(topic)) >= count, seconds, f"{count} messages on {topic}")
        return self.on(topic)

    def on(self, topic: str) -> list[Received]:
        """Every message so far whose topic is ``topic`` or matches it as a filter."""
        with self._changed:
            return [message for message in self.messages if mqtt.topic_matches_sub(topic, message.topic)]

    def clear(self) -> None:
        """Forget what was seen."""
        with self._changed:
            self.messages.clear()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()  # paho leaves its own pair open, and the connection where it reconnects


class SmallDisk:
    """A real file system that can be full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, what: str = "bytes") -> None:
        """Leave no room for another byte, or for another file."""
        with contextlib.suppress(OSError):
            for number in itertools.count():
                with (self.folder / f"filler{number}").open("ab", buffering=0) as filler:
                    while what == "bytes":
                        filler.write(bytes(4096))

    def free(self) -> None:
        """Make room again."""
        for filler in self.folder.glob("filler*"):
            filler.unlink()
