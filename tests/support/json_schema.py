"""The one validator of JSON schemas that tests use; only who needs it waits for its import."""

from __future__ import annotations

from typing import Any


def validator(schema: dict[str, Any]) -> Any:
    """Return a validator that checks formats too, such as those of times."""
    from jsonschema import Draft202012Validator, FormatChecker

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())
