"""What the person has to do now: one sentence for each phase of a calibration job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_nas.card import Task
    from edgetune_node.contract import CalibrationPhase


@dataclass(frozen=True, slots=True)
class Situation:
    """What a sentence may speak of.

    Attributes
    ----------
    asset, task
        Whose job it is; a machine is put into a condition, a person makes a sign.
    class_, rest, place
        The take's class, whether that is a person's rest, and where it stands (``class 2 of 4, take 1 of 1``).
    lasts
        Seconds of the take, where it is longer than the others; 0 of all others.
    seconds
        Until the countdown or the take ends.
    refusal
        Why the last attempt at this take could not be used.
    candidates
        Networks that the search has looked at.
    behind_another
        Another asset's search has to end first.
    has_model
        An old model keeps classifying.
    reason
        Why the job ended as it did.
    """

    asset: str
    task: Task
    class_: str = ""
    rest: bool = False
    place: str = ""
    lasts: float = 0.0
    seconds: float = 0.0
    refusal: str | None = None
    candidates: int | None = None
    behind_another: bool = False
    has_model: bool = False
    reason: str = ""


def instruction(phase: CalibrationPhase, scene: Situation) -> str:  # noqa: C901 - one case per phase
    """Return in one sentence what the person should do now, or what the node does without them."""
    match phase:
        case "waiting":
            return f"{_again(scene)}{_prepare(scene)} and publish cmd/continue ({scene.place})"
        case "countdown":
            return f"{_again(scene)}{_prepare(scene)}; recording starts in {scene.seconds:.0f} s ({scene.place})"
        case "recording":
            return f"{_keep(scene)} for another {scene.seconds:.0f} s ({scene.place})"
        case "saving":
            return f"Wait a moment: the recording of '{scene.class_}' is being stored ({scene.place})"
        case "queued" if scene.behind_another:
            return "Nothing to do: the search starts when that of another asset has ended"
        case "queued":
            return "Nothing to do: the search is starting"
        case "searching":
            seen = "" if scene.candidates is None else f", {scene.candidates} candidates so far"
            return f"Nothing to do: a network is being searched{seen}{_meanwhile(scene)}"
        case "deploying":
            return f"Nothing to do: the new model is being put into use{_meanwhile(scene)}"
        case "done":
            return f"Nothing to do: done ({scene.reason})"
        case "failed":
            return f"The job failed: {scene.reason}"
        case "cancelled":
            return f"Nothing to do: {scene.reason}"
        case "idle":
            return "Nothing to do: no job is running"


def _prepare(scene: Situation) -> str:
    if scene.rest and scene.lasts:
        return f"Rest ('{scene.class_}') for {scene.lasts:.0f} s: move arm and fingers slightly without making a sign"
    if scene.rest:
        return f"Rest ('{scene.class_}'), and move slightly from time to time without making a sign"
    if scene.task == "sign":
        return f"Make '{scene.class_}', hold it"
    return f"Put {scene.asset} into condition '{scene.class_}'"


def _keep(scene: Situation) -> str:
    if scene.rest:
        return f"Rest ('{scene.class_}') and move slightly"
    return f"Hold '{scene.class_}'" if scene.task == "sign" else f"Keep {scene.asset} in condition '{scene.class_}'"


def _again(scene: Situation) -> str:
    return "" if scene.refusal is None else f"The take could not be used, {scene.refusal}: check the sensor. "


def _meanwhile(scene: Situation) -> str:
    return "; the old model keeps classifying" if scene.has_model else ""
