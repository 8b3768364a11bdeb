"""Order, marks and bounds of what goes to the broker, for any history of connections, losses and acknowledgements."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from edgetune_node.mqtt.broker_limits import Limits
from edgetune_node.mqtt.delivery import MAX_TELEMETRY, Delivery, Stage
from edgetune_node.mqtt.history import mark_historical
from edgetune_node.mqtt.outbox import Entry, Outbox
from edgetune_node.mqtt.outgoing import Sending, Telemetry

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that needs no disk, where the system has one
STATUS = "n/status"


def body(seq: int) -> bytes:
    return json.dumps({"seq": seq, "historical": False}).encode()


@dataclass
class Scene:
    """A delivery with a broker that acknowledges when told, and a clock that moves when told."""

    outbox: Outbox
    now_s: float = 0.0
    seq: int = 0
    number: int = 0
    mid: int = 0
    window: int = 3
    flying: list[tuple[int, Sending]] = field(default_factory=list)
    arrived: list[Sending] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.delivery = Delivery(
            self.outbox,
            per_second=10,
            last_topic=STATUS,
            refusal=lambda topic, reason: self.refusals.append((topic, reason)),
            disk_failure=lambda error: pytest.fail(str(error)),
        )

    def rare(self, topic: str = "n/a/state", *, retain: bool = True) -> None:
        self.seq += 1
        self.outbox.put(topic, body(self.seq), qos=1, retain=retain, correlation=None, boot="b")
        self.delivery.kept(topic)

    def sign(self) -> None:
        self.seq += 1
        self.delivery.order(Entry(0, "n/a/sign", body(self.seq), 1, False, None, "b", 0))

    def heartbeat(self, topic: str = "n/a/fault") -> None:
        self.seq += 1
        self.delivery.tell(Telemetry(topic, body(self.seq), 1, True, None))

    def connect(self, max_packet: int | None = None) -> None:
        self.number += 1
        self.flying.clear()
        self.delivery.connected(self.number, Limits(self.window, max_packet), now_s=self.now_s)

    def lose(self) -> None:
        self.flying.clear()
        self.delivery.lost()

    def send(self) -> None:
        while (sending := self.delivery.next(self.now_s)) is not None:
            self.mid += 1
            self.delivery.sent(sending, self.mid)
            self.flying.append((self.mid, sending))
            self.arrived.append(sending)

    def acknowledge(self, count: int = 1) -> None:
        for _ in range(min(count, len(self.flying))):
            self.delivery.written(self.flying.pop(0)[0], None, self.now_s)
        self.delivery.flush()

    def settle(self) -> None:
        """Let the broker acknowledge, and time pass, until nothing waits."""
        for _ in range(1000):
            self.send()
            self.acknowledge(100)
            self.now_s += 0.1
            if self.delivery.idle:
                return
        pytest.fail("something waits for ever")

    def seqs(self, topic: str) -> list[int]:
        return [json.loads(sending.payload)["seq"] for sending in self.arrived if sending.topic == topic]


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    outbox = Outbox(tmp_path / "outbox.sqlite", max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)
    yield Scene(outbox)
    outbox.close()


def test_the_backlog_waits_for_its_rate_and_then_for_acknowledgements(scene: Scene) -> None:
    for _ in range(5):
        scene.rare()
    scene.connect()
    scene.send()
    assert len(scene.arrived) == 1
    assert scene.delivery.wait_s(scene.now_s) == pytest.approx(0.1)
    for _ in range(5):
        scene.now_s += 0.1
        scene.send()
    assert len(scene.arrived) == 3  # the window is full
    assert scene.delivery.wait_s(scene.now_s) is None


def test_no_more_than_the_brokers_window_is_ever_on_its_way(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    for _ in range(10):
        scene.rare()
        scene.sign()
        scene.heartbeat()
    scene.send()
    assert len(scene.flying) == 3


def test_what_came_during_the_backlog_is_live_and_comes_after_the_restated_state(scene: Scene) -> None:
    scene.rare()
    scene.rare()
    scene.connect()
    scene.send()
    scene.rare()
    scene.settle()
    marks = [
        (json.loads(one.payload)["seq"], json.loads(one.payload)["historical"], one.retain) for one in scene.arrived
    ]
    assert marks == [(1, True, False), (2, True, False), (2, False, True), (3, False, True)]


def test_status_is_never_restated_and_leaves_last(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    scene.delivery.tell(Telemetry(STATUS, body(0), 1, True, None))
    scene.heartbeat()
    scene.rare()
    scene.settle()
    assert scene.arrived[-1].topic == STATUS
    scene.delivery.tell(Telemetry(STATUS, body(0), 1, True, None))
    scene.lose()
    scene.connect()
    scene.settle()
    assert [one.topic for one in scene.arrived].count(STATUS) == 1


def test_a_refusal_is_reported_once_per_topic_and_ends_the_message(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    scene.rare("n/a/fault")
    scene.rare("n/a/fault")
    scene.send()
    for mid, _ in scene.flying:
        scene.delivery.written(mid, "Not authorized", scene.now_s)
    scene.delivery.flush()
    assert scene.refusals == [("n/a/fault", "Not authorized")]
    assert scene.delivery.refused == 2
    assert scene.delivery.refusal == "n/a/fault: Not authorized"
    assert scene.outbox.depth == 0


def test_the_newest_refusal_is_told_until_its_topic_is_taken(scene: Scene) -> None:
    scene.window = 4
    scene.connect()
    for topic in ("n/a/fault", "n/a/state", "n/a/state", "n/a/fault"):
        scene.rare(topic)
    scene.send()
    told = []
    for (mid, _), refusal in zip(scene.flying, ("one", "two", None, None), strict=True):
        scene.delivery.written(mid, refusal, scene.now_s)
        told.append(scene.delivery.refusal)
    assert told == ["n/a/fault: one", "n/a/state: two", "n/a/fault: one", None]


def test_what_is_larger_than_the_brokers_packets_does_not_fit(scene: Scene) -> None:
    scene.connect(max_packet=100)
    scene.settle()
    scene.rare()
    sending = scene.delivery.next(scene.now_s)
    assert sending is not None
    assert scene.delivery.fits(sending)
    assert not scene.delivery.fits(Sending("n", b"x" * 100, 1, retain=False, correlation=None, item=None))


def test_momentary_telemetry_is_bounded_and_its_loss_counted(scene: Scene) -> None:
    def read() -> None:
        scene.delivery.tell(Telemetry("n/a/classification", body(0), 0, False, None))

    read()
    assert scene.delivery.telemetry_dropped == 1
    scene.connect()
    scene.settle()
    for _ in range(MAX_TELEMETRY + 5):
        read()
    assert scene.delivery.telemetry_dropped == 6
    scene.settle()
    assert len(scene.arrived) == MAX_TELEMETRY
    assert scene.delivery.telemetry_dropped == 6


def test_parts_of_an_answer_stay_when_the_last_one_is_put_into_the_outbox(scene: Scene) -> None:
    topic = "n/a/resp/capture"
    scene.connect()
    scene.settle()
    for part in (b'{"part": 0}', b'{"part": 1}'):
        scene.delivery.tell(Telemetry(topic, part, 0, False, None))
    scene.rare(topic, retain=False)
    scene.settle()
    assert sorted(sending.payload for sending in scene.arrived if sending.topic == topic) == [
        b'{"part": 0}',
        b'{"part": 1}',
        body(scene.seq),
    ]
    assert scene.delivery.telemetry_dropped == 0


def test_a_message_that_could_not_be_handed_over_is_sent_on_the_next_connection(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    scene.sign()
    scene.rare()
    scene.send()
    scene.sign()
    sending = scene.delivery.next(scene.now_s)
    assert sending is not None
    scene.delivery.unsent(sending, scene.now_s)
    assert scene.delivery.stage is Stage.AWAY
    assert scene.outbox.depth == 3
    scene.connect()
    scene.settle()
    assert scene.seqs("n/a/sign") == [1, 1, 3]
    assert scene.seqs("n/a/state") == [2, 2, 2]  # live, then historical, then restated


def test_a_sign_goes_to_disk_only_while_the_broker_is_away(scene: Scene) -> None:
    scene.sign()
    assert (scene.outbox.depth, scene.delivery.in_memory) == (1, 0)
    scene.connect()
    scene.settle()
    scene.sign()
    assert (scene.outbox.depth, scene.delivery.in_memory) == (0, 1)
    scene.send()
    scene.lose()
    assert (scene.outbox.depth, scene.delivery.in_memory) == (1, 0)


def test_a_sign_in_memory_does_not_overtake_those_on_disk(scene: Scene) -> None:
    scene.connect()
    for _ in range(4):  # more than the window, so that the last of them waits on disk when the link has become live
        scene.sign()
    scene.send()
    assert scene.delivery.stage is Stage.LIVE
    scene.sign()
    scene.settle()
    assert scene.seqs("n/a/sign") == [1, 2, 3, 4, 5]


def test_a_heartbeat_lost_on_its_way_does_not_come_back_after_a_newer_change(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    scene.heartbeat()
    scene.send()
    scene.rare("n/a/fault")
    scene.lose()
    scene.connect()
    scene.settle()
    assert scene.seqs("n/a/fault") == [1, 2, 2]  # before the loss; then historical, then restated


def test_of_two_heartbeats_lost_on_their_way_the_newer_is_told_again(scene: Scene) -> None:
    scene.connect()
    scene.settle()
    scene.heartbeat()
    scene.send()
    scene.heartbeat()
    scene.send()
    scene.lose()
    scene.connect()
    scene.settle()
    assert scene.seqs("n/a/fault") == [1, 2, 2]


def test_only_json_objects_are_marked_historical() -> None:
    assert json.loads(mark_historical(body(3))) == {"seq": 3, "historical": True}
    assert mark_historical('{"a":"ü"}'.encode()) == '{"a":"ü","historical":true}'.encode()
    assert mark_historical(b"[1]") == b"[1]"
    assert mark_historical(b"\xff") == b"\xff"


STEPS = st.lists(
    st.sampled_from(["fault", "state", "reply", "sign", "heartbeat", "connect", "lose", "send", "send", "ack", "wait"]),
    min_size=30,  # short histories do not get far
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
@example(steps=["connect", "fault", "send", "ack", "heartbeat", "send", "ack"])
def test_nothing_ordered_is_lost_or_overtaken_and_the_last_state_is_the_newest(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        outbox = Outbox(Path(folder) / "o.sqlite", max_bytes=10**7, max_age_s=1e6, clock=time.time_ns)
        scene = Scene(outbox)
        said: dict[str, list[int]] = {}
        newest_state: dict[str, int] = {}
        actions: dict[str, Any] = {
            "fault": lambda: scene.rare("n/a/fault"),
            "state": lambda: scene.rare("n/a/state"),
            "reply": lambda: scene.rare("n/a/resp/record", retain=False),
            "sign": scene.sign,
            "heartbeat": scene.heartbeat,
            "connect": scene.connect,
            "lose": scene.lose,
            "send": scene.send,
            "ack": scene.acknowledge,
        }
        topics = {"fault": "n/a/fault", "state": "n/a/state", "reply": "n/a/resp/record", "sign": "n/a/sign"}
        for step in steps:
            if step == "wait":
                scene.now_s += 0.1
                continue
            actions[step]()
            if step in topics:
                said.setdefault(topics[step], []).append(scene.seq)
            if step in ("fault", "state"):
                newest_state[topics[step]] = scene.seq
            if step == "heartbeat":
                newest_state["n/a/fault"] = scene.seq
        under_way = any(sending.is_state_of("n/a/fault") for sending in scene.delivery._under_way())
        if "n/a/fault" in said and not under_way and "n/a/fault" not in scene.delivery._states:
            newest_state["n/a/fault"] = said["n/a/fault"][-1]  # a heartbeat that has arrived is not stated anew
        scene.connect()
        scene.settle()
        assert outbox.depth == 0
        assert scene.delivery.in_memory == 0
        for topic, expected in said.items():
            arrived = scene.seqs(topic)
            first_seen = [seq for index, seq in enumerate(arrived) if seq not in arrived[:index] and seq in expected]
            assert first_seen == expected, topic
        for topic, seq in newest_state.items():
            retained = [one for one in scene.arrived if one.topic == topic and one.retain]
            assert json.loads(retained[-1].payload) == {"seq": seq, "historical": False}
        outbox.close()
