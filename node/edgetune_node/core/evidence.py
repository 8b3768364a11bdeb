"""What an asset keeps to be looked at later: signals around its faults, its trend; and the commands that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.contract import CaptureCommand, History
from edgetune_node.core.parted import PartedReplies, row_parts, signal_detail, signal_parts
from edgetune_node.core.resumption import JobNote
from edgetune_node.errors import Refused
from edgetune_node.events import (
    Answer,
    Durability,
    EvidenceKept,
    EvidenceRead,
    HeardKept,
    KeepEvidence,
    KeepHeard,
    KeepTrend,
    ReadEvidence,
    ReadTrend,
    TrendKept,
    TrendRead,
)
from edgetune_node.monitor import KEEP_S, TREND_FIGURES, CaptureRecorder

if TYPE_CHECKING:
    from edgetune_node.contract import Command
    from edgetune_node.events import Effect, Origin, Publisher
    from edgetune_node.monitor import Asset, Restored
    from edgetune_signal import Chunk

END_OF_TIME_S = 253_402_300_799.0
"""The year 9999."""
SILENT_S = 30.0
"""A signal that waits for samples ends when none has come for so long: the fault may have torn the cable off."""


class AssetEvidence:
    """Keeps and gives away the evidence of one asset.

    Parameters
    ----------
    asset
        What listens.
    publisher
        Stamps messages.
    restored
        What was said last before the node stopped.
    """

    def __init__(self, asset: Asset, publisher: Publisher, restored: Restored | None) -> None:
        self._asset = asset
        self._id = asset.settings.id
        self._publisher = publisher
        alarm = None if restored is None else restored.alarm
        active = alarm is not None and alarm.active
        self._captures = (
            CaptureRecorder(asset.settings, alarm.event, alarm.severity)
            if active and alarm is not None
            else CaptureRecorder(asset.settings)
        )
        self._replies = PartedReplies(self._id, publisher)
        self._wanted_samples: dict[str, bool] = {}
        self._samples_s = publisher.clock.monotonic()
        self._wearer = asset.subject
        self._problem: str | None = None
        self._trend_problem: str | None = None
        self._heard_problem = None if restored is None else restored.problem
        self._heard = None if restored is None else restored.heard
        self._heard_s = publisher.clock.monotonic()

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be kept, for ``health``."""
        skipped = self._captures.skipped
        told = f"{skipped} signals of faults were not kept: too many came one after the other" if skipped else None
        return tuple(problem for problem in (self._problem, self._trend_problem, self._heard_problem, told) if problem)

    # ---- samples and time --------------------------------------------------------------------------------------

    def samples(self, chunk: Chunk, published: list[Effect], condition: str) -> list[Effect]:
        """Count samples, and what was published of them; keep what is complete."""
        self._samples_s = self._publisher.clock.monotonic()
        ended = self._of_one_before(condition)
        self._captures.push(chunk)
        self._captures.faults(published, lambda: self._asset.recent.chunks, self._samples_s)
        self._asset.trend.hear(published)
        rows = self._asset.trend.take()
        return [*ended, *self._complete(condition), *([KeepTrend(self._id, rows)] if rows else [])]

    def tick(self, condition: str) -> list[Effect]:
        """Send the next parts of the answers that are under way; keep what is learned of health now and then."""
        silent = self._captures.waiting and self._publisher.clock.monotonic() - self._samples_s >= SILENT_S
        if silent:
            self._captures.end()
        return [*self._replies.tick(), *self._keep_heard(), *(self._complete(condition) if silent else [])]

    def stop(self, condition: str) -> list[Effect]:
        """Keep what there is: the node ends."""
        self._captures.end()
        rows = self._asset.trend.take(all_of_them=True)
        trend = [KeepTrend(self._id, rows, ending=True)] if rows else []
        return [*self._complete(condition), *trend, *self._keep_heard(ending=True)]

    # ---- commands ----------------------------------------------------------------------------------------------

    def command(self, command: Command, origin: Origin, condition: str) -> tuple[Answer, list[Effect]]:
        """Begin the answer to ``cmd/capture`` or ``cmd/history``."""
        try:
            return self._command(command, origin, condition)
        except Refused as refused:
            return Answer("rejected", str(refused)), []

    def _command(self, command: Command, origin: Origin, condition: str) -> tuple[Answer, list[Effect]]:
        if isinstance(command, CaptureCommand):
            self._replies.open(origin)
            if command.event is not None:
                read = ReadEvidence(self._id, command.id, command.event, command.number)
                self._wanted_samples[command.id] = command.samples
                return Answer("accepted", final=False), [read]
            try:
                self._captures.ask(command.id, command.before_s, command.after_s, self._asset.recent.chunks)
            except Refused:
                self._replies.withdraw(command.id)
                raise
            self._wanted_samples[command.id] = command.samples
            return Answer("accepted", final=False), self._complete(condition)
        if isinstance(command, History):
            self._replies.open(origin)
            since_s = 0.0 if command.from_ is None else command.from_.timestamp()
            until_s = END_OF_TIME_S if command.to is None else command.to.timestamp()
            figures = tuple(name for name in TREND_FIGURES if not command.figures or name in command.figures)
            pending = self._asset.trend.pending
            return Answer("accepted", final=False), [
                ReadTrend(self._id, command.id, since_s, until_s, command.step, figures, pending)
            ]
        raise Refused(f"an asset does not know {origin.name}")

    @staticmethod
    def note(origin: Origin) -> bytes:
        """Return what a restart must know of an answer that is under way."""
        return JobNote(response_topic=origin.response_topic, correlation=origin.correlation).json_bytes()

    def forget(self, subject: str) -> list[Effect]:
        """Drop the signals of a person that still wait for samples; the commands that asked for them fail."""
        if subject != self._wearer:
            return []
        dropped = self._captures.drop()
        return [effect for job in dropped for effect in self.broke(job, "whose signal this is was forgotten meanwhile")]

    # ---- what came of it ---------------------------------------------------------------------------------------

    def handle(self, event: EvidenceKept | EvidenceRead | TrendKept | TrendRead | HeardKept) -> list[Effect]:
        """Go on after something was written or read, or could not be."""
        match event:
            case TrendKept():
                self._trend_problem = event.error and f"the trend cannot be kept: {event.error}"
            case HeardKept():
                self._heard_problem = event.error and f"what is learned of health cannot be kept: {event.error}"
            case EvidenceKept():
                return self._kept(event)
            case EvidenceRead():
                return self._read(event)
            case TrendRead():
                return self._history(event)
        return []

    def broke(self, job: str, reason: str) -> list[Effect]:
        """End an answer that a defect of ours would else leave under way for ever."""
        self._wanted_samples.pop(job, None)
        return self._replies.fail(job, reason)

    def _kept(self, event: EvidenceKept) -> list[Effect]:
        job = event.wanted.job
        if event.spectrum is None:
            self._problem = f"a signal cannot be kept: {event.error}"
            return self.broke(job, event.error or "")
        self._problem = None
        effects: list[Effect] = [self._publisher.publish(event.spectrum, self._id, Durability.TELEMETRY)]
        if job in self._replies:
            effects.append(ReadEvidence(self._id, job, event.wanted.event))
        return effects

    def _read(self, event: EvidenceRead) -> list[Effect]:
        if event.signal is None:
            return self.broke(event.job, event.error or "")
        with_samples = self._wanted_samples.pop(event.job, True)
        parts, count = signal_parts(event.signal) if with_samples else (iter(()), 0)
        detail: dict[str, Any] = {**signal_detail(event.signal), "parts": count, "kept": event.count}
        self._replies.send(event.job, parts, detail)
        return []

    def _history(self, event: TrendRead) -> list[Effect]:
        if event.step is None:
            return self.broke(event.job, event.error or "")
        columns = ["time", *event.figures]
        parts, count = row_parts(columns, event.rows)
        detail = {"step": event.step, "columns": columns, "rows": len(event.rows), "parts": count}
        self._replies.send(event.job, parts, detail)
        return []

    def _keep_heard(self, *, ending: bool = False) -> list[Effect]:
        now_s = self._publisher.clock.monotonic()
        if not ending and now_s - self._heard_s < KEEP_S:
            return []
        self._heard_s = now_s
        heard = self._asset.learned()
        if heard is None or heard == self._heard:
            return []
        self._heard = heard
        return [KeepHeard(self._id, heard.model_dump_json().encode(), ending=ending)]

    def _of_one_before(self, condition: str) -> list[Effect]:
        """End what waits for samples where another person wears the sensor by now: no signal is of two people."""
        if self._asset.subject == self._wearer:
            return []
        if self._asset.settings.personal:
            self._captures.end()
        ended = self._complete(condition)
        self._wearer = self._asset.subject
        return ended

    def _complete(self, condition: str) -> list[Effect]:
        asset = self._asset
        empty = [effect for job in self._captures.take_empty() for effect in self.broke(job, "no samples came")]
        return empty + [
            KeepEvidence(
                self._id, each.wanted, each.chunks, each.samples, asset.context.shaft_rpm, self._wearer, condition
            )
            for each in self._captures.take()
        ]
