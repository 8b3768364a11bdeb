"""``edgetune backup`` and ``edgetune restore``: all that makes a node itself as one file, and onto a machine again."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from edgetune_nas.bundle import read_key
from edgetune_node.cli.local.keys import check_key
from edgetune_node.config import NodeSection, load_settings
from edgetune_node.contract import BackupCommand, problems
from edgetune_node.errors import BackupError, ConfigError
from edgetune_node.operator import OperatorClient, Target, takes_target, wait_parts
from edgetune_node.storage import Archive, RunningError, copy_backup, held_outbox, restore, told, write_backup
from edgetune_node.terminal import json_errors, print_json

if TYPE_CHECKING:
    from edgetune_node.config import Settings

TIMEOUT_S = 3600.0
KEPT = BackupCommand.model_fields["keep"].default

KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Key that signs it; keep it elsewhere.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@takes_target
def backup(
    target: Target,
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file; goes with --config, on the node's machine. (default: kept there)")
    ] = None,
    key: KeyFile = None,
    keep: Annotated[
        int, typer.Option(min=1, max=100, help="Backups that stay in the data folder of a node that runs.")
    ] = KEPT,
    as_json: AsJson = False,
) -> None:
    """Write configuration, models, recordings, baselines, people, trends and the outbox of a node into one file.

    The node may run: then it makes the backup itself, in its data folder, and the file is a copy of that. Keys,
    certificates and password files that the configuration names are no part of it.
    """
    settings = target.settings
    if out is not None and settings is None:
        raise typer.BadParameter("--out needs --config: without it the file stays on the node's machine")
    if key is not None and out is None:
        raise typer.BadParameter("--key signs the file that --out names; give both")
    with json_errors(wanted=as_json):
        secret = None if key is None else read_key(key)
        if out is None or settings is None:
            detail = _asked(target, keep)
        else:
            detail = _written(target, settings, out, keep, secret) | {"file": str(out.resolve())}
    if as_json:
        print_json(detail | {"signed": secret is not None})
        return
    signed = "signed" if secret is not None else "not signed"
    typer.echo(f"{detail['file']}  node {detail['node']}, {detail['files']} files, {detail['bytes']} bytes, {signed}")


def restore_backup(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `edgetune backup` wrote.")],
    *,
    config: Annotated[
        Path, typer.Option(help="The node's configuration; where there is none, that of the backup is written there.")
    ],
    node_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Another id for the node; the other node may still run.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move what is in the data folder aside, into a folder inside.")
    ] = False,
    key: KeyFile = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Do without a signature.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make this machine the node of a backup, or with --node-id another node with all that one knows.

    Everything is checked before anything is changed. A restore that is interrupted is gone on with at the next start of
    the node, or of this command.
    """
    check_key(key, unsigned=unsigned)
    with json_errors(wanted=as_json):
        found = Archive(archive, None if key is None else read_key(key))
        settings, text = _settings(found, config, node_id)
        manifest, node = found.manifest, settings.node
        if node.id != (node_id or manifest.node):
            raise BackupError(
                f"the backup is of node {manifest.node!r}, and {config} has {node.id!r}: give --node-id {node.id}, or"
                " correct one of them"
            )
        try:
            with held_outbox(node.data_dir):
                ready = restore(
                    found,
                    node.data_dir,
                    base=f"{node.namespace}/{node.id}",
                    now=datetime.now(UTC),
                    replace=replace,
                    config=None if text is None else (config, text),
                )
        except RunningError as error:
            raise BackupError(f"{error}: stop it first") from None
    detail = told(manifest) | {
        "data_dir": str(node.data_dir),
        "node": node.id,
        "backup_of": manifest.node,
        "config": str(config) if text is not None else None,
        "moved_aside": str(node.data_dir / ready.aside) if ready.old else None,
    }
    if as_json:
        print_json(detail)
        return
    typer.echo(f"{node.data_dir}  node {node.id}, {detail['files']} files, {detail['bytes']} bytes")
    for name, what in (("config", "configuration written to"), ("moved_aside", "what was there is in")):
        if detail[name] is not None:
            typer.echo(f"{what} {detail[name]}")


def _written(target: Target, settings: Settings, out: Path, keep: int, secret: bytes | None) -> dict[str, Any]:
    """Write a backup of a node of this machine, whether it runs or not."""
    node = settings.node
    if out.exists():
        raise BackupError(f"{out} is there already: remove it or choose another name")
    try:
        with held_outbox(node.data_dir) as snapshots:
            manifest = write_backup(
                node.data_dir,
                out,
                node=node.id,
                namespace=node.namespace,
                version=version("edgetune"),
                created=datetime.now(UTC),
                config=settings.file,
                snapshots=snapshots,
                key=secret,
            )
    except RunningError:
        detail = _asked(target, keep)
        copy_backup(node.data_dir / detail["file"], out, secret)
        return detail
    return told(manifest)


def _asked(target: Target, keep: int) -> dict[str, Any]:
    """Let the node make a backup."""
    with OperatorClient(target.mqtt, target.topics) as client:
        return wait_parts(client, client.send("backup", keep=keep), timeout=TIMEOUT_S).detail


def _settings(archive: Archive, config: Path, node_id: str | None) -> tuple[Settings, str | None]:
    """Return the configuration, and the text of one that is to be written; None where there is one."""
    if config.exists():
        return load_settings(config), None
    text = archive.config()
    if text is None:
        raise BackupError(f"{config} is not there, and the backup has no configuration: write one first")
    if node_id is not None:
        text = _renamed(text, node_id)
    trial = config.with_name(f".{config.name}.trial")
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        trial.write_text(text, encoding="utf-8")
        return load_settings(trial), text
    except ConfigError as error:
        raise ConfigError(f"configuration of the backup, for {config}", error.problems) from None
    except OSError as error:
        raise BackupError(f"{config} cannot be written: {error.strerror}: choose another --config") from error
    finally:
        trial.unlink(missing_ok=True)


def _renamed(text: str, node_id: str) -> str:
    """Return a configuration with another id of the node, everything else as it was written."""
    found = re.search(r"(?ms)^\s*\[node\]\s*?$.*?(?=^\s*\[|\Z)", text)
    table = found[0] if found else ""
    try:
        NodeSection(id=node_id)
    except ValidationError as error:
        raise BackupError(f"--node-id {node_id!r}: {'; '.join(problems(error))}") from None
    renamed, count = re.subn(r"(?m)^(\s*id\s*=\s*)(\"[^\"\n]*\"|'[^'\n]*')", rf'\g<1>"{node_id}"', table, count=1)
    changed = text.replace(table, renamed, 1) if found and count else ""
    if not changed or tomllib.loads(changed).get("node", {}).get("id") != node_id:
        raise BackupError("the backup's configuration has no id in a table [node]: write a configuration first")
    return changed
