"""The course of one job on one asset, from the first take to the new model, as a state machine without any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from edgetune_nas.card import Budget
from edgetune_nas.search import SearchProgress
from edgetune_nas.worker import SearchDone, SearchFailed
from edgetune_node.calibration.inputs import (
    CancelRequested,
    ContinueRequested,
    Finished,
    SearchQueued,
)
from edgetune_node.calibration.instructions import Situation, instruction
from edgetune_node.calibration.rules import chance_warning, decide_deployment, reasons_against
from edgetune_node.calibration.takes import GuidedCollection, plan
from edgetune_node.contract import CalibrationStatus, Recalibrate, Record
from edgetune_node.errors import Refused
from edgetune_node.events import CancelSearch, Install, ModelReady, SaveRecording, StartSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edgetune_nas.card import Task
    from edgetune_node.calibration.inputs import Input, Output
    from edgetune_node.contract import CalibrationPhase
    from edgetune_signal import Recording
    from edgetune_signal.stream import StreamSpec

DEPLOY_S = 2.0
"""What installing a model is expected to take; only the percentage and the ETA use it."""
COLLECTING = ("waiting", "countdown", "recording", "saving")
TIMED = ("countdown", "recording")
ENDED = ("done", "failed", "cancelled")


class Calibration:
    """One ``recalibrate`` or ``record`` job.

    It is told what happens (`handle`) and returns the effects that it wants; it ends with exactly one `Finished`, after
    which it answers nothing any more. It wants nothing before the first `handle`, so send it `Ticked` at once.

    Parameters
    ----------
    job
        The command's id.
    command
        What was asked for.
    asset, task
        Whose job it is, for the instructions.
    spec
        The stream that is recorded.
    window
        Samples per window.
    default_budget
        Budget of the configuration; what the command's budget does not name is taken from it.
    stored
        Seconds of stored recordings per class.
    current_model, current_classes
        Id of the model in use, None while there is none, and what it knows.
    subject, condition, sensor
        What recordings are marked with.
    rest_class
        The class that is no sign.
    rest_seconds
        Seconds of rest with slight movements that are recorded after the takes; 0 for none.
    clip_level
        Largest magnitude the sensor can deliver, None where it is not known.
    take_timeout_s
        So long a take waits for samples.
    collected
        Takes that were stored before a restart interrupted the job; None where it is new.
    pauses
        What was stored of the time between them.
    healthy_class
        Class of which alone a health model is made; None where there is no such model.
    doubt
        Says why a take can hardly be what its label says; None where it can.
    now
        Monotonic seconds.

    Attributes
    ----------
    job
        The command's id.
    """

    def __init__(
        self,
        job: str,
        command: Recalibrate | Record,
        *,
        asset: str,
        task: Task,
        spec: StreamSpec,
        window: int,
        default_budget: Budget,
        stored: Mapping[str, float],
        current_model: str | None,
        current_classes: Iterable[str] = (),
        subject: str = "",
        condition: str = "",
        sensor: str = "",
        rest_class: str = "rest",
        rest_seconds: float = 0.0,
        clip_level: float | None = None,
        take_timeout_s: float = 30.0,
        collected: tuple[Path, ...] | None = None,
        pauses: tuple[Path, ...] = (),
        doubt: Callable[[Recording], str | None] = lambda _: None,
        healthy_class: str | None = None,
        now: float,
    ) -> None:
        self.job = job
        self._command = command
        self._asset = asset
        self._task = task
        self._rest_class = rest_class
        self._subject = subject
        self._current_model = current_model
        self._current_classes = tuple(current_classes)
        self._problems = reasons_against(
            command,
            stored,
            spec=spec,
            window=window,
            healthy_class=healthy_class,
            rest_class=rest_class if task == "sign" else None,
        )
        classes: tuple[str, ...]
        countdown_s: float | None
        if isinstance(command, Record):
            classes, takes, seconds, countdown_s = (command.label,), 1, command.seconds, 0.0
            self._search_s = self._deploy_s = 0.0
        else:
            classes, takes, seconds = tuple(command.classes), command.takes, command.seconds_per_take
            countdown_s = command.countdown_s if command.pace == "countdown" else None
            named = command.budget.model_dump(exclude_unset=True) if command.budget else {}
            self._budget = Budget(**{**default_budget.model_dump(), **named})
            self._search_s, self._deploy_s = self._budget.search_seconds, DEPLOY_S
        steps = plan(classes, takes, seconds, rest_class, rest_seconds)
        known = (name for name, stored_s in stored.items() if stored_s > 0)
        self._classes = tuple(sorted({*(each.class_ for each in steps), *known}))
        self._collection = GuidedCollection(
            () if self._problems else steps,
            countdown_s=countdown_s,
            retry=isinstance(command, Recalibrate),
            spec=spec,
            clip_level=clip_level,
            subject=subject,
            condition=condition,
            sensor=sensor,
            stored=collected,
            pauses=pauses,
            rest_class=rest_class if task == "sign" and isinstance(command, Recalibrate) else None,
            doubt=doubt,
            refuse_doubtful=isinstance(command, Recalibrate) and not command.accept_zone,
            timeout_s=take_timeout_s,
            now=now,
        )
        self._later: CalibrationPhase | None = None
        self._begun = False
        self._behind_another = False
        self._progress: SearchProgress | None = None
        self._progress_at = now
        self._percent = 0.0
        self._detail: dict[str, Any] = {}
        self._reason = ""

    # ---- what others see ---------------------------------------------------------------------------------------

    @property
    def phase(self) -> CalibrationPhase:
        """Where the job stands."""
        if self._later is not None:
            return self._later
        match self._collection.phase:
            case "complete" | "failed":  # not yet looked at
                return "queued"
            case phase:
                return phase

    def check_request(self, request: ContinueRequested | CancelRequested) -> None:
        """Raise `Refused` if a command of a person has no effect now."""
        if isinstance(request, ContinueRequested):
            if self.phase != "waiting":
                raise Refused(f"the job waits for nobody now, its phase is {self.phase!r}")
        elif self.phase == "deploying":
            raise Refused("the new model is being put into use already; publish cmd/rollback to go back to the old one")
        elif self.phase in ENDED:
            raise Refused(f"the job has ended ({self.phase})")

    def view(self, now: float) -> CalibrationStatus:
        """Return where the job stands; what is suggested is not in it.

        The ETA is the machine's own time; how long a person takes to get ready is not in it.
        """
        collection, search = self._collection, self._progress
        due = collection.due if self.phase in COLLECTING else None
        eta = self._eta(now)
        return CalibrationStatus(
            job=self.job,
            phase=self.phase,
            instruction=instruction(self.phase, self._scene(now)),
            percent=round(self._percent, 1),
            eta_s=None if eta is None else round(eta, 1),
            class_=None if due is None else due.class_,
            take=None if due is None else due.take + 1,
            takes=None if due is None else due.takes,
            moving=due is not None and due.moving,
            remaining_s=round(collection.left_s(now), 1) if self.phase in TIMED else None,
            refusal=None if due is None else collection.refusal,
            search_phase=None if search is None else search.phase,
            candidates=None if search is None else search.candidates,
            rejected=None if search is None else search.rejected,
            trained=None if search is None else search.trained,
            best_accuracy=None if search is None else search.best_accuracy,
            best_arena_bytes=None if search is None else search.best_arena_bytes,
        )

    # ---- transitions -------------------------------------------------------------------------------------------

    def handle(self, input_: Input, now: float) -> list[Output]:
        """Advance by what happened at ``now`` (monotonic seconds); return what is to be done, in this order.

        What does not belong to the phase is ignored: a late answer of a search that was cancelled, a second continue.
        """
        if self.phase in ENDED:
            return []
        outputs = self._cancel() if isinstance(input_, CancelRequested) else self._react(input_, now)
        self._percent = max(self._percent, self._percentage(now))
        return outputs

    def _react(self, input_: Input, now: float) -> list[Output]:
        outputs: list[Output] = []
        if not self._begun:
            self._begun = True
            if self._problems:
                return self._finish("failed", "; ".join(self._problems))
            outputs += self._collected()
        if self._later is None:
            recording = self._collection.handle(input_, now)
            if recording is not None:
                outputs.append(SaveRecording(self._asset, self.job, recording))
            pause = self._collection.ended_pause()
            if pause is not None:
                outputs.append(SaveRecording(self._asset, self.job, pause, pause=True))
            return outputs + self._collected()
        match self._later, input_:
            case "queued", SearchQueued():
                self._behind_another = True
            case (("queued" | "searching"), SearchProgress()):
                self._later, self._behind_another = "searching", False
                self._progress, self._progress_at = input_, now
            case (("queued" | "searching"), SearchDone()):
                outputs += self._searched(input_)
            case (("queued" | "searching"), SearchFailed()):
                outputs += self._search_failed(input_)
            case "deploying", ModelReady(bundle=None, error=error):
                outputs += self._finish("failed", f"the new model could not be put into use: {error}")
            case "deploying", ModelReady(bundle=bundle) if bundle is not None:
                self._current_model = bundle.card.id
                outputs += self._finish("done", self._reason, deployed=True, model=bundle.card.id)
        return outputs

    def _collected(self) -> list[Output]:
        """Go on to the search once every take is on disk."""
        collection = self._collection
        self._detail |= {"recordings": [str(path) for path in collection.paths], "warnings": collection.warnings}
        if collection.pauses:
            self._detail["pauses"] = [str(path) for path in collection.pauses]
        if collection.phase == "failed":
            return self._finish("failed", collection.failure)
        if collection.phase != "complete":
            return []
        if isinstance(self._command, Record):
            path = str(collection.paths[0])
            return self._finish("done", f"{self._command.seconds:g} s of {self._command.label!r} are stored", path=path)
        self._later = "queued"
        collected = (*collection.paths, *collection.pauses)
        return [StartSearch(self._asset, self.job, self._classes, self._budget, self._subject, collected)]

    def _searched(self, result: SearchDone) -> list[Output]:
        card = result.card
        policy = self._command.deploy if isinstance(self._command, Recalibrate) else "never"
        install, self._reason = decide_deployment(policy, card, self._current_model, self._current_classes)
        self._detail |= {
            "bundle": str(result.bundle),
            "model": card.id,
            "accuracy": card.metrics.accuracy,
            "accuracy_low": card.metrics.accuracy_low,
            "accuracy_high": card.metrics.accuracy_high,
            "test_recordings": card.metrics.recordings,
            "tested_on": card.tested_on,
            "tested_in_parts": card.tested_in_parts,
            "chance": card.metrics.chance,
            "measured_before_refit": card.measured_before_refit,
            "library": None if card.library is None else card.library.model_dump(),
            "replaced_accuracy": None if card.replaced is None else card.replaced.accuracy,
            "arena_bytes": card.cost.arena_bytes,
            "arena_bytes_deployed": card.cost.arena_bytes_deployed,
            "front": [network.model_dump() for network in card.front],
            "front_point": card.front_point,
            "deployed": False,
        }
        if (warning := chance_warning(card)) is not None:
            self._detail["warnings"] = [*self._detail.get("warnings", []), warning]
        if card.kind == "health":
            self._detail |= {
                "kind": card.kind,
                "false_alarms": card.metrics.false_alarms,
                "supported_per_month": card.metrics.supported_per_month,
            }
        if card.id == self._current_model:  # a restart came between putting it into use and saying so
            return self._finish("done", "the new model is in use", deployed=True)
        if not install:
            return self._finish("done", self._reason)
        self._later = "deploying"
        return [Install(self._asset, self.job, "install", bundle=result.bundle)]

    def _search_failed(self, failure: SearchFailed) -> list[Output]:
        reason = failure.message or f"the search ended with {failure.error}"
        detail: dict[str, Any] = {"error": failure.error}
        if failure.limit is not None and failure.smallest is not None:
            detail |= {"limit": failure.limit, "asked": failure.asked, "smallest": failure.smallest}
            if failure.limit == "ram_bytes":
                detail["smallest_arena_bytes"] = failure.smallest
            if str(failure.smallest) not in reason:
                reason = f"{reason}; the smallest that would do is {failure.limit} = {failure.smallest}"
        return self._finish("failed", reason, **detail)

    def _cancel(self) -> list[Output]:
        if self._later == "deploying":
            return []
        stop = [CancelSearch(self._asset, self.job)] if self._later in ("queued", "searching") else []
        model = "; there is no model yet" if self._current_model is None else ", and so does the old model"
        return [*stop, *self._finish("cancelled", f"what was recorded stays{model}")]

    def _finish(self, status: Literal["done", "failed", "cancelled"], reason: str, **detail: Any) -> list[Output]:
        self._later = status
        self._reason = reason
        return [Finished(status, reason, {**self._detail, **detail, "reason": reason})]

    # ---- how far it is -----------------------------------------------------------------------------------------

    def _done_s(self, now: float) -> float:
        """Return the expected seconds of what lies behind."""
        match self._later:
            case None:
                return self._collection.done_s(now)
            case "searching" if self._progress is not None:
                return self._collection.total_s + self._progress.fraction * self._search_s
            case "deploying":
                return self._collection.total_s + self._search_s
            case _:
                return self._collection.total_s

    @property
    def _total_s(self) -> float:
        return self._collection.total_s + self._search_s + self._deploy_s

    def _percentage(self, now: float) -> float:
        """Percentage over the whole job; 100 is only said when it is done."""
        if self.phase == "done":
            return 100.0
        return self._percent if self.phase in ENDED else min(99.0, 100 * self._done_s(now) / self._total_s)

    def _eta(self, now: float) -> float | None:
        """Seconds until the job ends, None where that depends on another asset, or the job has ended."""
        if self.phase in ENDED or self._behind_another:
            return None
        if self._later == "searching" and self._progress is not None:
            return max(0.0, self._progress.seconds_left - (now - self._progress_at)) + self._deploy_s
        return self._total_s - self._done_s(now)

    def _scene(self, now: float) -> Situation:
        collection = self._collection
        due = collection.due if self.phase in COLLECTING else None
        return Situation(
            asset=self._asset,
            task=self._task,
            class_="" if due is None else due.class_,
            rest=due is not None and self._task == "sign" and due.class_ == self._rest_class,
            place="" if due is None else due.place,
            lasts=due.seconds if due is not None and due.moving else 0.0,
            seconds=collection.left_s(now),
            refusal=collection.refusal,
            candidates=None if self._progress is None else self._progress.candidates,
            behind_another=self._behind_another,
            has_model=self._current_model is not None,
            reason=self._reason,
        )
