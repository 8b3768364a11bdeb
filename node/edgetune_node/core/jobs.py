"""The jobs of one asset: which one runs, what it wants done, and how each command ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from edgetune_node.calibration import inputs as cal
from edgetune_node.contract import (
    Acknowledge,
    Cancel,
    Command,
    Continue,
    Deploy,
    Forget,
    LabelCommand,
    Profile,
    Recalibrate,
    Record,
    Response,
    Rollback,
    Shelve,
)
from edgetune_node.core.job_start import begin, stored_under, with_rest
from edgetune_node.core.phase import WHILE_CALIBRATING
from edgetune_node.core.resumption import Collected, JobNote, newcomer
from edgetune_node.core.status import StatusReporter
from edgetune_node.errors import Refused
from edgetune_node.events import (
    Answer,
    CancelSearch,
    Effect,
    FinishCommand,
    ForgetPerson,
    Install,
    KeepNovel,
    ModelReady,
    NoteCommand,
    NovelChanged,
    Origin,
    PersonForgotten,
    RecordingSaved,
    Stored,
)
from edgetune_node.monitor import labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.worker import SearchEvent
    from edgetune_node.calibration import Calibration
    from edgetune_node.contract import Reply
    from edgetune_node.events import Publish, Publisher
    from edgetune_node.monitor import Asset
    from edgetune_signal import Chunk


SEARCHING = ("recalibrate", "profile")
"""Commands that may end with a search."""
RESUMED = "resumed after a restart"


class AssetJobs:
    """Runs at most one job (a calibration, a recording, a model change) of one asset.

    Parameters
    ----------
    asset
        What listens; gets the new model.
    publisher
        Stamps messages.
    stored
        Gives what is stored of the asset.
    """

    def __init__(self, asset: Asset, publisher: Publisher, stored: Callable[[], Stored]) -> None:
        self.asset = asset
        self._publisher = publisher
        self._stored = stored
        self._calibration: Calibration | None = None
        self._origin: Origin | None = None
        self._condition = asset.settings.condition
        self._job_note = JobNote()
        self._label_job: LabelCommand | None = None
        self._note = ""
        self._passed_over: tuple[str, ...] = ()
        self._status = StatusReporter(asset, publisher)
        self._last_reported = ""

    @property
    def job(self) -> str | None:
        """Command id of the running job."""
        return None if self._origin is None else self._origin.command_id

    @property
    def condition(self) -> str:
        """What else is marked on recordings: load, speed, day."""
        return self._condition

    # ---- commands ----------------------------------------------------------------------------------------------

    def command(self, command: Command, origin: Origin) -> tuple[Answer, list[Effect]]:
        """Carry out, start or refuse a command."""
        try:
            return self._command(command, origin)
        except Refused as refused:
            return Answer("rejected", str(refused)), []

    def _command(self, command: Command, origin: Origin) -> tuple[Answer, list[Effect]]:
        match command:
            case Continue():
                return self._continue()
            case Cancel():
                return self._cancel()
            case Acknowledge() | Shelve():
                return self._about_fault(command)
            case Profile():
                return self._profile(command, origin)
        self._check_free()
        self._note = ""
        match command:
            case Recalibrate() | Record():
                self._start(command, origin, self._marked(origin))
                return Answer("accepted", final=False), []
            case Rollback():
                return self._change(origin, Install(self.asset.settings.id, command.id, "rollback"))
            case Deploy(model=name, point=point):
                return self._change(origin, Install(self.asset.settings.id, command.id, "deploy", None, name, point))
            case LabelCommand():
                return self._label(command, origin)
            case Forget():
                return Answer("accepted", final=False), self._forget(command, origin, self._marked(origin))
        raise Refused(f"an asset does not know {origin.name}")

    def remark(self, reason: str) -> None:
        """Show ``reason`` in the asset's state until the next job."""
        self._note = reason

    @property
    def job_note(self) -> bytes:
        """What a restart must know of the running job."""
        return b"" if self._origin is None else self._job_note.json_bytes()

    def take_up(self, name: str, command: Recalibrate | Forget, note: JobNote) -> list[Effect]:
        """Resume the job of a command called ``name``, that a restart interrupted, or raise `Refused`."""
        if isinstance(command, Forget):
            origin = Origin(name, command.id, note.response_topic, note.correlation)
            return [*self._respond(origin, "progress", RESUMED, {}), *self._forget(command, origin, note)]
        files = {path.name: path for path in self._stored().files}
        gone = [name for name in note.recordings if name not in files]
        if gone:
            raise Refused(
                f"interrupted by a restart, and {', '.join(gone)} can no longer be read; send it again under a new id"
            )
        origin = Origin(name, command.id, note.response_topic, note.correlation)
        note = note.model_copy(update={"resumptions": note.resumptions + 1})
        try:
            self._start(command, origin, note, note.collected(files))
        except Refused as refused:
            raise Refused(f"interrupted by a restart, and it cannot continue: {refused}") from refused
        kept = NoteCommand(self.asset.settings.id, command.id, self.job_note)
        told = self._respond(origin, "progress", RESUMED, {"stored_takes": len(note.recordings)})
        return [kept, *told, *self.tick()]

    # ---- what happens to a job ---------------------------------------------------------------------------------

    def samples(self, chunk: Chunk) -> list[Effect]:
        """Let a running take have the samples, and keep what is to be kept of the unknown among them."""
        asset = self.asset
        effects = self._feed(cal.Samples(chunk, asset.context.shaft_rpm, asset.paused))
        if self._calibration is not None and self._calibration.phase == "recording":
            asset.recorded(chunk)
        stretches = asset.novel_stretches(**self._marks)
        return [*effects, *(KeepNovel(asset.settings.id, *stretch) for stretch in stretches)]

    def tick(self) -> list[Effect]:
        """Let time pass."""
        return self._feed(cal.Ticked())

    def searched(self, job: str, event: SearchEvent) -> list[Effect]:
        """Pass on what the search reports."""
        return self._feed(event) if job == self.job else []

    def queued(self) -> list[Effect]:
        """Record that another asset's search runs first."""
        return self._feed(cal.SearchQueued())

    def saved(self, event: RecordingSaved | NovelChanged) -> list[Effect]:
        """Go on after a recording was written, or could not be."""
        if isinstance(event, NovelChanged):
            return self._novel_changed(event)
        if event.job != self.job or self._origin is None:
            return []
        if self._calibration is not None:
            noted = [] if event.path is None else self._noted(event.path.name, pause=event.pause)
            return [*noted, *self._feed(event)]
        if event.path is None:
            return self._finish("failed", event.error or "", {})
        reason, detail = stored_under(self._label_job, (event.path.name,), self._stored())
        return self._finish("done", reason, {"recording": event.path.name, **detail})

    def model_ready(self, event: ModelReady) -> list[Effect]:
        """Go on after a model change; a new model classifies from the next window on."""
        effects: list[Effect] = []
        classes = () if self.asset.bundle is None else tuple(self.asset.bundle.card.classes)
        if event.subject is not None:
            effects += self.asset.wear(event.subject, event.bundle, event.previous)
        elif event.bundle is not None:
            effects += self.asset.swap(event.bundle, event.previous)
        if event.job != self.job or self._origin is None:
            return effects
        if event.subject is not None and event.bundle is None:
            return effects + self._welcome(self._origin, classes)
        if self._calibration is not None:
            return effects + self._feed(event)
        if event.bundle is None:
            return effects + self._finish("failed", event.error or "", {})
        return effects + self._finish("done", "", {"model": event.bundle.card.id, **self._marks})

    def forgotten(self, event: PersonForgotten) -> list[Effect]:
        """Go on after a person was erased, with the model of the one who wears the sensor now."""
        effects = [] if event.model is None else self.model_ready(event.model)
        if event.job != self.job:
            return effects
        if event.error is not None:
            return [*effects, *self._finish("failed", event.error, {})]
        erased = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in event.erased.items() if count)
        detail = {"erased": dict(event.erased), "warnings": list(event.remains)}
        reason = f"erased: {erased}" if erased else "nothing was kept of this person"
        return [*effects, *self._finish("done", reason, detail)]

    def broke(self, job: str, reason: str) -> list[Effect]:
        """End a job that a defect of ours would else leave running for ever."""
        if self._origin is None or job != self.job:
            return []
        return [CancelSearch(self.asset.settings.id, job), *self._finish("failed", reason, {})]

    # ---- what it says ------------------------------------------------------------------------------------------

    def state(self, *, always: bool = False) -> list[Effect]:
        """State of the asset, where it changed since it was last said."""
        phase = None if self._calibration is None else self._calibration.phase
        return list(self._status.state(phase, self._origin, self._note, always=always))

    def progress(self, *, always: bool = False) -> list[Effect]:
        """Return the state of the calibration, and whether one is suggested."""
        now = self._publisher.clock.monotonic()
        view = None if self._calibration is None else self._calibration.view(now)
        return list(self._status.calibration(view, now, always=always))

    # ---- inside ------------------------------------------------------------------------------------------------

    def _start(
        self, command: Recalibrate | Record, origin: Origin, note: JobNote, collected: Collected | None = None
    ) -> None:
        """Accept a job, or raise `Refused`; its first `tick` sets it going, after the answer has been given."""
        found = self._stored()
        self._passed_over = found.passed_over
        note = with_rest(note, command, self.asset.settings, found) if collected is None else note
        self._calibration = begin(command, self.asset, found, note, collected, self._publisher.clock.monotonic())
        self._origin, self._job_note = origin, note
        self._last_reported = ""

    @property
    def _marks(self) -> dict[str, str]:
        """What recordings are marked with."""
        return {"subject": self.asset.subject, "condition": self._condition}

    def _marked(self, origin: Origin) -> JobNote:
        return JobNote(
            response_topic=origin.response_topic,
            correlation=origin.correlation,
            subject=self.asset.subject,
            condition=self._condition,
        )

    def _change(self, origin: Origin, install: Install) -> tuple[Answer, list[Effect]]:
        self._origin, self._job_note = origin, self._marked(origin)
        return Answer("accepted", final=False), [install]

    def _noted(self, recording: str, *, pause: bool) -> list[Effect]:
        """Keep that a take is stored, so that a restart need not ask for it again."""
        self._job_note = self._job_note.also(recording, pause=pause)
        return [NoteCommand(self.asset.settings.id, self.job or "", self.job_note)]

    def _check_free(self) -> None:
        if self._origin is not None:
            raise Refused(f"busy: {self._origin.name} {self._origin.command_id} is running; cancel it first")

    def _continue(self) -> tuple[Answer, list[Effect]]:
        if self._calibration is None:
            raise Refused("no job is running")
        self._calibration.check_request(cal.ContinueRequested())
        return Answer("done"), self._feed(cal.ContinueRequested())

    def _cancel(self) -> tuple[Answer, list[Effect]]:
        if self._origin is None:
            raise Refused("no job is running")
        if self._calibration is None:
            raise Refused(f"{self._origin.name} is too short to be cancelled")
        self._calibration.check_request(cal.CancelRequested())
        return Answer("done", detail={"job": self.job}), self._feed(cal.CancelRequested())

    def _about_fault(self, command: Acknowledge | Shelve) -> tuple[Answer, list[Effect]]:
        if isinstance(command, Shelve):
            return Answer("done", detail=self.asset.doubt_shelf(command)), list(self.asset.shelve(command))
        return Answer("done"), list(self.asset.acknowledge(command.event, command.by, command.comment))

    def _profile(self, command: Profile, origin: Origin) -> tuple[Answer, list[Effect]]:
        self._check_free()
        asset = self.asset
        self._condition = self._condition if command.condition is None else command.condition
        if command.subject is not None and asset.settings.personal and command.subject != asset.subject:
            self._note = ""
            return self._change(origin, Install(asset.settings.id, command.id, "profile", name=command.subject))
        if command.subject is not None:
            asset.rename(command.subject)
        return Answer("done", detail=dict(self._marks)), []

    def _welcome(self, origin: Origin, before: tuple[str, ...]) -> list[Effect]:
        """Calibrate a person who has no model, for the signs of the one before, or of all who are recorded."""
        settings, subject = self.asset.settings, self.asset.subject
        known = {*before} or {*self._stored().elsewhere, *self._stored().seconds}
        classes = tuple(sorted(known, key=lambda name: (name != settings.healthy_class, name)))
        if not classes:
            reason = f"{subject} has no model, and no signs are known: publish recalibrate with source live and classes"
            return self._finish("done", reason, {"model": None, **self._marks})
        note = self._marked(origin).model_copy(update={"calibrate": classes})
        try:
            self._start(newcomer(origin.command_id, classes), origin, note)
        except Refused as refused:
            return self._finish("failed", f"{subject} has no model, and cannot be calibrated: {refused}", {})
        return [NoteCommand(settings.id, origin.command_id, self.job_note), *self.tick()]

    def _label(self, command: LabelCommand, origin: Origin) -> tuple[Answer, list[Effect]]:
        wanted = labelled(command, self.asset, **self._marks, named=self._stored().named)
        self._label_job = command
        self._origin, self._job_note = origin, self._marked(origin)
        return Answer("accepted", final=False), [wanted]

    def _forget(self, command: Forget, origin: Origin, note: JobNote) -> list[Effect]:
        """Stop to recognise a person at once, then have them erased."""
        asset = self.asset
        if not asset.settings.personal:
            raise Refused(f"{asset.settings.id} has task {asset.settings.task}: only signs are a person's")
        self._origin, self._job_note = origin, note
        asset.trend.forget()
        ended = asset.wear(asset.settings.subject, None, None) if command.subject == asset.subject else []
        return [*ended, ForgetPerson(asset.settings.id, command.id, command.subject)]

    def _novel_changed(self, event: NovelChanged) -> list[Effect]:
        """Note which novel segments are kept; end a job that labelled some of them."""
        self.asset.novel_changed(event)
        if not event.job or event.job != self.job:
            return []
        if event.error is not None:
            return self._finish("failed", event.error, {"recordings": list(event.recordings)})
        return self._finish("done", *stored_under(self._label_job, event.recordings, self._stored(), event.seconds))

    def _feed(self, item: cal.Input) -> list[Effect]:
        calibration, origin = self._calibration, self._origin
        if calibration is None or origin is None:
            return []
        effects: list[Effect] = []
        for output in calibration.handle(item, self._publisher.clock.monotonic()):
            if isinstance(output, cal.Finished):
                ended = self.progress(always=True)
                return [*effects, *ended, *self._finish(output.status, output.reason, output.detail)]
            effects.append(output)
        phase = WHILE_CALIBRATING.get(calibration.phase)
        if phase is not None and phase != self._last_reported:
            self._last_reported = phase
            effects += self._respond(origin, "progress", phase, {})
        return effects

    def _finish(
        self, status: Literal["done", "failed", "cancelled"], reason: str, detail: dict[str, Any]
    ) -> list[Effect]:
        origin = self._origin
        if origin is None:
            return []
        if status != "done":
            self._note = f"{origin.name} {status}: {reason}"
        elif origin.name in SEARCHING:
            self._note = "" if detail.get("deployed") else reason  # else it would stand beside the new model for ever
        if origin.name in SEARCHING and self._passed_over:
            detail = {**detail, "warnings": [*detail.get("warnings", []), *self._passed_over]}
        if status == "cancelled":
            status, reason = "failed", f"cancelled: {reason}" if reason else "cancelled"
        replies = self._respond(origin, status, reason, detail)
        answer = replies[0].message.json_bytes()
        self._calibration = self._origin = None
        return [*replies, FinishCommand(self.asset.settings.id, origin.name, origin.command_id, answer)]

    def _respond(self, origin: Origin, status: Reply, reason: str, detail: dict[str, Any]) -> list[Publish]:
        return self._publisher.respond(
            self.asset.settings.id,
            Response(id=origin.command_id, command=origin.name, status=status, reason=reason, detail=detail),
            response_topic=origin.response_topic,
            correlation=origin.correlation,
        )
