"""Machines of the health benchmark: healthy recordings to learn from, and others, healthy and faulty, to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets.dataset import Dataset, named_recordings_dataset
from edgetune_signal.recordings.recording import Recording, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

HEALTHY = "normal"
MACHINES = ("CWRU", "UESTC", "HIT", "gearbox", "motors", "MFPT")
"""Machines that are asked about where there are healthy recordings of them."""
WINDOW, HOP = 512, 256
LEARNED_SHARE = 0.6
"""Of each healthy recording, what is learned; the rest is asked."""
FEMTO_SNAPSHOTS = 40
"""Snapshots of a run to failure that are learned: the fewest that a health model is made of, in some seven minutes."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A recording that a model is asked about, ``samples (channels, n)``."""

    name: str
    label: str
    samples: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Machine:
    """Healthy windows that are learned, and recordings that are asked."""

    name: str
    learn: Dataset
    asked: tuple[Asked, ...]


@dataclass(frozen=True, eq=False)
class Run:
    """A run to failure: snapshots ``(snapshots, channels, samples)``, one every ``interval_s`` seconds."""

    name: str
    snapshots: NDArray[np.float32]
    rate_hz: float
    interval_s: float


def windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut samples ``(channels, n)`` into windows ``(windows, channels, length)``."""
    view = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=1)[:, ::HOP]
    return np.ascontiguousarray(view.transpose(1, 0, 2), dtype=np.float32)


def machines(data: Path) -> Iterator[Machine]:
    """Yield every machine of which there are healthy recordings."""
    foreign = data / "foreign"
    found: tuple[tuple[str, list[Path], Callable[[list[Recording]], tuple[list[Recording], list[Recording]]]], ...] = (
        ("CWRU", sorted(data.glob("cwru_de_*rpm")), _earlier_parts),
        ("UESTC", sorted(foreign.glob("uestc/*rpm")), _earlier_parts),
        ("HIT", sorted(foreign.glob("hit_mfs/*rpm")), _earlier_parts),
        ("gearbox", [foreign / "gear"], _earlier_parts),
        ("motors", [foreign / "motor"], _earlier_recordings),
        ("MFPT", [foreign / "mfpt"], _earlier_parts),
    )
    for name, folders, divide in found:
        recordings = [read_recording(file) for folder in folders for file in sorted(folder.glob("*.npz"))]
        healthy = [each for each in recordings if each.label == HEALTHY]
        if not healthy:
            continue
        learned, asked = divide(healthy)
        faulty = [each for each in recordings if each.label != HEALTHY]
        named = [(f"{each.group or each.label} {number}", each) for number, each in enumerate(learned)]
        yield Machine(
            name,
            named_recordings_dataset(named, WINDOW, HOP),
            tuple(Asked(each.group or each.label, each.label, each.samples) for each in [*asked, *faulty]),
        )


def runs(data: Path) -> Iterator[Run]:
    """Yield the runs to failure."""
    for file in sorted(data.glob("foreign/femto/*.npz")):
        with np.load(file) as npz:
            snapshots = (npz["samples"] * float(npz["scale"])).astype(np.float32)
            yield Run(file.stem, snapshots, float(npz["rate_hz"]), float(npz["interval_s"]))


def healthy_part(run: Run) -> Dataset:
    """Return the first snapshots of a run; each is a window."""
    count = min(FEMTO_SNAPSHOTS, len(run.snapshots))
    return Dataset(
        x=run.snapshots[:count],
        label=np.zeros(count, np.int64),
        classes=(HEALTHY,),
        rate_hz=run.rate_hz,
        unit="g",
        group=np.zeros(count, np.int64),
        start=np.arange(count) * round(run.interval_s * run.rate_hz),
        condition=np.zeros(count, np.int64),
        conditions=("",),
        groups=(run.name,),
    )


def _earlier_parts(healthy: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Learn the first part of each recording."""
    return [_part(each, 0.0, LEARNED_SHARE) for each in healthy], [_part(each, LEARNED_SHARE, 1.0) for each in healthy]


def _earlier_recordings(healthy: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Learn the first recordings, each whole: they are of other moments than those that are asked."""
    count = round(LEARNED_SHARE * len(healthy))
    return healthy[:count], healthy[count:]


def _part(recording: Recording, first: float, last: float) -> Recording:
    length = recording.samples.shape[1]
    kept = recording.samples[:, round(first * length) : round(last * length)]
    return Recording(
        samples=kept,
        rate_hz=recording.rate_hz,
        label=recording.label,
        unit=recording.unit,
        group=recording.group,
        condition=recording.condition,
    )
