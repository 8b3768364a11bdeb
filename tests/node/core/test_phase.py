"""An asset has one phase: that of its calibration while one runs, else what its model and its samples allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest
from manual_clock import ManualClock

from edgetune_node.contract.messages import CalibrationPhase, Phase
from edgetune_node.core.phase import WHILE_CALIBRATING, AssetPhase

if TYPE_CHECKING:
    from datetime import datetime

ENDED = ("done", "failed", "cancelled")


@dataclass
class Listener:
    """What an asset's phase depends on."""

    bundle: Any = None
    trouble: str = ""
    paused: str = ""


def phase_of(asset: Listener, calibration: CalibrationPhase | None = None, job: str = "", remark: str = "") -> Any:
    phase = AssetPhase(asset, ManualClock()).current(calibration, job, remark)  # type: ignore[arg-type]
    return phase.phase, phase.reason


def test_every_phase_of_a_running_calibration_is_one_of_the_asset() -> None:
    assert {*WHILE_CALIBRATING} == {*get_args(CalibrationPhase)} - {"idle", *ENDED}
    for calibration, phase in WHILE_CALIBRATING.items():
        assert phase_of(Listener(trouble="no samples"), calibration, "recalibrate") == (phase, "recalibrate")
    assert {*WHILE_CALIBRATING.values()} < {*get_args(Phase)}


@pytest.mark.parametrize("ended", ENDED)
def test_after_its_end_the_asset_goes_back_to_what_its_model_allows(ended: CalibrationPhase) -> None:
    assert phase_of(Listener(), ended)[0] == "uncalibrated"
    assert phase_of(Listener(bundle="model"), ended)[0] == "monitoring"


@pytest.mark.parametrize("command", ["rollback", "deploy", "profile"])
def test_a_change_of_the_model_deploys(command: str) -> None:
    assert phase_of(Listener(bundle="model"), job=command) == ("deploying", command)


def test_trouble_comes_before_a_pause_and_a_pause_before_what_is_remarked() -> None:
    asset = Listener(bundle="model", trouble="no samples", paused="stands still")
    assert phase_of(asset, remark="no better") == ("failed", "no samples")
    asset.trouble = ""
    assert phase_of(asset, remark="no better") == ("monitoring", "stands still")
    asset.paused = ""
    assert phase_of(asset, remark="no better") == ("monitoring", "no better")
    asset.bundle = None
    assert phase_of(asset, remark="no better") == ("uncalibrated", "no better")
    assert phase_of(asset) == ("uncalibrated", "no model yet: publish recalibrate")


def test_a_phase_begins_when_it_changes_whatever_its_reason() -> None:
    clock, asset = ManualClock(), Listener(bundle="model")
    phase = AssetPhase(asset, clock)  # type: ignore[arg-type]

    def since(remark: str = "") -> datetime:
        clock.now += 10
        return phase.current(None, "", remark).since

    began = since()
    assert since("no better") == began
    asset.trouble = "no samples"
    assert since() == began + timedelta(seconds=20)
