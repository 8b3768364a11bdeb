"""What a SCADA sees of a line: the latest of every node's and asset's topics, kept as rows; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

NODE_LEAVES = ("status", "info", "health")
ASSET_LEAVES = ("state", "classification", "fault", "sign", "vibration", "model", "calibration")
RECENT_SIGN_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One asset of one node; None where nothing was heard yet.

    Attributes
    ----------
    status
        ``online``, ``stopped`` or ``offline``.
    sample_age_s, heard_at
        Age of the last samples when the node said so, and the monotonic second at which it did.
    classified_at
        Monotonic second of the last classification or sign.
    """

    node: str
    asset: str
    status: str | None = None
    phase: str | None = None
    reason: str = ""
    class_: str | None = None
    confidence: float | None = None
    classified_at: float | None = None
    fault: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
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
        """Give one row an asset, and one for each node of which no asset is known, sorted."""
        known = {node for node, _ in self._rows}
        bare = [Row(node, "", status) for node, status in self._status.items() if node not in known]
        return sorted([*self._rows.values(), *bare], key=lambda row: (row.node, row.asset))

    def take(self, topic: str, payload: dict[str, Any], now: float) -> Row | None:
        """Take in one message, heard at the monotonic second ``now``; give the asset's row where it changed one."""
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

    def status(self, node: str) -> str | None:
        """Status of a node, None where it has not been heard."""
        return self._status.get(node)

    def _row(self, node: str, asset: str) -> Row:
        return self._rows.get((node, asset)) or Row(node, asset, self._status.get(node))

    def _node(self, node: str, leaf: str, payload: dict[str, Any], now: float) -> None:
        if leaf == "status":
            self._status[node] = str(payload.get("status"))
            for key, row in self._rows.items():
                if key[0] == node:
                    self._rows[key] = replace(row, status=self._status[node])
            return
        for item in payload.get("assets") or []:
            asset = str(item.get("id"))
            row = self._row(node, asset)
            if leaf == "health":
                row = replace(row, sample_age_s=item.get("sample_age_s"), heard_at=now)
            self._rows[node, asset] = row


def filters(namespace: str, node: str | None, asset: str | None) -> list[str]:
    """Topic filters of everything nodes say, without the samples that are sent to them."""
    base = f"{namespace}/{node or '+'}"
    return [
        *(f"{base}/{leaf}" for leaf in NODE_LEAVES),
        *(f"{base}/{asset or '+'}/{leaf}" for leaf in ASSET_LEAVES),
        f"{base}/{asset or '+'}/resp/+",
    ]


def sample_age(row: Row, now: float) -> float | None:
    """Seconds since the asset's last samples, as far as it can be told from outside."""
    heard = None if row.sample_age_s is None else row.sample_age_s + now - row.heard_at
    classified = None if row.classified_at is None else now - row.classified_at
    ages = [age for age in (heard, classified) if age is not None]
    return min(ages) if ages else None


def fault_text(fault: dict[str, Any] | None) -> str:
    """Say what is wrong with a machine, since when, and whether anybody has seen it."""
    if fault is None:
        return ""
    if not fault.get("active"):
        return "none"
    since = _local_time(fault.get("first_seen"))
    seen = f"acknowledged by {fault.get('acknowledged_by')}" if fault.get("acknowledged") else "not acknowledged"
    return f"{str(fault.get('severity', '')).upper()} {fault.get('class')}{f' since {since}' if since else ''}, {seen}"


def model_text(model: dict[str, Any] | None) -> str:
    """Say which model is in use, its arena and its accuracy."""
    if model is None:
        return ""
    if model.get("id") is None:
        return "none"
    parts = [str(model["id"])]
    if model.get("arena_bytes") is not None:
        parts.append(f"arena {model['arena_bytes']:,} B")
    if model.get("accuracy") is not None:
        parts.append(f"{model['accuracy']:.1%}")
    return ", ".join(parts)


def class_text(row: Row) -> str:
    """Say what is heard, and how surely."""
    if row.class_ is None:
        return ""
    return row.class_ if row.confidence is None else f"{row.class_} {row.confidence:.0%}"


def _updated(row: Row, leaf: str, payload: dict[str, Any], now: float) -> Row:
    if leaf == "state":
        return replace(row, phase=str(payload.get("phase")), reason=str(payload.get("reason") or ""))
    if leaf in {"classification", "sign"}:
        return replace(row, class_=str(payload.get("class")), confidence=payload.get("confidence"), classified_at=now)
    if leaf == "fault":
        return replace(row, fault=payload)
    if leaf == "model":
        return replace(row, model=payload)
    return row


def _local_time(text: Any) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""
