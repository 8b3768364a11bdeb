"""What ``edgetune doctor`` finds out in the model store; importing this imports onnxruntime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgetune_nas.bundle import card_accuracy, load_bundle
from edgetune_nas.errors import BundleError
from edgetune_node.cli.local.finding import Finding
from edgetune_node.cli.local.healthy_class import without_healthy_class
from edgetune_node.storage import asset_folder, model_folders

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.config import AssetSection


def check_models(section: AssetSection, data_dir: Path) -> list[Finding]:
    """Whether every bundle of an asset, of every person, is whole and fits its stream; nothing is touched."""
    wearer, *others = model_folders(asset_folder(data_dir, section.id))
    return [
        *_store(f"models {section.id}", wearer, section),
        *(finding for each in others for finding in _store(f"models {section.id} {each.parent.name}", each, section)),
    ]


def _store(name: str, folder: Path, section: AssetSection) -> list[Finding]:
    bundles = sorted(path for path in folder.glob("model-*") if path.is_dir())
    links = {link: folder / link for link in ("current", "previous") if (folder / link).is_symlink()}
    findings = [_bundle(name, path, section, in_use=_is(links.get("current"), path)) for path in bundles]
    findings += [
        Finding(name, "problem", f"{link} points to {os.readlink(path)}, which is not there", "publish cmd/deploy")  # noqa: PTH115 - the text of the link
        for link, path in links.items()
        if not path.exists()
    ]
    if "current" not in links:
        findings.append(Finding(name, "warning", "no model in use", "edgetune recalibrate makes one"))
    return findings


def _bundle(name: str, folder: Path, section: AssetSection, *, in_use: bool) -> Finding:
    try:
        bundle = load_bundle(folder)
        bundle.check_fits(
            channels=section.channels, length=section.window.length, rate_hz=section.rate_hz, unit=section.unit
        )
    except BundleError as error:
        advice = "edgetune recalibrate makes a new one" if in_use else f"it is not in use; {folder} may be removed"
        return Finding(name, "problem" if in_use else "warning", str(error), advice)
    card = bundle.card
    if in_use and (warning := without_healthy_class(card, section.healthy_class)):
        return Finding(name, "warning", warning, f"rest_class of {section.id} in the configuration")
    use = "in use" if in_use else "kept"
    return Finding(
        name,
        "ok",
        f"{folder.name} {use}, files verified, arena {card.cost.arena_bytes:,} bytes, "
        f"accuracy {card_accuracy(card, digits=1)}",
    )


def _is(link: Path | None, folder: Path) -> bool:
    return link is not None and link.exists() and link.resolve() == folder.resolve()
