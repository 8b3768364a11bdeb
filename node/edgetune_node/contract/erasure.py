"""Removes a person's name from texts and JSON values that are kept."""

from __future__ import annotations

import json
import re
from typing import Any, Final

FORGOTTEN: Final = "forgotten"
"""What stands where the name was: a label as names are, so that what was read before can still be read."""
_TEXTS: Final = ("reason", "errors", "detail", "instruction", "suggested", "subject")
"""Fields of a message that may name a person; the others have words of their own, which stay."""
_LABEL = r"[A-Za-z0-9_.+-]"


def without(value: Any, subject: str) -> Any:
    """Return a JSON value in which no text names ``subject``.

    Keys stay. A text that is a JSON object itself is read and written again.

    Parameters
    ----------
    value
        Text, number, list or object.
    subject
        Who is forgotten; only the whole name is meant, so that ``ann`` leaves ``anna``.
    """
    match value:
        case str():
            return _text_without(value, subject)
        case list():
            return [without(each, subject) for each in value]
        case dict():
            return {name: without(each, subject) for name, each in value.items()}
    return value


def message_without(payload: bytes, subject: str) -> bytes:
    """Return a message's payload without the name; one that does not have it, or is no JSON object, stays as it is."""
    if subject.encode() not in payload:
        return payload
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return payload
    if not isinstance(fields, dict):
        return payload
    cleaned = {name: without(value, subject) if name in _TEXTS else value for name, value in fields.items()}
    return payload if cleaned == fields else json.dumps(cleaned, separators=(",", ":")).encode()


def _text_without(text: str, subject: str) -> str:
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # cut short, or no JSON: then it is text
            pass
        else:
            cleaned = without(value, subject)
            return text if cleaned == value else json.dumps(cleaned)
    # a full stop may end a sentence, or be part of a longer name
    whole = rf"(?<!{_LABEL}){re.escape(subject)}(?!\.?[A-Za-z0-9_+-])"
    return re.sub(whole, FORGOTTEN, text)
