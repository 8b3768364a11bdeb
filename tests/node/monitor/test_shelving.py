"""A class of fault that was shelved is raised as ever, marked, and no longer than was asked for."""

from __future__ import annotations

import pytest
from alarms import alarm_of, at, play

from edgetune_node.errors import Refused
from edgetune_node.monitor.alarm_state import AlarmState
from edgetune_node.monitor.shelving import MOST_SHELVED, ShelvedClass


def test_a_shelved_class_is_raised_and_cleared_as_ever_and_marked() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    state = alarm.shelve(None, at(60), "operator", "repair on Monday", at(6))
    assert (state.active, state.shelved, state.shelves) == (
        True,
        True,
        (ShelvedClass("inner", at(60), "operator", "repair on Monday", 54.0),),
    )
    cleared, raised = play(alarm, ["normal"] * 5 + ["inner"] * 5)
    assert (cleared.active, cleared.shelved, raised.active, raised.shelved) == (False, False, True, True)
    assert play(alarm, ["outer"] * 5)[-1].shelved  # a shelf holds for the event, whatever its class is revised to
    cleared, raised = play(alarm, ["normal"] * 5 + ["outer"] * 5)
    assert (raised.class_, raised.shelved) == ("outer", False)


def test_a_shelf_ends_by_itself_or_when_somebody_says_so() -> None:
    alarm = alarm_of()
    alarm.shelve("inner", at(60), "operator", "", at(0))
    alarm.shelve("outer", at(90), "operator", "", at(0))
    assert alarm.unshelve(at(0), 1000.0) is None
    assert alarm.unshelve(at(59), 1059.0) is None
    left = alarm.unshelve(at(60), 1060.0)
    assert left is not None
    assert [shelf.class_ for shelf in left.shelves] == ["outer"]
    assert alarm.shelve("outer", at(61), "operator", "", at(61)).shelves == ()


@pytest.mark.parametrize("jump_s", [-3600, 3600, 30 * 86_400])
def test_a_shelf_lasts_as_long_as_was_asked_for_however_the_clock_is_set(jump_s: int) -> None:
    alarm = alarm_of()
    alarm.shelve("inner", at(6), "operator", "", at(0))
    assert alarm.unshelve(at(0), 50.0) is None
    moved = alarm.unshelve(at(jump_s + 1), 51.0)
    assert moved is not None
    assert moved.shelves == (ShelvedClass("inner", at(jump_s + 6), "operator", "", 6.0),)
    assert alarm.unshelve(at(jump_s + 5), 55.9) is None
    ended = alarm.unshelve(at(jump_s + 6), 56.0)
    assert ended is not None
    assert ended.shelves == ()


def test_a_clock_that_was_set_back_between_the_command_and_the_next_look_makes_no_shelf_longer() -> None:
    alarm = alarm_of()
    alarm.shelve("inner", at(6), "operator", "", at(0))
    assert alarm.unshelve(at(-3600), 50.0) is not None
    assert alarm.unshelve(at(-3595), 55.9) is None
    assert alarm.unshelve(at(-3594), 56.0) is not None
    assert alarm.state.shelves == ()


def test_a_clock_that_was_set_ahead_between_the_command_and_the_next_look_makes_no_shelf_shorter() -> None:
    alarm = alarm_of()
    alarm.shelve("inner", at(6), "operator", "", at(0), 50.0)
    assert alarm.unshelve(at(3600), 50.0) is not None
    assert alarm.unshelve(at(3605), 55.9) is None
    assert alarm.unshelve(at(3606), 56.0) is not None
    assert alarm.state.shelves == ()


@pytest.mark.parametrize(
    ("clock_s", "lasts_s"),
    [(4, 2), (-3600, 6), (3600, 0)],
    ids=["as it was", "set back while it was down", "set ahead while it was down"],
)
def test_after_a_restart_a_shelf_ends_by_the_clock_but_lasts_no_longer_than_its_own_length(
    clock_s: int, lasts_s: int
) -> None:
    before = alarm_of()
    before.shelve("inner", at(6), "operator", "", at(0))
    alarm = alarm_of(restored=before.state)
    alarm.unshelve(at(clock_s), 10.0)
    if lasts_s:
        alarm.unshelve(at(clock_s + lasts_s), 10.0 + lasts_s - 0.1)
        assert alarm.state.shelves
    alarm.unshelve(at(clock_s + lasts_s), 10.0 + lasts_s)
    assert alarm.state.shelves == ()


def test_a_shelf_told_by_an_older_version_does_not_say_its_length_and_lasts_a_week_at_most() -> None:
    restored = AlarmState(
        active=False,
        event=None,
        class_="normal",
        severity="none",
        shelves=(ShelvedClass("inner", at(10**8), "operator"),),
    )
    alarm = alarm_of(restored=restored)
    alarm.unshelve(at(0), 10.0)
    assert alarm.state.shelves
    alarm.unshelve(at(604_800), 10.0 + 604_800)
    assert alarm.state.shelves == ()


def test_shelving_again_replaces_the_time() -> None:
    alarm = alarm_of()
    alarm.shelve("inner", at(60), "operator", "", at(0))
    assert alarm.shelve("inner", at(30), "chief", "", at(1)).shelves == (
        ShelvedClass("inner", at(30), "chief", "", 29.0),
    )


def test_what_cannot_be_shelved_is_refused_by_name() -> None:
    alarm = alarm_of()
    for class_, until, match in (
        (None, 60, "no fault is active; name the class"),
        ("normal", 60, "'normal' is no fault"),
        ("inner", 0, "'inner' is not shelved"),
    ):
        with pytest.raises(Refused, match=match):
            alarm.shelve(class_, at(until), "operator", "", at(0))
    for number in range(MOST_SHELVED):
        alarm.shelve(f"c{number}", at(60), "operator", "", at(0))
    with pytest.raises(Refused, match="the most there may be"):
        alarm.shelve("one_more", at(60), "operator", "", at(0))
    assert len(alarm.shelve("c0", at(70), "operator", "", at(0)).shelves) == MOST_SHELVED
