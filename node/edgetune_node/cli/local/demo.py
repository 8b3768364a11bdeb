"""``edgetune demo``: the whole loop on one machine, told in the terminal."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle import card_accuracy
from edgetune_node.terminal import json_errors, parse_seconds, print_json, stop_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_node.demo import Summary


def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Folder of .npz recordings to play in place of the simulated bearing.")
    ] = None,
    seconds_per_take: Annotated[
        float, typer.Option(parser=parse_seconds, metavar="TIME", help="How long each class is recorded.")
    ] = "5s",  # type: ignore[assignment] # the parser gives the number
    search_time: Annotated[
        float, typer.Option("--time", parser=parse_seconds, metavar="TIME", help="The search's time budget.")
    ] = "30s",  # type: ignore[assignment] # the parser gives the number
    task: Annotated[
        Literal["fault", "sign"],
        typer.Option(help="A machine that breaks, or a person with an armband who makes signs."),
    ] = "fault",
    broker: Annotated[
        Literal["mosquitto", "iotcore"] | None,
        typer.Option(help="Which broker to start. (default: mosquitto where it is installed, else iotcore)"),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Show it on the console's page too; it goes on until Ctrl-C.")
    ] = False,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="With --page: where browsers reach it.")
    ] = "127.0.0.1:8088",
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another simulated bearing.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print only a summary, as one JSON object.")] = False,
) -> None:
    """Play the whole loop: a machine, a node that learns it, two faults; needs no broker and no sensor."""
    from edgetune_node.demo import Screen, choose_broker, next_steps, perform, scenes

    if data is not None and task == "sign":
        raise typer.BadParameter("recordings are played as a machine: leave out --data or --task sign")

    console = Console(stderr=as_json)
    screen = Screen(console, time.monotonic)
    with json_errors(wanted=as_json), _interrupted_once():
        summary = perform(
            scenes.recorded(data) if data else scenes.armband(seed) if task == "sign" else scenes.simulated(seed),
            seconds_per_take=seconds_per_take,
            search_seconds=search_time,
            screen=screen,
            mosquitto=choose_broker(broker),
            page=listen if page else None,
        )
    if as_json:
        print_json(summary.as_json())
    else:
        _show(summary, console)
        console.print(next_steps(), highlight=False, markup=False, soft_wrap=True)


def _show(summary: Summary, console: Console) -> None:
    cost = summary.model.cost
    table = Table(title="What happened", show_header=False, title_justify="left")
    for fault in summary.as_json()["faults"]:
        table.add_row(
            f"fault {fault['class']}",
            f"raised {fault['latency_s']:.2f} s after the machine broke ({fault['raised_ts']}), "
            f"cleared {fault['cleared_ts']}",
        )
    for sign in summary.as_json()["signs"]:
        table.add_row(
            f"sign {sign['class']}",
            f"begun {sign['latency_s']:.2f} s after the hand moved, as {sign['first_class']}; ended {sign['ended_ts']}",
        )
    table.add_row("model", f"{summary.model.id}, {summary.model.deployed}: {'; '.join(summary.model.layers)}")
    table.add_row(
        "cost",
        f"arena {cost.arena_bytes} B (int8 plan), {cost.arena_bytes_deployed} B as deployed, "
        f"{cost.streamed_bytes} B streamed; flash {cost.flash_bytes} B, {cost.macs} MACs",
    )
    table.add_row(
        "accuracy",
        card_accuracy(summary.model, digits=1),
    )
    live = "" if summary.live_accuracy is None else f", {summary.live_accuracy:.1%} of them right"
    table.add_row("windows", f"{summary.windows} classified live{live}, {summary.lost_windows} lost")
    table.add_row("seconds", ", ".join(f"{name} {value:.1f}" for name, value in summary.seconds.items()))
    console.print(table)


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, and ignore all from then on, so that nothing interrupts the tearing down."""
    numbers = stop_signals()

    def interrupt(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        sys.stderr.write("\nedgetune: stopping\n")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
