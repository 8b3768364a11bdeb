"""The thread that reads one asset's source and puts its chunks into the inbox, whatever the source does."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from edgetune_node.errors import ConfigError
from edgetune_node.events import ChunkArrived, SourceChanged, SourceRefused
from edgetune_signal import SourceEnded, SourceOptionsError, open_source
from edgetune_signal.sources import check_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.runtime.inbox import Inbox
    from edgetune_signal import Source

READ_S = 0.2
REFUSED_S = 10.0
"""What a source refused is past when chunks have come for so long and it has refused nothing more."""
NEWEST_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0

log = structlog.get_logger()


class SourceReader(threading.Thread):
    """Reads a source until told to stop; a source that fails is opened again, ever more patiently.

    Parameters
    ----------
    section
        The asset whose source it is.
    inbox
        Where its chunks go.
    source
        The opened source, or None to open it here.

    Attributes
    ----------
    came_back
        Whether the source has come back from a read.
    """

    def __init__(self, section: AssetSection, inbox: Inbox, source: Source | None = None) -> None:
        super().__init__(name=f"source-{section.id}", daemon=True)
        self._section = section
        self._inbox = inbox
        self._source = source
        self._stopping = threading.Event()
        self._asked_s: float | None = None
        self._retry_s = FIRST_RETRY_S
        self._named = False
        self._lost_before = 0
        self.came_back = False

    @property
    def stuck_s(self) -> float:
        """Seconds that the source has not come back from being opened or read; 0 where nothing is asked of it."""
        asked_s = self._asked_s
        return 0.0 if asked_s is None else time.monotonic() - asked_s

    @property
    def lost(self) -> int:
        """Blocks, frames or lines that never came, of every source that was opened here."""
        return self._lost_before + int(getattr(self._source, "lost", 0))

    def run(self) -> None:
        """Read until `stop`."""
        self._retry_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            try:
                self._asked_s = time.monotonic()
                self._read_on()
            except SourceEnded:
                self._asked_s = None
                self._inbox.put(SourceChanged(self._section.id, None, ended=True))
                return
            except Exception as error:  # noqa: BLE001 - a plug-in's defect must not silence the other assets
                if self._stopping.is_set():
                    break
                log.warning("source failed", asset=self._section.id, error=str(error), retry_s=self._retry_s)
                self._inbox.put(SourceChanged(self._section.id, f"{type(error).__name__}: {error}"))
                self._close()
                self._asked_s = None
                self._stopping.wait(self._retry_s)
                self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
        self._close()

    @property
    def fed(self) -> bool:
        """Whether the samples are brought to the source by whoever receives them; of the source given at the start."""
        return hasattr(self._source, "feed")

    def feed(self, payload: bytes) -> None:
        """Bring samples to the source that is open now; where none is, they are lost as those of a sensor would be."""
        feed = getattr(self._source, "feed", None)
        if feed is not None:
            feed(payload)

    def stop(self) -> None:
        """Ask the thread to end, without waiting for it; a source that blocks for ever is left behind with it."""
        self._stopping.set()

    def name_hanging(self) -> None:
        """Report once that the source hangs, until it comes back. To be called by another thread."""
        if not self._named:
            self._named = True
            told = f"the source hangs: it has not come back for {self.stuck_s:.0f} s; look at the sensor and its driver"
            log.warning("source hangs", asset=self._section.id)
            self._inbox.put(SourceChanged(self._section.id, told))

    def _read_on(self) -> None:
        section = self._section
        failed = reopened = self._source is None
        if self._source is None:
            self._source = open_source(section.source.type, section.spec, section.source.options)
        refused = newest = None
        refusals = SourceRefusals()
        while not self._stopping.is_set():
            self._asked_s = time.monotonic()
            chunk = self._source.read(READ_S)
            if self._stopping.is_set():  # perhaps after hanging for so long that another reader has taken over
                return
            self.came_back = True
            if self._named:
                self._named = False
                self._inbox.put(SourceChanged(section.id, None))
            refusal = refusals.look(self._source, time.monotonic(), heard=chunk is not None)
            if refusals.newest != newest:
                newest = refusals.newest
                self._inbox.put(SourceRefused(section.id, newest))
            if refusal != refused:
                refused = refusal
                log.warning("source", asset=section.id, refused=refusal)
                if refusal is not None and chunk is None:
                    failed = True
                    self._inbox.put(SourceChanged(section.id, refusal))
            if chunk is None:
                continue
            check_chunk(chunk, section.spec)
            if failed:
                self._inbox.put(SourceChanged(section.id, None))
                failed = False
            self._retry_s = FIRST_RETRY_S
            if reopened:  # nobody knows what was missed
                chunk, reopened = replace(chunk, gap=True), False
            self._inbox.put(ChunkArrived(section.id, chunk))

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._lost_before += int(getattr(source, "lost", 0))
            try:
                source.close()
            except Exception as error:  # noqa: BLE001 - it is given up anyway
                log.warning("source did not close", asset=self._section.id, error=str(error))


class SourceRefusals:
    """What a source would not take although it goes on: told until nothing more has been refused for a while.

    While one is told, others take its place once in that while: who sends nothing but garbage fills no log.

    Attributes
    ----------
    newest
        The one refused last, for `health`, at most one in `NEWEST_S`; None where none is told.
    """

    def __init__(self) -> None:
        self._seen: tuple[str | None, int] = (None, 0)
        self._from_s = 0.0
        self._past = False
        self._told: str | None = None
        self._told_s = self._newest_s = 0.0
        self.newest: str | None = None

    def look(self, source: Source, now_s: float, *, heard: bool) -> str | None:
        """Return what was refused and is not past.

        Parameters
        ----------
        source
            Its ``last_error`` and its count ``refused``, where it has them, are looked at.
        now_s
            Monotonic time.
        heard
            Whether it has just delivered a chunk.
        """
        found = getattr(source, "last_error", None), getattr(source, "refused", 0)
        if found != self._seen:
            self._seen, self._from_s = found, now_s
            self._past = False
        elif heard and now_s - self._from_s >= REFUSED_S:
            self._past = True
        wanted = None if self._past else found[0]
        if wanted != self._told and (None in (wanted, self._told) or now_s - self._told_s >= REFUSED_S):
            self._told, self._told_s = wanted, now_s
        if wanted != self.newest and (None in (wanted, self.newest) or now_s - self._newest_s >= NEWEST_S):
            self.newest, self._newest_s = wanted, now_s
        return self._told


def open_sources(sections: Sequence[AssetSection]) -> dict[str, Source | None]:
    """Open every asset's source at start; wrong options end the start, a sensor that is away does not.

    Returns
    -------
    dict
        By asset; None where a source cannot be opened now: its reader tries again, and says why.

    Raises
    ------
    ConfigError
        Naming every wrong option of every asset.
    """
    opened: dict[str, Source | None] = {}
    wrong: list[str] = []
    for section in sections:
        try:
            opened[section.id] = open_source(section.source.type, section.spec, section.source.options)
        except SourceOptionsError as error:
            wrong += [f"asset {section.id}, source {section.source.type}: {problem}" for problem in error.problems]
        except Exception as error:  # noqa: BLE001 - a plug-in's defect must not silence the other assets
            log.warning("source not opened", asset=section.id, error=str(error))
            opened[section.id] = None
    if wrong:
        for source in opened.values():
            if source is not None:
                source.close()
        raise ConfigError("[asset.source]", wrong)
    return opened
