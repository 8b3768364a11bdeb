"""The key of a signed file on a command line, or that it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgetune_nas.bundle import read_key

if TYPE_CHECKING:
    from pathlib import Path


def check_key(file: Path | None, *, unsigned: bool) -> None:
    """Raise `typer.BadParameter` unless one of --key and --unsigned is given."""
    if file is None and not unsigned:
        raise typer.BadParameter("neither --key nor --unsigned is given: give --key FILE, or --unsigned to do without")
    if file is not None and unsigned:
        raise typer.BadParameter("--key and --unsigned are both given: give one of them")


def signing_key(file: Path | None, *, unsigned: bool) -> bytes | None:
    """Return the key that the file holds; None for an unsigned one."""
    check_key(file, unsigned=unsigned)
    return None if file is None else read_key(file)
