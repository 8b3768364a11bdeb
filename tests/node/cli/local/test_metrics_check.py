"""``doctor`` looks at the address of the metrics: free, served by the node, or in use by somebody else."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edgetune_node.cli.local.metrics_check import check_metrics
from edgetune_node.integrations.metrics_server import MetricsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A program that listens and answers nothing."""
    with closing(socket.create_server((HOST, 0))) as listener:
        yield listener


def address(listener: socket.socket) -> tuple[str, int]:
    return HOST, listener.getsockname()[1]


def test_without_an_address_nothing_is_said() -> None:
    assert check_metrics(None, running=False) == []


def test_a_free_port_is_right_unless_the_node_should_be_there(taken: socket.socket) -> None:
    where = address(taken)
    taken.close()
    [before] = check_metrics(where, running=False)
    assert (before.level, before.seen) == ("ok", f"{HOST} port {where[1]} is free")
    [while_running] = check_metrics(where, running=True)
    assert while_running.level == "warning"
    assert "although the node is running" in while_running.seen


@pytest.mark.parametrize("running", [False, True])
def test_a_port_that_another_program_has_is_a_problem(
    taken: socket.socket, monkeypatch: pytest.MonkeyPatch, *, running: bool
) -> None:
    monkeypatch.setattr("edgetune_node.cli.local.metrics_check.ASK_S", 0.1)
    [found] = check_metrics(address(taken), running=running)
    assert found.level == "problem"
    assert found.seen == f"nobody can listen at {HOST} port {address(taken)[1]}: Address already in use"


def test_metrics_of_the_running_node_are_right_and_those_of_another_a_problem(taken: socket.socket) -> None:
    where = address(taken)
    taken.close()
    with closing(MetricsServer(where, list)):
        [ours] = check_metrics(where, running=True)
        [others] = check_metrics(where, running=False)
    assert (ours.level, ours.seen) == ("ok", f"Edgetune's metrics are at {HOST} port {where[1]}")
    assert others.level == "problem"
    assert others.seen.endswith("Address already in use; another node serves its metrics there")


def test_an_address_that_is_not_of_this_machine_is_a_problem() -> None:
    [found] = check_metrics(("192.0.2.1", 9464), running=False)
    assert found.level == "problem"
    assert "Cannot assign requested address" in found.seen
