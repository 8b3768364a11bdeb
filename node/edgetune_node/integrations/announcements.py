"""Retained messages on other systems' topics: published, remembered, and removed when nobody wants them any more."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Final, Protocol

from edgetune_signal.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TOPIC: Final = re.compile(r"(?!\$)[^+#\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,1000}")
"""What a broker takes for a topic; one that it does not take might cost the connection each time."""


class Announce(Protocol):
    """Publishes retained messages."""

    def __call__(self, topic: str, payload: bytes, arrived: Callable[[], None] | None = None) -> None:
        """Publish one; call ``arrived`` once the broker has it, from any thread."""
        ...


class Announcements:
    """Keeps the broker's retained announcements equal to what is wanted.

    A topic is noted on disk before it is used, and struck out once the broker has confirmed its removal. So what was
    announced is removed after a restart, too.

    Parameters
    ----------
    wanted
        Payload of each topic.
    memory
        The file that holds the topics on which a broker may keep an announcement.
    announce
        See `Announce`.

    Attributes
    ----------
    problem
        Why nothing is announced; None where all is.
    """

    def __init__(self, wanted: Mapping[str, bytes], memory: Path, announce: Announce) -> None:
        self._wanted = dict(wanted)
        self._memory = memory
        self._announce = announce
        self._lock = threading.Lock()
        self.problem: str | None = None
        self._noted = self._read()

    def connected(self) -> None:
        """Publish what is wanted, remove what is not; to be called on each connection."""
        with self._lock:
            unwanted = sorted(self._noted - set(self._wanted))
            if not set(self._wanted) <= self._noted or not self._memory.exists():
                self._note(self._noted | set(self._wanted))
            ready = [topic for topic in self._wanted if topic in self._noted]
        for topic in unwanted:
            self._announce(topic, b"", lambda topic=topic: self._removed(topic))  # type: ignore[misc]
        for topic in ready:
            self._announce(topic, self._wanted[topic])

    def look(self) -> None:
        """Write the file again where its content is not what was noted."""
        with self._lock:
            if not self._noted:
                return
            try:
                whole = _topics(self._memory.read_bytes()) == self._noted
            except (OSError, ValueError, RecursionError):
                whole = False
            if not whole:
                self._note(self._noted)

    def _removed(self, topic: str) -> None:
        with self._lock:
            self._note(self._noted - {topic})

    def _read(self) -> set[str]:
        try:
            return _topics(self._memory.read_bytes())
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, RecursionError) as error:
            self.problem = f"{self._memory} cannot be read: {error}; what was announced before is not removed"
            return set()

    def _note(self, noted: set[str]) -> None:
        try:
            if noted:
                with replacing(self._memory, self._memory.with_suffix(".tmp")) as file:
                    file.write(json.dumps(sorted(noted)).encode())
            else:
                self._memory.unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"{self._memory} cannot be written: {error.strerror}; nothing new is announced until it can"
            return
        self._noted = noted
        self.problem = None


def _topics(content: bytes) -> set[str]:
    noted = json.loads(content)
    if not isinstance(noted, list) or not all(isinstance(each, str) and _TOPIC.fullmatch(each) for each in noted):
        raise ValueError("it is no list of topics")
    return set(noted)
