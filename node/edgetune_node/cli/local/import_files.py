"""``edgetune import``: files of loggers and measuring programs become recordings; ``edgetune export``: and back."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgetune_node.terminal import json_errors, open_bar, print_json, takes_reading
from edgetune_signal import RecordingError, read_recording
from edgetune_signal.durable import sync
from edgetune_signal.files import (
    ANY_LABEL,
    Imported,
    ImportOptions,
    Labels,
    ReadOptions,
    Refusal,
    StagedFolder,
    import_file,
    plan_labels,
    recording_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgetune_signal import Recording

FAILED = 1
EXPORT_ROWS = 65_536
MAX_BINARY_BYTES = 2**31
"""Of samples in a MATLAB file; WAV ends at twice as many."""


@takes_reading
def import_files(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files, or folders of them.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for the recordings; needed without --dry-run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which recordings would be written, and write nothing.")
    ] = False,
    label: Annotated[str | None, typer.Option(help="Class of all recordings.")] = None,
    label_from: Annotated[
        str | None,
        typer.Option(metavar="folder|name|column[:NAME]", help="Where each class comes from; a column cuts a file."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Pattern of the names, such as {label}_{condition}_{skip} or {subject}-{label}.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Text file with columns file, label, condition, subject.")] = None,
    reading: ReadOptions,
    condition_from: Annotated[Literal["folder"] | None, typer.Option(help="Where the condition comes from.")] = None,
    sensor: Annotated[str, typer.Option(help="Sensor that recorded the files.")] = "",
    subject: Annotated[str, typer.Option(help="Person or machine that was recorded.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn files of other programs into recordings.

    Rate, unit, names, start and classes come from the file, if it has them. A time column gives the rate and is no
    channel. The signal is cut where values are missing. A file that cannot be read is named with the reason; the
    others are imported.
    """
    with json_errors(wanted=as_json):
        if out is None and not dry_run:
            raise RecordingError("--out is missing: name a folder for the recordings, or give --dry-run")
        place, _, column = (label_from or "").partition(":")
        if place not in {"", "folder", "name", "column"} or (column and place != "column"):
            raise RecordingError(f"--label-from {label_from}: give folder, name, column or column:NAME")
        options = ImportOptions(
            read=replace(reading, label_column=(column or ANY_LABEL) if place == "column" else None),
            label=label,
            label_from="folder" if place == "folder" else "name" if place == "name" else None,
            pattern=pattern,
            condition_from=condition_from,
            table=table,
            sensor=sensor,
            subject=subject,
        )
        planned = plan_labels(sources, options)
        console = Console(stderr=as_json)
        if out is None or dry_run:
            made, refused = _import_all(planned, None, options, console)
        else:
            with StagedFolder(out) as folder:
                if folder.removed:
                    typer.echo(f"edgetune: {out}: {_removed(folder.removed)}", err=True)
                made, refused = _import_all(planned, folder, options, console)
                folder.commit()
    if label is not None and place:
        typer.echo(f"edgetune: --label {label} wins over --label-from {label_from}", err=True)
    if as_json:
        print_json(_content(made, refused))
    else:
        _print(console, made, refused, dry_run=dry_run)
    if refused:
        raise typer.Exit(FAILED)


def _removed(names: Sequence[str]) -> str:
    """Return what became of the files of an import that was killed."""
    return f"an import that was interrupted had left {len(names)} files ({names[0]} ...), which are removed"


def _import_all(
    planned: Mapping[Path, Labels], out: StagedFolder | None, options: ImportOptions, console: Console
) -> tuple[list[Imported], list[Refusal]]:
    """Import one file after the other; a class's takes are counted so that the last of three is held out whole."""
    made: list[Imported] = []
    refused: list[Refusal] = []
    names = recording_names(list(planned))
    takes = Counter(options.label or labels.label for labels in planned.values())
    seen: Counter[str | None] = Counter()
    with open_bar(console, "import") as show:
        for number, (path, labels) in enumerate(planned.items()):
            class_ = options.label or labels.label

            def progress(share: float, number: int = number, path: Path = path) -> None:
                show(100 * (number + share) / len(planned), path.name)

            progress(0.0)
            try:
                made += import_file(
                    path,
                    labels,
                    out,
                    options,
                    name=names[path],
                    take=seen[class_],
                    takes=takes[class_],
                    on_progress=progress,
                )
            except RecordingError as error:
                refused.append(Refusal.of(path, error))
            seen[class_] += 1
        show(100.0, "")
    return made, refused


def _content(made: Sequence[Imported], refused: Sequence[Refusal]) -> dict[str, Any]:
    return {
        "recordings": [
            {
                **asdict(each),
                "source": str(each.source),
                "channels": len(each.channel_names),
            }
            for each in made
        ],
        "refused": [{**asdict(each), "file": str(each.file)} for each in refused],
    }


def _print(console: Console, made: Sequence[Imported], refused: Sequence[Refusal], *, dry_run: bool) -> None:
    if made:
        table = Table()
        for heading in ("recording", "class", "channels", "Hz", "unit", "samples", "gaps", "not channels"):
            table.add_column(heading, overflow="fold")
        for each in made:
            others = ", ".join(f"{use.name}: {use.use}" for use in each.columns if use.use != "channel")
            rate = f"{each.rate_hz:g} ({each.rate_from})"
            channels = f"{len(each.channel_names)}: {', '.join(each.channel_names)}"
            row = (each.name, each.label, channels, rate, each.unit, str(each.samples), str(each.gaps), others)
            table.add_row(*map(escape, row))
        console.print(table)
    for refusal in refused:
        typer.echo(f"{refusal.file}: {refusal.reason}: {refusal.advice}", err=True)
    done = "would be made" if dry_run else "made"
    typer.echo(f"{len(made)} recordings {done}, {len(refused)} files refused")


def export_recording(
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="A recording, .npz.")],
    *,
    file_format: Annotated[Literal["csv", "wav", "mat"], typer.Option("--format", help="Kind of the file.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="The file. (default: beside the recording)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a recording as a file for other programs. `edgetune import` reads it back."""
    with json_errors(wanted=as_json):
        found = read_recording(recording)
        target = out or recording.with_suffix(f".{file_format}")
        told = _export(found, file_format, target)
    if as_json:
        print_json({"file": str(target), "format": file_format, "bytes": target.stat().st_size})
    else:
        typer.echo(f"{target}{told}")


def _export(recording: Recording, file_format: str, target: Path) -> str:
    """Write the file, whole or not at all; return what to say of it."""
    if target.exists():
        raise RecordingError(f"{target} is there already: choose another --out, or remove it")
    if file_format != "csv" and recording.samples.nbytes >= MAX_BINARY_BYTES:
        raise RecordingError(f"{target}: the recording is larger than a {file_format} file may be: choose csv")
    temporary = target.with_name(f".{target.name}.part")
    writers: dict[str, Callable[[Path, Recording], str]] = {"csv": _to_csv, "wav": _to_wav, "mat": _to_mat}
    try:
        told = writers[file_format](temporary, recording)
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except OSError as error:
        raise RecordingError(f"{target} cannot be written: {error.strerror}: choose another --out") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return told


def _to_csv(path: Path, recording: Recording) -> str:
    names = [
        f"ch{number + 1}{f' [{recording.unit}]' if recording.unit else ''}" for number in range(len(recording.samples))
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        file.write(f"# Sample Rate = {recording.rate_hz!r} Hz\n# Label = {recording.label}\n")
        writer.writerow(names)
        for start in range(0, recording.samples.shape[1], EXPORT_ROWS):
            np.savetxt(file, recording.samples[:, start : start + EXPORT_ROWS].T, fmt="%.9g", delimiter=",")
    return ""


def _to_wav(path: Path, recording: Recording) -> str:
    from scipy.io import wavfile  # scipy costs 75 MiB: only who writes these files pays

    if recording.rate_hz != round(recording.rate_hz):
        raise RecordingError(
            f"{path.stem}: WAV knows whole rates only, not {recording.rate_hz:g} Hz: choose csv or mat"
        )
    wavfile.write(path, round(recording.rate_hz), np.ascontiguousarray(recording.samples.T))
    return ": floating point; import it with --full-scale 1" + (f" --unit {recording.unit}" if recording.unit else "")


def _to_mat(path: Path, recording: Recording) -> str:
    from scipy.io import savemat

    content = {
        "samples": recording.samples,
        "fs": recording.rate_hz,
        "unit": recording.unit,
        "label": recording.label,
        **({"rpm": recording.shaft_rpm} if recording.shaft_rpm is not None else {}),
    }
    with path.open("wb") as file:
        savemat(file, content)
    return ""
