"""``edgetune schema``: the contract for other programs, generated from the message and command models."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from edgetune_node.contract import generate, write_schemas
from edgetune_node.errors import NodeError


def schema(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write one file each into this folder, instead of printing them as one object.")
    ] = None,
) -> None:
    """Return the JSON Schemas of every topic and command, and the AsyncAPI document."""
    if out is None:
        sys.stdout.write(json.dumps(generate(), indent=2) + "\n")
        return
    try:
        written = write_schemas(out)
    except OSError as error:
        raise NodeError(f"--out {out} cannot be written: {error.strerror}; give a folder that can") from None
    for file in written:
        sys.stdout.write(f"{file}\n")
