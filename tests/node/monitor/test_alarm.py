from __future__ import annotations

from dataclasses import asdict

import pytest
from alarms import alarm_of, at, play
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.config.settings import AlarmSection
from edgetune_node.contract.messages import Fault
from edgetune_node.errors import Refused
from edgetune_node.monitor.alarm import Alarm, AlarmState

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LATCHING = AlarmSection(votes=3, window=5, clear_votes=2, latch=True)


def test_a_machine_that_was_never_judged_is_not_in_fault() -> None:
    state = alarm_of().state
    assert (state.active, state.event, state.class_, state.severity) == (False, None, "normal", "none")


def test_the_vote_that_completes_the_number_raises_the_fault() -> None:
    alarm = alarm_of()
    assert play(alarm, ["inner", "normal", "inner"]) == []
    (raised,) = alarm.observe("inner", 0.6, at(3))
    assert raised == alarm.state
    assert (raised.active, raised.event, raised.class_, raised.severity) == (True, "e1", "inner", "alarm")
    assert (raised.votes, raised.of) == (3, 4)
    assert (raised.first_seen, raised.last_seen, raised.cleared) == (at(0), at(3), None)
    assert raised.confidence == pytest.approx(0.8)


def test_errors_that_are_rare_among_windows_without_a_vote_never_add_up_to_a_fault() -> None:
    alarm = alarm_of()
    assert play(alarm, (["inner"] + ["unknown"] * 30) * 50) == []
    assert alarm.state.votes == 2
    (raised,) = play(alarm, ["inner"] + ["unknown"] * 10 + ["inner"])
    assert raised.active
    assert play(alarm, ["unknown"] * 1000 + ["normal"]) == []  # nor do they end one
    assert alarm.state.active


def test_votes_that_lie_too_far_apart_raise_nothing() -> None:
    assert play(alarm_of(), ["inner", "normal", "normal", "normal", "inner"] * 4) == []


def test_mixed_faults_raise_the_most_frequent_one() -> None:
    (raised,) = play(alarm_of(AlarmSection(votes=4, window=5, clear_votes=2)), ["ball", "inner", "outer", "inner"])
    assert raised.class_ == "inner"


def test_of_equally_frequent_faults_the_one_seen_last_is_raised() -> None:
    (raised,) = play(alarm_of(AlarmSection(votes=4, window=5, clear_votes=2)), ["inner", "inner", "ball", "ball"])
    assert raised.class_ == "ball"


def test_a_fault_ends_only_under_the_lower_threshold() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    assert play(alarm, ["normal"] * 3) == []
    assert alarm.state.active
    (cleared,) = alarm.observe("normal", 0.9, at(20))
    assert (cleared.active, cleared.event, cleared.class_, cleared.severity) == (False, "e1", "normal", "none")
    assert (cleared.votes, cleared.of, cleared.cleared) == (1, 5, at(20))
    assert cleared.first_seen == at(0)


def test_last_seen_follows_the_last_fault_vote_while_active() -> None:
    alarm = alarm_of()
    play(alarm, ["inner", "inner", "inner", "inner", "normal"])
    assert alarm.state.last_seen == at(3)


def test_a_clock_set_back_behind_an_event_moves_its_times_and_leaves_its_duration() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    alarm.observe("inner", 0.9, at(4 - 3600))
    assert (alarm.state.first_seen, alarm.state.last_seen) == (at(-3600), at(4 - 3600))
    alarm.observe("inner", 0.9, at(6 - 3600))
    assert (alarm.state.first_seen, alarm.state.last_seen) == (at(-3600), at(6 - 3600))


def test_a_clock_set_back_within_an_event_leaves_its_beginning() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 60)
    alarm.observe("inner", 0.9, at(30))
    assert (alarm.state.first_seen, alarm.state.last_seen) == (at(0), at(30))


def test_a_clock_set_back_while_a_node_was_away_does_not_end_a_fault_before_it_began() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 5)
    restored = alarm_of(restored=alarm.state)
    (cleared,) = [state for _ in range(4) for state in restored.observe("normal", 0.9, at(-100))]
    assert (cleared.first_seen, cleared.last_seen, cleared.cleared) == (at(-104), at(-100), at(-100))


@given(
    votes=st.lists(st.tuples(st.sampled_from(["normal", "inner", "ball"]), st.integers(-50, 50)), max_size=60),
    latch=st.booleans(),
)
def test_no_event_ends_before_it_was_last_seen_or_is_last_seen_before_it_began(
    votes: list[tuple[str, int]], *, latch: bool
) -> None:
    alarm = alarm_of(AlarmSection(votes=3, window=5, clear_votes=2, latch=latch))
    second = 0
    for class_, step in votes:
        second += step
        states = alarm.observe(class_, 0.9, at(second))
        if alarm.state.latched:
            states.append(alarm.acknowledge(None, "anna", "", at(second - 1)))
        for state in (*states, alarm.state):
            times = [time for time in (state.first_seen, state.last_seen, state.cleared) if time is not None]
            assert times == sorted(times)


def test_the_next_fault_is_another_event() -> None:
    alarm = alarm_of()
    states = play(alarm, ["inner"] * 5 + ["normal"] * 5 + ["inner"] * 5)
    assert [(state.event, state.active) for state in states] == [("e1", True), ("e1", False), ("e2", True)]
    assert states[-1].cleared is None


def test_another_fault_class_ends_the_event_and_starts_a_new_one() -> None:
    alarm = alarm_of()
    states = play(alarm, ["inner"] * 5 + ["ball"] * 3)
    assert [(state.event, state.active, state.class_) for state in states] == [
        ("e1", True, "inner"),
        ("e1", False, "normal"),
        ("e2", True, "ball"),
    ]
    assert states[1].cleared == at(7)
    assert states[2].first_seen == at(5)


def test_two_fault_classes_in_turn_do_not_make_the_event_flap() -> None:
    alarm = alarm_of(AlarmSection(votes=3, window=10, clear_votes=2))
    states = play(alarm, ["inner"] * 5 + ["ball", "inner"] * 30)
    assert [state.event for state in states] == ["e1"]


def test_a_fault_among_other_faults_stays_until_all_are_gone() -> None:
    alarm = alarm_of()
    play(alarm, ["inner"] * 3)
    assert play(alarm, ["ball", "outer", "ball", "outer"]) == []
    assert alarm.state.class_ == "inner"


def test_severity_comes_from_the_configuration() -> None:
    settings = AlarmSection(votes=1, window=1, clear_votes=1, severity={"inner": "warning"})
    assert play(alarm_of(settings), ["inner"])[0].severity == "warning"


def test_a_class_of_severity_none_counts_as_healthy() -> None:
    settings = AlarmSection(votes=1, window=2, clear_votes=1, severity={"idle": "none"})
    alarm = alarm_of(settings)
    assert play(alarm, ["idle"] * 5) == []
    assert [state.active for state in play(alarm, ["inner", "idle", "idle"])] == [True, False]


def test_an_uncertain_window_neither_raises_nor_clears() -> None:
    alarm = alarm_of()
    assert play(alarm, ["inner"] * 20, confidence=0.49) == []
    play(alarm, ["inner"] * 5)
    before = alarm.state
    assert play(alarm, ["normal"] * 20, confidence=0.49) == []
    assert play(alarm, ["normal"] * 20, confidence=float("nan")) == []
    assert alarm.state == before


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
    (cleared,) = play(alarm, ["normal"] * 8)
    assert not cleared.active
    assert cleared.acknowledged


def test_a_latched_fault_that_comes_back_is_the_same_event() -> None:
    alarm = alarm_of(LATCHING)
    states = play(alarm, ["inner"] * 5 + ["normal"] * 5 + ["inner"] * 5)
    assert [(state.event, state.latched) for state in states] == [("e1", False), ("e1", True), ("e1", False)]


def test_another_class_ends_a_latched_event() -> None:
    alarm = alarm_of(LATCHING)
    states = play(alarm, ["inner"] * 5 + ["normal"] * 5 + ["ball"] * 5)
    assert [(state.event, state.active) for state in states[2:]] == [("e1", False), ("e2", True)]
    assert not states[2].latched


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
    assert play(alarm, ["normal"] * 3) == []
    (cleared,) = alarm.observe("normal", 0.9, at(30))
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
    told = {name: getattr(state, name) for name in AlarmState.__slots__}
    told["shelves"] = [asdict(shelf) for shelf in state.shelves]
    message = Fault(ts=at(9), boot="b", seq=0, model="m", **told)
    assert AlarmState.from_message(Fault.model_validate_json(message.json_bytes())) == state


# ---- laws --------------------------------------------------------------------------------------------------------

CLASSES = st.sampled_from(["normal", "inner", "ball", "outer", "unknown"])
VERDICTS = st.lists(st.tuples(CLASSES, st.sampled_from([0.2, 0.5, 0.99])), max_size=80)


@st.composite
def settings(draw: st.DrawFn) -> AlarmSection:
    window = draw(st.integers(1, 12))
    votes = draw(st.integers(1, window))
    return AlarmSection(votes=votes, window=window, clear_votes=draw(st.integers(1, votes)), latch=draw(st.booleans()))


@UNTIMED
@given(settings(), VERDICTS)
def test_the_laws_of_the_alarm_hold_for_any_verdicts(section: AlarmSection, verdicts: list[tuple[str, float]]) -> None:
    alarm = alarm_of(section)
    votes: list[str] = []
    raised: list[str | None] = []
    was_active = False
    for second, (class_, confidence) in enumerate(verdicts):
        before = alarm.state
        changes = alarm.observe(class_, confidence, at(second))
        if class_ == "unknown" or confidence < section.min_confidence:
            assert changes == []
            assert alarm.state == before
            continue
        votes.append(class_)
        faults = sum(vote != "normal" for vote in votes[-section.window :])
        for state in [*changes, alarm.state]:
            assert not (state.active and state.cleared is not None)
            assert state.active or not state.latched
            assert state.active == (state.class_ != "normal") == (state.severity != "none")
            assert (state.votes, state.of) == (faults, min(len(votes), section.window))
        for state in changes:
            if state.active and not was_active:
                assert faults >= section.votes
                raised.append(state.event)
            was_active = state.active
        if alarm.state.active and not alarm.state.latched:
            assert faults >= section.clear_votes
    assert len(set(raised)) == len(raised)


@UNTIMED
@given(settings(), VERDICTS, VERDICTS)
def test_a_restart_between_two_windows_raises_no_new_event_for_the_same_fault(
    section: AlarmSection, before: list[tuple[str, float]], after: list[tuple[str, float]]
) -> None:
    alarm = alarm_of(section)
    for second, (class_, confidence) in enumerate(before):
        alarm.observe(class_, confidence, at(second))
    restored = Alarm(section, "normal", lambda: "new", alarm.state)
    for second, (class_, confidence) in enumerate(after):
        was = restored.state
        for state in restored.observe(class_, confidence, at(100 + second)):
            same_fault = was.active and state.active and was.class_ == state.class_
            assert not same_fault or state.event == was.event
            was = state
