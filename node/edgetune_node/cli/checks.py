"""What ``edgetune doctor`` finds out on the machine itself: model store, disk, clock, installed packages."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from edgetune_nas.bundle import load_bundle
from edgetune_nas.errors import BundleError
from edgetune_node.folders import asset_folder
from edgetune_node.profiles import model_folders
from edgetune_node.vitals import free_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.clock import Clock
    from edgetune_node.config import AssetSection

Level = Literal["ok", "warning", "problem"]
REFUSED_ONNXRUNTIME = "1.21.0"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    check
        What was looked at: ``broker``, ``source press``.
    level
        ``problem`` where the node cannot do its work, ``warning`` where it will do it worse than it could.
    seen
        What was found.
    advice
        What to do about it; empty where nothing has to be done.
    """

    check: str
    level: Level
    seen: str
    advice: str = ""

    def json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


def check_disk(data_dir: Path, reserve_bytes: int) -> list[Finding]:
    """Whether the node can write to ``data_dir`` and has more than its reserve there."""
    place = data_dir
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"edgetune doctor")
    except OSError as error:
        advice = f"let the user of the node own {data_dir}, or set node.data_dir to a folder that can be written"
        what = f"{place} cannot be written" if place == data_dir else f"{data_dir} cannot be made in {place}"
        return [Finding("disk", "problem", f"{what}: {error.strerror}", advice)]
    free = free_bytes(place)
    can = "can be written" if place == data_dir else "will be made when the node starts"
    seen = f"{data_dir} {can}, {free / 2**20:,.0f} MiB free, {reserve_bytes / 2**20:,.0f} MiB kept in reserve"
    if free < reserve_bytes:
        return [Finding("disk", "problem", seen, "make room, or the node records and searches nothing")]
    if free < 2 * reserve_bytes:
        return [Finding("disk", "warning", seen, "make room before the reserve is reached")]
    return [Finding("disk", "ok", seen)]


def check_clock(clock: Clock) -> list[Finding]:
    """Whether the time of day can be believed."""
    now = clock.utc().isoformat(timespec="seconds")
    if clock.synced():
        return [Finding("clock", "ok", f"synchronised, {now}")]
    return [
        Finding(
            "clock",
            "warning",
            f"not synchronised, {now}; messages carry clock_synced: false",
            "switch on a time service (timedatectl set-ntp true) and let it reach its server",
        )
    ]


def check_packages() -> list[Finding]:
    """Whether models can be run, and how much of a search; torch is looked for, not imported."""
    try:
        found = version("onnxruntime")
    except PackageNotFoundError:
        runtime = Finding("onnxruntime", "problem", "not installed", "pip install edgetune")
    else:
        runtime = (
            Finding(
                "onnxruntime",
                "problem",
                f"{found}, which ends with an illegal instruction on a Raspberry Pi 4",
                "pip install --upgrade onnxruntime",
            )
            if found == REFUSED_ONNXRUNTIME
            else Finding("onnxruntime", "ok", found)
        )
    if importlib.util.find_spec("torch") is None:
        seen, advice = (
            "not installed: searches try closed-form networks only",
            "pip install -c constraints.txt '.[train]' in Edgetune's folder, for the whole search",
        )
    else:
        seen, advice = "installed: searches train networks too", ""
    return [runtime, Finding("torch", "ok", seen, advice)]


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
    use = "in use" if in_use else "kept"
    return Finding(
        name,
        "ok",
        f"{folder.name} {use}, files verified, arena {card.cost.arena_bytes:,} bytes, "
        f"accuracy {card.metrics.accuracy:.1%}",
    )


def _is(link: Path | None, folder: Path) -> bool:
    return link is not None and link.exists() and link.resolve() == folder.resolve()
