"""Sample blocks over UDP: gaps are told, strangers refused, and the port is free again after close."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import Block, SourceError, SourceOptionsError, StreamSpec, encode_block, open_source
from edgetune_signal.sources.conformance import CHECKS, read_chunk, sending
from edgetune_signal.sources.live import LiveSource
from edgetune_signal.sources.udp import UdpDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manual_clock import ManualClock

    from edgetune_signal import Chunk, Source

SPEC = StreamSpec(3, 1000.0, "g")
N = 25


def datagram(number: int, *, start_ns: int = 10**18, **changes: Any) -> bytes:
    values = np.full((3, N), number, np.int16)
    time_ns = start_ns + number * N * 10**6 if start_ns else 0
    fields = {"samples": values, "sequence": number, "time_ns": time_ns, "rate_hz": 1000.0, "unit": "g"}
    return encode_block(Block(**(fields | changes)))


@pytest.fixture
def port() -> int:
    """A free port, outside the range that the system hands to senders, and other than another test process's."""
    for number in range(20_000 + os.getpid() % 1000 * 10, 32_000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    pytest.fail("no free port")


@pytest.fixture
def send(port: int) -> Iterator[Callable[..., None]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def to_port(*payloads: bytes) -> None:
            for payload in payloads:
                sender.sendto(payload, ("127.0.0.1", port))

        yield to_port


def opened(port: int, **options: Any) -> Source:
    source = open_source("udp", SPEC, {"port": port, "host": "127.0.0.1", **options})
    assert source.read(0.0) is None  # the first read binds the port
    return source


@pytest.fixture
def streaming(send: Callable[..., None]) -> Iterator[None]:
    """Sends blocks until the test ends, whoever listens."""
    with sending(lambda number: send(datagram(number))):
        yield


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.usefixtures("streaming")
def test_udp_keeps_the_contract(check: Callable[[Callable[[], Source]], None], port: int) -> None:
    check(lambda: open_source("udp", SPEC, {"port": port, "host": "127.0.0.1"}))


def test_a_lost_a_late_and_a_repeated_datagram_are_told_apart(port: int, send: Callable[..., None]) -> None:
    with closing(opened(port)) as source:
        send(*(datagram(number) for number in (0, 1, 3, 2, 3, 4)))
        chunks = [read_chunk(source) for _ in range(4)]
        assert [int(chunk.samples[0, 0]) for chunk in chunks] == [0, 1, 3, 4]
        assert [chunk.gap for chunk in chunks] == [False, False, True, False]
        assert chunks[1].time_ns - chunks[0].time_ns == N * 10**6
        assert "came twice" in str(getattr(source, "last_error", None))


def test_blocks_that_never_came_are_counted_and_another_count_is_none(port: int, send: Callable[..., None]) -> None:
    with closing(opened(port)) as source:
        send(*(datagram(number) for number in (0, 3, 4, 6)), datagram(1, sequence=2**24), datagram(0))
        assert [read_chunk(source).gap for _ in range(6)] == [False, True, False, True, True, True]
        assert getattr(source, "lost", None) == 3


def test_a_sender_that_starts_again_leaves_a_gap_and_nothing_else(port: int, send: Callable[..., None]) -> None:
    with closing(opened(port)) as source:
        send(datagram(7), datagram(8), datagram(0, start_ns=2 * 10**18))
        assert [read_chunk(source).gap for _ in range(3)] == [False, False, True]


def test_blocks_of_a_sender_without_a_clock_get_the_time_of_their_arrival(port: int, send: Callable[..., None]) -> None:
    with closing(opened(port)) as source:
        before = time.time_ns()
        send(datagram(0, start_ns=0))
        chunk = read_chunk(source)
        end_ns = chunk.time_ns + N * 10**6
        assert before - 10**6 <= end_ns <= time.time_ns() + 10**6


def test_a_sensor_at_half_the_rate_is_told_after_thirty_seconds_and_no_longer_when_it_is_right(
    port: int, send: Callable[..., None], clock: ManualClock
) -> None:
    numbers = count()
    with closing(LiveSource(UdpDevice(SPEC, "127.0.0.1", port, None), SPEC, "udp", clock=clock)) as source:
        assert source.read(0.0) is None

        def last_of(seconds: float, rate_hz: float) -> Chunk:
            chunk: Chunk | None = None
            for _ in range(round(seconds * rate_hz / N)):
                clock.now += N / rate_hz
                send(datagram(next(numbers), start_ns=0))
                chunk = read_chunk(source)
            assert chunk is not None
            return chunk

        assert last_of(20, 500.0).quality == ()
        wrong = last_of(15, 500.0)
        assert (wrong.quality, wrong.rate_hz) == (("rate_off",), 1000.0)
        assert wrong.measured_hz == pytest.approx(500.0, rel=1e-2)
        assert last_of(35, 1000.0).quality == ()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"hello", "looks like text"), (datagram(1, unit="V"), "unit 'V'"), (datagram(1, rate_hz=50.0), "50 Hz")],
)
def test_what_does_not_fit_is_refused_and_the_stream_goes_on(
    payload: bytes, reason: str, port: int, send: Callable[..., None]
) -> None:
    with closing(opened(port)) as source:
        send(datagram(0), payload, datagram(2))
        assert [read_chunk(source).gap for _ in range(2)] == [False, True]
        assert reason in str(getattr(source, "last_error", None))


def test_only_the_configured_sender_is_heard(port: int, send: Callable[..., None]) -> None:
    with closing(opened(port, sender="127.0.0.2")) as source:
        send(datagram(0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(datagram(5), ("127.0.0.1", port))
        assert read_chunk(source).samples[0, 0] == 5


@pytest.mark.parametrize(
    ("host", "to", "sender"),
    [
        ("::1", "::1", None),
        ("::1", "::1", "0:0:0:0:0:0:0:1"),
        ("[::1]", "::1", "[::1]"),
        ("::", "::1", "::1"),
        ("::", "127.0.0.1", "127.0.0.1"),
        ("::", "127.0.0.1", None),
        ("localhost", "127.0.0.1", None),
    ],
)
def test_samples_come_over_ipv6_too(port: int, host: str, to: str, sender: str | None) -> None:
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    options = {"host": host, **({} if sender is None else {"sender": sender})}
    if host == "localhost" and socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0] != family:
        to, family = "::1", socket.AF_INET6
    with (
        closing(open_source("udp", SPEC, {"port": port, **options})) as source,
        socket.socket(family, socket.SOCK_DGRAM) as ours,
        sending(lambda number: ours.sendto(datagram(number), (to, port))),
    ):
        assert read_chunk(source).samples.shape == (3, N)


def test_over_ipv6_only_the_configured_sender_is_heard(port: int) -> None:
    with closing(open_source("udp", SPEC, {"port": port, "host": "::", "sender": "127.0.0.2"})) as source:
        assert source.read(0.0) is None  # the first read binds the port
        for number, address in enumerate(("127.0.0.1", "127.0.0.2")):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
                ours.bind((address, 0))
                ours.sendto(datagram(number), ("127.0.0.1", port))
        assert read_chunk(source).samples[0, 0] == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sender": "sensor.local"}, r"sender must be an address, .*, not 'sensor\.local'"),
        ({"sender": "127.0.0.1:5555"}, "sender must be an address"),
        ({"host": "udp://127.0.0.1"}, "host must be a name or an address and nothing else"),
        ({"host": "[::1]:5555"}, "host must be a name or an address and nothing else"),
    ],
)
def test_what_is_no_address_is_named_and_not_waited_for_in_vain(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(SourceOptionsError, match=told):
        open_source("udp", SPEC, {"port": 5555, **wrong})


def test_a_port_that_is_taken_is_an_error_and_can_be_tried_again(port: int, send: Callable[..., None]) -> None:
    second = open_source("udp", SPEC, {"port": port, "host": "127.0.0.1"})
    with closing(opened(port)), pytest.raises(SourceError, match=rf"udp 127\.0\.0\.1:{port}: Address already in use"):
        second.read(0.0)
    with closing(second):
        assert second.read(0.0) is None
        send(datagram(0))
        assert read_chunk(second).samples[0, 0] == 0


@pytest.mark.parametrize("options", [{}, {"port": 0}, {"port": 70000}, {"port": "x"}])
def test_a_port_must_be_given(options: dict[str, Any]) -> None:
    with pytest.raises(SourceOptionsError, match="port"):
        open_source("udp", SPEC, options)
