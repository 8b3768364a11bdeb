"""Two clients of one id are told from a network that is cut and from a broker that is restarted."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from resetting import RESET, resetting

from edgetune_node.mqtt import client, client_id_conflict, sockets
from edgetune_node.mqtt.client_id_conflict import ClientIdConflicts


def ended(times: int, *, hung_up: bool = True, back: bool = True, after_s: float = 1.0) -> ClientIdConflicts:
    """Return what is counted when so many connections, each ``after_s`` old, have ended and the next stands."""
    takeovers, now_s = ClientIdConflicts(), 0.0
    for _ in range(times):
        takeovers.up(now_s)
        now_s += after_s
        takeovers.down(now_s, hung_up=hung_up)
        if not back:
            takeovers.down(now_s, hung_up=False)
    takeovers.up(now_s)
    return takeovers


def test_five_connections_that_the_broker_ends_and_takes_again_look_like_a_takeover() -> None:
    assert [ended(times).seen(now_s=times) for times in range(8)] == [0, 0, 0, 0, 0, 5, 6, 7]


def test_the_wait_before_connecting_again_grows_only_with_takeovers() -> None:
    waits_s = [ended(times).wait_s for times in range(100)]
    assert set(waits_s[: client_id_conflict.TAKEOVERS]) == {client_id_conflict.MIN_RECONNECT_S}
    assert waits_s == sorted(waits_s)
    assert waits_s[5:8] == [1.0, 2.0, 4.0]
    assert waits_s[-1] == client_id_conflict.MAX_RECONNECT_S


def test_two_clients_that_fight_for_days_still_wait_the_longest() -> None:
    assert ended(5000).wait_s == client_id_conflict.MAX_RECONNECT_S


def test_a_network_that_is_cut_again_and_again_is_no_takeover() -> None:
    assert ended(50, hung_up=False).seen(now_s=50.0) == 0


def test_connections_that_are_reset_again_and_again_are_taken_up_ever_more_slowly() -> None:
    assert ended(4, hung_up=False).wait_s == client_id_conflict.MIN_RECONNECT_S
    assert ended(50, hung_up=False).wait_s == client_id_conflict.MAX_RESET_S
    assert (
        ended(50, hung_up=False, after_s=client_id_conflict.RESET_LASTING_S).wait_s
        == client_id_conflict.MIN_RECONNECT_S
    )


def test_a_network_that_was_cut_often_does_not_slow_down_what_a_broker_ends() -> None:
    takeovers = ended(20, hung_up=False)
    takeovers.down(21.0, hung_up=True)
    assert takeovers.wait_s == client_id_conflict.MIN_RECONNECT_S


def test_the_reason_that_is_found_ends_the_waits() -> None:
    for hung_up in (True, False):
        takeovers = ended(20, hung_up=hung_up)
        takeovers.settled()
        assert takeovers.wait_s == client_id_conflict.MIN_RECONNECT_S


def test_a_message_in_flight_is_no_takeover_but_the_wait_grows() -> None:
    takeovers = ClientIdConflicts()
    for turn in range(20):
        takeovers.up(float(turn))
        takeovers.down(turn + 0.5, hung_up=True, in_flight=True)
    assert takeovers.seen(20.0) == 0
    assert takeovers.wait_s == client_id_conflict.MAX_RECONNECT_S


def test_a_broker_that_was_away_after_it_hung_up_is_no_takeover() -> None:
    assert ended(50, back=False).wait_s == client_id_conflict.MIN_RECONNECT_S


def test_connections_that_last_are_no_takeover() -> None:
    assert ended(50, after_s=client_id_conflict.LASTING_S).wait_s == client_id_conflict.MIN_RECONNECT_S


def test_one_connection_that_lasts_ends_the_suspicion_and_the_waits() -> None:
    takeovers = ended(7)
    assert takeovers.seen(7.0 + client_id_conflict.LASTING_S) == 0
    takeovers.down(7.0 + client_id_conflict.LASTING_S, hung_up=True)
    takeovers.up(70.0)
    assert (takeovers.count, takeovers.wait_s) == (0, client_id_conflict.MIN_RECONNECT_S)


def test_a_cut_among_takeovers_does_not_hide_them() -> None:
    takeovers = ended(4)
    takeovers.down(5.0, hung_up=False)
    takeovers.up(6.0)
    takeovers.down(7.0, hung_up=True)
    takeovers.up(8.0)
    assert takeovers.seen(8.0) == client_id_conflict.TAKEOVERS


def test_a_socket_tells_a_goodbye_from_a_reset_and_from_silence(until: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def connect() -> tuple[socket.socket, socket.socket]:
            return socket.create_connection(listener.getsockname()), listener.accept()[0]

        near, far = connect()
        with near:
            far.close()
            until(lambda: sockets.ended_by_peer(near))
        near, far = connect()
        with near:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            far.close()
            with pytest.raises(ConnectionResetError):
                near.recv(1)
            assert not sockets.ended_by_peer(near)
        near, far = connect()
        with near, far:
            assert not sockets.ended_by_peer(near)
        assert not sockets.ended_by_peer(near)  # closed here


@pytest.mark.parametrize("greeted", [False, True])
def test_connections_that_are_reset_before_an_answer_are_tried_ever_more_slowly(
    bench: Any, protocol: str, monkeypatch: pytest.MonkeyPatch, *, greeted: bool
) -> None:
    """Whether the reset comes before or after CONNECT is for both to bear."""
    shortest_s = 0.05
    monkeypatch.setattr(client_id_conflict, "MIN_RECONNECT_S", shortest_s)
    monkeypatch.setattr(client, "MIN_RECONNECT_S", shortest_s)
    monkeypatch.setattr(client, "MAX_UNREACHABLE_S", 2 * shortest_s)
    with resetting(greeted=greeted) as (port, taken_s):
        node = bench(SimpleNamespace(host="127.0.0.1", port=port), protocol=protocol)
        node.link.start()
        node.until(lambda: len(taken_s) > 12, what=f"connections in {node.reasons()}")
        node.close(1.0)
    assert taken_s[-1] - taken_s[-2] > 16 * shortest_s
    assert "does it expect TLS?" in node.reasons()[-1]
    assert node.link.flapping is None


def test_two_nodes_of_one_id_both_say_so_until_one_of_them_is_gone(
    fresh_broker: Any, bench: Any, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_id_conflict, "TAKEOVERS", 3)
    nodes = [bench(fresh_broker, client_id="the-same", protocol=protocol) for _ in range(2)]
    for node in nodes:
        node.link.start()
    for node in nodes:
        node.until(lambda node=node: node.link.flapping is not None)
        assert "client id the-same" in node.link.flapping
    stays, leaves = nodes
    leaves.close()
    stays.until(lambda: stays.link.connected)
    assert stays.link.flapping is not None
    monkeypatch.setattr(client_id_conflict, "LASTING_S", 0.0)  # as when a minute has passed
    stays.until(lambda: stays.link.flapping is None)  # its last connection may be one that the other took


def test_a_broker_that_is_stopped_and_started_is_not_taken_for_another_client(
    fresh_broker: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_id_conflict, "TAKEOVERS", 1)
    node = bench(fresh_broker).start()
    fresh_broker.stop()
    node.until(lambda: any("no connection to" in reason for reason in node.reasons()))
    fresh_broker.start()
    node.until_up(2)
    assert node.link.flapping is None
    bench(fresh_broker).link.start()  # another client of the same id
    node.until(lambda: node.link.flapping is not None)
