"""Builds messages from what a node knows: itself, the model in use, a fault, a sign."""

from __future__ import annotations

from dataclasses import asdict, fields
from importlib.metadata import version
from typing import TYPE_CHECKING

from edgetune_nas.bundle import MODEL_FILES
from edgetune_node.config import insecure
from edgetune_node.contract import AssetInfo, ClassShare, Fault, Info, Model, Shelf, Sign, SignStart
from edgetune_node.monitor.severity import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection, Settings
    from edgetune_node.contract import BrokerInfo, Evidence, ModeWord, NovelKind
    from edgetune_node.monitor import gestures
    from edgetune_node.monitor.alarm_state import AlarmState


def info_message(
    settings: Settings, subjects: Mapping[str, str], capabilities: list[str], broker: BrokerInfo | None
) -> Info:
    """Return what the node is and can do; ``subjects`` are who wears each asset's sensor."""
    return Info(
        versions={name: version(name) for name in ("edgetune", "onnxruntime", "paho-mqtt", "numpy")},
        assets=[_asset_info(section, subjects[section.id]) for section in settings.asset],
        capabilities=capabilities,
        insecure=insecure.described(settings.mqtt),
        broker=broker,
        config=settings.redacted(),
    )


def _asset_info(settings: AssetSection, subject: str) -> AssetInfo:
    return AssetInfo(
        id=settings.id,
        task=settings.task,
        channels=settings.channels,
        rate_hz=settings.rate_hz,
        unit=settings.unit,
        window=settings.window.length,
        hop=settings.window.hop,
        source=settings.source.type,
        subject=subject,
    )


def fault_message(
    state: AlarmState,
    model: str | None,
    evidence: Evidence,
    *,
    unjudged: str,
    kind: NovelKind | None,
    mode: ModeWord | None,
) -> Fault:
    """Return the alarm's state as a message.

    Parameters
    ----------
    state, evidence
        What is said.
    model
        Id of the model in use.
    unjudged
        Why the machine is not judged; empty while it is. Without an event it is not called healthy then.
    kind
        Of a novel event, whether it is fault-like.
    mode
        Whether the machine was heard healthy at this speed and load.
    """
    known = state.active or not unjudged
    return Fault(
        judged=not unjudged,
        reason=unjudged,
        active=state.active,
        event=state.event,
        class_=state.class_ if known else None,
        class_since=state.class_since,
        candidates=[ClassShare(class_=name, share=round(share, 3)) for name, share in state.candidates],
        kind=kind,
        mode=mode,
        severity=state.severity if known else "unknown",
        severity_level=LEVEL[state.severity] if known else None,
        severity_from=list(state.severity_from),
        first_seen=state.first_seen,
        last_seen=state.last_seen,
        cleared=state.cleared,
        votes=state.votes,
        of=state.of,
        confidence=state.confidence,
        model=model,
        latched=state.latched,
        acknowledged=state.acknowledged,
        acknowledged_by=state.acknowledged_by,
        acknowledged_at=state.acknowledged_at,
        comment=state.comment,
        shelved=state.shelved,
        shelves=[Shelf(**asdict(shelf)) for shelf in state.shelves],
        evidence=evidence,
    )


def sign_start_message(sign: gestures.SignStart, model: str, subject: str) -> SignStart:
    """Return the beginning of a sign as a message; see `sign_message`."""
    return SignStart(**_fields(sign), model=model, subject=subject)


def sign_message(sign: gestures.SignEvent, model: str, subject: str) -> Sign:
    """Return a sign as a message; ``model`` is the id of the model that recognised it, ``subject`` who made it."""
    return Sign(**_fields(sign), model=model, subject=subject)


def _fields(sign: gestures.SignStart | gestures.SignEvent) -> dict[str, Any]:
    """Return the fields of a sign, which its message has under the same names."""
    return {each.name: getattr(sign, each.name) for each in fields(sign)}


def model_message(bundle: Bundle | None, previous: str | None, subject: str) -> Model:
    """Return which model is in use, if there is one, which was before, and whose it is."""
    if bundle is None:
        return Model(previous=previous, subject=subject)
    card = bundle.card
    cost, measured, metrics = card.cost, card.measured[card.deployed], card.metrics
    return Model(
        id=card.id,
        sha256=card.sha256[MODEL_FILES[card.deployed]],
        created=card.created,
        classes=card.classes,
        precision=card.deployed,
        arena_bytes=cost.arena_bytes,
        arena_bytes_deployed=cost.arena_bytes_deployed,
        streamed_bytes=cost.streamed_bytes,
        arena_rule=cost.arena_rule,
        flash_bytes=cost.flash_bytes,
        macs=cost.macs,
        parameters=cost.parameters,
        ort_peak_bytes=measured.ort_peak_bytes,
        session_rss_bytes=measured.session_rss_bytes,
        latency_p50_us=measured.latency_p50_us,
        latency_p99_us=measured.latency_p99_us,
        onnx_bytes=measured.onnx_bytes,
        kind=card.kind,
        accuracy=metrics.accuracy,
        accuracy_low=metrics.accuracy_low,
        accuracy_high=metrics.accuracy_high,
        false_alarms=metrics.false_alarms,
        healthy_seconds=metrics.healthy_seconds,
        supported_per_month=metrics.supported_per_month,
        recordings=metrics.recordings,
        tested_on=card.tested_on,
        tested_in_parts=card.tested_in_parts,
        chance=metrics.chance,
        measured_before_refit=card.measured_before_refit,
        macro_f1=metrics.macro_f1,
        false_per_minute_of_rest=None if card.signs is None else card.signs.false_per_minute_of_rest,
        front=card.front,
        front_point=card.front_point,
        previous=previous,
        subject=subject,
    )
