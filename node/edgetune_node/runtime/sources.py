"""The sources of all assets: each is read in a thread of its own, and opened anew where it hangs in its driver."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from edgetune_node.ops import Reading
from edgetune_node.runtime.source_thread import SourceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.runtime.inbox import Inbox
    from edgetune_signal import Source

NAMED_S: Final = 3.0
"""A source is asked to come back within 0.2 s; one that has not for so long is named."""
REOPENED_S: Final = 20.0
"""One that has not come back for so long is left behind with its thread and opened anew in another."""
MAX_LEFT: Final = 3
"""So many threads of one asset may hang; then only a new process can help, which the watchdog asks for."""

log = structlog.get_logger()


class SourceReaders:
    """Reads the sources of all assets.

    Parameters
    ----------
    sections
        The assets.
    inbox
        Where chunks and changes go.
    sources
        What `edgetune_node.runtime.source_thread.open_sources` has opened.
    """

    def __init__(self, sections: Sequence[AssetSection], inbox: Inbox, sources: Mapping[str, Source | None]) -> None:
        self._sections = {section.id: section for section in sections}
        self._inbox = inbox
        self._readers = {section.id: SourceReader(section, inbox, sources[section.id]) for section in sections}
        self._left: dict[str, list[SourceReader]] = {name: [] for name in self._readers}
        self._hung_from_s: dict[str, float] = {}
        self._lost_before: Counter[str] = Counter()

    def feeds(self) -> dict[str, Callable[[bytes], None]]:
        """Return what takes the samples that the broker brings, for each asset whose source at the start wants them."""
        return {name: partial(self._feed, name) for name, reader in self._readers.items() if reader.fed}

    def lost(self, name: str) -> int:
        """Return how many blocks, frames or lines of an asset never came, as the sender's numbers tell."""
        return self._lost_before[name] + self._readers[name].lost

    def start(self) -> None:
        """Begin to read."""
        for reader in self._readers.values():
            reader.start()

    def stop(self) -> None:
        """Ask all threads to end, without waiting."""
        for reader in self._readers.values():
            reader.stop()

    def join(self, timeout_s: float) -> None:
        """Wait for the threads, all together for so long at most; what hangs is left behind."""
        until_s = time.monotonic() + timeout_s
        for reader in self._readers.values():
            reader.join(max(0.0, until_s - time.monotonic()))

    def readings(self, heard: Mapping[str, bool]) -> list[Reading]:
        """Return since when each source hangs, for the watchdog, however often it was reopened; ``heard``: by asset."""
        now_s = time.monotonic()
        return [
            Reading(name, now_s - self._hung_from_s[name] if name in self._hung_from_s else reader.stuck_s, heard[name])
            for name, reader in self._readers.items()
        ]

    def check(self) -> None:
        """Name what hangs, and open anew what has hung for long; to be called a few times a second."""
        for name, reader in list(self._readers.items()):
            stuck_s = reader.stuck_s
            if stuck_s < NAMED_S:
                if reader.came_back:
                    self._hung_from_s.pop(name, None)
                continue
            self._hung_from_s.setdefault(name, time.monotonic() - stuck_s)
            reader.name_hanging()
            if stuck_s >= REOPENED_S:
                self._open_anew(name, reader)

    def _open_anew(self, name: str, reader: SourceReader) -> None:
        left = [each for each in self._left[name] if each.is_alive()]
        if len(left) >= MAX_LEFT:
            return
        log.warning("source opened anew", asset=name, left_behind=len(left) + 1)
        reader.stop()
        self._lost_before[name] += reader.lost
        self._left[name] = [*left, reader]
        self._readers[name] = SourceReader(self._sections[name], self._inbox)
        self._readers[name].start()

    def _feed(self, name: str, payload: bytes) -> None:
        self._readers[name].feed(payload)
