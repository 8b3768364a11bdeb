"""The thread around a source reports what goes wrong with it, and opens it again."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.errors import ConfigError
from edgetune_node.events.events import ChunkArrived, SourceChanged, SourceRefused
from edgetune_node.runtime import source_thread as listening
from edgetune_node.runtime.inbox import Inbox
from edgetune_node.runtime.source_thread import SourceReader, SourceRefusals, open_sources
from edgetune_signal import Block, Chunk, Recording, SourceEnded, StreamSpec, encode_block, write_recording
from edgetune_signal.sources.mqtt import MqttSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECTION = AssetSection(id="a", rate_hz=1000.0)


class Unplugged(MqttSource):
    """Samples from the broker that cannot be read, as where a plug-in or the memory fails."""

    def read(self, timeout_s: float) -> Chunk | None:
        del timeout_s
        raise MemoryError


class Scripted:
    """A source that does what its script says: a chunk, None, or an exception."""

    spec = StreamSpec(1, 1000.0, "g")

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.last_error: str | None = None
        self.refused = self.lost = 0
        self.closed = False

    def read(self, timeout_s: float) -> Chunk | None:
        del timeout_s
        if self.script and isinstance(self.script[0], tuple):
            (self.last_error,) = self.script.pop(0)
        if not self.script:
            raise SourceEnded("played")
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            self.last_error = step
            return None
        return Chunk(np.zeros((1, 4), np.float32), 0, 1000.0, step)

    def select(self, name: str) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    readers: list[SourceReader] = []
    monkeypatch.setattr(listening, "FIRST_RETRY_S", 0.01)

    def listen(*sources: Scripted) -> list[Any]:
        rest = iter(sources[1:])
        monkeypatch.setattr(listening, "open_source", lambda *_: next(rest))
        inbox = Inbox()
        readers.append(SourceReader(SECTION, inbox, sources[0]))
        readers[-1].start()
        events = []
        while not events or not getattr(events[-1], "ended", False):
            event = inbox.get(30)
            assert event is not None, events
            events.append(event)
        return events

    yield listen
    for reader in readers:
        reader.stop()


def test_chunks_arrive_and_the_end_is_told(heard: Any) -> None:
    events = heard(Scripted(0, 1))
    assert [type(event) for event in events] == [ChunkArrived, ChunkArrived, SourceChanged]


def test_a_source_that_breaks_is_reported_closed_and_opened_again(heard: Any) -> None:
    broken = Scripted(0, OSError("unplugged"))
    events = heard(broken, Scripted(0))
    assert broken.closed
    assert [getattr(event, "error", "chunk") for event in events] == [
        "chunk",
        "OSError: unplugged",
        None,
        "chunk",
        None,
    ]


def test_what_comes_after_a_failure_follows_a_gap(heard: Any) -> None:
    events = heard(Scripted(0, OSError("unplugged")), Scripted(0, 1))
    assert [event.chunk.gap for event in events if isinstance(event, ChunkArrived)] == [False, True, False]


def test_what_sources_lost_is_counted_on_when_one_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Scripted(0, OSError("unplugged")), Scripted(0)
    first.lost, second.lost = 5, 2
    monkeypatch.setattr(listening, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(listening, "open_source", lambda *_: second)
    reader = SourceReader(SECTION, Inbox(), first)
    reader.start()
    reader.join(30)
    assert reader.lost == 7


def test_the_patience_with_a_source_starts_anew_once_it_has_delivered(
    heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(listening.log, "warning", lambda *_, retry_s=None, **__: waits.append(retry_s))
    heard(Scripted(OSError("1")), Scripted(OSError("2")), Scripted(0, OSError("3")), Scripted(0))
    assert waits == [0.01, 0.02, 0.01]


def test_what_a_source_refuses_is_reported_until_it_delivers(heard: Any) -> None:
    events = heard(Scripted("wrong rate", "wrong rate", 0))
    assert events[0] == SourceRefused("a", "wrong rate")
    assert [getattr(event, "error", "chunk") for event in events[1:]] == ["wrong rate", None, "chunk", None]


def test_a_refusal_beside_good_samples_is_told_and_is_no_failure(heard: Any) -> None:
    events = heard(Scripted(0, ("no such recording",), 1, (None,), 2))
    told = [event.reason for event in events if isinstance(event, SourceRefused)]
    assert told == ["no such recording", None]
    assert [event for event in events if isinstance(event, SourceChanged) and event.error] == []


def test_a_refusal_is_past_when_nothing_more_was_refused_for_a_while_of_good_chunks() -> None:
    refusals, source = SourceRefusals(), Scripted()
    assert refusals.look(source, 0.0, heard=True) is None
    source.last_error, source.refused = "wrong rate", 1
    assert refusals.look(source, 1.0, heard=False) == "wrong rate"
    assert refusals.look(source, 10.9, heard=True) == "wrong rate"
    source.refused = 2  # the same again
    assert refusals.look(source, 11.0, heard=False) == "wrong rate"
    assert refusals.look(source, 20.9, heard=True) == "wrong rate"
    assert refusals.look(source, 99.0, heard=False) == "wrong rate"  # silence proves nothing
    assert refusals.look(source, 99.1, heard=True) is None
    assert refusals.look(source, 99.2, heard=False) is None
    source.refused = 3
    assert refusals.look(source, 99.3, heard=True) == "wrong rate"


def test_whoever_sends_garbage_alone_fills_no_log() -> None:
    source, refusals = Scripted(), SourceRefusals()
    told, newest = [], []
    for tenth in range(250):
        source.last_error = f"found {tenth}"
        told.append(refusals.look(source, tenth / 10, heard=True))
        newest.append(refusals.newest)
    assert list(dict.fromkeys(told)) == ["found 0", "found 100", "found 200"]
    assert list(dict.fromkeys(newest)) == [f"found {tenth}" for tenth in range(0, 250, 10)]
    source.last_error = None
    assert refusals.look(source, 25.0, heard=True) is None
    assert refusals.newest is None


def test_a_refused_block_is_forgotten_once_good_blocks_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REFUSED_S", 0.0)
    inbox = Inbox()
    source = MqttSource(StreamSpec(1, 1000.0, "g"))
    reader = SourceReader(SECTION, inbox, source)
    reader.feed(b"no block")
    reader.start()
    refused = inbox.get(30)
    assert isinstance(refused, SourceRefused)
    assert refused.reason is not None
    events: list[Any] = []
    for sequence in range(2):
        reader.feed(encode_block(Block(np.zeros((1, 4), np.float32), sequence, sequence, 1000.0, "g")))
    while SourceRefused("a", None) not in events:
        events.append(inbox.get(30))
        assert events[-1] is not None, events
    reader.stop()


def test_samples_are_fed_to_the_source_that_was_opened_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_RETRY_S", 0.01)
    section = AssetSection(id="a", rate_hz=1000.0)  # samples over MQTT, as where no source is given
    inbox = Inbox()
    reader = SourceReader(section, inbox, Unplugged(section.spec))
    assert reader.fed
    feed = reader.feed  # as the link binds it, once
    reader.start()
    assert inbox.get(30) == SourceChanged("a", "MemoryError: ")
    arrived = None
    deadline = time.monotonic() + 30
    for sequence in itertools.count():
        feed(encode_block(Block(np.zeros((1, 4), np.float32), sequence, sequence, 1000.0, section.unit)))
        arrived = inbox.get(0.05)
        if arrived is not None or time.monotonic() > deadline:
            break
    reader.stop()
    assert arrived == SourceChanged("a", None)
    first = inbox.get(30)
    assert isinstance(first, ChunkArrived)
    assert first.chunk.gap


def test_wrong_options_of_every_asset_are_named_at_once() -> None:
    sections = [
        AssetSection(id="a", rate_hz=1000.0, source={"type": "simulated", "speed": -1, "colour": 2}),
        AssetSection(id="b", rate_hz=1000.0),
        AssetSection(id="c", rate_hz=1000.0, source={"type": "replay", "path": "/nowhere"}),
    ]
    with pytest.raises(ConfigError) as caught:
        open_sources(sections)
    assert len(caught.value.problems) >= 3
    assert "asset a, source simulated: colour is not an option" in str(caught.value)
    assert "asset c, source replay: path /nowhere is" in str(caught.value)


def test_a_source_that_cannot_be_opened_at_the_start_is_tried_again(tmp_path: Path) -> None:
    recording = tmp_path / "recording.npz"
    recording.write_bytes(b"half written")
    sections = [
        AssetSection(id="a", rate_hz=1000.0, source={"type": "replay", "path": str(recording), "loop": True}),
        AssetSection(id="b", rate_hz=1000.0),
    ]
    opened = open_sources(sections)
    assert opened["a"] is None
    assert opened["b"] is not None
    inbox = Inbox()
    reader = SourceReader(sections[0], inbox, opened["a"])
    reader.start()
    failure = inbox.get(30)
    assert isinstance(failure, SourceChanged)
    assert "recording" in str(failure.error)
    write_recording(recording, Recording(np.ones((1, 1000), np.float32), 1000.0, "normal", unit="g"))
    later: list[object] = []
    while not later or isinstance(later[-1], SourceChanged):
        later.append(inbox.get(60))
    reader.stop()
    assert later[-2:][0] == SourceChanged("a", None)
    assert isinstance(later[-1], ChunkArrived)
