"""What a SCADA sees of a line: the latest of every node's and asset's topics, kept as rows; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgetune_nas.bundle import accuracy_sentence
from edgetune_node.contract import (
    ASSET_LEAVES,
    NODE_LEAVES,
    CalibrationStatus,
    Classification,
    Fault,
    Health,
    Info,
    Message,
    Model,
    Sign,
    State,
    Status,
)
from edgetune_node.operator.decode import read_message

_READ: dict[str, type[Message]] = {
    "state": State,
    "classification": Classification,
    "sign": Sign,
    "fault": Fault,
    "model": Model,
    "calibration": CalibrationStatus,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One asset of one node; None where nothing was heard yet.

    Attributes
    ----------
    status
        ``online``, ``stopped`` or ``offline``.
    heard
        The last classification or sign.
    sample_age_s, heard_at
        Age of the last samples when the node said so, and the monotonic second at which it did.
    classified_at
        Monotonic second at which that came.
    suggested
        Why a recalibration is suggested.
    """

    node: str
    asset: str
    status: str | None = None
    state: State | None = None
    heard: Classification | Sign | None = None
    classified_at: float | None = None
    fault: Fault | None = None
    model: Model | None = None
    suggested: tuple[str, ...] = ()
    sample_age_s: float | None = None
    heard_at: float = 0.0


class Fleet:
    """The rows, brought up to date message by message.

    Parameters
    ----------
    namespace
        Topic levels above the nodes.
    """

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}/"
        self._rows: dict[tuple[str, str], Row] = {}
        self._status: dict[str, str] = {}

    def rows(self) -> list[Row]:
        """Return one row an asset, and one for each node of which no asset is known, sorted."""
        known = {node for node, _ in self._rows}
        bare = [Row(node, "", status) for node, status in self._status.items() if node not in known]
        return sorted([*self._rows.values(), *bare], key=lambda row: (row.node, row.asset))

    def of_node(self, node: str) -> list[Row]:
        """Return the rows of one node's assets."""
        return [row for row in self.rows() if row.node == node and row.asset]

    def take(self, topic: str, payload: dict[str, Any], now: float) -> Row | None:
        """Process one message, heard at the monotonic second ``now``; return the asset's row where it changed one."""
        if not topic.startswith(self._prefix):
            return None
        match topic[len(self._prefix) :].split("/"):
            case [node, leaf] if leaf in NODE_LEAVES:
                self._node(node, leaf, payload, now)
                return None
            case [node, asset, leaf] if leaf in ASSET_LEAVES:
                row = _updated(self._row(node, asset), leaf, payload, now)
                self._rows[node, asset] = row
                return row
        return None

    def _row(self, node: str, asset: str) -> Row:
        return self._rows.get((node, asset)) or Row(node, asset, self._status.get(node))

    def _node(self, node: str, leaf: str, payload: dict[str, Any], now: float) -> None:
        if leaf == "status":
            status = read_message(Status, payload)
            if status is not None:
                self._status[node] = status.status
                for key, row in self._rows.items():
                    if key[0] == node:
                        self._rows[key] = replace(row, status=status.status)
        elif leaf == "info":
            info = read_message(Info, payload)
            for item in info.assets if info else []:
                self._rows[node, item.id] = self._row(node, item.id)
        else:
            health = read_message(Health, payload)
            for figures in health.assets if health else []:
                row = self._row(node, figures.id)
                self._rows[node, figures.id] = replace(row, sample_age_s=figures.sample_age_s, heard_at=now)


def sample_age(row: Row, now: float) -> float | None:
    """Seconds since the asset's last samples, as far as it can be told from outside."""
    heard = None if row.sample_age_s is None else row.sample_age_s + now - row.heard_at
    classified = None if row.classified_at is None else now - row.classified_at
    ages = [age for age in (heard, classified) if age is not None]
    return min(ages) if ages else None


def is_stale(row: Row) -> bool:
    """Whether the broker goes on showing what an asset's node said before it went."""
    return row.status not in {None, "online"}


def fault_text(row: Row) -> str:
    """Return what is wrong with a machine, since when, and who has seen it; marked where its node is gone."""
    fault = row.fault
    if fault is None:
        return ""
    mark = f"stale (node {row.status}): " if is_stale(row) else ""
    if not fault.active:
        return f"{mark}none" if fault.judged else f"{mark}not judged: {fault.reason}"
    since = "" if fault.first_seen is None else f" since {fault.first_seen.astimezone():%H:%M:%S}"
    seen = f"acknowledged by {fault.acknowledged_by}" if fault.acknowledged else "not acknowledged"
    event = "" if fault.event is None else f", event {fault.event}"
    away = "" if fault.judged else f", not judged now: {fault.reason}"
    return f"{mark}{fault.severity.upper()} {fault.class_}{since}{event}, {seen}{away}"


def cause_text(row: Row) -> str:
    """Return what physics says of an active fault, or against a healthy state, and what to do; empty where nothing."""
    fault = row.fault
    if fault is None or not (fault.active or fault.evidence.physics in {"disagrees", "suggests"}):
        return ""
    found = fault.evidence
    line = "" if found.defect_hz is None else f"; line at {found.defect_hz:.1f} Hz"
    parts = (f"{found.note}{line}" if found.note else "", "" if found.action in {"", "none"} else f"Do: {found.action}")
    return ". ".join(part for part in parts if part)


def phase_text(row: Row) -> str:
    """Return what an asset is doing, and whether it should be recalibrated."""
    phase = row.state.phase if row.state else ""
    return ", ".join(part for part in (phase, "recalibrate suggested" if row.suggested else "") if part)


def model_text(model: Model | None) -> str:
    """Return which model is in use, its arena and its accuracy."""
    if model is None:
        return ""
    if model.id is None:
        return "none"
    parts = [model.id]
    if model.arena_bytes is not None:
        parts.append(f"arena {model.arena_bytes:,} B")
    if model.accuracy is not None:
        parts.append(model_accuracy(model, model.accuracy))
    if model.kind == "health":
        parts.append(f"health model, {model.healthy_seconds or 0:.0f} s heard")
    return ", ".join(parts)


def model_accuracy(model: Model, accuracy: float) -> str:
    """Write the accuracy of a model with its interval and how it was tested."""
    count = model.recordings
    return accuracy_sentence(
        accuracy,
        (model.accuracy_low, model.accuracy_high),
        model.tested_on,
        windows="" if count is None else f"{count} recording{'s' * (count > 1)}",
        in_parts=model.tested_in_parts,
    )


def heard_text(heard: Classification | Sign | None) -> str:
    """Return what is heard, and how surely."""
    return "" if heard is None else f"{heard.class_} {heard.confidence:.0%}"


def _updated(row: Row, leaf: str, payload: dict[str, Any], now: float) -> Row:
    message = read_message(_READ[leaf], payload) if leaf in _READ else None
    match message:
        case State():
            return replace(row, state=message)
        case Classification() | Sign():
            return replace(row, heard=message, classified_at=now)
        case Fault():
            return replace(row, fault=message)
        case Model():
            return replace(row, model=message)
        case CalibrationStatus():
            return replace(row, suggested=tuple(message.suggested))
    return row
