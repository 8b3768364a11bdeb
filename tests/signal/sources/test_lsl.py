"""Lab Streaming Layer over the loopback: found by name, checked against the asset, and lost without a hang."""

from __future__ import annotations

import atexit
import os
import re
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import SourceError, SourceOptionsError, StreamSpec, open_source
from edgetune_signal.sources import conformance, lsl
from edgetune_signal.sources.conformance import CHECKS, read_chunk, sending
from edgetune_signal.stream.clock import LOOKS, SourceClock, of_one_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_signal import Source

CONFIG = Path(tempfile.gettempdir()) / f"edgetune-lsl-{os.getpid()}.cfg"
CONFIG.write_text(  # nothing leaves this machine, and test processes beside this one hear nothing
    "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\nAddressesOverride = {127.0.0.1}\n"
    f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = edgetune{os.getpid()}\n[log]\nlevel = -3\n"
)
atexit.register(CONFIG.unlink)  # not a fixture of the module: pytest-xdist may come back to a module it has left
os.environ["LSLAPICFG"] = str(CONFIG)
try:
    pylsl: Any = pytest.importorskip("pylsl", reason="pylsl is not installed: pip install 'edgetune[lsl]'")
except RuntimeError as error:
    pytest.skip(f"liblsl is not installed: {error}", allow_module_level=True)

SPEC = StreamSpec(2, 1000.0, "uV")
MEASURED_NS = 10 * 10**6
"""By no more than this is what liblsl measures of a clock wrong, also where its questions wait for a busy machine."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsl, "RESOLVE_S", 30.0)  # for a machine on which the sender's thread has to wait
    monkeypatch.setattr(lsl, "ANSWERS_S", 30.0)
    monkeypatch.setattr(conformance, "DEADLINE_S", 120.0)


def outlet(name: str, *, rate_hz: float = 1000.0, channels: int = 2, unit: str = "microvolts") -> Any:
    info = pylsl.StreamInfo(name, "EMG", channels, rate_hz, "float32", f"{name}-source")
    described = info.desc().append_child("channels")
    for number in range(channels):
        channel = described.append_child("channel")
        channel.append_child_value("label", f"e{number + 1}")
        channel.append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


def opened(name: str, spec: StreamSpec = SPEC, **options: Any) -> Source:
    source = open_source("lsl", spec, {"stream": name, **options})
    assert source.read(0.0) is None  # the first read subscribes
    return source


def ramp(first: int, n: int, channels: int = 2) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.repeat(np.arange(first, first + n, dtype=np.float32)[:, None], channels, axis=1)


@pytest.fixture
def streaming() -> Iterator[None]:
    """Sends until the test ends, whoever listens; stamped when it was measured, however late the machine sends it."""
    sender = outlet("stream")
    began = pylsl.local_clock()
    with sending(lambda number: sender.push_chunk(ramp(10 * number, 10), began + (number + 1) / 100)):
        yield


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.usefixtures("streaming")
def test_lsl_keeps_the_contract(check: Callable[[Callable[[], Source]], None]) -> None:
    check(lambda: open_source("lsl", SPEC, {"stream": "stream"}))


def test_samples_come_as_they_were_sent() -> None:
    sender = outlet("plain")
    with closing(opened("plain", stream_type="EMG")) as source:
        sender.push_chunk(ramp(0, 20))
        chunk = read_chunk(source)
        np.testing.assert_array_equal(chunk.samples, ramp(0, 20).T)


def test_channels_are_chosen_by_label_or_number() -> None:
    sender = outlet("many", channels=4)
    with closing(opened("many", columns=["e4", "1"])) as source:
        sender.push_chunk(ramp(0, 20, 4) * np.array([1, 2, 3, 4], np.float32))
        assert read_chunk(source).samples[:, 1].tolist() == [4.0, 1.0]


def test_time_stamps_that_jump_are_a_gap() -> None:
    sender = outlet("jumping")
    with closing(opened("jumping")) as source:
        now = pylsl.local_clock()
        sender.push_chunk(ramp(0, 20), now)
        assert not read_chunk(source).gap
        sender.push_chunk(ramp(20, 20), now + 0.025)  # five late: a sender takes its time
        assert not read_chunk(source).gap
        sender.push_chunk(ramp(60, 20), now + 0.5)
        assert read_chunk(source).gap


def test_a_stream_that_ends_is_an_error_and_what_follows_its_return_a_gap() -> None:
    sender = outlet("ending")
    with closing(opened("ending")) as source:
        sender.push_chunk(ramp(0, 20))
        read_chunk(source)
        del sender
        with pytest.raises(SourceError, match="the LSL stream ended"):
            source.read(30.0)
        again = outlet("ending")
        assert source.read(0.0) is None
        again.push_chunk(ramp(0, 20))
        assert read_chunk(source).gap


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        ({}, {"stream": "nobody"}, r"no LSL stream has name='nobody': there are (.*, )?sender \(EMG, "),
        ({"rate_hz": 500.0}, {}, "has 500 Hz where the asset has 1000 Hz: set rate_hz, or sensor_rate_hz"),
        ({"rate_hz": 0.0}, {}, "has no constant rate"),
        ({"channels": 3}, {}, r"has 3 channels \(e1, e2, e3\) where the asset has 2: set columns"),
        ({"unit": "volts"}, {}, "is in V where the asset has uV: set unit, or sensor_unit"),
        (
            {},
            {"columns": ["e1", "e9"]},
            "there is no column 'e9': set columns of the source to some of e1, e2, or 1 to 2",
        ),
    ],
)
def test_a_stream_that_does_not_fit_is_refused_with_what_to_do(
    made: dict[str, Any], options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsl, "RESOLVE_S", 2.0)
    sender = outlet("sender", **made)
    deadline = time.monotonic() + 30
    while True:  # a busy machine may hear of the sender too late, which is another error
        with (
            closing(open_source("lsl", SPEC, {"stream": "sender", **options})) as source,
            pytest.raises(SourceError) as refused,
        ):
            source.read(0.0)
        if re.search(message, str(refused.value)) or time.monotonic() > deadline:
            break
    assert re.search(message, str(refused.value))
    del sender


def test_of_two_streams_of_a_type_one_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsl, "OTHERS_S", 30.0)
    senders = [outlet("left"), outlet("right")]
    with (
        closing(open_source("lsl", SPEC, {"stream_type": "EMG"})) as source,
        pytest.raises(SourceError, match=r"^several LSL streams have type='EMG': there are "),
    ):
        source.read(0.0)
    del senders


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"stream"}),
        ({"stream": "it's", "columns": ["e1"], "colour": 1}, {"stream", "columns", "colour"}),
    ],
)
def test_all_wrong_options_are_named(options: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source("lsl", SPEC, options)
    assert {problem.split()[0] for problem in caught.value.problems} == names


def check_time(source: Source, sender: Any, *, ahead_s: float) -> None:
    """Send what was taken 3 s ago by a clock that is ``ahead_s`` behind, and see that its time says so."""
    before_ns, now_s = time.time_ns(), pylsl.local_clock()
    sender.push_chunk(ramp(0, 20), now_s - ahead_s - 3.0)  # the time of the last one
    chunk = read_chunk(source)
    taken_ns = before_ns - 3 * 10**9
    took_ns = time.time_ns() - before_ns
    assert abs(chunk.time_ns + 19 * 10**6 - taken_ns) <= took_ns + MEASURED_NS  # no more than all this took


def test_a_sample_has_the_time_at_which_it_was_taken_not_that_of_its_arrival() -> None:
    sender = outlet("late")
    with closing(opened("late")) as source:
        check_time(source, sender, ahead_s=0.0)


def test_a_senders_clock_is_brought_to_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's clock cannot run here: what liblsl would measure of one is played."""
    monkeypatch.setattr(pylsl.StreamInlet, "time_correction", lambda *_: 1000.0)
    sender = outlet("elsewhere")
    with closing(opened("elsewhere")) as source:
        check_time(source, sender, ahead_s=1000.0)


def test_a_reader_that_has_to_wait_between_two_clocks_moves_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s = [0.2] * (LOOKS - 2)

    def utc_ns(_: SourceClock) -> int:
        if waits_s:
            time.sleep(waits_s.pop())
        return time.time_ns()

    sender = outlet("waiting")
    with closing(opened("waiting")) as source:
        monkeypatch.setattr(SourceClock, "utc_ns", utc_ns)
        now_s, now_ns = of_one_moment(pylsl.local_clock, time.time_ns)
        sender.push_chunk(ramp(0, 20), now_s)
        assert abs(read_chunk(source).time_ns + 19 * 10**6 - now_ns) <= MEASURED_NS
    assert waits_s == []


@pytest.mark.parametrize("stamp_s", [-1e5, 1e9])
def test_stamps_of_no_clock_that_is_known_give_way_to_the_time_of_arrival(stamp_s: float) -> None:
    sender = outlet("strange")
    with closing(opened("strange")) as source:
        before_ns = time.time_ns()
        sender.push_chunk(ramp(0, 20), stamp_s)
        chunk = read_chunk(source)
        # liblsl may hand over the first of the 20 samples alone
        assert before_ns - 21 * 10**6 <= chunk.time_ns <= time.time_ns() + 10**6
