"""Lists an asset's recordings: what fits the stream, what is left out and why, what is doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.contract import NO_CLASSES, NOVEL
from edgetune_node.events import Stored
from edgetune_node.monitor import zone_warning
from edgetune_signal import RecordingError, read_recording

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.config import AssetSection
    from edgetune_signal import RecordingInfo, RecordingStore


def list_recordings(store: RecordingStore, section: AssetSection, subject: str) -> Stored:
    """List the recordings of a store, for signs those that are ``subject``'s.

    Of healthy recordings of a machine whose zone limits are known, read the samples too.
    """
    seconds: dict[str, float] = {}
    passed_over: list[str] = []
    files: list[Path] = []
    doubts: list[str] = []
    elsewhere: set[str] = set()
    named: set[str] = set()
    for info in store.list():
        if info.group.startswith(f"{NOVEL}-"):
            named.add(info.group.removeprefix(f"{NOVEL}-"))
        reason = misfit(info, section)
        if info.label in NO_CLASSES:
            reason = f"{info.path.name} is left out: nothing can be called {info.label}; store it under another label"
        if reason is not None:
            passed_over.append(reason)
            continue
        if not is_of(info, section, subject):
            elsewhere.add(info.label)
            continue
        if info.label == section.healthy_class and section.machine.machine.zone_limits_mm_s is not None:
            try:
                doubt = zone_warning(read_recording(info.path), section)
            except RecordingError as error:
                passed_over.append(f"{info.path.name} is left out: {error}")
                continue
            if doubt is not None:
                doubts.append(f"{info.path.name}: {doubt}; remove the file, or send accept_zone: true")
        seconds[info.label] = seconds.get(info.label, 0.0) + info.seconds
        files.append(info.path)
    passed_over += [f"{broken.name} is left out: {broken.reason}" for broken in store.broken]
    return Stored(seconds, tuple(passed_over), tuple(files), tuple(doubts), frozenset(elsewhere), frozenset(named))


def misfit(info: RecordingInfo, section: AssetSection) -> str | None:
    """Why a stored recording is not of the asset's stream; None where it is."""
    found = {"channels": info.channels, "rate_hz": info.rate_hz, "unit": info.unit}
    wrong = [f"{name} is {value}" for name, value in found.items() if value != getattr(section, name)]
    return f"{info.path.name} ({info.label}) is left out: {', '.join(wrong)}" if wrong else None


def is_of(info: RecordingInfo, section: AssetSection, subject: str) -> bool:
    """Whether a recording is ``subject``'s; what names nobody is of the configured person, and a machine is one."""
    return not section.personal or (info.subject or section.subject) == subject
