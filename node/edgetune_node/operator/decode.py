"""Reads what a node published, of this version or a newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from edgetune_node.contract import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=Message)


def read_message(model: type[M], payload: Mapping[str, Any]) -> M | None:
    """Read a payload as ``model``; fields that a newer node adds are left out, None where it is no such message."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    try:
        return model.model_validate({name: value for name, value in payload.items() if name in known})
    except ValidationError:
        return None
