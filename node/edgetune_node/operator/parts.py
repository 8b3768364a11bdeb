"""Puts together answers that a node sends in parts: the waveform of ``capture``, the rows of ``history``."""

from __future__ import annotations

import time
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edgetune_node.errors import NodeError
from edgetune_node.operator.client import FINAL, NoReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_node.operator.client import OperatorClient
    from edgetune_signal import Recording

LATE_S = 5.0
"""Parts may come so long after the last answer, which goes another way through the node."""


@dataclass(slots=True)
class PartedAnswer:
    """The last answer to a command, and the parts by number."""

    final: dict[str, Any]
    parts: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def detail(self) -> dict[str, Any]:
        """``detail`` of the last answer."""
        return self.final.get("detail") or {}


@contextmanager
def readable() -> Iterator[None]:
    """Raise `NodeError` where an answer is not what a node sends: others may write to its topics, too."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise NodeError(f"an answer came that no node sends ({error!r}); who else writes to its topics?") from error


@readable()
def wait_parts(client: OperatorClient, command_id: str, *, timeout: float) -> PartedAnswer:
    """Wait for the last answer to a command and for all its parts.

    Raises
    ------
    NoReplyError
        The last answer does not come in time, or parts of it were lost.
    NodeError
        The node refuses, or fails, or an answer is not what a node sends.
    """
    answer = PartedAnswer({})
    deadline = time.monotonic() + timeout
    while not _complete(answer) and time.monotonic() < deadline:
        for topic, payload in client.messages(max(0.0, min(0.2, deadline - time.monotonic()))):
            if "/resp/" not in topic or payload.get("id") != command_id:
                continue
            detail = payload.get("detail") or {}
            if payload.get("status") in FINAL and not answer.final:
                answer.final = payload
                deadline = min(deadline, time.monotonic() + LATE_S)
            elif "part" in detail:
                answer.parts[int(detail["part"])] = detail
    if not answer.final:
        raise NoReplyError(f"the node did not answer within {timeout:g} s; is it running? (edgetune watch shows it)")
    if answer.final["status"] != "done":
        raise NodeError(str(answer.final.get("reason") or answer.final["status"]))
    if not _complete(answer):
        lost = int(answer.detail["parts"]) - len(answer.parts)
        raise NoReplyError(f"{lost} of {answer.detail['parts']} parts were lost on the way; send it again")
    return answer


@readable()
def recording_of(answer: PartedAnswer) -> Recording:
    """Return the signal of an answer to ``capture`` as a recording."""
    import numpy as np  # a server that only reads rows stays small

    from edgetune_signal import Recording

    detail = answer.detail
    channels = int(detail["channels"])
    pieces = [
        np.frombuffer(b64decode(answer.parts[number]["data"]), "<f4").reshape(-1, channels).T
        for number in sorted(answer.parts)
    ]
    return Recording(
        samples=np.ascontiguousarray(np.concatenate(pieces, axis=1), dtype=np.float32),
        rate_hz=float(detail["rate_hz"]),
        label=str(detail["class"]),
        unit=str(detail["unit"]),
        time_ns=round(datetime.fromisoformat(detail["start"]).timestamp() * 1e3) * 10**6,
        shaft_rpm=detail["shaft_rpm"],
    )


@readable()
def rows_of(answer: PartedAnswer) -> list[list[Any]]:
    """Return the rows of an answer to ``history``, in order."""
    return [row for number in sorted(answer.parts) for row in answer.parts[number]["rows"]]


def _complete(answer: PartedAnswer) -> bool:
    if not answer.final:
        return False
    return answer.final["status"] != "done" or len(answer.parts) >= int(answer.detail.get("parts", 0))
