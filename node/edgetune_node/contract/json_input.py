"""JSON that comes from outside, read under bounds: size, nesting, keys that come twice, numbers that are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

from edgetune_node.errors import PayloadError
from edgetune_signal import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MAX_PAYLOAD_BYTES: Final = 16 * 1024
MAX_DIGITS: Final = 1000


def parse_object(payload: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    payload
        Bytes as they came; of too long a one the first `MAX_PAYLOAD_BYTES` and one more are enough.

    Raises
    ------
    PayloadError
        When it is too long, not UTF-8, not JSON by the letter of RFC 8259, nested too deeply, names a key twice, or is
        no object.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"payload has more than {MAX_PAYLOAD_BYTES} bytes")
    try:
        data = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
        )
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise PayloadError(f"payload is not UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError:
        raise PayloadError("payload has half of a surrogate pair (\\ud800 to \\udfff) in a text") from None
    except RecursionError:
        raise PayloadError("payload is nested too deeply") from None
    except ValueError as error:
        raise PayloadError(f"payload is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise PayloadError(f"payload must be a JSON object, not {type(data).__name__}")
    return data


def problems(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """One sentence for each thing that a validation found, starting with the field's name.

    Parameters
    ----------
    error
        What it found.
    model
        What was validated; of a field that it does not have, the sentence names the nearest that it has.
    """
    return [
        f"{'.'.join(str(part) for part in item['loc']) or 'payload'}: {_sentence(item, model)}"
        for item in error.errors(include_url=False, include_input=False)
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


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")
