from __future__ import annotations

import pytest
from alarms import FIVE_SECONDS, alarm_of, at, changes, play
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.config.settings import AlarmSection
from edgetune_node.monitor.alarm import CLEAR_SHARE, RAISE_SHARE, Alarm
from edgetune_node.monitor.severity import PhysicalSigns

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LATCHING = AlarmSection(raise_after_s=5, clear_after_s=5, latch=True)
DEFAULT = AlarmSection()


def test_an_alarm_begins_without_a_fault() -> None:
    state = alarm_of().state
    assert (state.active, state.event, state.class_, state.severity) == (False, None, "normal", "none")


def test_a_fault_is_raised_when_it_has_lasted_long_enough() -> None:
    alarm = alarm_of()
    assert play(alarm, ["normal", "inner", "inner", "normal", "inner"]) == []
    (raised,) = play(alarm, ["inner"], 0.4 + 0.2, start_s=5)
    assert raised == alarm.state
    assert (raised.active, raised.event, raised.class_, raised.severity) == (True, "e1", "inner", "alarm")
    assert (raised.votes, raised.of) == (4, 5)
    assert (raised.first_seen, raised.last_seen, raised.cleared, raised.class_since) == (at(1), at(5), None, at(1))
    assert raised.confidence == pytest.approx((3 * 0.9 + 0.6) / 4)
    assert raised.candidates == (("inner", 1.0),)


@pytest.mark.parametrize(("raise_after_s", "hop_s", "windows"), [(10, 0.043, 233), (10, 0.5, 20), (0.01, 0.043, 5)])
def test_the_time_counts_and_at_least_five_windows(raise_after_s: float, hop_s: float, windows: int) -> None:
    alarm = alarm_of(AlarmSection(raise_after_s=raise_after_s, clear_after_s=60), hop_s=hop_s)
    changes(alarm, ["normal"] * 1000, step_s=hop_s)
    assert changes(alarm, ["inner"] * (windows - 1), start_s=1000 * hop_s, step_s=hop_s) == []
    (raised,) = changes(alarm, ["inner"] * 2, start_s=(999 + windows) * hop_s, step_s=hop_s)
    assert raised.kind == "raised"


@pytest.mark.parametrize("every_s", [10.0, 600.0])
@pytest.mark.parametrize("windows", [1, 2, 5])
def test_snapshots_raise_after_five_and_clear_after_the_time_and_at_least_five(every_s: float, windows: int) -> None:
    hop_s = 0.1 / windows
    alarm = alarm_of(DEFAULT, hop_s=hop_s)

    def snapshots(classes: list[str], first: int) -> list[tuple[str, int]]:
        found = []
        for number, class_ in enumerate(classes, first):
            heard = changes(alarm, [class_] * windows, start_s=number * every_s, step_s=hop_s)
            found += [(change.kind, number - first + 1) for change in heard]
        return found

    assert snapshots(["normal"] * 20, 0) == []
    assert snapshots(["inner"] * 12, 20) == [("raised", 5)]
    assert snapshots(["normal"] * 3 + ["inner"] * 5, 32) == []
    assert snapshots(["normal"] * 12, 40) == [("cleared", 6 if every_s == 10 else 5)]


def test_a_pause_of_hours_is_no_time_in_which_a_fault_was_heard() -> None:
    alarm = alarm_of(DEFAULT, hop_s=0.1)
    changes(alarm, ["normal"] * 100, step_s=0.1)
    assert changes(alarm, ["inner"] * 3, start_s=7200, step_s=0.1) == []
    assert changes(alarm, ["inner"] * 3, start_s=14_400, step_s=0.1) == []
    assert alarm.state.active is False


def test_a_fault_is_suspected_before_it_is_raised() -> None:
    alarm = alarm_of()
    play(alarm, ["normal"] * 5)
    assert not alarm.suspected
    play(alarm, ["inner"] * 2, start_s=5)
    assert alarm.suspected
    play(alarm, ["normal"] * 3, start_s=7)
    assert not alarm.suspected


def test_errors_that_are_rare_among_windows_without_a_vote_never_add_up_to_a_fault() -> None:
    alarm = alarm_of()
    assert play(alarm, (["inner"] + ["unknown"] * 30) * 50) == []
    (raised,) = play(alarm, (["inner"] + ["unknown"] * 5) * 6, start_s=2000)
    assert raised.active
    assert play(alarm, ["unknown"] * 1000 + ["normal"], start_s=2100) == []  # nor do they end one
    assert alarm.state.active


def test_votes_that_lie_too_far_apart_raise_nothing() -> None:
    assert play(alarm_of(), ["inner", "normal", "normal", "normal", "inner"] * 4) == []


def test_a_network_that_errs_in_three_of_ten_windows_raises_nothing_in_an_hour() -> None:
    alarm = alarm_of(DEFAULT, hop_s=0.1)
    errs = ["inner", "normal", "normal", "ball", "normal", "normal", "inner", "normal", "normal", "normal"]
    assert changes(alarm, errs * 3600, step_s=0.1) == []


def test_mixed_faults_raise_the_most_frequent_one() -> None:
    (raised,) = play(alarm_of(), ["ball", "inner", "outer", "inner", "inner"])
    assert raised.class_ == "inner"
    assert dict(raised.candidates) == pytest.approx({"inner": 0.6, "outer": 0.2, "ball": 0.2})
    assert raised.candidates[0][0] == "inner"


def test_of_equally_frequent_faults_the_one_seen_last_is_raised() -> None:
    (raised,) = play(alarm_of(), ["inner", "inner", "normal", "ball", "ball"])
    assert raised.class_ == "ball"


def test_a_fault_ends_when_it_was_away_long_enough() -> None:
    alarm = alarm_of(DEFAULT, hop_s=1)
    play(alarm, ["inner"] * 20)
    assert play(alarm, ["normal"] * 59, start_s=20) == []
    assert alarm.state.active
    (cleared,) = play(alarm, ["normal"], start_s=79)
    assert (cleared.active, cleared.event, cleared.class_, cleared.severity) == (False, "e1", "normal", "none")
    assert (cleared.votes, cleared.of, cleared.cleared) == (0, 10, at(79))
    assert (cleared.first_seen, cleared.last_seen) == (at(0), at(19))
    assert (cleared.candidates, cleared.class_since, cleared.severity_from) == ((), None, ())


def test_errors_of_the_network_do_not_keep_a_fault_that_is_gone() -> None:
    alarm = alarm_of(DEFAULT, hop_s=1)
    play(alarm, ["inner"] * 20)
    states = play(alarm, (["normal"] * 9 + ["inner"]) * 20, start_s=20)
    assert [state.active for state in states] == [False]


def test_an_intermittent_fault_is_one_event() -> None:
    alarm = alarm_of(DEFAULT, hop_s=0.1)
    cycle = ["inner"] * 100 + ["normal"] * 100
    found = changes(alarm, cycle * 30, step_s=0.1)
    assert [(change.kind, change.state.event) for change in found] == [("raised", "e1")]


def test_a_fault_that_comes_back_for_as_long_as_it_takes_to_raise_it_stays_one_event() -> None:
    alarm = alarm_of(DEFAULT, hop_s=1)
    found = changes(alarm, (["inner"] * 11 + ["normal"] * 45) * 20)
    assert [change.kind for change in found] == ["raised"]


def test_last_seen_follows_the_last_fault_vote_while_active() -> None:
    alarm = alarm_of()
    play(alarm, ["inner", "inner", "inner", "inner", "inner", "normal"])
    assert alarm.state.last_seen == at(4)


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
    (cleared,) = [change.state for _ in range(5) if (change := restored.observe("normal", 0.9, at(-100)))]
    assert (cleared.first_seen, cleared.last_seen, cleared.cleared) == (at(-104), at(-100), at(-100))


@given(
    votes=st.lists(st.tuples(st.sampled_from(["normal", "inner", "ball"]), st.integers(-50, 50)), max_size=60),
    latch=st.booleans(),
)
def test_no_event_ends_before_it_was_last_seen_or_is_last_seen_before_it_began(
    votes: list[tuple[str, int]], *, latch: bool
) -> None:
    alarm = alarm_of(AlarmSection(raise_after_s=5, clear_after_s=5, latch=latch))
    second = 0
    for class_, step in votes:
        second += step
        change = alarm.observe(class_, 0.9, at(second))
        states = [] if change is None else [change.state]
        if alarm.state.latched:
            states.append(alarm.acknowledge(None, "anna", "", at(second - 1)))
        for state in (*states, alarm.state):
            times = [time for time in (state.first_seen, state.last_seen, state.cleared) if time is not None]
            assert times == sorted(times)
            since = state.class_since
            assert since is None or (state.first_seen is not None and since >= state.first_seen)


def test_the_next_fault_is_another_event() -> None:
    alarm = alarm_of()
    states = play(alarm, ["inner"] * 5 + ["normal"] * 5 + ["inner"] * 5)
    assert [(state.event, state.active) for state in states] == [("e1", True), ("e1", False), ("e2", True)]
    assert states[-1].cleared is None


def test_the_next_fault_begins_with_its_own_first_vote_and_has_to_last_as_long() -> None:
    alarm = alarm_of(DEFAULT, hop_s=1)
    play(alarm, ["inner"] * 300 + ["normal"] * 60)
    assert not alarm.suspected
    assert play(alarm, ["inner"] * 9, start_s=360) == []
    (raised,) = play(alarm, ["inner"], start_s=369)
    assert (raised.event, raised.first_seen, raised.class_since) == ("e2", at(360), at(360))


# ---- one event, whatever becomes of it ---------------------------------------------------------------------------


def test_a_fault_that_becomes_another_class_is_the_same_event() -> None:
    alarm = alarm_of()
    found = changes(alarm, ["inner"] * 8 + ["ball"] * 8)
    assert [(change.kind, change.state.event, change.state.class_) for change in found] == [
        ("raised", "e1", "inner"),
        ("revised", "e1", "ball"),
    ]
    revised = found[1].state
    assert (revised.first_seen, revised.class_since) == (at(0), at(11))
    assert revised.candidates == (("ball", pytest.approx(0.8)), ("inner", pytest.approx(0.2)))
    assert revised.severity == "alarm"


def test_doubt_between_two_classes_changes_nothing_but_the_candidates() -> None:
    alarm = alarm_of(AlarmSection(raise_after_s=5, clear_after_s=20))
    found = changes(alarm, ["ball"] * 5 + ["novel", "ball"] * 60 + ["novel", "novel", "ball"] * 40)
    assert [(change.kind, change.state.class_) for change in found] == [("raised", "ball")]
    assert {name for name, _ in alarm.state.candidates} == {"ball", "novel"}


def test_a_class_that_nothing_speaks_for_any_more_is_given_up_though_no_other_one_prevails() -> None:
    found = changes(alarm_of(), ["inner"] * 5 + ["ball", "ball", "novel"] * 15)
    assert [(change.kind, change.state.class_) for change in found[:2]] == [("raised", "inner"), ("revised", "ball")]
    assert len(found) == 2


@pytest.mark.parametrize("clear_after_s", [5, 60])
def test_a_fault_that_grows_out_of_what_is_known_never_becomes_less_severe(clear_after_s: float) -> None:
    alarm = alarm_of(AlarmSection(raise_after_s=5, clear_after_s=clear_after_s))
    found = changes(alarm, ["inner"] * 100 + ["novel"] * 300)
    assert [(change.kind, change.state.event, change.state.severity) for change in found] == [
        ("raised", "e1", "alarm"),
        ("revised", "e1", "alarm"),
    ]


def test_a_novel_condition_that_gets_a_name_becomes_as_severe_as_that() -> None:
    found = changes(alarm_of(), ["novel"] * 10 + ["inner"] * 5)
    assert [(change.kind, change.state.class_, change.state.severity) for change in found] == [
        ("raised", "novel", "warning"),
        ("risen", "inner", "alarm"),
    ]


def test_the_severity_rises_at_once_and_falls_when_it_was_lower_long_enough() -> None:
    alarm = alarm_of(AlarmSection(raise_after_s=5, clear_after_s=20))
    quiet, loud = PhysicalSigns(growth=1.5), PhysicalSigns(zone="D", velocity_growth=3.0)
    found = []
    for second in range(60):
        change = alarm.observe("inner", 0.9, at(second), loud if 10 <= second < 15 else quiet)
        found += [] if change is None else [(second, change.kind, change.state.severity, change.state.severity_from)]
    assert found == [
        (4, "raised", "alarm", ("class",)),
        (10, "risen", "danger", ("zone",)),
        (34, "fallen", "alarm", ("class",)),
    ]


@pytest.mark.parametrize(
    ("signs", "severity"),
    [
        (PhysicalSigns(growth=1.9), "warning"),
        (PhysicalSigns(growth=4.0), "alarm"),
        (PhysicalSigns(growth=11.0), "alarm"),
        (PhysicalSigns(zone="C"), "alarm"),
        (PhysicalSigns(zone="D", velocity_growth=1.0), "warning"),
        (PhysicalSigns(defect=True), "alarm"),
    ],
)
def test_growth_zone_and_physics_make_the_novel_more_severe(signs: PhysicalSigns, severity: str) -> None:
    alarm = alarm_of()
    found = [change for second in range(5) if (change := alarm.observe("novel", 1.0, at(second), signs))]
    assert [(change.kind, change.state.severity) for change in found] == [("raised", severity)]


def test_nothing_is_raised_by_severity_alone() -> None:
    alarm = alarm_of()
    for second in range(100):
        assert alarm.observe("normal", 0.9, at(second), PhysicalSigns(zone="D", growth=20.0, defect=True)) is None


def test_an_acknowledgement_holds_for_the_event() -> None:
    alarm = alarm_of()
    play(alarm, ["novel"] * 5)
    alarm.acknowledge("e1", "anna", "seen", at(5))
    (risen,) = play(alarm, ["inner"] * 5, start_s=5)
    assert (risen.class_, risen.severity, risen.acknowledged, risen.acknowledged_by) == ("inner", "alarm", True, "anna")


def test_severity_comes_from_the_configuration() -> None:
    settings = FIVE_SECONDS.model_copy(update={"severity": {"inner": "warning"}})
    assert play(alarm_of(settings), ["inner"] * 5)[0].severity == "warning"


def test_a_class_of_severity_none_counts_as_healthy() -> None:
    settings = FIVE_SECONDS.model_copy(update={"severity": {"idle": "none"}})
    alarm = alarm_of(settings)
    assert play(alarm, ["idle"] * 5) == []
    assert [state.active for state in play(alarm, ["inner"] * 5 + ["idle"] * 5)] == [True, False]


def test_an_uncertain_window_neither_raises_nor_clears() -> None:
    alarm = alarm_of()
    assert play(alarm, ["inner"] * 20, confidence=0.49) == []
    play(alarm, ["inner"] * 5)
    before = alarm.state
    assert play(alarm, ["normal"] * 20, confidence=0.49) == []
    assert play(alarm, ["normal"] * 20, confidence=float("nan")) == []
    assert alarm.state == before


# ---- laws --------------------------------------------------------------------------------------------------------

CLASSES = st.sampled_from(["normal", "inner", "ball", "novel", "unknown"])
VERDICTS = st.lists(st.tuples(CLASSES, st.sampled_from([0.2, 0.5, 0.99]), st.integers(1, 8)), max_size=30)
"""Classes with their confidence, and for how many windows each lasts."""


@st.composite
def settings(draw: st.DrawFn) -> AlarmSection:
    return AlarmSection(
        raise_after_s=draw(st.integers(1, 12)), clear_after_s=draw(st.integers(1, 12)), latch=draw(st.booleans())
    )


def spread(verdicts: list[tuple[str, float, int]]) -> list[tuple[str, float]]:
    return [(class_, confidence) for class_, confidence, times in verdicts for _ in range(times)]


@UNTIMED
@given(settings(), VERDICTS)
def test_the_laws_of_the_alarm_hold_for_any_verdicts(
    section: AlarmSection, verdicts: list[tuple[str, float, int]]
) -> None:
    alarm = alarm_of(section)
    votes: list[str] = []
    raised: list[str | None] = []
    for second, (class_, confidence) in enumerate(spread(verdicts)):
        before = alarm.state
        change = alarm.observe(class_, confidence, at(second))
        if class_ == "unknown" or confidence < section.min_confidence:
            assert change is None
            assert alarm.state == before
            continue
        votes.append(class_)
        state = alarm.state
        assert change is None or change.state == state
        assert not (state.active and state.cleared is not None)
        assert state.active or not state.latched
        assert state.active == (state.class_ != "normal") == (state.severity != "none")
        assert state.event == before.event or (change is not None and change.kind == "raised")
        if state.active and not before.active:
            assert change is not None
            recent = votes[-max(5, int(section.raise_after_s)) :]
            assert len(recent) >= max(5, section.raise_after_s)
            assert sum(vote != "normal" for vote in recent) >= RAISE_SHARE * len(recent) - 1e-9
            raised.append(state.event)
        if before.active and not before.latched and (state.latched or not state.active):
            recent = votes[-max(5, int(section.clear_after_s)) :]
            assert sum(vote != "normal" for vote in recent) <= CLEAR_SHARE * len(recent) + 1e-9
    assert len(set(raised)) == len(raised)


@UNTIMED
@given(settings(), VERDICTS, VERDICTS)
def test_a_restart_between_two_windows_raises_no_new_event_for_the_same_fault(
    section: AlarmSection, before: list[tuple[str, float, int]], after: list[tuple[str, float, int]]
) -> None:
    alarm = alarm_of(section)
    for second, (class_, confidence) in enumerate(spread(before)):
        alarm.observe(class_, confidence, at(second))
    restored = Alarm(section, "normal", lambda: "new", alarm.state)
    for second, (class_, confidence) in enumerate(spread(after)):
        was = restored.state
        restored.observe(class_, confidence, at(100 + second))
        assert restored.state.event == was.event or not was.active
