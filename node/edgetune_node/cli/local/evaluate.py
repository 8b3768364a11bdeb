"""``edgetune evaluate``: how good a bundle is on labelled windows, through onnxruntime."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgetune_nas.bundle import evaluate as score, load_bundle, recordings_of
from edgetune_nas.errors import DataError
from edgetune_node.cli.local.healthy_class import HEALTHY, without_healthy_class
from edgetune_node.terminal import json_errors, print_json, takes_reading
from edgetune_signal import load_dataset
from edgetune_signal.datasets import is_recording
from edgetune_signal.files import ReadOptions  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from edgetune_nas.bundle import Bundle, Evaluation
    from edgetune_signal import Dataset

MAX_SHOWN_CLASSES = 16
MAX_SHOWN_RECORDINGS = 40


@takes_reading
def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, model-<id>.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="An .npz of windows, a recording, or a folder of recordings.")
    ],
    *,
    precision: Annotated[
        Literal["int8", "float", "deployed"], typer.Option(help="Which of the bundle's networks runs.")
    ] = "deployed",
    window: Annotated[
        int | None, typer.Option(min=1, help="Samples per window. (default: what the model takes)")
    ] = None,
    hop: Annotated[int | None, typer.Option(min=1, help="Samples from window to window. (default: one window)")] = None,
    converter: Annotated[
        str | None, typer.Option(help="Reader of DATA in another form: isl, myo, cwru-mat ...")
    ] = None,
    healthy: Annotated[
        str, typer.Option(metavar="CLASS", help="Class of a machine that is no fault, as rest_class of a node.")
    ] = HEALTHY,
    reading: ReadOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a bundle on labelled windows: argmax over all of them, classes matched by name.

    Beside that, how many windows a node would call unknown as too unlike the training data, how each class and each
    recording does, and how many windows the bundle has learned from. One class alone will do.
    """
    with json_errors(wanted=as_json):
        opened = load_bundle(bundle, precision)
        takes = opened.card.input
        dataset = load_dataset(
            data,
            window=window or cut_length(data, takes.length, converter),
            hop=hop,
            unit=reading.unit,
            converter=converter,
            one_class=True,
            reading=reading,
        )
        check_fits(opened, dataset)
        strangers = [name for name in dataset.classes if name not in opened.card.classes]
        health = opened.card.kind == "health"
        if len(strangers) == len(dataset.classes) and not health:
            raise DataError(
                f"{data} has none of the model's classes: the data have {', '.join(strangers)}; "
                f"the model knows {', '.join(opened.card.classes)}"
            )
        if strangers and not health:
            sys.stderr.write(
                f"edgetune: the model does not know {', '.join(strangers)}; their windows count as wrong\n"
            )
        same = searched_on(opened, dataset)
        result = score(
            opened,
            dataset.x,
            dataset.label,
            dataset.classes,
            recording=recordings_of(dataset),
            recordings=[Path(name).stem if Path(name).is_file() else name for name in dataset.groups],
            healthy=healthy if opened.card.task == "fault" else None,
        )
        if opened.card.kind == "classes" and (warning := without_healthy_class(opened.card, healthy)):
            sys.stderr.write(f"edgetune: {warning} (alarms are counted with --healthy CLASS)\n")
        if same and result.seen_windows is None:
            sys.stderr.write(
                f"edgetune: {opened.path.name} was searched on these very data, so it was trained on most of these "
                "windows; its card has the accuracy on held-out ones\n"
            )
        elif result.seen_windows:
            sys.stderr.write(f"edgetune: {_seen(opened.path.name, result.seen_windows, result)}\n")
    if as_json:
        print_json(asdict(result) | {"seen": same})
    else:
        _show(result, Console(), with_unknown=opened.novelty is not None)


def cut_length(data: Path, length: int, converter: str | None) -> int | None:
    """Return the model's length where ``data`` are recordings to be cut; windows are not cut again."""
    recordings = (
        converter is not None or data.is_dir() or (data.is_file() and (data.suffix != ".npz" or is_recording(data)))
    )
    return length if recordings else None


def _seen(name: str, seen: int, result: Evaluation) -> str:
    rest = result.windows - seen
    figure = "false alarms" if result.accuracy is None else "accuracy"
    others = (
        f"its card has the {figure} on held-out ones"
        if result.accuracy_unseen is None
        else f"of the other {rest} it gets {result.accuracy_unseen:.2%} right"
    )
    return f"{name} has learned {seen} of these {result.windows} windows; {others}"


def check_fits(bundle: Bundle, dataset: Dataset) -> None:
    """Raise `BundleError` naming every way in which the windows do not fit; data without a unit are in the model's."""
    bundle.check_fits(
        channels=dataset.channels,
        length=dataset.length,
        rate_hz=dataset.rate_hz,
        unit=dataset.unit or bundle.card.input.unit,
    )


def searched_on(bundle: Bundle, dataset: Dataset) -> bool:
    """Whether these are the data that the bundle was searched on; data without a unit are in the model's."""
    with_unit = replace(dataset, unit=dataset.unit or bundle.card.input.unit)
    return bundle.card.data_fingerprint in {dataset.fingerprint(), with_unit.fingerprint()}


def _show(result: Evaluation, console: Console, *, with_unknown: bool) -> None:
    unknown = f", {result.unknown_rate:.2%} unknown" if with_unknown else ""
    said = (
        "health model" if result.accuracy is None else f"accuracy {result.accuracy:.2%}, macro-F1 {result.macro_f1:.3f}"
    )
    console.print(
        f"{said}{unknown} on {result.windows} windows "
        f"({result.precision_used}); {result.latency_p50_us:.0f} us a window, p99 {result.latency_p99_us:.0f} us",
        highlight=False,
        soft_wrap=True,
    )
    if result.accuracy is None:
        table = Table("class", "windows", "over the limit", box=None)
        for each in result.by_class:
            table.add_row(escape(each.name), str(each.windows), str(each.unknown))
        console.print(table)
    elif len(result.classes) <= MAX_SHOWN_CLASSES:
        numbers = [str(number) for number in range(1, len(result.classes) + 1)]
        table = Table("", "is, said to be", *numbers, *(["unknown"] if with_unknown else []), box=None)
        for number, name, row, strange in zip(numbers, result.classes, result.confusion, result.unknown, strict=True):
            counts = [*row, *([strange] if with_unknown else [])]
            table.add_row(number, escape(name), *(str(count) if count else "." for count in counts))
        console.print(table)
    if 1 < len(result.by_recording) <= MAX_SHOWN_RECORDINGS:
        table = Table("recording", "is", "windows", "right", "unknown", "alarmed", box=None)
        for each in result.by_recording:
            alarmed = "-" if each.alarmed is None else str(each.alarmed)
            figures = (str(each.windows), str(each.right), str(each.unknown), alarmed)
            table.add_row(escape(each.name), escape(each.label), *figures)
        console.print(table)
