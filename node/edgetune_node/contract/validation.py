"""What a validation found, in sentences for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

from edgetune_signal import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MOST_NEAR: Final = 8
"""So many names are compared with those that are known: a payload may hold a thousand, and anybody may send it."""


def problems(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """One sentence for each thing that a validation found, starting with the field's name.

    Parameters
    ----------
    error
        What it found.
    model
        What was validated; of the first fields that it does not have, the sentence names the nearest that it has.
    """
    found = error.errors(include_url=False, include_input=False)
    return [
        f"{'.'.join(str(part) for part in item['loc']) or 'payload'}: "
        f"{_sentence(item, model if number < MOST_NEAR else None)}"
        for number, item in enumerate(found)
    ]


def _sentence(item: ErrorDetails, model: type[BaseModel] | None) -> str:
    """Return what is wrong; of a name that is not one, what a name may hold in place of the pattern."""
    if item["type"] == "extra_forbidden":
        *path, name = map(str, item["loc"])
        near = did_you_mean(name, _fields(model, path)) if model else ""
        return f"is not known here{near or '; remove it, or look for its right place'}"
    if item["type"] == "missing":
        return "is missing"
    pattern = str(item.get("ctx", {}).get("pattern", ""))
    begins, _, rest = pattern.removeprefix("^[").removesuffix("]*$").partition("][")
    if item["type"] != "string_pattern_mismatch" or begins != "A-Za-z0-9" or not rest.startswith(begins):
        return item["msg"].removeprefix("Value error, ")
    signs = " ".join(rest.removeprefix(begins))
    return f"must begin with a letter or digit and hold only letters, digits and {signs}"


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names that the table or object at ``path`` below ``model`` may have."""
    owners = [model]
    for part in path:
        if not part.isdecimal():  # of a list all items are alike
            owners = [
                each
                for owner in owners
                for name, field in owner.model_fields.items()
                if part in (name, field.alias)
                for each in _models(field.annotation)
            ]
    return [field.alias or name for owner in owners for name, field in owner.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
