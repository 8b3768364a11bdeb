"""Faults that are latched, acknowledged, and restored after a restart."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from alarms import alarm_of, at, play

from edgetune_node.config.settings import AlarmSection
from edgetune_node.contract.fault import Fault
from edgetune_node.errors import Refused
from edgetune_node.monitor.alarm_state import AlarmState

LATCHING = AlarmSection(raise_after_s=5, clear_after_s=5, latch=True)


def test_a_latched_fault_stays_active_until_it_is_acknowledged() -> None:
    alarm = alarm_of(LATCHING)
    states = play(alarm, ["inner"] * 5 + ["normal"] * 8)
    assert [(state.active, state.latched) for state in states] == [(True, False), (True, True)]
    cleared = alarm.acknowledge("e1", "operator", "bearing replaced", at(30))
    assert (cleared.active, cleared.latched, cleared.cleared) == (False, False, at(30))
    assert (cleared.acknowledged, cleared.acknowledged_by, cleared.comment) == (True, "operator", "bearing replaced")


def test_a_fault_acknowledged_while_present_is_not_latched() -> None:
    alarm = alarm_of(LATCHING)
    play(alarm, ["inner"] * 5)
    assert alarm.acknowledge(None, "operator", "", at(5)).active
    (cleared,) = play(alarm, ["normal"] * 8, start_s=5)
    assert not cleared.active
    assert cleared.acknowledged


@pytest.mark.parametrize("back", ["inner", "ball"])
def test_a_latched_fault_that_comes_back_is_the_same_event_whatever_its_class(back: str) -> None:
    alarm = alarm_of(LATCHING)
    states = play(alarm, ["inner"] * 5 + ["normal"] * 5 + [back] * 6)
    assert [(state.event, state.latched) for state in states] == [("e1", False), ("e1", True), ("e1", False)]
    assert states[-1].class_ == back


def test_there_is_nothing_to_acknowledge_without_a_fault() -> None:
    alarm = alarm_of()
    with pytest.raises(Refused, match="no fault is active"):
        alarm.acknowledge(None, "operator", "", at(0))
    play(alarm, ["inner"] * 5 + ["normal"] * 5)
    with pytest.raises(Refused, match="e1 has ended"):
        alarm.acknowledge("e1", "operator", "", at(20))


def test_another_event_than_the_active_one_is_not_acknowledged() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    with pytest.raises(Refused, match="'e9' is not active; the active one is 'e1'"):
        alarm.acknowledge("e9", "operator", "", at(6))
    assert not alarm.state.acknowledged


def test_a_fault_is_acknowledged_once() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    alarm.acknowledge("e1", "first", "", at(6))
    with pytest.raises(Refused, match="already acknowledged by first"):
        alarm.acknowledge("e1", "second", "", at(7))


def test_a_restored_fault_keeps_its_event_and_is_not_ended_by_the_first_healthy_window() -> None:
    before = alarm_of()
    play(before, ["inner"] * 5)
    alarm = alarm_of(restored=before.state)
    assert alarm.state == before.state
    assert play(alarm, ["normal"] * 4) == []
    (cleared,) = play(alarm, ["normal"], start_s=30)
    assert (cleared.event, cleared.first_seen) == ("e1", at(0))


def test_a_restored_latched_fault_can_still_be_acknowledged() -> None:
    before = alarm_of(LATCHING)
    play(before, ["inner"] * 5 + ["normal"] * 5)
    alarm = alarm_of(LATCHING, restored=before.state)
    assert play(alarm, ["normal"] * 5) == []
    assert not alarm.acknowledge("e1", "operator", "", at(40)).active


def test_a_state_is_read_back_from_the_message_that_told_of_it() -> None:
    alarm = alarm_of(LATCHING)
    play(alarm, ["inner"] * 5)
    alarm.shelve(None, at(60), "operator", "known", at(8))
    state = alarm.acknowledge("e1", "operator", "seen", at(9))
    told = {name: getattr(state, name) for name in AlarmState.__slots__ if name != "shelved_class"}
    told["shelves"] = [asdict(shelf) for shelf in state.shelves]
    told["candidates"] = [{"class": name, "share": share} for name, share in state.candidates]
    message = Fault(ts=at(9), boot="b", seq=0, model="m", shelved=state.shelved, **told)
    assert AlarmState.from_message(Fault.model_validate_json(message.json_bytes())) == state
