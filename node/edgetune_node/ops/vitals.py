"""How the process and the machine are doing: memory, processor, temperature, disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.events import MachineFigures


class Vitals:
    """Reads the figures of ``health`` that the operating system knows.

    Parameters
    ----------
    folder
        Whose disk is watched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = psutil.Process()
        self._process.cpu_percent()

    def read(self) -> MachineFigures:
        """RSS in bytes, CPU in percent of one core since the last call, temperature in degrees Celsius, free bytes."""
        return {
            "rss_bytes": self._process.memory_info().rss,
            "cpu_percent": self._process.cpu_percent(),
            "temperature_c": _temperature(),
            "disk_free_bytes": free_bytes(self._folder),
        }


def disk_problem(free: int, reserve: int) -> str | None:
    """Return that the disk is filling up, before writes fail: from twice the reserve on; None while there is room."""
    if free >= 2 * reserve:
        return None
    now = "nothing is recorded or searched" if free < reserve else "at the reserve recordings and searches stop"
    return (
        f"disk: {free / 2**20:,.0f} MiB free, {reserve / 2**20:,.0f} MiB kept in reserve (disk_reserve_bytes); {now}: "
        "delete recordings or old models, or use a larger disk"
    )


def free_bytes(folder: Path) -> int:
    """Bytes that an unprivileged process may still write below ``folder``; 0 where it is gone."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _temperature() -> float | None:
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    for name in ("cpu_thermal", "coretemp", "k10temp", *sensors):
        if sensors.get(name):
            return round(float(sensors[name][0].current), 1)
    return None
