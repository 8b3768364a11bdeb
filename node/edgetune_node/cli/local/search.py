"""``edgetune search``: a network for a set of data under budgets, searched in a child process."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from edgetune_nas.card import Budget
from edgetune_nas.errors import NasError
from edgetune_nas.search import Goal, SearchProgress, short_time
from edgetune_nas.worker import DataSource, Job, SearchDone, SearchFailed, SearchJob
from edgetune_node.cli.local.bundle import accuracy_fields, card_table
from edgetune_node.cli.local.healthy_class import without_healthy_class
from edgetune_node.config import WindowSection
from edgetune_node.terminal import (
    json_errors,
    open_bar,
    parse_count,
    parse_seconds,
    parse_size,
    print_json,
    stop_signals,
    takes_reading,
)
from edgetune_signal.files import ReadOptions  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgetune_nas.card import ModelCard

WINDOW = WindowSection().length
SHOWN_NOTES = ("training", "goal", "hum", "int8")
"""Of a card's notes, those that people read beside its figures."""


@takes_reading
def search(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="An .npz of windows, or a folder of recordings; a search for each."),
    ],
    *,
    ram: Annotated[
        int | None,
        typer.Option(parser=parse_size, metavar="SIZE", help="Most bytes of arena, such as 4KiB. (default: no limit)"),
    ] = None,
    flash: Annotated[
        int | None,
        typer.Option(parser=parse_size, metavar="SIZE", help="Most bytes of weights. (default: no limit)"),
    ] = None,
    macs: Annotated[
        int | None,
        typer.Option(parser=parse_count, metavar="NUMBER", help="Most operations a window. (default: no limit)"),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--time", parser=parse_seconds, metavar="TIME", help="Time budget, such as 90s or 2m.")
    ] = "60s",  # type: ignore[assignment] # the parser gives the number
    out: Annotated[Path, typer.Option(help="Folder for the bundle and the journal.")] = Path("models"),
    library: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Older data, or other people's: a prior, never tested on."),
    ] = None,
    objective: Annotated[
        Literal["accuracy", "smallest"],
        typer.Option(help="The most accurate network, or the smallest that is accurate enough."),
    ] = "accuracy",
    accuracy: Annotated[
        float, typer.Option(min=0.01, max=1, help="With --objective smallest: least validation accuracy.")
    ] = 0.99,
    latency: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds, metavar="TIME", help="Longest time for a window on this device, such as 1ms."
        ),
    ] = None,
    task: Annotated[Literal["fault", "sign"], typer.Option(help="Vibration or surface EMG.")] = "fault",
    reading: ReadOptions,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    window: Annotated[int | None, typer.Option(min=1, help="Samples per window, for recordings.")] = None,
    hop: Annotated[int | None, typer.Option(min=1, help="Samples from window to window. (default: one window)")] = None,
    converter: Annotated[
        str | None, typer.Option(help="Reader of DATA in another form: isl, myo, cwru-mat ...")
    ] = None,
    mains_hz: Annotated[
        float | None, typer.Option(min=1, help="Mains, 50 or 60: networks may remove its hum. (default: none)")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine that evaluate candidates.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Dask scheduler of other machines that evaluate, as tcp://HOST:8786."),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms-per-month", min=1e-6, metavar="NUMBER", help="With one class alone: most false alarms."
        ),
    ] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Search the best network for DATA within budgets and write it as a bundle; Ctrl-C keeps the best so far.

    Of one class alone (healthy recordings) it makes a health model, which tells what is unlike health.
    Several DATA are searched one after the other, each into a folder of its name below --out.
    """
    if cluster is not None and workers != 1:
        raise typer.BadParameter("give --workers (of this machine) or --cluster (of others), and not both")

    def source(path: Path) -> DataSource:
        if path.is_dir() and window is None and converter is None:
            raise typer.BadParameter(
                f"{path} is a folder of recordings: add how many samples a window has, --window {WINDOW} for example "
                "(or, for a public data set, --converter)"
            )
        return DataSource(path=path, window=window, hop=hop, unit=reading.unit, converter=converter, reading=reading)

    def job(path: Path, folder: Path) -> Job:
        return Job(
            data=source(path),
            library=source(library) if library else None,
            task=task,
            budget=Budget(ram_bytes=ram, flash_bytes=flash, macs=macs, search_seconds=seconds),
            seed=seed,
            out=folder,
            goal=Goal(
                objective=objective, accuracy=accuracy, latency_us=None if latency is None else round(1e6 * latency, 3)
            ),
            mains_hz=mains_hz,
            workers=workers,
            cluster=cluster,
            false_alarms_per_month=false_alarms,
        )

    jobs = [job(path, folder) for path, folder in zip(data, _folders(data, out), strict=True)]
    if len(jobs) == 1:
        with json_errors(wanted=as_json):
            found = _run(jobs[0], shown=not as_json)
        if as_json:
            print_json(found)
        return
    results: list[dict[str, Any]] = []
    for path, each in zip(data, jobs, strict=True):
        sys.stderr.write(f"edgetune: {path} into {each.out}\n")
        try:
            results.append({"data": str(path), **_run(each, shown=not as_json)})
        except (NasError, OSError) as error:
            sys.stderr.write(f"edgetune: {path}: {error}\n")
            results.append({"data": str(path), "error": str(error)})
        if results[-1].get("stopped_by") == "cancelled":
            left = data[len(results) :]
            results += [{"data": str(other), "error": "not searched: interrupted before"} for other in left]
            break
    if as_json:
        print_json({"results": results})
    if any("error" in each for each in results):
        raise typer.Exit(1)


def _folders(data: Sequence[Path], out: Path) -> list[Path]:
    """Return a folder for each search: ``out`` itself for one, folders below it named after the data for several."""
    if len(data) == 1:
        return [out]
    names = [path.resolve().stem for path in data]
    return [
        out / (f"{name}-{names[:index].count(name) + 1}" if name in names[:index] else name)
        for index, name in enumerate(names)
    ]


def _run(job: Job, *, shown: bool = True) -> dict[str, Any]:
    """Make one search, and return what ``--json`` prints of it."""
    if warning := short_time(job.budget.search_seconds):
        sys.stderr.write(f"edgetune: warning: {warning}\n")
    try:
        running = SearchJob.start(job)
    except OSError as error:
        raise NasError(f"{job.out} cannot be written: {error.strerror}; choose another --out") from error
    with _interruptible(running):
        done = show_search(running, Console(stderr=True))
    if warning := without_healthy_class(done.card):
        sys.stderr.write(f"edgetune: {warning}\n")
    if shown:
        _show(done)
    return {**result(done.bundle.resolve(), done.card), "workers": done.workers, "speedup": done.speedup}


def _show(done: SearchDone) -> None:
    if done.card.kind == "health":
        typer.echo(f"only {done.card.classes[0]!r} has windows: this is a health model, which finds what is unlike it")
    Console().print(card_table(done.card))
    if done.speedup is not None:
        typer.echo(f"workers {done.workers}: {done.speedup:.2f} times as fast as one, their start included")
    typer.echo(f"bundle  {done.bundle}\nreport  {(done.bundle / 'report.html').resolve().as_uri()}")


def show_search(job: SearchJob, console: Console) -> SearchDone:
    """Show how a search goes; return how it ends.

    Raises
    ------
    BudgetError
        Where no network fits.
    NasError
        Where it failed otherwise.
    """
    with open_bar(console, "search") as show:
        for event in job.events():  # to its end, so that the child is gone when this returns
            if isinstance(event, SearchProgress):
                show(100 * event.fraction, progress_line(event))
    if isinstance(event, SearchFailed):
        raise event.exception()
    assert isinstance(event, SearchDone)  # noqa: S101 - for mypy
    return event


def progress_line(progress: SearchProgress) -> str:
    """Return how far a search is."""
    best = ""
    if progress.best_accuracy is not None:
        best = f"best {progress.best_accuracy:.1%} with an arena of {progress.best_arena_bytes} B; "
    return (
        f"{progress.phase.replace('_', ' ')}: {best}{progress.candidates} seen, "
        f"{progress.rejected} over budget, {progress.trained} trained; {progress.seconds_left:.0f} s left"
    )


def result(bundle: Path, card: ModelCard) -> dict[str, Any]:
    """Return what ``--json`` prints: the bundle, the card's figures, and what the search took."""
    return {
        "bundle": str(bundle),
        "id": card.id,
        "classes": card.classes,
        **accuracy_fields(card),
        "library": None if card.library is None else card.library.model_dump(),
        "macro_f1": card.metrics.macro_f1,
        "test_windows": card.metrics.windows,
        "deployed": card.deployed,
        "layers": card.layers,
        **card.cost.model_dump(),
        **card.search.model_dump(),
        "notes": {name: note for name, note in card.notes.items() if name in SHOWN_NOTES},
        "warning": without_healthy_class(card),
    }


@contextmanager
def _interruptible(job: SearchJob) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM or SIGHUP stop the search with the best network so far, and a second end it at once."""
    asked = False

    def stop(number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            if number != signal.SIGHUP:  # one closed terminal may send several
                job.kill()
            return
        asked = True
        sys.stderr.write("\nedgetune: stopping; the best network so far is being written (again to give up)\n")
        job.cancel()

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
