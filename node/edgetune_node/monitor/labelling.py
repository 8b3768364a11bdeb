"""Remembers what the stream has just said, and makes recordings of it: labelled (``cmd/label``) or to be labelled."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.contract import NOVEL
from edgetune_node.errors import Refused
from edgetune_node.events import LabelNovel, SaveRecording
from edgetune_signal import Recording, held_out_start, window_quality
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import LabelCommand
    from edgetune_node.monitor.asset import Asset
    from edgetune_node.monitor.novelty import Span
    from edgetune_signal import Chunk
    from edgetune_signal.stream import Samples

UNUSABLE = frozenset({"nan", "flat"})
RATE = frozenset({RATE_OFF})
RECENT_S = 10.0
SET_NS = 2_000_000_000
"""A time stamp that is off by more from the one before comes of a clock that was set."""


class Recent:
    """The chunks of the last ten seconds without a gap, at ``rate_hz`` samples a second.

    Where the clock is set, the time stamps of those before are moved with it, so that they stay one stretch.

    Attributes
    ----------
    moved_ns
        By how much they were moved by the last `push`; 0 mostly.
    """

    def __init__(self, rate_hz: float) -> None:
        self.moved_ns = 0
        self._rate_hz = rate_hz
        self._wanted = RECENT_S * rate_hz
        self._chunks: deque[Chunk] = deque()
        self._samples = 0

    @property
    def chunks(self) -> list[Chunk]:
        """Oldest first."""
        return list(self._chunks)

    def push(self, chunk: Chunk) -> bool:
        """Process a chunk, and forget what is too old; return whether nothing of before is left.

        The cost does not grow with what is remembered.
        """
        if chunk.gap or (self._chunks and chunk.sequence != self._chunks[-1].sequence + 1):
            self._chunks.clear()
            self._samples = 0
        self.moved_ns = self._off_ns(chunk)
        if self.moved_ns:
            self._chunks = deque(replace(each, time_ns=each.time_ns + self.moved_ns) for each in self._chunks)
        self._chunks.append(chunk)
        self._samples += chunk.samples.shape[1]
        while self._samples - self._chunks[0].samples.shape[1] >= self._wanted:
            self._samples -= self._chunks.popleft().samples.shape[1]
        return len(self._chunks) == 1

    def forget(self) -> None:
        """Forget all samples."""
        self._chunks.clear()
        self._samples = 0
        self.moved_ns = 0

    def _off_ns(self, chunk: Chunk) -> int:
        if not self._chunks:
            return 0
        last = self._chunks[-1]
        off_ns = chunk.time_ns - last.time_ns - round(last.samples.shape[1] / self._rate_hz * 1e9)
        return off_ns if abs(off_ns) > SET_NS else 0


def labelled(
    command: LabelCommand,
    asset: Asset,
    *,
    subject: str,
    condition: str,
    named: frozenset[str],
) -> LabelNovel | SaveRecording:
    """Return what shall be done so that samples of the past have a label, or raise `Refused`.

    ``named`` are the events that a label made recordings of: another label moves them.
    """
    settings = asset.settings
    if command.event is not None:
        asset.novelty.check_kept(command.event, named)
        return LabelNovel(settings.id, command.id, command.event, command.label)
    found = recent_recording(
        asset.recent.chunks,
        settings,
        command.seconds or 0.0,
        label=command.label,
        group=f"label-{command.id}",
        subject=subject,
        condition=condition,
        shaft_rpm=asset.context.shaft_rpm,
    )
    return SaveRecording(settings.id, command.id, found)


def recent_recording(
    chunks: Sequence[Chunk],
    settings: AssetSection,
    seconds: float,
    *,
    label: str,
    group: str,
    subject: str,
    condition: str,
    shaft_rpm: float | None,
) -> Recording:
    """Return the last ``seconds`` of ``chunks``, which have no gap, as a recording, or raise `Refused`."""
    wanted = round(seconds * settings.rate_hz)
    if wanted < settings.window.length:
        shortest = settings.window.length / settings.rate_hz
        raise Refused(f"seconds: {seconds:g} is shorter than one window ({shortest:g} s)")
    have = sum(chunk.samples.shape[1] for chunk in chunks)
    if have < wanted:
        raise Refused(f"only {have / settings.rate_hz:.2f} s of the stream are at hand without a gap")
    kept = np.concatenate([chunk.samples for chunk in chunks], axis=1)[:, have - wanted :]
    bad = UNUSABLE & set(window_quality(kept, settings.clip_level)) | RATE & {*chunks[-1].quality}
    if bad:
        raise Refused(f"the samples are unusable: {', '.join(sorted(bad))}")
    last = chunks[-1]
    end_ns = last.time_ns + round(last.samples.shape[1] / settings.rate_hz * 1e9)
    start_ns = end_ns - round(wanted / settings.rate_hz * 1e9)
    return _recording(kept, settings, start_ns, label, group, subject, condition, shaft_rpm)


def novel_recording(
    chunks: Sequence[Chunk],
    settings: AssetSection,
    span: Span,
    *,
    subject: str,
    condition: str,
    shaft_rpm: float | None,
) -> Recording | None:
    """Return what ``chunks`` hold of ``span`` as a recording; None where that is less than a window.

    What of it is held out for testing is decided here, for ever. Recordings of one event are never split.
    """
    if not chunks:
        return None
    samples = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    heard_ns = chunks[0].time_ns
    start = max(0, round((span.start_ns - heard_ns) * settings.rate_hz / 1e9))
    end = min(samples.shape[1], round((span.end_ns - heard_ns) * settings.rate_hz / 1e9) + 1)
    if end - start < settings.window.length:
        return None
    start_ns = heard_ns + round(start / settings.rate_hz * 1e9)
    group = f"{NOVEL}-{span.event}"
    return _recording(samples[:, start:end], settings, start_ns, NOVEL, group, subject, condition, shaft_rpm)


def _recording(
    samples: Samples,
    settings: AssetSection,
    start_ns: int,
    label: str,
    group: str,
    subject: str,
    condition: str,
    shaft_rpm: float | None,
) -> Recording:
    return Recording(
        samples=samples,
        rate_hz=settings.rate_hz,
        label=label,
        unit=settings.unit,
        time_ns=start_ns,
        sensor=settings.sensor,
        subject=subject,
        condition=condition,
        group=group,
        held_out_from=held_out_start(samples.shape[1], 0, 1),
        shaft_rpm=shaft_rpm,
    )
