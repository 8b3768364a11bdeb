"""``edgetune backtest``: what a node would have raised on recordings, and how often on those of health."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from edgetune_nas.bundle import load_bundle
from edgetune_node.cli.backtesting.figures import figures_of
from edgetune_node.cli.backtesting.plays import find_plays
from edgetune_node.cli.backtesting.run import Backtest
from edgetune_node.cli.backtesting.show import show
from edgetune_node.config import AssetSection, load_settings
from edgetune_node.errors import NodeError
from edgetune_node.operator import choose_asset
from edgetune_node.storage import asset_folder
from edgetune_node.terminal import json_errors, parse_seconds, print_json, takes_reading
from edgetune_signal.files import ReadOptions  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from edgetune_nas.bundle import Bundle
    from edgetune_nas.card import ModelCard
    from edgetune_node.cli.backtesting.plays import Play

CURRENT = "current"
"""Link to the model in use; it is only read, since the node may be running."""


@takes_reading
def backtest(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[BUNDLE] DATA",
            help="A bundle's folder, or --config in its place for the node's own model. Then a recording, a series of "
            "snapshots, or a folder of them.",
        ),
    ],
    *,
    config: Annotated[
        Path | None, typer.Option(help="The node's config.toml: its asset, its alarm, its model.")
    ] = None,
    asset: Annotated[str | None, typer.Option(metavar="ID", help="Which asset of --config, if it has several.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Start again with each recording.")] = False,
    raise_after: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="In place of the alarm's raise_after_s.")
    ] = None,
    clear_after: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="In place of the alarm's clear_after_s.")
    ] = None,
    hop: Annotated[int | None, typer.Option(min=1, help="Samples from window to window.")] = None,
    reading: ReadOptions,
    html: Annotated[
        Path | None, typer.Option(help="Write a page to this file that shows what happened over time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play recordings through a node's own monitor, without a broker, as fast as possible.

    They are played in order of time, or of names if they have no time, as one stream with gaps between them. A fault
    raised in a recording of the healthy class is a false alarm.
    """
    started = time.monotonic()
    with json_errors(wanted=as_json):
        folder, data = _bundle_and_data(paths, config)
        plays = find_plays(data, reading)
        section, bundle = _subject(folder, config, asset, plays)
        section = _changed(section, raise_after, clear_after, hop)
        first = plays[0]
        bundle.check_fits(
            channels=first.channels,
            length=section.window.length,
            rate_hz=first.rate_hz,
            unit=first.unit or bundle.card.input.unit,
        )
        run = Backtest(section, bundle, each=each)
        console = Console(stderr=True)
        shown = track(plays, "playing", console=console, transient=True, disable=as_json or not console.is_terminal)
        run.run(shown)
        figures = figures_of(run, section.healthy_class, time.monotonic() - started)
        if html is not None:
            _write(html, run, figures, section, f"{bundle.card.id} on {data}")
    if as_json:
        print_json(figures)
    else:
        show(run, figures, section)
        if html is not None:
            typer.echo(f"open {html.resolve().as_uri()}")


def _bundle_and_data(paths: list[Path], config: Path | None) -> tuple[Path | None, Path]:
    most = 2
    if len(paths) > most or (len(paths) < most and config is None):
        raise typer.BadParameter("give BUNDLE and DATA, or --config FILE and DATA")
    return (paths[0] if len(paths) == most else None), paths[-1]


def _subject(
    folder: Path | None, config: Path | None, asset: str | None, plays: list[Play]
) -> tuple[AssetSection, Bundle]:
    """Return the asset and its model."""
    bundle = None if folder is None else load_bundle(folder)
    if config is not None:
        settings = load_settings(config)
        section = _section(settings.asset, asset)
        if bundle is None:
            bundle = _current(settings.node.data_dir, section)
        return section, bundle
    assert bundle is not None  # noqa: S101 - one of both is given
    takes = bundle.card.input
    section = AssetSection(
        id="backtest",
        task=bundle.card.task,
        channels=takes.channels,
        rate_hz=takes.rate_hz,
        unit=plays[0].unit or takes.unit,
        rest_class=_rest_class(bundle.card, plays),
        window={"length": takes.length, "hop": takes.length},  # type: ignore[arg-type]
    )
    return section, bundle


def _rest_class(card: ModelCard, plays: list[Play]) -> str | None:
    """Return the class that is no fault or no sign, where it has another name than a node's default.

    A model of one class knows health alone. Rest is what a person was recorded with and asked for nothing.
    """
    if len(card.classes) == 1:
        return card.classes[0]
    if card.task == "fault" or "rest" in card.classes:
        return None
    cues = ((play.label, play.cue()) for play in plays if play.label in card.classes)
    return next((label for label, cue in cues if cue is not None and not cue.values.any()), None)


def _section(assets: list[AssetSection], wanted: str | None) -> AssetSection:
    sections = {each.id: each for each in assets}
    chosen = choose_asset(wanted, list(sections))
    if chosen is None:
        raise typer.BadParameter(f"which asset? --config has {', '.join(sections)}; give --asset")
    return sections[chosen]


def _current(data_dir: Path, section: AssetSection) -> Bundle:
    link = asset_folder(data_dir, section.id) / "models" / CURRENT
    if not link.is_dir():
        raise NodeError(f"{link} is not there: the node has no model in use; give a BUNDLE before DATA")
    return load_bundle(link.resolve())


def _changed(
    section: AssetSection, raise_after: float | None, clear_after: float | None, hop: int | None
) -> AssetSection:
    alarm: dict[str, Any] = {"raise_after_s": raise_after, "clear_after_s": clear_after}
    given = {name: value for name, value in alarm.items() if value is not None}
    window = section.window if hop is None else section.window.model_copy(update={"hop": hop})
    return section.model_copy(update={"alarm": section.alarm.model_copy(update=given), "window": window})


def _write(html: Path, run: Backtest, figures: dict[str, Any], section: AssetSection, title: str) -> None:
    from edgetune_node.cli.backtesting.page import backtest_page

    run.finish()
    try:
        html.write_text(backtest_page(title, run, figures, section), encoding="utf-8")
    except OSError as error:
        raise NodeError(f"{html} cannot be written: {error.strerror}; choose another --html") from error
