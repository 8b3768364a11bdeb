"""The command line: one function a command, imported only when its command is called."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import importlib
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import typer
from typer.core import TyperGroup

from edgetune_nas import standard_streams
from edgetune_nas.errors import NasError
from edgetune_node.errors import ConfigError, NodeError
from edgetune_signal import SignalError, SourceOptionsError

if TYPE_CHECKING:
    from collections.abc import Callable

PANELS = {
    "Start here": {
        "demo": "edgetune_node.cli.local.demo:demo",
        "doctor": "edgetune_node.cli.local.doctor:doctor",
        "run": "edgetune_node.cli.local.run:run",
        "simulate": "edgetune_node.cli.remote.simulate:simulate",
    },
    "Teach a node": {
        "recalibrate": "edgetune_node.cli.remote.jobs:recalibrate",
        "continue": "edgetune_node.cli.remote.orders:continue_",
        "cancel": "edgetune_node.cli.remote.orders:cancel",
        "record": "edgetune_node.cli.remote.jobs:record",
        "label": "edgetune_node.cli.remote.answers:label",
        "profile": "edgetune_node.cli.remote.orders:profile",
        "forget": "edgetune_node.cli.remote.answers:forget",
    },
    "Operate a node": {
        "acknowledge": "edgetune_node.cli.remote.answers:acknowledge",
        "shelve": "edgetune_node.cli.remote.orders:shelve",
        "capture": "edgetune_node.cli.remote.evidence:capture",
        "history": "edgetune_node.cli.remote.evidence:history",
        "context": "edgetune_node.cli.remote.orders:context",
        "deploy": "edgetune_node.cli.remote.orders:deploy",
        "rollback": "edgetune_node.cli.remote.orders:rollback",
        "ping": "edgetune_node.cli.remote.orders:ping",
    },
    "See and keep a plant": {
        "watch": "edgetune_node.cli.remote.watch:watch",
        "console": "edgetune_node.cli.remote.console:console",
        "backup": "edgetune_node.cli.local.backup:backup",
        "restore": "edgetune_node.cli.local.backup:restore_backup",
        "schema": "edgetune_node.cli.local.schema:schema",
    },
    "Data and models, without a node": {
        "import": "edgetune_node.cli.local.import_files:import_files",
        "export": "edgetune_node.cli.local.import_files:export_recording",
        "search": "edgetune_node.cli.local.search:search",
        "evaluate": "edgetune_node.cli.local.evaluate:evaluate",
        "backtest": "edgetune_node.cli.local.backtest:backtest",
        "report": "edgetune_node.cli.local.report:report",
        "bundle": "edgetune_node.cli.local.bundle:app",
    },
}
"""Every command by the panel of ``edgetune --help`` that lists it, in the order of the help."""
COMMANDS = {name: path for panel in PANELS.values() for name, path in panel.items()}
FAILED, USAGE = 1, 2
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a write to standard output fails with that is no pipe; typer itself ends the process for a closed pipe."""


def build(names: list[str]) -> typer.Typer:
    """Return an application with the commands ``names``; other commands' modules stay unimported."""
    app = typer.Typer(
        name="edgetune",
        cls=_Group,
        help="An MQTT edge node that classifies vibration or EMG and redesigns its own network on the spot.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_together)
    panels = {name: panel for panel, held in PANELS.items() for name in held}
    for name in names:
        found = _load(COMMANDS[name])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, rich_help_panel=panels[name])
        else:
            app.command(name, rich_help_panel=panels[name])(found)
    return app


class _Group(TyperGroup):
    """All commands; where one is called with ``--json``, each of its errors is a JSON object, usage errors too."""

    def invoke(self, ctx: Any) -> Any:
        from edgetune_node.terminal import json_errors

        with json_errors(wanted="--json" in sys.argv):
            return super().invoke(ctx)


def main() -> None:
    """Run the command line; users' mistakes end with a message and an exit code, never with a traceback."""
    standard_streams.mend()
    _name_crashes()
    try:
        _run()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _no_output(error)
    finally:
        _flush()


def _run() -> None:
    wanted = [argument for argument in sys.argv[1:2] if argument in COMMANDS]
    if not wanted and sys.argv[1:2] != ["--version"]:
        wanted = list(COMMANDS)
    try:
        plain_flags(typer.main.get_command(build(wanted)))()
    except (ConfigError, SourceOptionsError) as error:
        _fail(error, USAGE)
    except (NodeError, NasError, SignalError) as error:
        _fail(error, FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _name_crashes() -> None:
    """Let a library that kills this process be named on standard error, as one that is built for another processor."""
    if sys.stderr is not None and not faulthandler.is_enabled():
        with contextlib.suppress(OSError, ValueError):  # where standard error is no file
            faulthandler.enable()


def plain_flags(command: Any) -> Any:
    """Let flags stand in the help of ``command`` without a type: they take no value, whatever typer shows."""
    for option in command.get_params(typer.Context(command)):
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for child in getattr(command, "commands", {}).values():
        plain_flags(child)
    return command


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"edgetune {version('edgetune')}")
        raise typer.Exit


def _together(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep the command's name on the command line even where one command alone is loaded."""


def _load(path: str) -> Callable[..., object] | typer.Typer:
    module, _, name = path.partition(":")
    found: Callable[..., object] | typer.Typer = getattr(importlib.import_module(module), name)
    return found


def _flush() -> None:
    """Write what standard output still holds; Python itself would end with exit code 120 where that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _no_output(error)


def _no_output(error: OSError) -> NoReturn:
    """End the process because standard output takes nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, standard_streams.STDOUT)
    os.close(nowhere)
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"edgetune: standard output cannot be written: {error.strerror}\n")
    sys.exit(FAILED)


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"edgetune: {error}\n")
    sys.exit(code)
