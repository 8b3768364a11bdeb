"""A source that hangs in its driver is named within seconds, and opened anew in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.events.events import ChunkArrived, SourceChanged
from edgetune_node.runtime import source_thread as listening, sources as readers
from edgetune_node.runtime.inbox import Inbox
from edgetune_node.runtime.sources import MAX_LEFT, SourceReaders
from edgetune_signal import Chunk, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECTION = AssetSection(id="hanging", rate_hz=1000)
SPEC = StreamSpec(1, 1000.0, "g")


class Source:
    """Hangs in its first read until it is released; then it delivers one chunk, and is silent."""

    spec = SPEC
    lost = 2

    def __init__(self, *, hangs: bool) -> None:
        self.released = threading.Event()
        self.closed = False
        self.delivered = 0
        if not hangs:
            self.released.set()

    def read(self, timeout_s: float) -> Chunk | None:
        self.released.wait(60)
        if self.delivered:
            threading.Event().wait(timeout_s)
            return None
        self.delivered = 1
        return Chunk(np.zeros((1, 4), np.float32), 0, 1000.0, 0)

    def select(self, name: str) -> None: ...

    def close(self) -> None:
        self.closed = True


class Plant:
    """Readers of one asset, checked as the node's loop does, and what they tell."""

    def __init__(self, *sources: Source) -> None:
        self.inbox = Inbox()
        self.sources = sources
        self.events: list[Any] = []
        self.readers = SourceReaders([SECTION], self.inbox, {"hanging": sources[0]})  # type: ignore[dict-item]
        self.readers.start()

    def hear(self) -> list[Any]:
        self.readers.check()
        while (event := self.inbox.get(0.01)) is not None and len(self.events) < 1000:
            self.events.append(event)
            self.readers.check()
        return self.events

    def told(self) -> list[str | None]:
        return [event.error for event in self.hear() if isinstance(event, SourceChanged)]

    def stuck_s(self) -> float:
        self.hear()
        [reading] = self.readers.readings({"hanging": True})
        return reading.stuck_s


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Plant]]:
    plants: list[Plant] = []

    def make(*sources: Source, named_s: float = 1.0, reopened_s: float = 2.0) -> Plant:  # a read takes 0.2 s
        monkeypatch.setattr(readers, "NAMED_S", named_s)
        monkeypatch.setattr(readers, "REOPENED_S", reopened_s)
        rest = iter(sources[1:])
        monkeypatch.setattr(listening, "open_source", lambda *_: next(rest))
        plants.append(Plant(*sources))
        return plants[-1]

    yield make
    for each in plants:
        each.readers.stop()
        for source in each.sources:
            source.released.set()
        each.readers.join(30)


def test_a_source_that_hangs_is_named_and_taken_back_when_it_comes_back(plant: Any, until: Any) -> None:
    source = Source(hangs=True)
    heard = plant(source, reopened_s=1e9)
    until(lambda: heard.told() != [])
    assert heard.told()[0].startswith("the source hangs: it has not come back for ")
    assert heard.stuck_s() > 0
    source.released.set()
    until(lambda: any(isinstance(event, ChunkArrived) for event in heard.hear()))
    assert heard.told()[1] is None
    until(lambda: heard.stuck_s() < readers.NAMED_S)


def test_a_source_that_hangs_for_long_is_opened_anew_and_its_first_chunk_follows_a_gap(
    plant: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = Source(hangs=True)
    heard = plant(hangs, Source(hangs=False))
    until(lambda: any(isinstance(event, ChunkArrived) for event in heard.hear()))
    monkeypatch.setattr(readers, "NAMED_S", 3600.0)  # else the new one hangs too, where a busy machine stops it
    first = next(event for event in heard.events if isinstance(event, ChunkArrived))
    assert first.chunk.gap
    assert [text is None for text in heard.told()] == [False, True]
    assert not hangs.closed  # whoever closes it could hang too
    assert heard.readers.lost("hanging") == 4  # both sources' counts
    hangs.released.set()
    until(lambda: hangs.closed)  # by its own thread, which tells nothing any more
    assert len(heard.told()) == 2


def test_only_so_many_threads_are_left_behind_and_the_watchdog_hears_of_it(plant: Any, until: Any) -> None:
    sources = [Source(hangs=True) for _ in range(MAX_LEFT + 3)]
    heard = plant(*sources, named_s=0.02, reopened_s=0.05)
    until(lambda: heard.stuck_s() > 0 and reading_threads() == MAX_LEFT + 1)
    until(lambda: heard.readers._readers["hanging"].stuck_s > 4 * readers.REOPENED_S and heard.hear())
    assert reading_threads() == MAX_LEFT + 1
    assert heard.stuck_s() > heard.readers._readers["hanging"].stuck_s  # counted from the first that hung


def reading_threads() -> int:
    return sum(thread.name == "source-hanging" for thread in threading.enumerate())
