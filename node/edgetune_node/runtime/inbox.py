"""The one inbox: a bounded queue between reading threads and the main thread."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edgetune_node.contract import ASSET_COMMANDS, NODE_COMMANDS
from edgetune_node.events import ChunkArrived, CommandArrived, CommandRefused, ContextArrived
from edgetune_node.ops import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.events import Event

MAX_CHUNK_BYTES: Final = 8 * 2**20
"""Samples of all assets that wait: 27 s of three channels at 25.6 kHz, 2.7 s of 40 assets with three at 6.4 kHz."""
MAX_CONTEXTS: Final = 4
"""Contexts of an asset that wait. Only the newest counts, and where that is malformed the one before it."""
MAX_COMMANDS: Final = 100
MAX_COMMAND_BYTES: Final = 2 * 2**20
"""Commands to assets that wait: at the longest they take, and with samples to be handled too, two seconds."""
SHARE_OF_A_KIND: Final = 2
"""One command takes half of count and bytes: a flood of it leaves room for others; all unknown ones are one kind."""
MAX_PINGS: Final = 20
MAX_PING_BYTES: Final = 2**18
"""Commands to the node itself that wait: in room of their own, so that it answers whatever its assets are told."""
MAX_REFUSED: Final = 20
REFUSED_PER_S: Final = 20.0
"""Refused commands that wait for their answer, and that are answered in a second. The others are only counted."""
TOLD_S: Final = 60.0
"""A refusal is named in ``health`` for so long."""
OTHERS_SHARE: Final = 3.0
"""After a command or context everything else that waits goes first, for so many times as long as that took."""
_WAITING_THEIR_TURN = CommandArrived | CommandRefused | ContextArrived


class Inbox:
    """Events in the order they came, bounded in count and bytes whatever comes in.

    - Samples that do not fit are dropped and counted, the oldest of the asset of which most wait. Each asset has room
      of its own, so that one that floods takes none of the others'.
    - The newest contexts of each asset are kept.
    - A command that does not fit is refused. Some are answered in its place (`CommandRefused`), all are counted.
    - Commands and contexts take no more than a quarter of the time from samples.

    A take that ``continue`` starts never holds samples that came before it. Nothing else is ever dropped.

    Parameters
    ----------
    capacity
        Chunks of an asset that may wait.
    now
        Monotonic seconds.

    Attributes
    ----------
    dropped
        Chunks that did not fit, by asset.
    refused
        Commands that did not fit.
    """

    def __init__(self, capacity: int = 256, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._now = now
        self._number = 0
        self._events: OrderedDict[int, Event] = OrderedDict()
        self._chunks: dict[str, deque[int]] = {}
        self._chunk_bytes: Counter[str] = Counter()
        self._contexts: dict[str, deque[int]] = {}
        self._commands = {False: _Room(MAX_COMMANDS, MAX_COMMAND_BYTES), True: _Room(MAX_PINGS, MAX_PING_BYTES)}
        self._answers = Rate(REFUSED_PER_S, MAX_REFUSED, now)
        self._refused_waiting = 0
        self._refused_s = float("-inf")
        self._others_until_s = now()
        self._ready = threading.Condition()
        self.dropped: Counter[str] = Counter()
        self.refused = 0

    @property
    def problem(self) -> str | None:
        """What has been refused, for a minute after the last time; None where nothing has."""
        if self._now() - self._refused_s > TOLD_S:
            return None
        return (
            f"{self.refused} commands were refused since the start, the last within a minute, because too many waited;"
            " find who sends so many, and keep them from it at the broker"
        )

    def put(self, event: Event) -> bool:
        """Add an event; never blocks. False for a command that was refused, which nobody will acknowledge."""
        with self._ready:
            match event:
                case ChunkArrived():
                    self._take_chunk(event)
                case ContextArrived():
                    self._take_context(event)
                case CommandArrived():
                    if not self._commands[event.asset is None].take(event):
                        return self._refuse(event)
                    self._add(event)
                case _:
                    self._add(event)
        return True

    def get(self, timeout_s: float) -> Event | None:
        """Take the next event, or None when nothing came within ``timeout_s`` seconds."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._events, timeout_s):
                return None
            event = self._next()
            match event:
                case ChunkArrived():
                    self._chunks[event.asset].popleft()
                    self._chunk_bytes[event.asset] -= event.chunk.samples.nbytes
                case ContextArrived():
                    self._contexts[event.asset].popleft()
                case CommandArrived():
                    self._commands[event.asset is None].leave(event)
                case CommandRefused():
                    self._refused_waiting -= 1
            return event

    def took(self, event: Event, seconds: float) -> None:
        """Note how long an event took; so long, and longer, samples that wait go before commands and contexts."""
        if isinstance(event, _WAITING_THEIR_TURN):
            with self._ready:
                self._others_until_s = self._now() + OTHERS_SHARE * seconds

    def __len__(self) -> int:
        """Events that wait."""
        return len(self._events)

    def _add(self, event: Event) -> int:
        self._number += 1
        self._events[self._number] = event
        self._ready.notify()
        return self._number

    def _next(self) -> Event:
        if self._now() < self._others_until_s:
            for number, event in self._events.items():
                if not isinstance(event, _WAITING_THEIR_TURN):
                    del self._events[number]
                    return event
        return self._events.popitem(last=False)[1]

    def _take_chunk(self, event: ChunkArrived) -> None:
        waiting = self._chunks.setdefault(event.asset, deque())
        if len(waiting) >= self._capacity:
            self._drop_oldest(event.asset)
        self._chunk_bytes[event.asset] += event.chunk.samples.nbytes
        waiting.append(self._add(event))
        while self._chunk_bytes.total() > MAX_CHUNK_BYTES:
            self._drop_oldest(max(self._chunk_bytes, key=self._chunk_bytes.__getitem__))

    def _drop_oldest(self, asset: str) -> None:
        event = self._events.pop(self._chunks[asset].popleft())
        assert isinstance(event, ChunkArrived)  # noqa: S101 - for mypy
        self._chunk_bytes[asset] -= event.chunk.samples.nbytes
        self.dropped[asset] += 1

    def _take_context(self, event: ContextArrived) -> None:
        waiting = self._contexts.setdefault(event.asset, deque())
        if len(waiting) >= MAX_CONTEXTS:
            del self._events[waiting.popleft()]
        waiting.append(self._add(event))

    def _refuse(self, event: CommandArrived) -> bool:
        self.refused += 1
        self._refused_s = self._now()
        if self._refused_waiting < MAX_REFUSED and self._answers.take():
            self._refused_waiting += 1
            self._add(CommandRefused(replace(event, ack=None)))
        return False


class _Room:
    """How many commands wait, how many of each kind, and their bytes."""

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._kinds: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def take(self, event: CommandArrived) -> bool:
        """Count a command in; False where it does not fit."""
        size, kind = _size(event), _kind(event)
        full = self._kinds.total() >= self._count or self._bytes.total() + size > self._size
        most = self._count // SHARE_OF_A_KIND, self._size // SHARE_OF_A_KIND
        if full or self._kinds[kind] >= most[0] or self._bytes[kind] + size > most[1]:
            return False
        self._kinds[kind] += 1
        self._bytes[kind] += size
        return True

    def leave(self, event: CommandArrived) -> None:
        """Count it out."""
        self._kinds[_kind(event)] -= 1
        self._bytes[_kind(event)] -= _size(event)


def _kind(event: CommandArrived) -> str:
    return event.name if event.name in (NODE_COMMANDS if event.asset is None else ASSET_COMMANDS) else ""


def _size(event: CommandArrived) -> int:
    texts = event.asset, event.name, event.payload, event.response_topic, event.correlation, event.signature
    return sum(len(text) for text in texts if text is not None)
