"""Which fields a model of pydantic refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from pydantic import ValidationError


def refused_fields(caught: pytest.ExceptionInfo[ValidationError]) -> list[str]:
    return [".".join(map(str, each["loc"])) for each in caught.value.errors()]
