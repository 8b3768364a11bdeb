"""What is remembered of a job so that a restart does not end it, and why some jobs end all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgetune_node.clock import EPOCH
from edgetune_node.contract import Forget, Profile, Recalibrate, parse_command
from edgetune_node.errors import CommandError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_RESUMPTIONS = 5
"""A job that was interrupted more often may be what ends the node."""
NEWCOMER_TAKES, NEWCOMER_TAKE_S = 2, 5.0
"""What a person without a model is asked for, of each class (docs/explanation/old-data.md says what that is worth)."""
NO_ASSET = "interrupted by a restart, and its asset is not configured any more"
NO_BACKUP = "interrupted by a restart, and no backup was made; send it again"
LOST = {
    "record": "its recording may be stored, or is lost",
    "label": "what has the label by now keeps it; health says what of a novel event still waits for one",
    "rollback": "look at topic model for the one in use",
    "deploy": "look at topic model for the one in use",
    "capture": "a signal that was kept stays",
    "history": "nothing was changed",
    "profile": "look at topic state for who is known to wear the sensor",
}


@dataclass(frozen=True, slots=True)
class Collected:
    """Takes that a job has stored, and what it has recorded between them."""

    takes: tuple[Path, ...]
    pauses: tuple[Path, ...]


class JobNote(BaseModel):
    """What the node must know of a running job besides its command, kept beside it on disk.

    Attributes
    ----------
    subject, condition
        What its recordings are marked with.
    recordings
        Files of the takes that are stored, in order.
    pauses
        Files of what was recorded between takes.
    resumptions
        How many times a restart interrupted it.
    response_topic, correlation
        Where its answers go besides ``resp/<name>``.
    rest_seconds
        Seconds of rest with slight movements that it asks for after its takes; as decided when it began.
    calibrate
        Classes of the guided calibration that a `profile` of somebody new has begun.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")

    subject: str = ""
    condition: str = ""
    recordings: tuple[str, ...] = ()
    pauses: tuple[str, ...] = ()
    resumptions: int = 0
    rest_seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    response_topic: str | None = None
    correlation: bytes | None = None
    calibrate: tuple[str, ...] = ()

    def also(self, recording: str, *, pause: bool) -> JobNote:
        """Return the note with one more recording."""
        kind = "pauses" if pause else "recordings"
        return self.model_copy(update={kind: (*getattr(self, kind), recording)})

    def collected(self, files: Mapping[str, Path]) -> Collected:
        """Return what the job has, of stored ``files`` by name; every take must be there."""
        pauses = tuple(files[name] for name in self.pauses if name in files)
        return Collected(tuple(files[name] for name in self.recordings), pauses)

    def json_bytes(self) -> bytes:
        """UTF-8 JSON as it is kept."""
        return self.model_dump_json().encode()


@dataclass(frozen=True, slots=True)
class InterruptedCommand:
    """A command that was running when the process ended, with the `JobNote` that was kept of it."""

    asset: str | None
    name: str
    command_id: str
    payload: bytes = b""
    note: bytes = b""

    def read_note(self) -> JobNote:
        """Return the note; an empty one where it was written by another version."""
        try:
            return JobNote.model_validate_json(self.note or b"{}")
        except ValidationError:
            return JobNote()


def newcomer(job: str, classes: tuple[str, ...]) -> Recalibrate:
    """Return the guided calibration of a person without a model."""
    return Recalibrate(
        id=job, source="live", classes=list(classes), takes=NEWCOMER_TAKES, seconds_per_take=NEWCOMER_TAKE_S
    )


def resumable(job: InterruptedCommand) -> tuple[Recalibrate | Forget, JobNote]:
    """Return what is needed to resume a job where it stood, or raise `Refused`.

    A calibration goes on with the take that was not yet stored, which waits for a person again. Later it goes on with
    its search from the journal, or with putting its model into use. A `forget` is done again. Other jobs are short.
    """
    note = job.read_note()
    if note.resumptions >= MAX_RESUMPTIONS:
        raise Refused(f"interrupted by a restart for the {note.resumptions + 1}th time; it may be what ends the node")
    try:
        command = parse_command(job.name, job.payload, now=EPOCH, retained=False)  # it came in time
    except CommandError as error:
        raise Refused(f"interrupted by a restart, and not understood by this version: {error}") from error
    if isinstance(command, Profile) and note.calibrate:
        command = newcomer(job.command_id, note.calibrate)
    if not isinstance(command, Recalibrate | Forget):
        lost = LOST.get(job.name, "it may have been done")
        raise Refused(f"interrupted by a restart: {lost}; send it again under a new id")
    return command, note
