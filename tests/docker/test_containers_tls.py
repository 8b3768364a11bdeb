"""With compose.tls.yaml every word is spoken over TLS, and only with who was certified by the plant's own authority."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from compose_stack import ASSET, FAULT_S, ROOT, TOPICS, Stack, running, wait_for

from edgetune_node.operator.broker_errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]
AUTHORITY = ["cat", "/run/ca/ca.crt"]
MADE = ["sh", "-c", "cat /tls/broker.crt /tls/names; stat -c '%n %a %u' /tls/*"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All containers with TLS, and `watch`, healthy."""
    with running(Stack(tls=True, EDGETUNE_TLS_NAMES="line1.example,192.0.2.7")) as stack:
        stack.up(profiles=("watch",))
        yield stack


@pytest.fixture
def authority(stack: Stack, tmp_path: Path) -> Path:
    """What a SCADA is given: the certificate of the plant's authority."""
    file = tmp_path / "ca.crt"
    file.write_text(stack.inside("node", *AUTHORITY))
    return file


def test_node_machine_operator_and_watch_hear_each_other_over_tls(stack: Stack, authority: Path) -> None:
    with stack.scada(tls={"ca_file": authority}) as scada:
        assert wait_for(scada, "status")["status"] == "online"
        stack.set_condition("outer")
        assert "outer" in str(wait_for(scada, "simulator/state")["condition"])
    listed = json.loads(stack.operator("watch", "--seconds", "5", "--json").stdout.splitlines()[0])
    assert listed["topic"].startswith(TOPICS.base)
    deadline = time.monotonic() + FAULT_S
    while f"{TOPICS.node_id}/{ASSET}: " not in (logged := stack.compose("logs", "--no-log-prefix", "watch").stdout):
        assert time.monotonic() < deadline, logged


def test_a_client_that_speaks_plainly_finds_no_way_in(stack: Stack) -> None:
    with pytest.raises(BrokerError):
        stack.scada()
    plain = stack.compose("exec", "-T", "broker", "mosquitto_sub", "-p", "1883", "-t", "#", "-W", "5", code=None)
    assert plain.returncode != 0
    assert "refused" in plain.stderr


def test_a_broker_of_another_authority_is_not_believed(stack: Stack, tmp_path: Path) -> None:
    script = ROOT / "docker" / "broker" / "certificates.sh"
    subprocess.run(["sh", str(script), str(tmp_path)], capture_output=True, timeout=60, check=True)
    other = tmp_path / "ca" / "ca.crt"
    deceived = stack.compose(
        "run", "--rm", "-T", "-v", f"{other}:/run/ca/ca.crt:ro", "operator", "watch", "--seconds", "5", code=1
    )
    assert "its certificate is not trusted" in deceived.stderr


def test_the_keys_stay_where_they_were_made_and_starting_again_keeps_them(stack: Stack) -> None:
    before = stack.inside("broker", *MADE)
    assert "/tls/broker.key 600 1883" in before
    assert "DNS:line1.example,IP:192.0.2.7" in before
    authority = stack.inside("node", *AUTHORITY)
    assert stack.inside("node", "ls", "-A", "/run/ca").split() == ["ca.crt"]
    stack.compose("up", "--no-deps", "certificates")
    assert stack.inside("node", *AUTHORITY) == authority
    assert stack.inside("broker", *MADE) == before
