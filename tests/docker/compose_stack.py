"""One compose project for tests: its own name and port, driven as a person would, and nothing left of it afterwards."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.topics import Topics
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BUILD_S, UP_S, LOOP_S, FAULT_S, DOWN_S = 1200, 120, 180, 90, 60
TOPICS = Topics("tests/line1", "edge7")
SECOND = Topics("tests/line1", "edge8")
ASSET = "bearing1"
CONFIG = "/etc/edgetune/config.toml"
RSS_OF_ALL = "awk '/^RssAnon|^RssShmem/ {sum += $2} END {print sum}' /proc/[0-9]*/status"
ROOM_BYTES = 40 * 2**20
"""What a search is left beside the node: less than any needs, more than starting one does."""


def default_target() -> str:
    """Return the image that is tested: with torch where its wheel is there; an index may have gigabytes of CUDA."""
    torch = any((ROOT / "docker" / "wheelhouse").glob("torch-*.whl"))
    return os.environ.get("EDGETUNE_TARGET") or ("node" if torch else "node-slim")


class Stack:
    """One compose project.

    Parameters
    ----------
    target
        The image that is built and run.
    tls
        Whether ``compose.tls.yaml`` is used too.
    environment
        More variables for the compose files.
    """

    def __init__(self, target: str | None = None, *, tls: bool = False, **environment: str) -> None:
        with socket.socket() as listener, socket.socket() as another:
            listener.bind(("127.0.0.1", 0))
            another.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
            self.page_port: int = another.getsockname()[1]
        self.target = target or default_target()
        self.tls = tls
        self.project = f"edgetune-test-{uuid.uuid4().hex[:8]}"
        self._files = ["compose.yaml", *(["compose.tls.yaml"] if tls else [])]
        self._environment = {
            **os.environ,
            "EDGETUNE_TARGET": self.target,
            "EDGETUNE_IMAGE": f"edgetune:test-{self.target}",
            "EDGETUNE_MQTTS_BIND" if tls else "EDGETUNE_MQTT_BIND": f"127.0.0.1:{self.port}",
            "EDGETUNE_CONSOLE_BIND": f"127.0.0.1:{self.page_port}",
            "EDGETUNE_NAMESPACE": TOPICS.namespace,
            "EDGETUNE_NODE_ID": TOPICS.node_id,
            "EDGETUNE_NODE2_ID": SECOND.node_id,
            **environment,
        }

    def compose(self, *arguments: str, seconds: float = 60, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose``; fails the test where it ends with another code than ``code`` (None: any)."""
        files = [word for name in self._files for word in ("-f", str(ROOT / "docker" / name))]
        done = subprocess.run(
            ["docker", "compose", *files, "-p", self.project, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=self._environment,
        )
        if code is not None and done.returncode != code:
            pytest.fail(f"{' '.join(arguments)} ended {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    def up(self, *services: str, profiles: tuple[str, ...] = (), build: bool = False) -> None:
        """Start services, all if none is named, and wait until they are healthy; build the image first if asked."""
        words = [*(word for name in profiles for word in ("--profile", name)), "up", "--wait"]
        words += ["--wait-timeout", str(UP_S), *(["--build"] if build else []), *services]
        up = self.compose(*words, seconds=UP_S + 60 + (BUILD_S if build else 0), code=None)
        if up.returncode:
            logs = self.compose("logs", "--tail", "40").stdout
            pytest.fail(f"the containers do not become healthy:\n{up.stderr[-2000:]}\n{logs}")

    def until_healthy(self, service: str) -> None:
        """Wait until a container's own check finds it well again; ``up`` gives up at once where one is not."""
        deadline = time.monotonic() + UP_S
        while (status := self.inspect(service)["State"]["Health"]["Status"]) != "healthy":
            assert time.monotonic() < deadline, f"{service} is {status}"
            threading.Event().wait(0.5)

    def inside(self, service: str, *command: str, code: int | None = 0) -> str:
        """Run a command in a running container; give what it printed."""
        return self.compose("exec", "-T", service, *command, code=code).stdout

    def operator(self, *command: str, seconds: float = 60, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command as the operator does."""
        return self.compose("run", "--rm", "-T", "operator", *command, seconds=seconds, code=code)

    def recalibrate(self, *options: str) -> dict[str, Any]:
        """Have a new model made, and used whatever it is worth; give what the command prints."""
        done = self.operator("recalibrate", *options, "--deploy", "always", "--json", seconds=LOOP_S)
        return dict(json.loads(done.stdout))

    def set_condition(self, condition: str, *node: str) -> None:
        """Break the simulated machine, the first one unless another node is named, or repair it."""
        self.compose("run", "--rm", "-T", "condition", condition, *node)

    def limit_memory(self, service: str, size: int, *, squeezed: bool = False) -> None:
        """Bound a running container's memory: to ``size``, or to hardly more than it takes now."""
        container = self.inspect(service)["Id"]
        if squeezed:
            used = int(self.inside(service, "sh", "-c", RSS_OF_ALL)) * 1024
            size = used + ROOM_BYTES
        limits = ["--memory", str(size), "--memory-swap", str(size)]
        subprocess.run(["docker", "update", *limits, container], capture_output=True, timeout=30, check=True)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        name = self.compose("ps", "-aq", service).stdout.strip()
        shown = subprocess.run(["docker", "inspect", name], capture_output=True, text=True, timeout=30, check=True)
        (found,) = json.loads(shown.stdout)
        return dict(found)

    def mqtt(self, **changes: Any) -> MqttSection:
        """Return how the operator connects from outside, through the published port."""
        known = {"port": self.port, "username": "operator", "password": self._password}
        return MqttSection.model_validate(known | changes)

    @cached_property
    def _password(self) -> str:
        shown = ["--entrypoint", "cat", "operator", "/run/secrets/edgetune_mqtt__password"]
        return self.compose("run", "--rm", "-T", *shown).stdout

    def scada(self, **changes: Any) -> OperatorClient:
        """Connect from outside."""
        return OperatorClient(self.mqtt(**changes), TOPICS, ASSET)


def wait_for(client: OperatorClient, leaf: str, **fields: Any) -> dict[str, Any]:
    """Return the first message on a topic that has these fields."""
    wanted = TOPICS.node(leaf) if leaf == "status" else TOPICS.asset(ASSET, leaf)
    client.subscribe(wanted)
    seen = []
    for topic, payload in client.messages(FAULT_S):
        if topic == wanted:
            if fields.items() <= payload.items():
                return payload
            seen.append(payload)
    pytest.fail(f"no {fields} on {leaf} within {FAULT_S} s; the last were {seen[-5:]}")


def need_engine() -> None:
    """Skip where no container engine answers, and say what was tried."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command on PATH")
    answer = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode:
        pytest.skip(f"no container engine answers (docker info: {(answer.stderr or answer.stdout).strip()[-200:]})")


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Build the image and start all containers; afterwards nothing is left of them. Skips where no engine answers."""
    need_engine()
    try:
        stack.up(build=True)
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--remove-orphans", seconds=DOWN_S + 30)
