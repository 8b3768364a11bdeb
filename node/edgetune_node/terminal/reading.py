"""Options that say what files do not say of themselves, one definition for all commands that read files."""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgetune_signal.files import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETER = "reading"


def read_options(
    *,
    columns: Annotated[
        str | None, typer.Option(help="Channels of files: names, or numbers from 1, as accX,accY or 2,3.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option(min=1e-3, help="Samples per second and channel, where files do not say it.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of a sample, where files do not say it.")] = None,
    variable: Annotated[
        str | None, typer.Option(help="Which variable, data set, group or stream of a file that holds several.")
    ] = None,
    full_scale: Annotated[
        float | None, typer.Option(min=1e-12, help="Value of the largest sample of WAV and FLAC.")
    ] = None,
    channel_key: Annotated[Literal["DE", "FE", "BA"], typer.Option(help="Accelerometer of the CWRU data.")] = "DE",
) -> ReadOptions:
    """Put the options together; `typer.BadParameter` where a number is none."""
    for name, value in (("--rate-hz", rate_hz), ("--full-scale", full_scale)):
        if value is not None and not math.isfinite(value):
            raise typer.BadParameter(f"{name} must be a number, not {value}")
    return ReadOptions(
        columns=tuple(each.strip() for each in columns.split(",") if each.strip()) if columns else (),
        rate_hz=rate_hz,
        unit=unit,
        variable=variable,
        full_scale=full_scale,
        channel_key=channel_key,
    )


def takes_reading(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command``, the options of `read_options` in place of its parameter ``reading``."""
    shared = inspect.signature(read_options, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def wrapped(*given: Any, **named: Any) -> None:
        reading = read_options(**{name: named.pop(name) for name in shared})
        command(*given, **named, **{PARAMETER: reading})

    parameters: list[inspect.Parameter] = []
    for name, item in own.items():
        parameters += shared.values() if name == PARAMETER else [item]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {item.name: item.annotation for item in parameters}
    return wrapped
