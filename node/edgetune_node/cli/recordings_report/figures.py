"""What there is to say about stored recordings, one at a time: how long, how loud, which defect shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING, Any

from edgetune_node.clock import from_ns
from edgetune_node.contract import iso
from edgetune_signal import RecordingError, ShaftSpeed, StreamSpec, diagnose
from edgetune_signal.files import find_files, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edgetune_node.config import MachineSection
    from edgetune_signal import Condition, Recording
    from edgetune_signal.files import ReadOptions

LOOKED_AT_S = 10.0
"""So much of a recording is looked at for velocity and defects: its first seconds."""
KINDS = ("recordings", "novel")


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the asset it belongs to; empty where it is in no node's folder."""

    path: Path
    asset: str = ""


@dataclass(frozen=True, slots=True)
class RecordingFigures:
    """Figures of one recording; RMS to kurtosis are means over its channels, None where there is none."""

    file: str
    asset: str
    label: str
    time: str | None
    seconds: float
    held_out_s: float
    rate_hz: float
    unit: str
    channels: int
    rms: float | None
    peak: float | None
    crest_factor: float | None
    kurtosis: float | None
    velocity_rms_mm_s: float | None
    zone: str | None
    shaft_rpm: float | None
    defect: str | None
    defect_order: float | None
    defect_over_floor: float | None

    def fields(self) -> dict[str, Any]:
        """Return them as a JSON object."""
        return asdict(self)


def find_recordings(folder: Path) -> list[Found]:
    """Find the recordings of a node's data folder, of one asset's folder, or of a plain folder, by name.

    Where there are none, files of other programs are recordings.
    """
    if folder.is_file():
        return [Found(folder)]
    found = [Found(path) for path in sorted(folder.glob("*.npz"))]
    assets = sorted(path for path in (folder / "assets").glob("*") if path.is_dir())
    own = [folder] if any((folder / kind).is_dir() for kind in KINDS) else []
    for asset in [*assets, *own]:
        for kind in KINDS:
            found += [Found(path, asset.resolve().name) for path in sorted((asset / kind).glob("*.npz"))]
    return found or (
        [Found(path) for path in find_files([folder])] if folder.is_dir() and any(folder.iterdir()) else []
    )


def look_at(
    found: Iterable[Found], machines: Callable[[str], MachineSection], reading: ReadOptions
) -> tuple[dict[Found, RecordingFigures], dict[Found, str]]:
    """Read one recording after the other; give the figures of each, and why the others cannot be read."""
    figures: dict[Found, RecordingFigures] = {}
    broken: dict[Found, str] = {}
    for each in found:
        try:
            recording = read_file(each.path, reading)
        except RecordingError as error:
            broken[each] = str(error).removeprefix(f"{each.path}: ")
            continue
        figures[each] = _figures(each, recording, condition_of(recording, machines(each.asset)))
    return figures, broken


def condition_of(recording: Recording, section: MachineSection) -> Condition:
    """Diagnose the first seconds of a recording; its own shaft speed goes before the one that is configured."""
    spec = StreamSpec(recording.samples.shape[0], recording.rate_hz, recording.unit)
    samples = recording.samples[:, : max(2, round(LOOKED_AT_S * recording.rate_hz))]
    rpm = recording.shaft_rpm or section.shaft_rpm
    return diagnose(samples, spec, section.machine, ShaftSpeed(rpm, "config") if rpm else None)


def by_class(figures: Iterable[RecordingFigures]) -> list[dict[str, Any]]:
    """Count recordings and seconds of each class of each asset."""
    counted: dict[tuple[str, str], dict[str, Any]] = {}
    for each in figures:
        row = counted.setdefault(
            (each.asset, each.label),
            {"asset": each.asset, "label": each.label, "recordings": 0, "seconds": 0.0, "held_out_s": 0.0},
        )
        row["recordings"] += 1
        row["seconds"] += each.seconds
        row["held_out_s"] += each.held_out_s
    return [counted[key] for key in sorted(counted)]


def machine_finder(sections: Mapping[str, MachineSection], other: MachineSection) -> Callable[[str], MachineSection]:
    """Return what is known of the machine of an asset; of a plain folder, what is known of the only asset there is."""
    only = next(iter(sections.values())) if len(sections) == 1 else other
    return lambda asset: sections.get(asset, only if not asset else other)


def _figures(found: Found, recording: Recording, condition: Condition) -> RecordingFigures:
    basic, velocity, match = condition.indicators, condition.velocity_rms_mm_s, condition.match
    return RecordingFigures(
        file=found.path.name,
        asset=found.asset,
        label=recording.label,
        time=iso(from_ns(recording.time_ns)) if recording.time_ns > 0 else None,
        seconds=recording.seconds,
        held_out_s=(recording.samples.shape[1] - recording.held_out_from) / recording.rate_hz,
        rate_hz=recording.rate_hz,
        unit=recording.unit,
        channels=int(recording.samples.shape[0]),
        rms=_mean(basic.rms),
        peak=_mean(basic.peak),
        crest_factor=_mean(basic.crest_factor),
        kurtosis=_mean(basic.kurtosis),
        velocity_rms_mm_s=None if velocity is None else max(velocity),
        zone=condition.zone,
        shaft_rpm=None if condition.shaft is None else condition.shaft.rpm,
        defect=None if match is None else match.defect,
        defect_order=None if match is None else match.order,
        defect_over_floor=None if match is None else match.over_floor,
    )


def _mean(values: Iterable[float]) -> float | None:
    finite = [float(value) for value in values if isfinite(value)]
    return fmean(finite) if finite else None
