"""A series of snapshots: short stretches of a signal with pauses between, as battery sensors send them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings.npz import Npz, open_npz

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

_NDIM = 3


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotSeries:
    """Snapshots of one machine, oldest first.

    Attributes
    ----------
    samples
        ``(snapshots, channels, n)``, in ``unit`` once multiplied by ``scale``.
    time_s
        When each begins, in seconds after the first.
    time_ns
        UTC time of the first, nanoseconds since the epoch; 0 where it is not known.
    rate_hz, unit, label, shaft_rpm
        As in `Recording`; ``label`` is empty where nobody says it.
    """

    samples: NDArray[np.generic]
    scale: float
    time_s: NDArray[np.float64]
    time_ns: int
    rate_hz: float
    unit: str = ""
    label: str = ""
    shaft_rpm: float | None = None

    def snapshot(self, number: int) -> Samples:
        """Return a snapshot, ``float32 (channels, n)``, in ``unit``."""
        scaled: Samples = (self.samples[number].astype(np.float64) * self.scale).astype(np.float32)
        return scaled


def is_snapshots(path: Path) -> bool:
    """Whether a file is a series of snapshots; `RecordingError` where it cannot be read."""
    with open_npz(path) as npz:
        return "samples" in npz.names and len(npz.shape("samples")) == _NDIM


def read_snapshots(path: Path) -> SnapshotSeries:
    """Read a series of snapshots.

    ``samples``, ``rate_hz``, and ``interval_s`` or ``time_ns`` (one for each snapshot) must be there.

    Raises
    ------
    RecordingError
        The file is absent or damaged, a value is missing or of a wrong shape, or the times do not rise.
    """
    with open_npz(path) as npz:
        npz.require("samples", "rate_hz")
        samples = npz.array("samples")
        if samples.ndim != _NDIM or 0 in samples.shape or samples.dtype.kind not in "iuf":
            raise RecordingError(
                f"{path}: samples must be numbers (snapshots, channels, n) and not empty, not {samples.shape}"
            )
        rate_hz = npz.number("rate_hz")
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise RecordingError(f"{path}: rate_hz must be a positive number, not {rate_hz}")
        scale = npz.number("scale") if "scale" in npz.names else 1.0
        if not (math.isfinite(scale) and scale > 0):
            raise RecordingError(f"{path}: scale must be a positive number, not {scale}")
        if samples.dtype.kind == "f" and not np.isfinite(samples).all():
            raise RecordingError(f"{path}: some samples are no numbers: cut those snapshots out")
        time_s, time_ns = _times(npz, len(samples), samples.shape[2] / rate_hz)
        return SnapshotSeries(
            samples=samples,
            scale=scale,
            time_s=time_s,
            time_ns=time_ns,
            rate_hz=rate_hz,
            unit=npz.text("unit") if "unit" in npz.names else "",
            label=npz.text("label") if "label" in npz.names else "",
            shaft_rpm=npz.number("shaft_rpm") if "shaft_rpm" in npz.names else None,
        )


def _times(npz: Npz, count: int, seconds: float) -> tuple[NDArray[np.float64], int]:
    given = npz.array("time_ns") if "time_ns" in npz.names else None
    if given is not None and given.shape not in {(), (count,)}:
        raise RecordingError(
            f"{npz.path}: time_ns must have one value for each of {count} snapshots, not {given.shape}"
        )
    first_ns = 0 if given is None else int(given.reshape(-1)[0])
    if "interval_s" in npz.names:
        interval_s = npz.number("interval_s")
        if not interval_s >= seconds:
            raise RecordingError(f"{npz.path}: interval_s is {interval_s}, less than a snapshot lasts ({seconds:g} s)")
        return np.arange(count, dtype=np.float64) * interval_s, first_ns
    if given is None or given.ndim == 0:
        raise RecordingError(f"{npz.path}: interval_s missing: how many seconds lie between two snapshots?")
    time_s: NDArray[np.float64] = np.asarray((given.astype(np.int64) - first_ns) / 1e9, dtype=np.float64)
    if (np.diff(time_s) < seconds).any():
        at = int(np.argmax(np.diff(time_s) < seconds)) + 1
        raise RecordingError(f"{npz.path}: time_ns: snapshot {at} begins before the one before it ends; sort them")
    return time_s, first_ns
