"""How a job on a node stands, worked out from the messages that arrive; pure, so tests need no broker."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgetune_node.contract import CalibrationStatus
from edgetune_node.operator.decode import read_message

JobStatus = Literal["sent", "running", "done", "failed", "cancelled", "rejected"]
ENDED: frozenset[JobStatus] = frozenset({"done", "failed", "cancelled", "rejected"})
COLLECTING = frozenset({"waiting", "countdown", "recording", "saving"})
SEARCHING = frozenset({"queued", "searching", "deploying"})
FIGURES = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "tested_on",
    "tested_in_parts",
    "chance",
    "measured_before_refit",
    "arena_bytes",
    "arena_bytes_deployed",
)
HEALTH_FIGURES = ("kind", "false_alarms", "supported_per_month")
"""What a health model has in the place of an accuracy."""
STORED = ("class", "seconds", "class_seconds", "recordings")
"""What a label answers."""
_ENDS: dict[str, JobStatus] = {"done": "done", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """One command that runs for a while, as seen from outside.

    Attributes
    ----------
    id, command
        The command's id and name.
    status
        ``sent`` until the node accepts or rejects it.
    reason
        Why it was rejected, failed or cancelled, or what a finished one has to say.
    answered
        Whether the node's final reply is here; ``status`` may be final before, by the calibration topic.
    detail
        ``detail`` of the last reply that had one.
    calibration
        The last word of the calibration topic about this job.
    model
        Payload of the retained ``model`` topic.
    online
        Whether the node's ``status`` says so.
    """

    id: str
    command: str
    status: JobStatus = "sent"
    reason: str = ""
    answered: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    calibration: CalibrationStatus | None = None
    model: dict[str, Any] = field(default_factory=dict)
    online: bool = True

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to follow."""
        return self.status in ENDED

    @property
    def waiting_for(self) -> tuple[str | None, int | None] | None:
        """Class and take that the node waits with until ``cmd/continue``; None while it waits for nothing."""
        if self.calibration is None or self.calibration.phase != "waiting" or self.ended:
            return None
        return self.calibration.class_, self.calibration.take


def follow(job: FollowedJob, topic: str, payload: dict[str, Any]) -> FollowedJob:
    """Take one message into account; messages about other jobs change nothing.

    Parameters
    ----------
    job
        How it stood.
    topic, payload
        What arrived, from any topic of the node.
    """
    leaf = topic.rpartition("/")[2]
    if "/resp/" in topic:
        return _reply(job, payload)
    if leaf == "calibration":
        return _calibration(job, payload)
    if leaf == "model":
        return replace(job, model=payload)
    if leaf == "status":
        return replace(job, online=payload.get("status") == "online")
    return job


def _reply(job: FollowedJob, payload: dict[str, Any]) -> FollowedJob:
    if payload.get("id") != job.id or job.answered:
        return job
    detail = payload.get("detail") or job.detail
    reason = _reason(payload)
    status = payload.get("status")
    if status in {"accepted", "progress"}:
        return replace(job, status="running" if job.status == "sent" else job.status, detail=detail)
    if status == "rejected":
        return replace(job, status="rejected", reason=reason, detail=detail, answered=True)
    if status == "done":
        return replace(job, status="done", reason=reason, detail=detail, answered=True)
    if status == "failed":
        cancelled = job.status == "cancelled" or reason.startswith("cancel")
        return replace(job, status="cancelled" if cancelled else "failed", reason=reason, detail=detail, answered=True)
    return job


def _calibration(job: FollowedJob, payload: dict[str, Any]) -> FollowedJob:
    calibration = read_message(CalibrationStatus, payload)
    if calibration is None or calibration.job != job.id or job.ended:
        return job
    ended = _ENDS.get(calibration.phase)
    if ended is None:
        return replace(job, status="running", calibration=calibration)
    return replace(job, status=ended, reason=calibration.instruction, calibration=calibration)


def _reason(payload: dict[str, Any]) -> str:
    errors = [str(error) for error in payload.get("errors") or []]
    reason = str(payload.get("reason") or "")
    return "; ".join([reason, *(error for error in errors if error not in reason)] if reason else errors)


def summary(job: FollowedJob, seconds: float) -> dict[str, Any]:
    """Return what ``--json`` prints: id, status, reason, warnings, the model with its figures, and seconds."""
    name, warnings = job.detail.get("model"), job.detail.get("warnings")
    current = job.model if name is not None and job.model.get("id") == name else {}
    figures = {**current, **job.detail}
    return {
        "id": job.id,
        "status": job.status,
        "reason": job.reason,
        "warnings": [str(warning) for warning in warnings] if isinstance(warnings, list) else [],
        "model": name,
        **{name: figures.get(name) for name in FIGURES},
        **{name: figures[name] for name in HEALTH_FIGURES if figures.get(name) is not None},
        "recordings": figures.get("test_recordings", current.get("recordings")),
        **({"front": figures["front"]} if figures.get("front") else {}),
        **({"stored": {name: job.detail[name] for name in STORED}} if {*STORED} <= {*job.detail} else {}),
        **({"erased": job.detail["erased"]} if "erased" in job.detail else {}),
        "deployed": bool(figures.get("deployed", current)),
        "seconds": round(seconds, 1),
    }
