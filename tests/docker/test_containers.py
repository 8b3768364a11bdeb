"""The containers start, close the loop, and keep to their limits: built and run for real where an engine answers."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from compose_stack import (
    ASSET,
    CONFIG,
    FAULT_S,
    LOOP_S,
    SECOND,
    TOPICS,
    Stack,
    running,
    wait_for,
)

from edgetune_nas.card import FORMAT
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.operator.broker_errors import BrokerError
from edgetune_node.operator.client import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]

PI_BYTES = 900 * 2**20
"""What a Raspberry Pi of 1 GiB has left for containers."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All containers, healthy."""
    with running(Stack()) as stack:
        yield stack


@pytest.fixture(scope="module")
def taught(stack: Stack) -> None:
    """Has the node make a model, as an operator does from outside."""
    stack.set_condition("normal")
    words = ["--classes", "normal,inner,outer", "--seconds-per-take", "4s", "--countdown", "1s", "--time", "20s"]
    result = stack.recalibrate(*words)
    assert result["deployed"]
    assert result["arena_bytes"] <= 4096
    with stack.scada() as scada:
        assert wait_for(scada, "model", id=result["model"])["arena_bytes"] == result["arena_bytes"]


@pytest.fixture
def model(stack: Stack, taught: None) -> str:  # noqa: ARG001 - it has to be there
    """Id of the model that the node uses when the test begins."""
    with stack.scada() as scada:
        return str(wait_for(scada, "model")["id"])


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
        stack.up("node")
        ended = wait_for(scada, "fault", active=False, event=event)
    with stack.scada() as scada:
        assert wait_for(scada, "model")["id"] == model
        assert wait_for(scada, "fault")["event"] == ended["event"]


def test_a_killed_broker_comes_back_with_its_state_and_the_node_goes_on_as_the_same_process(
    stack: Stack, model: str
) -> None:
    started = stack.inspect("node")["State"]["StartedAt"]
    stack.compose("kill", "--signal", "SIGKILL", "broker")
    assert "broker" in stack.inside("node", "python", "-m", "edgetune_node.cli.remote.live", "--config", CONFIG, code=1)
    stack.up("broker", "node")
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
    both = ("line2", "watch")
    stack.up(profiles=both)
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
        added = ("node2", "machine2", "watch")
        stack.compose(*(word for name in both for word in ("--profile", name)), "stop", *added)
        assert {name: stack.inspect(name)["State"]["ExitCode"] for name in added} == dict.fromkeys(added, 0)
    finally:
        stack.compose("--profile", "*", "rm", "--stop", "--force", "node2", "machine2", "watch")


def test_adding_the_second_line_leaves_the_containers_of_the_first_as_they_are(stack: Stack) -> None:
    def first() -> dict[str, tuple[str, str]]:
        found = {name: stack.inspect(name) for name in ("broker", "node", "machine")}
        return {name: (each["Id"], each["State"]["StartedAt"]) for name, each in found.items()}

    before = first()
    try:
        stack.up(profiles=("line2",))
        stack.up(profiles=("line2",), build=True)
        assert first() == before
    finally:
        stack.compose("--profile", "*", "rm", "--stop", "--force", "node2", "machine2")


def test_the_page_may_act(stack: Stack) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.page_port}/api/session", timeout=30) as answer:
        session = json.loads(answer.read())
    assert (session["read"], session["act"], session["namespace"]) == (True, True, TOPICS.namespace)


def test_what_starts_fits_a_raspberry_pi_of_1_gib(stack: Stack) -> None:
    shown = json.loads(stack.compose("config", "--format", "json").stdout)
    limits = {name: int(service["mem_limit"]) for name, service in shown["services"].items()}
    assert set(limits) == {"setup", "broker", "node", "machine", "console"}
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
    stack.until_healthy("node")
    check = ["python", "-m", "edgetune_node.cli.remote.live", "--config", CONFIG]
    assert stack.inside("node", *check) == ""
    shell, asked = stack.inspect("node")["Config"]["Healthcheck"]["Test"]
    first_to_go = asked.replace("exec python", "cat /proc/$$/oom_score_adj; exec python")
    assert (shell, stack.inside("node", "sh", "-c", first_to_go).strip()) == ("CMD-SHELL", "1000")
    stack.compose("pause", "machine")
    try:
        deadline = time.monotonic() + 60
        while "no samples for" not in (said := stack.inside("node", *check, "--max-age", "3", code=None)):
            assert time.monotonic() < deadline, said
    finally:
        stack.compose("unpause", "machine")
        stack.until_healthy("machine")


def test_the_node_stops_in_time_and_comes_back(stack: Stack) -> None:
    with stack.scada() as scada:
        scada.subscribe(TOPICS.node("status"))
        stack.compose("stop", "--timeout", "8", "node")  # killed after that, with another exit code
        stopped = next(said for _, said in scada.messages(FAULT_S) if said["status"] != "online")
        state = stack.inspect("node")["State"]
        stack.up("node")
        assert (stopped["status"], state["ExitCode"]) == ("stopped", 0)
        assert next(said for _, said in scada.messages(FAULT_S))["status"] == "online"


def test_the_image_says_what_it_is(stack: Stack) -> None:
    labels = stack.inspect("node")["Config"]["Labels"]
    version = stack.inside(
        "node", "python", "-c", "import importlib.metadata as m; print(m.version('edgetune'))"
    ).strip()
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["io.edgetune.bundle-format"] == str(FORMAT)
