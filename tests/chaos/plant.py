"""The parts of a plant that can be broken on purpose: a broker, a wire, a node; and those who watch them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from ledger import Said, said_by
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgetune_node.mqtt import WholePacketClient

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
PATIENCE_S = 120.0
DAY_S = 86_400
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets the connection, what was not sent is thrown away


class PlantError(Exception):
    """Something that was waited for did not come."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Return as soon as ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise PlantError(f"after {seconds:g} s this does not hold: {what}")
        threading.Event().wait(0.01)


class Broker:
    """A mosquitto that keeps sessions over `stop`."""

    def __init__(self, mosquitto: str, folder: Path) -> None:
        self._command = [mosquitto, "-c", str(folder / "mosquitto.conf")]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        user = "user root\n" if os.geteuid() == 0 else ""  # else it drops to a user that cannot read this folder
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
            f"max_queued_messages 0\n{user}"
        )

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "mosquitto answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Wire:
    """What lies between node and broker: a proxy whose connections can be cut after any byte.

    It also hangs up on what is `denied`, as some brokers do on a publish that they do not permit.
    """

    def __init__(self, listener: socket.socket, to_port: int) -> None:
        self._to_port = to_port
        self._listener = listener
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.cuts = 0
        self.denied: bytes | None = None
        self.hung_up = 0
        self._left: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Pass on so many more bytes from the node, then break the connection, at both ends and without a goodbye."""
        self._left = size

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            try:
                far = socket.create_connection((HOST, self._to_port), timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            self.connections += 1
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            before = b""
            while True:
                for key, _ in ready.select():
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    data = end.recv(65_536)
                    if not data:
                        return
                    if end is near and self.denied is not None:
                        if self.denied in before + data:
                            self.hung_up += 1
                            return
                        before = data[-len(self.denied) :]
                    left = self._left if end is near else None
                    if left is not None and left < len(data):
                        self._left = None
                        far.sendall(data[:left])
                        self.cuts += 1
                        for each in (near, far):
                            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        return
                    if left is not None:
                        self._left = left - len(data)
                    key.data.sendall(data)


class Watcher:
    """A SCADA that the broker keeps its messages for, whatever happens, and an operator who gives commands."""

    def __init__(self, port: int, *filters: str, name: str) -> None:
        self.said: list[Said] = []
        self.boots: dict[str, float] = {}
        self.classified_s = 0.0
        self.defects: list[str] = []
        self.phases: set[str] = set()
        self.newest: dict[str, dict[str, Any]] = {}
        self._filters = filters
        self._subscribed = threading.Event()
        self._client = WholePacketClient(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = DAY_S
        self._client.connect(HOST, port, 10, clean_start=False, properties=properties)
        self._client.loop_start()
        wait_until(self._subscribed.is_set, f"{name} has subscribed")

    def publish(self, topic: str, payload: dict[str, Any], *, response_topic: str | None = None) -> None:
        """Return when the broker has it."""
        wait_until(self._client.is_connected, "the watcher is connected")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        self._client.publish(topic, json.dumps(payload), qos=1, properties=properties).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _userdata: object, flags: Any, *_: object) -> None:
        if self._subscribed.is_set():
            if not flags.session_present:
                self.defects.append("the broker lost the session of the watcher, who may have missed something")
            return
        client.subscribe([(name, 1) for name in self._filters])

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        leaf = message.topic.rpartition("/")[2]
        if leaf == "classification":
            self.classified_s = time.monotonic()
            self.boots.setdefault(json.loads(message.payload)["boot"], self.classified_s)
        elif leaf in ("status", "state", "health", "calibration", "fault"):
            told = self.newest[message.topic] = json.loads(message.payload)
            if leaf == "state":
                self.phases.add(told["phase"])
        said = said_by(message.topic, message.payload)
        if said is not None:
            self.said.append(said)


class Node:
    """``edgetune run`` on a configuration; everything it logs goes into one file over all its lives."""

    def __init__(self, config: Path, log: Path) -> None:
        self._command = [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, stderr: int | None = None, **environment: str) -> None:
        """Start it, with more in its environment; its log goes to ``stderr`` where that is given."""
        with self._log.open("ab") as log:
            log.write(b"\n")  # a kill may have cut the last line
            log.flush()
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log if stderr is None else stderr,
                env={name: value for name, value in os.environ.items() if not name.startswith("EDGETUNE_")}
                | environment,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise PlantError(f"the node ended by itself with exit code {self._process.returncode}")
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def stop(self) -> int:
        """End it as a service manager would; give its exit code."""
        return self.end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """End it by a signal; give its exit code."""
        assert self._process is not None
        self.send(number)
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)


class Machine:
    """What the sensor hears: it breaks and heals at moments of its own, until it is told to be well."""

    def __init__(self, playing: Path, conditions: tuple[str, str], seed: int) -> None:
        self._playing = playing
        self._conditions = conditions
        self._random = random.Random(seed)
        self._alive = threading.Event()
        self._over = threading.Event()
        self.rest()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def live(self) -> None:
        self._alive.set()

    def rest(self) -> None:
        """Be well, and stay so."""
        self._alive.clear()
        self._play(self._conditions[0])

    def close(self) -> None:
        self._over.set()
        self._alive.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while self._alive.wait() and not self._over.is_set():
            turn += 1
            self._play(self._conditions[turn % 2])
            self._over.wait(self._random.uniform(0.2, 0.8))
            if not self._alive.is_set():
                self._play(self._conditions[0])  # `rest` may have come while a condition was being written

    def _play(self, condition: str) -> None:
        self._playing.write_text(condition, encoding="utf-8")
