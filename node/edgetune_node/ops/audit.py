"""The audit log: one line for each command that comes and for each answer to it, appended and never changed."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from edgetune_node.contract import Response
from edgetune_node.events import Durability, KeepCommand, Publish
from edgetune_node.ops.rate_limit import Rate
from edgetune_signal.durable import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from edgetune_node.contract import Topics
    from edgetune_node.events import CommandArrived, Effect

FILE_BYTES = 4 * 2**20
OLD_FILES = 3
REFUSED_FILE_BYTES = 2**20
OLD_REFUSED_FILES = 1
MAX_PAYLOAD_BYTES = 4096
"""So much of a command is logged: more than any but a defective one has."""
MAX_REFUSED_BYTES = 256
"""So much of one that changes nothing."""
REFUSED_BURST, REFUSED_PER_S = 100, 1.0
"""Commands that change nothing and are logged one by one: so many, then so many a second."""
MAX_NAME = 64
ANSWERED = ("command", "id", "status", "reason", "errors", "detail")
HARMLESS = "ping"


class AuditLog:
    """Two logs in a folder, each with the files that it was before it grew to its bound.

    ``audit.jsonl`` has the commands that were accepted, and every answer to them. ``audit.refused.jsonl`` has what
    changes nothing: refused and repeated commands and pings, shortened. Of a flood of those only some are logged, and
    a line ``suppressed`` counts the others, so that they push out nothing.

    A line is on disk when its method returns. Where the disk will not take it, the node goes on: `failure` says why,
    and once a line can be written again, the one before it says how many are missing.

    Parameters
    ----------
    folder
        Where the files are.
    topics, boot
        Names of the node's topics, and of this life of the process.
    file_bytes
        Size at which a new ``audit.jsonl`` is begun; the three before it are kept.
    monotonic
        Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        topics: Topics,
        boot: str,
        *,
        file_bytes: int = FILE_BYTES,
        monotonic: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._accepted = _Lines(folder / "audit.jsonl", boot, file_bytes, OLD_FILES)
        self._refused = _Lines(folder / "audit.refused.jsonl", boot, REFUSED_FILE_BYTES, OLD_REFUSED_FILES)
        self._rate = Rate(REFUSED_PER_S, REFUSED_BURST, monotonic)
        self._suppressed = 0
        self._turned_away = 0

    @property
    def failure(self) -> str | None:
        """Why lines are missing; None where none are."""
        return self._accepted.failure or self._refused.failure

    def command(self, event: CommandArrived, effects: Iterable[Effect], now: datetime) -> None:
        """Note a command, whether or not it is one, and the answers among its ``effects``, before these happen."""
        effects = list(effects)
        accepted = event.name != HARMLESS and any(isinstance(effect, KeepCommand) for effect in effects)
        if not accepted and not self._rate.take():
            self._suppressed += 1
            return
        lines = self._accepted if accepted else self._refused
        kept = MAX_PAYLOAD_BYTES if accepted else MAX_REFUSED_BYTES
        received = {
            "event": "received",
            "asset": _short(event.asset),
            "command": _short(event.name),
            "retained": event.retained,
            "response_topic": event.response_topic,
            "payload_bytes": len(event.payload),
            "payload": event.payload[:kept].decode("utf-8", "backslashreplace"),
        }
        answers = [answer for effect in effects if isinstance(effect, Publish) and (answer := self._answer(effect))]
        suppressed = [] if accepted else self._suppressed_lines()
        if lines.append(now, *suppressed, received, *answers) and suppressed:
            self._suppressed = 0

    def published(self, effect: Publish) -> None:
        """Note an answer before it is sent; any other message is passed over, so is an answer's copy for its asker.

        Parts of a long answer are passed over as well: the last answer says how many there were.
        """
        if effect.durability is Durability.TELEMETRY:
            return
        if answer := self._answer(effect):
            self._accepted.append(effect.message.ts, answer)

    def catch_up(self, now: datetime, turned_away: int) -> None:
        """Write how many lines were suppressed, and try again to write how many are missing.

        ``turned_away`` counts the commands since the start that were refused unread, for want of room.
        """
        self._suppressed += turned_away - self._turned_away
        self._turned_away = turned_away
        if self._suppressed and self._refused.append(now, *self._suppressed_lines()):
            self._suppressed = 0
        for lines in (self._accepted, self._refused):
            lines.catch_up(now)

    def _suppressed_lines(self) -> list[dict[str, Any]]:
        return [{"event": "suppressed", "commands": self._suppressed}] if self._suppressed else []

    def _answer(self, effect: Publish) -> dict[str, Any] | None:
        message, place = effect.message, self._topics.split(effect.topic)
        if not isinstance(message, Response) or place is None:
            return None
        fields = json.loads(message.json_bytes())
        return {"event": "answered", "asset": _short(place[0]), **{name: fields[name] for name in ANSWERED}}


class _Lines:
    """One log: a file, and the older ones that it was before; see `AuditLog`."""

    def __init__(self, path: Path, boot: str, file_bytes: int, old_files: int) -> None:
        self._path = path
        self._boot = boot
        self._file_bytes = file_bytes
        self._old_files = old_files
        self._missing = 0
        self.failure: str | None = None

    def append(self, now: datetime, *entries: dict[str, Any]) -> bool:
        """Write a line for each entry; False where the disk would not take them."""
        wanted = [self._line(now, entry) for entry in entries]
        return self._write_or_count([*self._about_missing(now), *wanted], wanted=len(wanted))

    def catch_up(self, now: datetime) -> None:
        """Try again to write how many lines are missing, if any are, so that `failure` tells how things are now."""
        if self._missing:
            self._write_or_count(self._about_missing(now), wanted=0)

    def _about_missing(self, now: datetime) -> list[bytes]:
        return [self._line(now, {"event": "missing", "lines": self._missing})] if self._missing else []

    def _line(self, now: datetime, entry: dict[str, Any]) -> bytes:
        return json.dumps({"ts": now.isoformat(), "boot": self._boot, **entry}).encode() + b"\n"

    def _write_or_count(self, lines: list[bytes], *, wanted: int) -> bool:
        try:
            self._write(b"".join(lines))
        except OSError as error:
            self._missing += wanted
            self.failure = f"{self._path} cannot be written, {self._missing} lines are missing: {error.strerror}"
            return False
        self._missing, self.failure = 0, None
        return True

    def _write(self, lines: bytes) -> None:
        new = not self._path.exists()
        if not new and self._path.stat().st_size + len(lines) > self._file_bytes:
            self._rotate()
            new = True
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o640)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):  # a pipe that nobody reads would hold up the node
                raise OSError(errno.EINVAL, "it is no file but a pipe or device; move it away")
            size = found.st_size
            if (
                size and os.pread(descriptor, 1, size - 1) != b"\n"
            ):  # a power cut or a full disk broke the last line off
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync(self._path.parent)

    def _rotate(self) -> None:
        """Make the file the newest of the old ones; the oldest goes."""
        older = (self._path.with_suffix(f".{number}.jsonl") for number in range(1, self._old_files + 1))
        files = [self._path, *older]
        for target, newer in zip(files[:0:-1], files[-2::-1], strict=True):
            if newer.exists():
                newer.replace(target)


def _short(name: str | None) -> str | None:
    return None if name is None else name[:MAX_NAME]
