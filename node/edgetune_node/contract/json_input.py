"""JSON that comes from outside, read under bounds: size, nesting, keys that come twice, numbers that are none."""

from __future__ import annotations

import json
from typing import Any, Final

from edgetune_node.errors import PayloadError

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
