"""Recordings for a backtest, and its figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from manual_clock import START_NS

from edgetune_signal import Recording, write_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


RATE = 1000.0


def record(folder: Path, name: str, label: str = "normal", seconds: float = 6, at_s: float | None = None) -> None:
    samples = np.random.default_rng(len(name)).normal(size=(1, round(seconds * RATE))).astype(np.float32)
    time_ns = 0 if at_s is None else START_NS + round(at_s * 1e9)
    folder.mkdir(exist_ok=True)
    write_recording(folder / f"{name}.npz", Recording(samples, RATE, label, "g", time_ns))


def run(cli: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    outcome = cli("backtest", *arguments, "--json")
    assert outcome.code == 0, outcome
    found: dict[str, Any] = json.loads(outcome.out)
    return found
