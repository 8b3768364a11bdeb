"""An outbox, with a clock in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manual_clock import Counted

from edgetune_node.mqtt.outbox import CLOCK_SET_NS, Outbox

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400.0
DAY_NS = 86_400 * 10**9
NOW_NS = CLOCK_SET_NS + 2000 * DAY_NS


def open_outbox(path: Path, *, max_bytes: int = 10**6, max_age_s: float = DAY_S, clock: Any = None) -> Outbox:
    return Outbox(path, max_bytes=max_bytes, max_age_s=max_age_s, clock=clock or Counted(NOW_NS))


def put(outbox: Outbox, topic: str = "n/a/state", payload: bytes = b"{}", *, retain: bool = False) -> int:
    return outbox.put(topic, payload, qos=1, retain=retain, correlation=None, boot="b")


def payloads(outbox: Outbox) -> list[bytes]:
    return [entry.payload for entry in outbox.pending()]


def fill_disk(outbox: Outbox) -> None:
    with outbox._file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
