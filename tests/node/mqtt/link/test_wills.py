"""As much of a last will is asked for as the broker takes."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgetune_node.mqtt.broker_limits import Limits, limits_of
from edgetune_node.mqtt.wills import PATIENCE, QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, Will, Wills

FULL, LIVE, ONCE, LEAST = Will(1, retain=True), Will(1, retain=False), Will(0, retain=True), Will(0, retain=False)


def connect(wills: Wills, taken: set[Will | None]) -> list[Will | None]:
    """Connect to a broker of 3.1.1 that hangs up on all other wills; return the wills it was asked for."""
    asked = []
    for _ in range(20):
        asked.append(wills.will)
        if wills.will not in taken:
            wills.failed()
        elif wills.accepted():
            return asked
    pytest.fail(f"never connected: {asked}")


def test_a_broker_that_takes_the_full_will_gets_it() -> None:
    assert connect(Wills(retain=True), {FULL, LIVE, None}) == [FULL]


@pytest.mark.parametrize("best", [LIVE, ONCE, LEAST, None])
def test_a_lesser_will_counts_once_the_full_one_was_refused_after_it(best: Will | None) -> None:
    wills = Wills(retain=True)
    asked = connect(wills, {best, None})
    assert asked[:PATIENCE] == [FULL] * PATIENCE
    assert asked[-3:] == [best, FULL, best]
    assert connect(wills, {best, None}) == [best]


def test_a_broker_that_was_starting_gets_the_full_will_in_the_end() -> None:
    wills = Wills(retain=True)
    for _ in range(PATIENCE):
        wills.failed()
    assert connect(wills, {FULL, LIVE, None}) == [LIVE, FULL]


def test_a_broker_that_says_what_it_lacks_is_asked_for_nothing_else() -> None:
    wills = Wills(retain=True)
    assert wills.lacks(RETAIN_NOT_SUPPORTED)
    assert wills.will == LIVE
    assert wills.lacks(QOS_NOT_SUPPORTED)
    assert wills.will == LEAST
    assert wills.accepted()
    assert not wills.lacks(0x87)


def test_nothing_retained_is_asked_for_where_none_is_wanted() -> None:
    assert connect(Wills(retain=False), {LIVE, None}) == [LIVE]
    assert connect(Wills(retain=False), {LEAST, None})[-1] == LEAST


def test_only_the_first_round_is_hurried() -> None:
    wills = Wills(retain=True)
    hurried = []
    for _ in range(20):
        wills.failed()
        hurried.append(wills.searching)
    assert hurried == [True] * PATIENCE + [True] * 3 + [False] * (20 - PATIENCE - 3)


def test_what_connack_says_counts_also_where_the_broker_took_the_whole_will() -> None:
    said = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    said.RetainAvailable, said.MaximumQoS, said.ReceiveMaximum, said.MaximumPacketSize = 0, 1, 7, 4096
    limits = limits_of(said, FULL, 20, retain=True)
    assert (limits.retain, limits.max_qos, limits.receive_maximum, limits.maximum_packet_bytes) == (False, 1, 7, 4096)
    assert limits_of(None, FULL, 20, retain=True) == Limits(20)
