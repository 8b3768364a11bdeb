"""Turns what a node knows into the fields of the messages that tell it."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgetune_nas.bundle import MODEL_FILES
from edgetune_node.config import insecure
from edgetune_node.contract import AssetInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection, Settings
    from edgetune_node.monitor.alarm import AlarmState


def info_fields(settings: Settings, subjects: Mapping[str, str]) -> dict[str, Any]:
    """Give the fields of `Info` that a configuration knows; ``subjects`` are who wears each asset's sensor."""
    return {
        "versions": {name: version(name) for name in ("edgetune", "onnxruntime", "paho-mqtt", "numpy")},
        "assets": [_asset_info(section, subjects[section.id]) for section in settings.asset],
        "insecure": insecure.described(settings.mqtt),
        "config": settings.redacted(),
    }


def _asset_info(settings: AssetSection, subject: str) -> AssetInfo:
    """Describe the asset for ``info``."""
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


def fault_fields(state: AlarmState) -> dict[str, Any]:
    """Give the fields of `Fault` that the alarm knows."""
    return {
        "active": state.active,
        "event": state.event,
        "class_": state.class_,
        "severity": state.severity,
        "first_seen": state.first_seen,
        "last_seen": state.last_seen,
        "cleared": state.cleared,
        "votes": state.votes,
        "of": state.of,
        "confidence": state.confidence,
        "latched": state.latched,
        "acknowledged": state.acknowledged,
        "acknowledged_by": state.acknowledged_by,
        "acknowledged_at": state.acknowledged_at,
        "comment": state.comment,
        "shelved": state.shelved,
        "shelves": [asdict(shelf) for shelf in state.shelves],
    }


def model_fields(bundle: Bundle) -> dict[str, Any]:
    """Give the fields of `Model` that a bundle knows."""
    card = bundle.card
    measured = card.measured[card.deployed]
    return {
        **card.cost.model_dump(),
        **measured.model_dump(),
        "id": card.id,
        "sha256": card.sha256[MODEL_FILES[card.deployed]],
        "created": card.created,
        "classes": card.classes,
        "precision": card.deployed,
        "accuracy": card.metrics.accuracy,
        "accuracy_low": card.metrics.accuracy_low,
        "accuracy_high": card.metrics.accuracy_high,
        "recordings": card.metrics.recordings,
        "tested_on": card.tested_on,
        "measured_before_refit": card.measured_before_refit,
        "macro_f1": card.metrics.macro_f1,
    }
