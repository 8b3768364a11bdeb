"""The link on a disk that is really full: commands keep coming, and what was not on disk gets there later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.contract.topics import Topics
from edgetune_node.events.effects import FinishCommand, KeepCommand

if TYPE_CHECKING:
    import pytest

    from edgetune_node.events.events import CommandArrived

TOPICS = Topics("acme/plant", "n1")
MORE_THAN_IN_FLIGHT = 25
"""mosquitto sends 20 messages ahead of their acknowledgements."""


def carry_out(node: Any, command: CommandArrived) -> None:
    """Do with a command what a node does."""
    command_id = command.payload.decode()
    node.link.keep_command(KeepCommand("a", command.name, command_id, command.payload, b"accepted", command.ack))
    node.link.finish_command(FinishCommand("a", command.name, command_id, b"done"))


def test_commands_keep_coming_while_the_disk_is_full_and_are_done_once(
    fresh_broker: Any, bench: Any, recorder: Any, small_disk: Any, protocol: str
) -> None:
    node = bench(fresh_broker, folder=small_disk.folder, protocol=protocol).start()
    plant = recorder(fresh_broker)
    small_disk.fill()
    for number in range(MORE_THAN_IN_FLIGHT):
        plant.publish(TOPICS.asset("a", "cmd/profile"), str(number))
        carry_out(node, node.command(number))
    assert "free some space" in node.link.disk_error
    assert "in memory only" in node.link.disk_error
    assert node.outbox.commands.answer_of("a", "0") == b"done"
    small_disk.free()
    node.until(lambda: node.link.disk_error is None, what="the disk works again")
    node.close()
    again = bench(fresh_broker, folder=small_disk.folder, protocol=protocol).start()
    plant.publish(TOPICS.asset("a", "cmd/profile"), "after")
    assert again.command().payload == b"after"
    assert {again.outbox.commands.answer_of("a", str(number)) for number in range(MORE_THAN_IN_FLIGHT)} == {b"done"}
    assert again.outbox.commands.interrupted() == []


def test_a_command_on_a_full_disk_is_acknowledged_only_after_the_disk_was_tried_again(
    fresh_broker: Any, bench: Any, recorder: Any, small_disk: Any
) -> None:
    node = bench(fresh_broker, folder=small_disk.folder).start()
    plant = recorder(fresh_broker)
    small_disk.fill()
    plant.publish(TOPICS.asset("a", "cmd/profile"), "held")
    carry_out(node, node.command())
    assert "in memory only" not in node.link.disk_error
    node.connection.abandon()
    node.until_up(2)
    assert node.command(1).payload == b"held"


def test_a_command_does_not_wait_for_ever_for_the_disk(
    fresh_broker: Any, bench: Any, recorder: Any, small_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetune_node.mqtt.link.UNKEPT_S", 0.1)
    node = bench(fresh_broker, folder=small_disk.folder).start()
    plant = recorder(fresh_broker)
    small_disk.fill()
    plant.publish(TOPICS.asset("a", "cmd/profile"), "held")
    carry_out(node, node.command())
    node.until(lambda: "1 accepted commands are in memory only" in node.link.disk_error)
    small_disk.free()
    node.until(lambda: node.link.disk_error is None)


def test_what_was_answered_on_a_full_disk_is_not_done_again_after_a_stop(
    fresh_broker: Any, bench: Any, recorder: Any, small_disk: Any
) -> None:
    node = bench(fresh_broker, folder=small_disk.folder).start()
    plant = recorder(fresh_broker)
    small_disk.fill()
    plant.publish(TOPICS.asset("a", "cmd/profile"), "answered")
    carry_out(node, node.command())
    node.close()
    again = bench(fresh_broker, folder=small_disk.folder).start()
    plant.publish(TOPICS.asset("a", "cmd/profile"), "after")
    assert again.command().payload == b"after"


def test_a_message_that_met_a_full_disk_leaves_no_error_behind(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, small_disk: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, folder=small_disk.folder).start()
    small_disk.fill()
    node.link.publish(say.state(1))
    assert "free some space" in node.link.disk_error
    assert scada.wait_for(lambda seen: seen.topic.endswith("state")).json()["seq"] == 1
    small_disk.free()
    node.until(lambda: node.link.disk_error is None)
    node.close()
    again = bench(fresh_broker, folder=small_disk.folder)
    assert b'"seq":1,' in again.outbox.current(TOPICS.asset("a", "state"))
