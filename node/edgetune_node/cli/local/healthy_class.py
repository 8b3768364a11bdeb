"""What people are told of a model of a machine that has no healthy class by the name that a node knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_nas.card import ModelCard

HEALTHY = "normal"
"""Class of a machine that is no fault, as a node's configuration has it by default."""


def without_healthy_class(card: ModelCard, healthy: str = HEALTHY) -> str | None:
    """Return what to do where a node would take every class of a model for a fault; None where it would not."""
    if card.task != "fault" or healthy in card.classes:
        return None
    if card.kind == "health":
        name = card.classes[0]
        return (
            f"this health model takes {name!r} for health: if that is a fault, record the healthy machine instead; "
            f'if it is health, set rest_class = "{name}" in [[asset]], because a node calls health {healthy!r}'
        )
    return (
        f"no class is {healthy!r}, as a node calls the healthy one, so it would take each of {', '.join(card.classes)} "
        "for a fault: set rest_class in [[asset]] to the healthy class of these, or record the healthy machine and "
        "search again"
    )
