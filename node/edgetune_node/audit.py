"""The audit log: one line for each command that comes and for each answer to it, appended and never changed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from edgetune_node.messages import Response
from edgetune_signal.durable import sync

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from edgetune_node.events import CommandArrived, Publish
    from edgetune_node.topics import Topics

FILE_BYTES = 4 * 2**20
OLD_FILES = 3
MAX_PAYLOAD_BYTES = 4096
"""So much of a command is logged: more than any but a defective one has."""
MAX_NAME = 64
ANSWERED = ("command", "id", "status", "reason", "errors", "detail")


class AuditLog:
    """``audit.jsonl`` in a folder, and the files that it was before it grew to its bound.

    A line is on disk when its method returns. Where the disk will not take it, the node goes on: `failure` says why,
    and once a line can be written again, the one before it says how many are missing.

    Parameters
    ----------
    folder
        Where the files are.
    topics, boot
        Names of the node's topics, and of this life of the process.
    file_bytes
        Size at which a new file is begun; the three before it are kept.
    """

    def __init__(self, folder: Path, topics: Topics, boot: str, *, file_bytes: int = FILE_BYTES) -> None:
        self._path = folder / "audit.jsonl"
        self._topics = topics
        self._boot = boot
        self._file_bytes = file_bytes
        self._missing = 0
        self.failure: str | None = None

    def received(self, event: CommandArrived, now: datetime) -> None:
        """Note a command before anything is done about it, whether or not it is one."""
        self._append(
            now,
            "received",
            asset=_short(event.asset),
            command=_short(event.name),
            retained=event.retained,
            response_topic=event.response_topic,
            payload_bytes=len(event.payload),
            payload=event.payload[:MAX_PAYLOAD_BYTES].decode("utf-8", "backslashreplace"),
        )

    def published(self, effect: Publish) -> None:
        """Note an answer before it is sent; any other message is passed over, so is an answer's copy for its asker."""
        message, place = effect.message, self._topics.split(effect.topic)
        if isinstance(message, Response) and place is not None:
            self._append(
                message.ts,
                "answered",
                asset=_short(place[0]),
                **{name: value for name, value in json.loads(message.json_bytes()).items() if name in ANSWERED},
            )

    def catch_up(self, now: datetime) -> None:
        """Try again to write how many lines are missing, if any are, so that `failure` tells how things are now."""
        if self._missing:
            self._write_or_count([self._line(now, "missing", lines=self._missing)], wanted=0)

    def _append(self, now: datetime, event: str, **fields: Any) -> None:
        lines = [self._line(now, "missing", lines=self._missing)] if self._missing else []
        lines.append(self._line(now, event, **fields))
        self._write_or_count(lines, wanted=1)

    def _write_or_count(self, lines: list[bytes], *, wanted: int) -> None:
        try:
            self._write(b"".join(lines))
        except OSError as error:
            self._missing += wanted
            self.failure = f"{self._path} cannot be written, {self._missing} lines are missing: {error.strerror}"
        else:
            self._missing, self.failure = 0, None

    def _line(self, now: datetime, event: str, **fields: Any) -> bytes:
        return json.dumps({"ts": now.isoformat(), "boot": self._boot, "event": event, **fields}).encode() + b"\n"

    def _write(self, lines: bytes) -> None:
        new = not self._path.exists()
        if not new and self._path.stat().st_size + len(lines) > self._file_bytes:
            self._rotate()
            new = True
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(descriptor).st_size
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
        """Make ``audit.jsonl`` the newest of the old files; the oldest goes."""
        files = [self._path, *(self._path.with_name(f"audit.{number}.jsonl") for number in range(1, OLD_FILES + 1))]
        for older, newer in zip(files[:0:-1], files[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)


def _short(name: str | None) -> str | None:
    return None if name is None else name[:MAX_NAME]
