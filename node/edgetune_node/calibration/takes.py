"""Leads a person through the takes of a calibration, one labelled recording after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgetune_node.calibration.inputs import ContinueRequested, Samples, Ticked
from edgetune_node.calibration.pause import Pause, level
from edgetune_node.calibration.take import Take
from edgetune_node.events import RecordingSaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_node.calibration.inputs import Input
    from edgetune_signal import Recording
    from edgetune_signal.stream import StreamSpec

CollectionPhase: TypeAlias = Literal["waiting", "countdown", "recording", "saving", "complete", "failed"]
MAX_REFUSALS = 3
"""A take is repeated after an unusable signal, but not for ever."""
PATIENCE = 3.0
"""A take may last this many times its length, plus the time-out, before restarts end the collection."""


@dataclass(frozen=True, slots=True)
class Step:
    """A take that a person is asked for.

    Attributes
    ----------
    class_
        What is recorded.
    take, takes
        Which take of its class this is, from 0, and how many there are.
    seconds
        How long it is.
    place
        Where it stands, as people count: ``class 2 of 4, take 1 of 1``.
    moving
        Whether it is the rest with slight movements after all others.
    """

    class_: str
    take: int
    takes: int
    seconds: float
    place: str
    moving: bool = False


def plan(classes: tuple[str, ...], takes: int, seconds: float, rest_class: str, rest_s: float) -> tuple[Step, ...]:
    """Return ``takes`` takes of ``seconds`` of each class, then ``rest_s`` of rest with slight movements if not 0."""
    steps = tuple(
        Step(class_, take, takes, seconds, f"class {number} of {len(classes)}, take {take + 1} of {takes}")
        for number, class_ in enumerate(classes, 1)
        for take in range(takes)
    )
    return (*steps, Step(rest_class, 0, 1, rest_s, "last take", moving=True)) if rest_s else steps


class GuidedCollection:
    """Every take of a plan, in order.

    A take begins with `ContinueRequested`, or by itself after ``countdown_s``; it waits for samples no longer than
    ``timeout_s``, and for samples without a gap no longer than `PATIENCE` times its length more than that. After a
    restart a collection waits for `ContinueRequested` once, whatever its pace: nobody knows what runs now.

    Parameters
    ----------
    steps
        The takes.
    countdown_s
        Seconds before each take; None waits for `ContinueRequested`.
    retry
        Whether a take whose signal cannot be used is repeated (somebody is there to look at the sensor).
    spec
        The stream that is recorded.
    clip_level
        Largest magnitude the sensor can deliver, None where it is not known.
    subject, condition, sensor
        What recordings are marked with.
    stored
        Takes that are on disk already; None where the collection has not begun before.
    pauses
        What is on disk of the time between them.
    rest_class
        The class of a person's muscles between two takes, once it was recorded; None where nobody rests.
    doubt, refuse_doubtful
        Says why a take can hardly be what its label says, and whether that ends the collection or is a warning.
    timeout_s
        So long a take waits for samples.
    now
        Monotonic seconds.

    Attributes
    ----------
    phase
        Where it stands.
    failure
        Why it cannot go on; set when ``phase`` is ``failed``.
    refusal
        Why the last attempt at this take could not be used.
    paths
        Recordings that are on disk.
    pauses
        Recordings of the time between takes that are on disk.
    warnings
        What is doubtful about them.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        *,
        countdown_s: float | None,
        retry: bool,
        spec: StreamSpec,
        clip_level: float | None,
        subject: str,
        condition: str,
        sensor: str,
        stored: tuple[Path, ...] | None,
        pauses: tuple[Path, ...] = (),
        rest_class: str | None = None,
        doubt: Callable[[Recording], str | None],
        refuse_doubtful: bool,
        timeout_s: float,
        now: float,
    ) -> None:
        self.phase: CollectionPhase = "complete"
        self.failure = ""
        self.refusal: str | None = None
        self.paths: list[Path] = list(stored or ())
        self.pauses: list[Path] = list(pauses)
        self.warnings: list[str] = []
        self._steps = steps
        self._countdown_s = countdown_s
        self._retry = retry
        self._spec = spec
        self._clip_level = clip_level
        self._marks = {"subject": subject, "condition": condition, "sensor": sensor}
        self._rest_class = rest_class
        self._rest_level: float | None = None
        self._pause: Pause | None = None
        self._ended_pause: Recording | None = None
        self._confidence = doubt
        self._refuse_doubtful = refuse_doubtful
        self._timeout_s = timeout_s
        self._refusals = 0
        self._last_samples = now
        self._take = Take("", 0, spec)
        self._paused = ""
        self._since = now
        self._confirm = stored is not None
        if not self._all_stored:
            self._prepare(now)

    # ---- what others see ---------------------------------------------------------------------------------------

    @property
    def due(self) -> Step:
        """The take that is due; `IndexError` where none is."""
        return self._steps[len(self.paths)]

    @property
    def total_s(self) -> float:
        """Seconds of all takes and countdowns."""
        return sum(self._lasts_s(step) for step in self._steps)

    def done_s(self, now: float) -> float:
        """Return the seconds of takes and countdowns that lie behind."""
        done = sum(self._lasts_s(step) for step in self._steps[: len(self.paths)])
        match self.phase:
            case "countdown":
                return done + (self._countdown_s or 0.0) - self.left_s(now)
            case "recording":
                return done + self._lasts_s(self.due) - self.left_s(now)
            case "saving":
                return done + self._lasts_s(self.due)
            case _:
                return done

    def left_s(self, now: float) -> float:
        """Return the seconds until the countdown or the take ends; 0 in other phases."""
        match self.phase:
            case "countdown":
                return max(0.0, (self._countdown_s or 0.0) - (now - self._since))
            case "recording":
                return (1 - self._take.fraction) * self.due.seconds
            case _:
                return 0.0

    # ---- transitions -------------------------------------------------------------------------------------------

    def handle(self, input_: Input, now: float) -> Recording | None:
        """Advance by what happened at ``now`` (monotonic seconds); return the recording to write if one is complete."""
        match self.phase, input_:
            case _, RecordingSaved(pause=True):
                self._pause_saved(input_)
            case "waiting", ContinueRequested():
                self._confirm = False
                self._record(now)
            case "countdown", Ticked() | Samples() if self.left_s(now) <= 0:
                self._record(now)
            case "waiting" | "countdown", Samples() if self._pause is not None:
                self._pause.push(input_.chunk)
            case "recording", Samples():
                return self._take_in(input_, now)
            case "recording", Ticked():
                self._watch(now)
            case "saving", RecordingSaved(path=None, error=error):
                self._fail(f"the recording could not be stored: {error}")
            case "saving", RecordingSaved(path=path) if path is not None:
                self._saved(path, now)
        return None

    def ended_pause(self) -> Recording | None:
        """Return the rest between two takes that is to be written, once."""
        ended, self._ended_pause = self._ended_pause, None
        return ended

    def _rested(self, recording: Recording) -> None:
        """Note how loud rest is, or expect rest after a louder take."""
        loud = level(recording.samples)
        if recording.label == self._rest_class:
            self._rest_level = loud
        elif self._rest_level is not None and loud > self._rest_level:
            self._pause = Pause(self._spec, (self._rest_level * loud) ** 0.5)

    def _pause_saved(self, saved: RecordingSaved) -> None:
        if saved.path is None:
            self.warnings.append(f"the rest between two takes could not be stored: {saved.error}")
        else:
            self.pauses.append(saved.path)

    def _prepare(self, now: float) -> None:
        self.phase = "waiting" if self._countdown_s is None or self._confirm else "countdown"
        self._since = now
        if self._countdown_s == 0 and not self._confirm:
            self._record(now)

    def _record(self, now: float) -> None:
        if self._pause is not None and self._rest_class is not None:
            self._ended_pause, self._pause = self._pause.recording(self._rest_class, **self._marks), None
        self.phase = "recording"
        self._since = self._last_samples = now
        self._take = Take(self.due.class_, self.due.seconds, self._spec, clip_level=self._clip_level)
        self._paused = ""

    def _take_in(self, samples: Samples, now: float) -> Recording | None:
        take, due = self._take, self.due
        self._last_samples = now
        self._paused = samples.paused or self._paused
        take.push(samples.chunk)
        if take.refusal is not None:
            self._refuse(take.refusal, now)
        if not take.complete:
            return None
        recording = take.recording(due.take, due.takes, shaft_rpm=samples.shaft_rpm, **self._marks)
        doubt = self._confidence(recording)
        if doubt is not None and self._refuse_doubtful:
            self._fail(f"{due.class_!r} is not taken: {doubt}; mend it first, or send accept_zone: true")
            return None
        self.phase = "saving"
        self._rested(recording)
        name = f"{due.class_!r}, take {due.take + 1}"
        if doubt is not None:
            self.warnings.append(f"{name}: {doubt}")
        self.warnings += [f"{name}: {warning}" for warning in take.warnings]
        if self._paused:
            self.warnings.append(f"{name}: while it was recorded {self._paused}")
        if take.restarts:
            again = f"started again {take.restarts} times, since {take.restarted_by}"
            self.warnings.append(f"{name}: {again}")
        return recording

    def _refuse(self, refusal: str, now: float) -> None:
        self._refusals += 1
        if not self._retry or self._refusals >= MAX_REFUSALS:
            self._fail(f"the signal cannot be used: {refusal}; check the sensor and its cable")
            return
        self.refusal = refusal
        self._prepare(now)

    def _watch(self, now: float) -> None:
        if now - self._last_samples >= self._timeout_s:
            self._fail(
                f"no samples came for {self._timeout_s:g} s while recording {self.due.class_!r}; check the source"
            )
        elif now - self._since >= PATIENCE * self.due.seconds + self._timeout_s:
            because = f" ({self._take.restarts} times {self._take.restarted_by})" if self._take.restarts else ""
            self._fail(
                f"{self.due.seconds:g} s without a gap did not come together in {now - self._since:.0f} s{because}; "
                "check the source"
            )

    def _saved(self, path: Path, now: float) -> None:
        self.paths.append(path)
        self.refusal, self._refusals = None, 0
        self._take = Take("", 0, self._spec)
        if self._all_stored:
            self.phase = "complete"
        else:
            self._prepare(now)

    def _fail(self, failure: str) -> None:
        self.phase = "failed"
        self.failure = failure

    @property
    def _all_stored(self) -> bool:
        return len(self.paths) >= len(self._steps)

    def _lasts_s(self, step: Step) -> float:
        return (self._countdown_s or 0.0) + step.seconds
