"""The containers start, close the loop, and keep to their limits: built and run for real where an engine answers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli.broker_errors import BrokerError
from edgetune_node.cli.client import OperatorClient
from edgetune_node.config import MqttSection
from edgetune_node.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
BUILD_S, UP_S, LOOP_S, FAULT_S, DOWN_S = 1200, 120, 180, 30, 60
TOPICS = Topics("tests/line1", "edge7")
SECOND = Topics("tests/line1", "edge8")
ASSET = "bearing1"
CONFIG = "/etc/edgetune/config.toml"
PI_BYTES = 900 * 2**20
"""What a Raspberry Pi of 1 GiB has left for containers."""
RSS_OF_ALL = "awk '/^RssAnon|^RssShmem/ {sum += $2} END {print sum}' /proc/[0-9]*/status"
ROOM_BYTES = 40 * 2**20
"""What a search is left beside the node: less than any needs, more than starting one does."""


class Stack:
    """One compose project of its own name and port, with nothing left of it after `down`."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        # torch is part of it only where its wheel lies ready: an index may have nothing but gigabytes of CUDA
        torch = any((ROOT / "docker" / "wheelhouse").glob("torch-*.whl"))
        self.target = os.environ.get("EDGETUNE_TARGET") or ("node" if torch else "node-slim")
        self.project = f"edgetune-test-{uuid.uuid4().hex[:8]}"
        self._environment = {
            **os.environ,
            "EDGETUNE_TARGET": self.target,
            "EDGETUNE_IMAGE": f"edgetune:test-{self.target}",
            "EDGETUNE_MQTT_BIND": f"127.0.0.1:{self.port}",
            "EDGETUNE_NAMESPACE": TOPICS.namespace,
            "EDGETUNE_NODE_ID": TOPICS.node_id,
            "EDGETUNE_NODE2_ID": SECOND.node_id,
        }

    def compose(self, *arguments: str, seconds: float = 60, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose``; fails the test where it ends with another code than ``code`` (None: any)."""
        file = str(ROOT / "docker" / "compose.yaml")
        done = subprocess.run(
            ["docker", "compose", "-f", file, "-p", self.project, *arguments],
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
        """Give what the engine knows of a container."""
        name = self.compose("ps", "-aq", service).stdout.strip()
        shown = subprocess.run(["docker", "inspect", name], capture_output=True, text=True, timeout=30, check=True)
        (found,) = json.loads(shown.stdout)
        return dict(found)

    def scada(self) -> OperatorClient:
        """Connect from outside, through the published port."""
        password = self.compose(
            "run", "--rm", "-T", "--entrypoint", "cat", "operator", "/run/secrets/edgetune_mqtt__password"
        ).stdout
        return OperatorClient(
            MqttSection.model_validate({"port": self.port, "username": "operator", "password": password}), TOPICS, ASSET
        )


def wait_for(client: OperatorClient, leaf: str, **fields: Any) -> dict[str, Any]:
    """Give the first message on a topic that has these fields."""
    wanted = TOPICS.node(leaf) if leaf == "status" else TOPICS.asset(ASSET, leaf)
    client.subscribe(wanted)
    seen = []
    for topic, payload in client.messages(FAULT_S):
        if topic == wanted:
            if fields.items() <= payload.items():
                return payload
            seen.append(payload)
    pytest.fail(f"no {fields} on {leaf} within {FAULT_S} s; the last were {seen[-5:]}")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All containers, healthy."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command on PATH")
    answer = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode:
        pytest.skip(f"no container engine answers (docker info: {(answer.stderr or answer.stdout).strip()[-200:]})")
    stack = Stack()
    stack.compose("build", "node", seconds=BUILD_S)
    try:
        up = stack.compose("up", "--wait", "--wait-timeout", str(UP_S), seconds=UP_S + 60, code=None)
        if up.returncode:
            logs = stack.compose("logs", "--tail", "40").stdout
            pytest.fail(f"the containers do not become healthy:\n{up.stderr[-2000:]}\n{logs}")
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--remove-orphans", seconds=DOWN_S + 30)


@pytest.fixture(scope="module")
def model(stack: Stack) -> str:
    """Id of a model that an operator had the node make, from outside."""
    stack.set_condition("normal")
    taught = ["--classes", "normal,inner,outer", "--seconds-per-take", "4s", "--countdown", "1s", "--time", "20s"]
    result = stack.recalibrate(*taught)
    assert result["deployed"]
    assert result["arena_bytes"] <= 4096
    with stack.scada() as scada:
        assert wait_for(scada, "model", id=result["model"])["arena_bytes"] == result["arena_bytes"]
    return str(result["model"])


def test_the_scada_sees_faults_come_and_go(stack: Stack, model: str) -> None:
    with stack.scada() as scada:
        for condition in ("inner", "outer"):
            stack.set_condition(condition)
            raised = wait_for(scada, "fault", active=True, **{"class": condition})
            stack.set_condition("normal")
            wait_for(scada, "fault", active=False, event=raised["event"])
        assert wait_for(scada, "model")["id"] == model


def test_a_node_killed_while_a_fault_is_active_comes_back_with_its_model_and_ends_that_fault(
    stack: Stack, model: str
) -> None:
    with stack.scada() as scada:
        stack.set_condition("inner")
        event = wait_for(scada, "fault", active=True, **{"class": "inner"})["event"]
        stack.compose("kill", "--signal", "SIGKILL", "node")
        assert wait_for(scada, "status", status="offline")["status"] == "offline"
        stack.set_condition("normal")
        stack.compose("up", "--wait", "--wait-timeout", str(UP_S), "node", seconds=UP_S + 60)
        ended = wait_for(scada, "fault", active=False, event=event)
    with stack.scada() as scada:
        assert wait_for(scada, "model")["id"] == model
        assert wait_for(scada, "fault")["event"] == ended["event"]


def test_a_killed_broker_comes_back_with_its_state_and_the_node_goes_on_as_the_same_process(
    stack: Stack, model: str
) -> None:
    started = stack.inspect("node")["State"]["StartedAt"]
    stack.compose("kill", "--signal", "SIGKILL", "broker")
    assert "broker" in stack.inside("node", "python", "-m", "edgetune_node.cli.live", "--config", CONFIG, code=1)
    stack.compose("up", "--wait", "--wait-timeout", str(UP_S), "broker", "node", seconds=UP_S + 60)
    with stack.scada() as scada:
        wait_for(scada, "status", status="online")
        assert wait_for(scada, "model")["id"] == model
        stack.set_condition("outer")
        raised = wait_for(scada, "fault", active=True, **{"class": "outer"})
        stack.set_condition("normal")
        wait_for(scada, "fault", active=False, event=raised["event"])
    assert stack.inspect("node")["State"]["StartedAt"] == started


def test_a_search_that_runs_out_of_memory_fails_alone(stack: Stack, model: str) -> None:
    before = stack.inspect("node")
    stack.limit_memory("node", before["HostConfig"]["Memory"], squeezed=True)
    try:
        failed = stack.operator("recalibrate", "--source", "stored", "--time", "20s", seconds=LOOP_S, code=1)
    finally:
        stack.limit_memory("node", before["HostConfig"]["Memory"])
    assert "ended by SIGKILL; the system may be short of memory" in failed.stderr.splitlines()[-1]
    after = stack.inspect("node")
    assert (after["State"]["StartedAt"], after["RestartCount"]) == (before["State"]["StartedAt"], 0)
    with stack.scada() as scada:
        assert wait_for(scada, "model")["id"] == model
        assert wait_for(scada, "state", phase="monitoring")
        assert wait_for(scada, "classification")["class"] == "normal"
    assert stack.recalibrate("--source", "stored", "--time", "20s")["model"] != model


def test_a_second_line_is_seen_beside_the_first_and_each_obeys_alone(stack: Stack) -> None:
    both = ["--profile", "line2", "--profile", "watch"]
    stack.compose(*both, "up", "--wait", "--wait-timeout", str(UP_S), seconds=UP_S + 60)
    try:
        with stack.scada() as scada:
            states = {topics.asset(ASSET, "simulator/state"): topics for topics in (TOPICS, SECOND)}
            scada.subscribe(*states)
            stack.set_condition("outer", SECOND.node_id)
            heard = next(topic for topic, said in scada.messages(FAULT_S) if "outer" in str(said["condition"]))
            assert states[heard] is SECOND
        lines = {f"{topics.node_id}/{ASSET}: " for topics in (TOPICS, SECOND)}
        deadline = time.monotonic() + FAULT_S
        while not all(line in (logged := stack.compose("logs", "--no-log-prefix", "watch").stdout) for line in lines):
            assert time.monotonic() < deadline, logged
        assert stack.inspect("node2")["State"]["Health"]["Status"] == "healthy"
    finally:
        stack.compose(*both, "rm", "--stop", "--force", "node2", "machine2", "watch")


def test_what_starts_and_watch_fit_a_raspberry_pi_of_1_gib(stack: Stack) -> None:
    shown = json.loads(stack.compose("--profile", "watch", "config", "--format", "json").stdout)
    limits = {name: int(service["mem_limit"]) for name, service in shown["services"].items()}
    assert set(limits) == {"setup", "broker", "node", "machine", "watch"}
    assert sum(limits.values()) - limits["setup"] <= PI_BYTES  # it has ended when the others start


def test_a_container_may_write_nowhere_but_to_its_volume_and_tmp(stack: Stack) -> None:
    places = ["/", "/opt/app", "/etc", "/usr", "/home", "/data", "/tmp"]  # noqa: S108 - asked of a container
    script = f"id -u; for f in {' '.join(places)}; do touch $f/x 2>/dev/null && rm $f/x && echo $f; done"
    assert stack.inside("node", "sh", "-c", script, code=None).split() == ["10001", "/data", "/tmp"]  # noqa: S108
    assert stack.inside("machine", "sh", "-c", script, code=None).split() == ["10001", "/tmp"]  # noqa: S108


@pytest.mark.parametrize("service", ["broker", "node", "machine"])
def test_a_container_has_no_capability_and_can_gain_none(stack: Stack, service: str) -> None:
    status = dict(line.split(":\t", 1) for line in stack.inside(service, "cat", "/proc/1/status").splitlines())
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] != "0"


def test_no_secret_stands_in_an_image_or_in_the_settings_of_a_container(stack: Stack) -> None:
    secret = ["cat", "/run/secrets/edgetune_mqtt__password"]
    password = stack.inside("node", *secret)
    assert len(password) == 48
    assert password != stack.inside("machine", *secret)
    for service in ("broker", "node", "machine"):
        assert password not in json.dumps(stack.inspect(service))


def test_nobody_is_let_in_without_a_password(stack: Stack) -> None:
    for login in ({}, {"username": "operator", "password": "guess"}):
        with pytest.raises(BrokerError, match="refuses"):
            OperatorClient(MqttSection.model_validate({"port": stack.port, **login}))


def test_the_health_check_tells_a_live_node_from_one_without_samples(stack: Stack) -> None:
    assert stack.inspect("node")["State"]["Health"]["Status"] == "healthy"
    check = ["python", "-m", "edgetune_node.cli.live", "--config", CONFIG]
    assert stack.inside("node", *check) == ""
    stack.compose("pause", "machine")
    try:
        deadline = time.monotonic() + 60
        while "no samples for" not in (said := stack.inside("node", *check, "--max-age", "3", code=None)):
            assert time.monotonic() < deadline, said
    finally:
        stack.compose("unpause", "machine")


def test_the_node_stops_within_five_seconds_and_comes_back(stack: Stack) -> None:
    with stack.scada() as scada:
        scada.subscribe(TOPICS.node("status"))
        started = time.monotonic()
        stack.compose("stop", "node")
        took = time.monotonic() - started
        stopped = next(said for _, said in scada.messages(FAULT_S) if said["status"] != "online")
        state = stack.inspect("node")["State"]
        stack.compose("up", "--wait", "--wait-timeout", str(UP_S), "node", seconds=UP_S + 60)
        assert (stopped["status"], state["ExitCode"]) == ("stopped", 0)
        assert took < 5 + 3  # the engine's own share
        assert next(said for _, said in scada.messages(FAULT_S))["status"] == "online"


def test_the_image_says_what_it_is(stack: Stack) -> None:
    labels = stack.inspect("node")["Config"]["Labels"]
    version = stack.inside(
        "node", "python", "-c", "import importlib.metadata as m; print(m.version('edgetune'))"
    ).strip()
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
