"""``--json``: one object on standard output, also where a command fails."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from edgetune_nas.errors import BudgetError, NasError
from edgetune_node.errors import NodeError
from edgetune_signal import SignalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRINTED = "printed_as_json"
USAGE_ERROR: Any = typer.BadParameter.__base__
"""Class of errors of the command line; typer has no name for it."""


def print_json(content: Mapping[str, Any]) -> None:
    """Print one object."""
    typer.echo(json.dumps(content, indent=2))


@contextmanager
def json_errors(*, wanted: bool) -> Iterator[None]:
    """Print an error that passes through as ``{"error": ...}`` where JSON is ``wanted``; it passes in any case.

    One inside another prints nothing again. A wrong command line is an error like all others.
    """
    try:
        yield
    except (USAGE_ERROR, NasError, NodeError, SignalError) as error:
        if wanted and not error.__dict__.get(PRINTED):
            error.__dict__[PRINTED] = True
            text = error.format_message() if isinstance(error, USAGE_ERROR) else str(error)
            content: dict[str, Any] = {"error": text}
            if isinstance(error, BudgetError):
                key = "smallest_arena_bytes" if error.limit == "ram_bytes" else f"smallest_{error.limit}"
                content[key] = error.smallest
            print_json(content)
        raise
