"""Long answers to commands, in parts that a broker takes, a few of them every tick."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgetune_node.clock import from_ns
from edgetune_node.contract import Response, iso
from edgetune_node.errors import Refused
from edgetune_node.events import Durability, FinishCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_node.contract import Reply
    from edgetune_node.events import Effect, KeptSignal, Origin, Publisher, TrendRow

PART_BYTES: Final = 45_000
"""Bytes of samples in a part: as text with all that is around them less than 64 KiB."""
PART_ROWS: Final = 300
PARTS_A_TICK: Final = 4
"""With four ticks a second 1 MB/s at most."""
MOST_OPEN: Final = 4
ENCODING: Final = "float32 little-endian, channel by channel within each sample, base64"


@dataclass(slots=True)
class _Open:
    origin: Origin
    parts: Iterator[dict[str, Any]] | None = None
    done: dict[str, Any] | None = None


class PartedReplies:
    """The answers of one asset that are under way.

    Parts are not kept on disk: while the broker is away they are lost, and the last answer, which is kept, says how
    many there were.

    Parameters
    ----------
    asset
        Its name.
    publisher
        Stamps messages.
    """

    def __init__(self, asset: str, publisher: Publisher) -> None:
        self._asset = asset
        self._publisher = publisher
        self._open: dict[str, _Open] = {}
        self._queue: deque[_Open] = deque()

    def open(self, origin: Origin) -> None:
        """Begin an answer, or raise `Refused` where too many are under way."""
        if len(self._open) >= MOST_OPEN:
            raise Refused(
                f"busy: {MOST_OPEN} answers of capture and history are under way; send it again when they have ended"
            )
        self._open[origin.command_id] = _Open(origin)

    def withdraw(self, job: str) -> None:
        """Forget an answer that was begun and is refused after all."""
        self._open.pop(job, None)

    def __contains__(self, job: str) -> bool:
        """Whether the answer to the command of this id is under way."""
        return job in self._open

    def send(self, job: str, parts: Iterator[dict[str, Any]], done: dict[str, Any]) -> None:
        """Send the parts from the next `tick` on, and after them the last answer with ``done``."""
        answer = self._open.get(job)
        if answer is not None:
            answer.parts, answer.done = parts, done
            self._queue.append(answer)

    def fail(self, job: str, reason: str) -> list[Effect]:
        """End an answer with a failure."""
        answer = self._open.pop(job, None)
        if answer is None:
            return []
        self._queue = deque(each for each in self._queue if each is not answer)
        return self._finish(answer.origin, "failed", reason, {})

    def tick(self) -> list[Effect]:
        """Return the next parts, or the last answer once every part has been sent."""
        if not self._queue:
            return []
        answer = self._queue[0]
        effects: list[Effect] = []
        for _ in range(PARTS_A_TICK):
            part = None if answer.parts is None else next(answer.parts, None)
            if part is None:
                break
            effects += self._respond(answer.origin, "progress", "", part, Durability.TELEMETRY)
        if effects:
            return effects
        self._queue.popleft()
        del self._open[answer.origin.command_id]
        return self._finish(answer.origin, "done", "", answer.done or {})

    def _finish(self, origin: Origin, status: Reply, reason: str, detail: dict[str, Any]) -> list[Effect]:
        replies = self._respond(origin, status, reason, detail, Durability.RARE)
        answer = replies[0].message.json_bytes()  # type: ignore[union-attr]
        return [*replies, FinishCommand(self._asset, origin.name, origin.command_id, answer)]

    def _respond(
        self, origin: Origin, status: Reply, reason: str, detail: dict[str, Any], durability: Durability
    ) -> list[Effect]:
        return list(
            self._publisher.respond(
                self._asset,
                Response(id=origin.command_id, command=origin.name, status=status, reason=reason, detail=detail),
                response_topic=origin.response_topic,
                correlation=origin.correlation,
                durability=durability,
            )
        )


def signal_parts(signal: KeptSignal) -> tuple[Iterator[dict[str, Any]], int]:
    """Return the parts of a signal's waveform, and how many there are."""
    samples = signal.recording.samples
    a_part = max(1, PART_BYTES // (4 * samples.shape[0]))
    starts = range(0, samples.shape[1], a_part)

    def parts() -> Iterator[dict[str, Any]]:
        for number, start in enumerate(starts):
            piece = samples[:, start : start + a_part]
            data = b64encode(piece.T.astype("<f4").tobytes()).decode()
            yield {"part": number, "parts": len(starts), "first": start, "samples": piece.shape[1], "data": data}

    return parts(), len(starts)


def signal_detail(signal: KeptSignal) -> dict[str, Any]:
    """Return what is to be known of a signal besides its waveform."""
    recording = signal.recording
    return {
        "number": signal.number,
        "reason": signal.reason,
        "severity": signal.severity,
        "class": recording.label,
        "start": iso(from_ns(recording.time_ns)),
        "rate_hz": recording.rate_hz,
        "channels": int(recording.samples.shape[0]),
        "samples": int(recording.samples.shape[1]),
        "unit": recording.unit,
        "shaft_rpm": recording.shaft_rpm,
        "encoding": ENCODING,
    }


def row_parts(columns: list[str], rows: tuple[TrendRow, ...]) -> tuple[Iterator[dict[str, Any]], int]:
    """Return the parts of a history, and how many there are."""
    starts = range(0, len(rows), PART_ROWS)

    def parts() -> Iterator[dict[str, Any]]:
        for number, start in enumerate(starts):
            piece = [[iso(from_ns(round(at * 1e9))), *means] for at, means in rows[start : start + PART_ROWS]]
            yield {"part": number, "parts": len(starts), "columns": columns, "rows": piece}

    return parts(), len(starts)
