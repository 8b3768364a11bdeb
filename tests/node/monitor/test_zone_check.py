"""Data that is to be taken as healthy is held against the zones of ISO 20816-3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from calibrating import saved

from edgetune_nas.card import Budget
from edgetune_node.calibration import inputs as cal
from edgetune_node.calibration.job import Calibration
from edgetune_node.config.machine import MachineSection
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.commands import Recalibrate, Record
from edgetune_node.events.effects import SaveRecording
from edgetune_node.monitor.zone_check import zone_warning
from edgetune_node.storage.recordings import list_recordings
from edgetune_signal import Chunk, Recording, RecordingStore

if TYPE_CHECKING:
    from pathlib import Path

RATE = 4096.0
SECTION = AssetSection(id="pump", rate_hz=RATE, machine=MachineSection(group=2))


def sine(velocity_mm_s: float, seconds: float = 2.0) -> np.ndarray[Any, Any]:
    """Acceleration in g of 50 Hz whose velocity RMS is known."""
    at = np.arange(round(seconds * RATE)) / RATE
    peak = velocity_mm_s * 1e-3 * np.sqrt(2) * 2 * np.pi * 50 / 9.80665
    return (peak * np.sin(2 * np.pi * 50 * at))[np.newaxis].astype(np.float32)


def recording(velocity_mm_s: float, label: str = "normal", seconds: float = 2.0) -> Recording:
    samples = sine(velocity_mm_s, seconds)
    return Recording(samples=samples, rate_hz=RATE, label=label, unit="g", time_ns=1, held_out_from=samples.shape[1])


@pytest.mark.parametrize(("velocity", "zone"), [(1.0, None), (2.7, None), (2.9, "zone C"), (5.0, "zone D")])
def test_only_healthy_data_in_zone_c_or_d_is_doubted(velocity: float, zone: str | None) -> None:
    doubt = zone_warning(recording(velocity), SECTION)
    assert (doubt is None) == (zone is None)
    assert zone is None or zone in (doubt or "")
    assert zone_warning(recording(velocity, label="unbalance"), SECTION) is None


def test_what_gives_no_velocity_or_has_no_limits_is_not_doubted() -> None:
    assert zone_warning(recording(9.0, seconds=0.9), SECTION) is None
    assert zone_warning(recording(9.0), AssetSection(id="pump", rate_hz=RATE)) is None


def collect(command: Recalibrate | Record) -> list[Any]:
    """Play two seconds in zone D into a job; give what it wants."""
    job = Calibration(
        command.id,
        command,
        asset="pump",
        task="fault",
        spec=SECTION.spec,
        window=512,
        default_budget=Budget(),
        stored={"unbalance": 1.0},
        current_model=None,
        doubt=lambda taken: zone_warning(taken, SECTION),
        now=0.0,
    )
    wants = job.handle(cal.Ticked(), 0.0)
    wants += job.handle(cal.ContinueRequested(), 0.0)
    wants += job.handle(cal.Samples(Chunk(sine(5.0), 0, RATE, 0)), 2.0)
    if any(isinstance(want, SaveRecording) for want in wants):
        wants += job.handle(saved("n.npz"), 2.0)
    return wants


def test_record_stores_it_with_a_warning() -> None:
    *_, finished = collect(Record(id="r", label="normal", seconds=2.0))
    assert finished.status == "done"
    assert "zone D" in finished.detail["warnings"][0]


def test_recalibrate_takes_it_only_when_told() -> None:
    fields: dict[str, Any] = {"id": "r", "source": "live", "classes": ["normal"], "seconds_per_take": 2.0}
    (finished,) = collect(Recalibrate(**fields))
    assert (finished.status, "zone D" in finished.reason, "accept_zone" in finished.reason) == ("failed", True, True)
    told = collect(Recalibrate(**fields, accept_zone=True))
    assert [type(want).__name__ for want in told] == ["SaveRecording", "StartSearch"]


def test_stock_names_stored_recordings_that_are_doubtful(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, 10**7)
    store.add(recording(1.0))
    sick = store.add(recording(5.0))
    listed = list_recordings(store, SECTION, "")
    assert listed.seconds == {"normal": 4.0}
    assert [doubt.split(":")[0] for doubt in listed.doubts] == [sick.name]
