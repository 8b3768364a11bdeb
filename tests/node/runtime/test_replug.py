"""A sensor that is pulled out and put in again, as the node's reader sees it: told, tried again, and a gap."""

from __future__ import annotations

import os
import time
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.events.events import ChunkArrived, SourceChanged
from edgetune_node.runtime.inbox import Inbox
from edgetune_node.runtime.source_thread import SourceReader

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("serial", reason="pyserial is not installed: pip install 'edgetune[serial]'")


def plugged_in(port: Path) -> int:
    end, other = os.openpty()
    tty.setraw(other)
    os.set_blocking(end, False)
    port.unlink(missing_ok=True)
    port.symlink_to(os.ttyname(other))
    os.close(other)
    return end


def events_until(inbox: Inbox, kind: type[Any], *, sending: int | None = None) -> list[Any]:
    """Gather events up to one of a kind, while lines are sent: opening a port drops what came before."""
    events: list[Any] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sending is not None:
            with suppress(BlockingIOError):
                os.write(sending, b"7\n" * 20)
        event = inbox.get(0.05)
        if event is not None:
            events.append(event)
        if isinstance(event, kind):
            return events
    pytest.fail(f"only {events} came")


def test_a_serial_port_pulled_out_is_told_and_opened_again_ever_more_patiently(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    source = {"type": "serial", "port": str(port), "format": "lines"}
    inbox = Inbox()
    reader = SourceReader(AssetSection(id="a", rate_hz=1000.0, source=source), inbox)
    reader.start()
    events_until(inbox, SourceChanged)  # there is no such port yet
    end = plugged_in(port)
    (*_, first) = events_until(inbox, ChunkArrived, sending=end)
    assert first.chunk.samples.min() == 7.0
    port.unlink()
    os.close(end)
    (*_, unplugged) = events_until(inbox, SourceChanged)
    assert "was unplugged" in str(unplugged.error)
    (absent,) = events_until(inbox, SourceChanged)
    assert "cannot be opened: there is none of that name" in str(absent.error)
    end = plugged_in(port)
    *before, again = events_until(inbox, ChunkArrived, sending=end)
    assert before[-1] == SourceChanged("a", None)
    assert again.chunk.gap
    reader.stop()
    reader.join(30)
    os.close(end)
