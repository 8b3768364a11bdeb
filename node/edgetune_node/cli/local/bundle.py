"""``edgetune bundle``: show, verify, list and carry model bundles, and pick another network of a search."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgetune_nas.bundle import (
    accuracy_sentence,
    accuracy_text,
    card_accuracy,
    export_bundle,
    false_alarms_text,
    import_bundle,
    load_bundle,
    pick as pick_from,
    read_card,
    self_test,
)
from edgetune_nas.errors import BundleError
from edgetune_nas.novelty import NOVELTY
from edgetune_nas.onnx_io import HealthDistance
from edgetune_node.cli.local.bundle_c import write_c
from edgetune_node.cli.local.keys import signing_key
from edgetune_node.config import AssetSection, load_settings
from edgetune_node.storage import INCOMING
from edgetune_node.terminal import parse_size

if TYPE_CHECKING:
    from edgetune_nas.bundle import Bundle
    from edgetune_nas.card import ModelCard, Precision

app = typer.Typer(
    help="Show, verify, list, export and import model bundles, and pick another network of a search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command(name="c")(write_c)

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, model-<id>.")]
KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Key that both nodes have.")]
Unsigned = Annotated[bool, typer.Option("--unsigned", help="Do without a signature: hashes alone are checked.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def show(bundle: BundleFolder, *, as_json: AsJson = False) -> None:
    """Print a bundle's card: what it takes and gives, what it costs and how good it is."""
    card = read_card(bundle)
    if as_json:
        typer.echo(card.model_dump_json(indent=2))
    else:
        Console().print(card_table(card))


@app.command()
def verify(
    bundle: BundleFolder,
    *,
    config: Annotated[
        Path | None, typer.Option(help="A node's configuration; says which of its assets the bundle fits.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every file's hash, open both networks, and compare them with the card; exit 1 where anything is wrong."""
    card = read_card(bundle)
    precisions: list[Precision] = sorted(card.measured)
    tested: int | None = None
    for precision in precisions:
        opened = load_bundle(bundle, precision)
        tested = _self_test(opened) if precision == "float" else tested
    misfits = {} if config is None else {each.id: model_misfit(card, each) for each in load_settings(config).asset}
    fits = [asset for asset, problem in misfits.items() if problem is None]
    if config is not None and not fits:
        raise BundleError(
            f"{opened.path.name} is whole but fits no asset of {config}: "
            + "; ".join(f"{asset}: {problem}" for asset, problem in misfits.items())
        )
    if as_json:
        result = {"id": card.id, "files": sorted(card.sha256), "precisions": precisions, "self_test_windows": tested}
        typer.echo(json.dumps(result | ({} if config is None else {"fits": fits})))
        return
    typer.echo(f"{card.id}: {len(card.sha256)} files are whole, {' and '.join(precisions)} open and match the card")
    if tested is not None:
        typer.echo(f"self-test: {tested} windows give what they gave where the bundle was made")
    for asset, problem in misfits.items():
        typer.echo(f"asset {asset}: {problem or 'fits'}")


@app.command(name="list")
def list_bundles(
    data_dir: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="A node's data folder, or any folder.")],
    *,
    as_json: AsJson = False,
) -> None:
    """List the bundles below a folder, and which of them is current or previous."""
    if not data_dir.is_dir():
        raise BundleError(f"{data_dir} is no folder; give the data_dir of a node or the --out of a search")
    rows = [_row(path.parent) for path in sorted(data_dir.rglob("model-*/card.json"))]
    if as_json:
        typer.echo(json.dumps({"bundles": rows}))
        return
    for row in rows:
        typer.echo(_line(row))
    if not rows:
        typer.echo(f"no bundles below {data_dir}")


@app.command()
def pick(
    bundle: BundleFolder,
    *,
    arena: Annotated[int, typer.Option(parser=parse_size, metavar="SIZE", help="Most bytes of arena, such as 720.")],
    out: Annotated[Path, typer.Option(help="Folder for the new bundle.")] = Path("models"),
    as_json: AsJson = False,
) -> None:
    """Export another network of the search: the most accurate of at most that arena, measured on this device."""
    card = pick_from(bundle, arena_bytes=arena, out=out, created=datetime.now(UTC))
    path = out / f"model-{card.id}"
    if as_json:
        figures = {**accuracy_fields(card), **card.cost.model_dump()}
        typer.echo(json.dumps({"bundle": str(path.resolve()), "id": card.id, "deployed": card.deployed, **figures}))
        return
    Console().print(card_table(card))
    typer.echo(f"bundle  {path}")


@app.command(name="export")
def export(
    bundle: BundleFolder,
    *,
    out: Annotated[Path | None, typer.Option(help="The archive; by default model-<id>.zip here.")] = None,
    key: KeyFile = None,
    unsigned: Unsigned = False,
    as_json: AsJson = False,
) -> None:
    """Write a bundle as one signed file that another node imports."""
    secret = signing_key(key, unsigned=unsigned)
    path = out or Path(f"{bundle.resolve().name}.zip")
    card = export_bundle(bundle, path, secret)
    if as_json:
        typer.echo(json.dumps({"archive": str(path.resolve()), "id": card.id, "signed": secret is not None}))
        return
    typer.echo(f"{path}  model {card.id}, {'signed' if secret else 'not signed'}, {path.stat().st_size} bytes")


@app.command(name="import")
def import_(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="What `edgetune bundle export` wrote.")],
    *,
    config: Annotated[Path, typer.Option(help="The node's configuration; the bundle goes into its data_dir.")],
    key: KeyFile = None,
    unsigned: Unsigned = False,
    as_json: AsJson = False,
) -> None:
    """Check an exported bundle and put it where the node's `cmd/deploy` finds it."""
    secret = signing_key(key, unsigned=unsigned)
    settings = load_settings(config)
    folder = import_bundle(archive, settings.node.data_dir / INCOMING, secret)
    card = read_card(folder)
    misfits = {each.id: model_misfit(card, each) for each in settings.asset}
    base = f"{settings.node.namespace}/{settings.node.id}"
    if as_json:
        fits = [asset for asset, problem in misfits.items() if problem is None]
        typer.echo(json.dumps({"bundle": str(folder.resolve()), "id": card.id, "fits": fits}))
        return
    typer.echo(f"{folder}  model {card.id}")
    for asset, problem in misfits.items():
        use = f'fits; to use it, publish {{"id": "...", "model": "{folder.name}"}} to {base}/{asset}/cmd/deploy'
        typer.echo(f"asset {asset}: {problem or use}")


def card_table(card: ModelCard) -> Table:
    """Everything of a card that people compare, as a table of two columns."""
    table = Table(title=f"model {card.id}", show_header=False, title_justify="left")
    cost, search = card.cost, card.search

    def add(name: str, value: str) -> None:
        table.add_row(name, Text(value))  # brackets are brackets, and no markup

    add("task, classes", f"{card.task}: {', '.join(card.classes)}")
    add(
        "input",
        f"{card.input.channels} x {card.input.length} samples at {card.input.rate_hz:g} Hz, "
        f"{card.input.unit or 'unit not known'}",
    )
    add("layers", "; ".join(card.layers))
    if card.metrics.macro_f1 is None:
        add("false alarms", false_alarms_text(card))
        add("limit", f"a distance of {card.distance_limit:.3g}")
    else:
        add("accuracy", f"{card_accuracy(card)}, macro-F1 {card.metrics.macro_f1:.3f}")
    if card.replaced is not None:
        add(
            "model before",
            f"{accuracy_text(card.replaced, card.tested_on, in_parts=card.tested_in_parts)}, the same windows",
        )
    if card.library is not None:
        add("library", card.library.text)
    add(
        "arena",
        f"{cost.arena_bytes} B (int8 plan, {cost.arena_rule}), {cost.arena_bytes_deployed} B as deployed, "
        f"{cost.streamed_bytes} B streamed",
    )
    add("flash, work", f"{cost.flash_bytes} B, {cost.macs} MACs, {cost.parameters} parameters")
    if cost.mcu is not None:
        add("as C, estimated", "\n".join(cost.mcu.lines))
    for precision, measured in sorted(card.measured.items()):
        add(
            f"{precision} here",
            f"{measured.latency_p50_us:.0f} us a window (p99 {measured.latency_p99_us:.0f}), "
            f"onnxruntime's tensors {measured.ort_peak_bytes} B, file {measured.onnx_bytes} B",
        )
    add("novelty", _novelty(card))
    add("deployed", f"{card.deployed}: {card.deployed_because}")
    add(
        "search",
        f"{search.candidates} candidates, {search.rejected} over budget, {search.trained} trained in "
        f"{search.seconds:.1f} s (CPU {search.cpu_seconds:.1f} s, peak {search.peak_rss_bytes / 2**20:.0f} MiB), "
        f"stopped by {search.stopped_by}",
    )
    hum = card.notes.get("hum")
    if isinstance(hum, dict) and hum.get("heard"):
        off = "taken off in the graph" if hum.get("taken_off") else "not taken off"
        add("hum", f"{hum.get('share', 0):.0%} of the signal's power is at {hum.get('mains_hz', 0):g} Hz, {off}")
    if "training" in card.notes:
        add("note", str(card.notes["training"]))
    return table


def _novelty(card: ModelCard) -> str:
    """Return where the distance to what is known comes from."""
    size = "" if card.distance_bytes is None else f", {card.distance_bytes} B"
    of = "float graph" if card.kind == "classes" else "graph"
    where = {"graph": f"in the {of}", "side_file": f"side file {NOVELTY}", "none": "none: it knows no unknown"}
    return "not said" if card.distance is None else where[card.distance] + size


def accuracy_fields(card: ModelCard) -> dict[str, Any]:
    """Return an accuracy and all that qualifies it, as ``--json`` prints it."""
    return {
        "kind": card.kind,
        "accuracy": card.metrics.accuracy,
        "accuracy_low": card.metrics.accuracy_low,
        "accuracy_high": card.metrics.accuracy_high,
        "recordings": card.metrics.recordings,
        "tested_on": card.tested_on,
        "tested_in_parts": card.tested_in_parts,
        "chance": card.metrics.chance,
        "measured_before_refit": card.measured_before_refit,
        "distance": card.distance,
        "distance_bytes": card.distance_bytes,
        **({} if card.kind == "classes" else health_fields(card)),
    }


def health_fields(card: ModelCard) -> dict[str, Any]:
    """Return what a health model has in the place of an accuracy, as ``--json`` prints it."""
    metrics = card.metrics
    return {
        "false_alarms": metrics.false_alarms,
        "false_alarms_low": metrics.false_alarms_low,
        "false_alarms_high": metrics.false_alarms_high,
        "healthy_seconds": metrics.healthy_seconds,
        "supported_per_month": metrics.supported_per_month,
        "distance_limit": card.distance_limit,
    }


def model_misfit(card: ModelCard, asset: AssetSection) -> str | None:
    """Return how a model does not fit an asset's stream; None where it fits."""
    wanted = {
        "channels": (asset.channels, card.input.channels),
        "window length": (asset.window.length, card.input.length),
        "rate_hz": (asset.rate_hz, card.input.rate_hz),
        "unit": (asset.unit, card.input.unit),
        "task": (asset.task, card.task),
    }
    wrong = [f"{name} is {has}, the model takes {takes}" for name, (has, takes) in wanted.items() if has != takes]
    return "; ".join(wrong) or None


def _self_test(bundle: Bundle) -> int | None:
    """Count the self-test windows, all of which get the label that they got where the bundle was made."""
    kept = self_test(bundle)
    if kept is None:
        return None
    if isinstance(bundle.network, HealthDistance):
        before = kept[1][:, 0] > bundle.network.limit
        wrong = int((bundle.network.unknown(kept[0]) != before).sum())
    else:
        wrong = int((bundle.classifier.probabilities(kept[0]).argmax(axis=1) != kept[1].argmax(axis=1)).sum())
    if wrong:
        raise BundleError(
            f"{bundle.path.name}: {wrong} of {len(kept[0])} self-test windows get another class here than where it was "
            "made; do not use it, and search again on this machine"
        )
    return len(kept[0])


def _row(folder: Path) -> dict[str, Any]:
    path = str(folder)
    try:
        card = read_card(folder)
    except BundleError as error:
        return {"path": path, "error": str(error)}
    return {
        "path": path,
        "use": _use(folder),
        "id": card.id,
        "created": card.created.isoformat(timespec="seconds"),
        "task": card.task,
        "classes": card.classes,
        **accuracy_fields(card),
        "arena_bytes": card.cost.arena_bytes,
        "flash_bytes": card.cost.flash_bytes,
        "macs": card.cost.macs,
    }


def _use(folder: Path) -> str:
    for name in ("current", "previous"):
        link = folder.parent / name
        if link.is_symlink() and link.readlink().name == folder.name:
            return name
    return ""


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['path']}  damaged: {row['error']}"
    if row["kind"] == "health":
        known = f"health model of {row['classes'][0]}, {row['false_alarms']:.2%} of held-out health over its limit"
    else:
        interval = (row["accuracy_low"], row["accuracy_high"])
        said = accuracy_sentence(row["accuracy"], interval, row["tested_on"], digits=2, in_parts=row["tested_in_parts"])
        known = f"{len(row['classes'])} classes, accuracy {said}"
    figures = f"{known}, arena {row['arena_bytes']} B"
    return f"{row['path']}  {row['use'] or '-':<8}  {row['task']}, {figures}, flash {row['flash_bytes']} B"
