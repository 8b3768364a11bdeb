"""What ``edgetune doctor`` finds out on the machine itself: disk, clock, installed packages."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from edgetune_node.cli.local.finding import Finding
from edgetune_node.ops import free_bytes
from edgetune_signal import install_hint

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.clock import Clock

REFUSED_ONNXRUNTIME = "1.21.0"
IMPORT_S = 60.0
"""Most seconds that importing onnxruntime may take; a Raspberry Pi with a slow card needs several."""


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
    if importlib.util.find_spec("torch") is None:
        seen, advice = (
            "not installed: searches try closed-form networks only",
            f"{install_hint('train')}, for the whole search",
        )
    else:
        seen, advice = "installed: searches train networks too", ""
    return [_onnxruntime(), Finding("torch", "ok", seen, advice)]


def _onnxruntime() -> Finding:
    """Import it in a process of its own, which it may end without a word."""
    try:
        found = version("onnxruntime")
    except PackageNotFoundError:
        return Finding("onnxruntime", "problem", "not installed", "pip install edgetune")
    if found == REFUSED_ONNXRUNTIME:
        seen = f"{found}, which ends with an illegal instruction on a Raspberry Pi 4"
        return Finding("onnxruntime", "problem", seen, "pip install --upgrade onnxruntime")
    command = [sys.executable, "-P", "-c", "import onnxruntime"]
    advice = "install another version of onnxruntime, one that is built for this processor"
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=IMPORT_S)  # noqa: PLW1510 - its code is the answer
    except subprocess.TimeoutExpired:
        return Finding("onnxruntime", "problem", f"{found}, which cannot be imported within {IMPORT_S:g} s", advice)
    if done.returncode < 0:
        what = signal.strsignal(-done.returncode) or f"signal {-done.returncode}"
        seen = f"{found}, which ends the process that imports it: {what.lower()}; the node cannot start with it"
        return Finding("onnxruntime", "problem", seen, advice)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("onnxruntime", "problem", f"{found}, which cannot be imported: {last}", advice)
    return Finding("onnxruntime", "ok", found)
