"""Which message a broker hangs up on, found from the ends of connections alone."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from edgetune_node.mqtt.culprits import ENDS, RECENT_S, RETRY_S, SUSPECTED_S, WATCHED, Culprits, name_topics


def guilty(topic: str = "x") -> Culprits:
    culprits = Culprits(())
    assert [culprits.ended([topic], now_s=float(turn)) for turn in range(ENDS)] == [None] * (ENDS - 1) + [topic]
    return culprits


def test_a_message_alone_on_its_way_at_three_ends_in_a_row_is_to_blame() -> None:
    culprits = guilty()
    assert culprits.guilty == ["x"]
    assert not culprits.barred("x", now_s=3.0)  # the next one on its topic gets one try
    assert culprits.ended(["x"], now_s=4.0) == "x"
    assert culprits.barred("x", now_s=4.0)
    assert not culprits.barred("x", now_s=4.0 + RETRY_S)


def test_of_many_on_their_way_nobody_is_blamed_until_they_went_alone() -> None:
    culprits = Culprits(())
    for turn in range(10):
        assert culprits.ended(["x", "y"], now_s=float(turn)) is None
    assert culprits.alone("x")
    assert culprits.alone("y")


def test_an_acknowledgement_ends_the_row_and_enough_of_them_the_suspicion() -> None:
    culprits = Culprits(())
    for turn in range(ENDS - 1):
        culprits.ended(["x"], now_s=float(turn))
    culprits.acknowledged("x")
    assert culprits.ended(["x"], now_s=5.0) is None
    for _ in range(WATCHED):
        assert culprits.alone("x")
        culprits.acknowledged("x")
    assert not culprits.alone("x")


def test_what_needs_no_acknowledgement_is_suspected_only_shortly_after_it_has_left() -> None:
    culprits = Culprits(())
    culprits.written("early", now_s=0.0)
    culprits.written("late", now_s=RECENT_S + 1)
    culprits.ended([], now_s=RECENT_S + 2)
    assert not culprits.alone("early")
    assert culprits.alone("late")
    culprits.forget_idle(RECENT_S + 2 + SUSPECTED_S)
    assert not culprits.alone("late")


def test_topics_of_messages_set_aside_earlier_are_tried_at_once_and_blamed_after_one_end() -> None:
    culprits = Culprits(["x"])
    assert culprits.due("x", now_s=0.0)
    culprits.suspect("x", now_s=0.0)
    assert culprits.ended(["x"], now_s=1.0) == "x"
    assert not culprits.due("x", now_s=2.0)
    assert culprits.due("x", now_s=1.0 + RETRY_S)


@settings(deadline=None)
@given(st.sets(st.integers(0, 30), max_size=5), st.integers(1, 30), st.integers(1, 20))
def test_every_message_a_broker_hangs_up_on_is_found_and_no_other(poison: set[int], count: int, window: int) -> None:
    """Topics of one message each, in order; the broker acknowledges up to the first that it hangs up on."""
    culprits = Culprits(())
    waiting = [str(number) for number in range(count)]
    aside = []
    for turn in range(10_000):
        if not waiting:
            break
        flying = waiting[:1] if culprits.alone(waiting[0]) else waiting[:window]
        for index, topic in enumerate(flying):
            if culprits.alone(topic) and index:
                break  # it goes alone, when nothing is on its way
            if int(topic) in poison:
                on_their_way = [each for each in flying[index:] if not culprits.alone(each)] or [topic]
                found = culprits.ended([topic, *on_their_way], now_s=turn * 0.01)
                if found is not None:
                    aside.append(found)
                    waiting.remove(found)
                break
            culprits.acknowledged(topic)
            waiting.remove(topic)
    assert not waiting
    assert {int(topic) for topic in aside} == {number for number in poison if number < count}


def test_made_up_response_topics_cost_no_further_ends_once_one_is_to_blame() -> None:
    culprits = Culprits((), own="n/")
    culprits.acknowledged("reply/good")
    for turn in range(ENDS):
        culprits.ended(["reply/bad"], now_s=float(turn))
    assert culprits.barred("reply/other", now_s=3.0)
    assert not culprits.due("reply/other", now_s=3.0)
    assert not culprits.barred("reply/good", now_s=3.0)
    assert not culprits.barred("n/a/fault", now_s=3.0)
    assert not culprits.barred("reply/other", now_s=ENDS - 1 + RETRY_S)


def test_many_topics_are_named_in_short() -> None:
    assert name_topics(["a"]) == "a"
    assert name_topics(map(str, range(7))) == "0, 1, 2, 3, 4 and 2 more"
