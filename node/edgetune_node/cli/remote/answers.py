"""What an operator answers to a fault: ``edgetune acknowledge``, and ``edgetune label`` where it has no name yet."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from edgetune_node.cli.remote.jobs import check, operate
from edgetune_node.contract import Forget
from edgetune_node.operator import Target, takes_target
from edgetune_node.terminal import parse_seconds

TIMEOUT_S = 60.0
"""Both are done in a moment, or never."""


@takes_target
def label(
    target: Target,
    *,
    label: Annotated[str, typer.Option(help="Class of the recordings: what the machine or person does.")],
    event: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A novel fault or an unknown sign: all that is kept of it."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds, metavar="TIME", help="Instead: the last seconds of the stream, at most 10s."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Name a novel event, or the last seconds: they become labelled recordings."""
    fields = {"label": label, "event": event, "seconds": seconds}
    operate(target, "label", fields, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def acknowledge(
    target: Target,
    *,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who has seen the fault.")],
    event: Annotated[
        str | None, typer.Option(metavar="ID", help="Event id of the fault. (default: the present one)")
    ] = None,
    comment: Annotated[str | None, typer.Option(metavar="TEXT", help="Note for others.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Acknowledge a fault. A latched fault that has gone ends."""
    fields: dict[str, Any] = {"by": by, "event": event, "comment": comment}
    operate(target, "acknowledge", fields, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def forget(
    target: Target,
    *,
    subject: Annotated[str, typer.Option(metavar="NAME", help="Person to erase.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Erase a person from a node: recordings, models, kept unknown signs, waiting messages, names in logs of commands.

    It cannot be undone. The answer says what was erased. Backups, the machine's own log, and what brokers and other
    programs have stored stay: erase those yourself.
    """
    fields = {"subject": subject}
    check(Forget, fields)
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        typer.confirm(f"Erase all that is kept of {subject}?", abort=True, err=True)
    operate(target, "forget", fields, as_json=as_json, timeout=TIMEOUT_S)
