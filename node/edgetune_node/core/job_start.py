"""The calibration or recording that a command asks for, and what a label has stored."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from edgetune_node.calibration import Calibration, reasons_against, rest_seconds
from edgetune_node.contract import Recalibrate
from edgetune_node.errors import Refused
from edgetune_node.monitor import zone_warning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import LabelCommand, Record
    from edgetune_node.core.resumption import Collected, JobNote
    from edgetune_node.events import Stored
    from edgetune_node.monitor import Asset


def with_rest(note: JobNote, command: Recalibrate | Record, settings: AssetSection, found: Stored) -> JobNote:
    """Return the note of a new job with how long a person rests at its end.

    A restart must not decide that again, since the job's own takes are stored by then.
    """
    rest_s = rest_seconds(command, found.seconds, settings.healthy_class) if settings.personal else 0.0
    return note.model_copy(update={"rest_seconds": rest_s})


def begin(
    command: Recalibrate | Record,
    asset: Asset,
    found: Stored,
    note: JobNote,
    collected: Collected | None,
    now: float,
) -> Calibration:
    """Make the job, which its first tick sets going.

    Parameters
    ----------
    command, asset
        What is asked of whom.
    found
        What is stored of the asset.
    note
        What recordings are marked with, and how long a person rests at the end.
    collected
        What the job has already, where it goes on after a restart.
    now
        Monotonic seconds.

    Raises
    ------
    Refused
        With every reason why what is stored does not allow it.
    """
    settings = asset.settings
    healthy = None if settings.personal else settings.healthy_class
    reasons = reasons_against(
        command,
        found.seconds,
        spec=settings.spec,
        window=settings.window.length,
        healthy_class=healthy,
        rest_class=settings.healthy_class if settings.personal else None,
    )
    if isinstance(command, Recalibrate) and not command.accept_zone:
        reasons += found.doubts
    if reasons:
        raise Refused("; ".join([*reasons, *found.passed_over]))
    bundle = asset.bundle
    return Calibration(
        command.id,
        command,
        asset=settings.id,
        task=settings.task,
        spec=settings.spec,
        window=settings.window.length,
        default_budget=settings.budget,
        stored=found.seconds,
        current_model=None if bundle is None else bundle.card.id,
        current_classes=() if bundle is None else bundle.card.classes,
        subject=note.subject,
        condition=note.condition,
        sensor=settings.sensor,
        rest_class=settings.healthy_class,
        rest_seconds=note.rest_seconds,
        clip_level=settings.clip_level,
        collected=None if collected is None else collected.takes,
        pauses=() if collected is None else collected.pauses,
        doubt=partial(zone_warning, settings=settings),
        healthy_class=healthy,
        now=now,
    )


def stored_under(
    command: LabelCommand | None, recordings: Sequence[str], found: Stored, seconds: float | None = None
) -> tuple[str, dict[str, Any]]:
    """Return reason and detail of the answer to a label, of ``seconds`` if they are not the command's."""
    label = "" if command is None else command.label
    if seconds is None:
        seconds = 0.0 if command is None or command.seconds is None else command.seconds
    total = found.seconds.get(label, 0.0)
    reason = f"{seconds:.1f} s are stored as {label!r}, which has {total:.1f} s now"
    detail = {
        "recordings": list(recordings),
        "class": label,
        "seconds": round(seconds, 3),
        "class_seconds": round(total, 3),
    }
    return f"{reason}; to have it known: cmd/recalibrate with source stored", detail
