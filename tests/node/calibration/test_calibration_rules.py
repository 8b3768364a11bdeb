"""Which calibrations are not even begun, and why."""

from __future__ import annotations

from typing import Any

from calibrating import LIVE, SPEC, job, stored_command

from edgetune_node.calibration.rules import reasons_against
from edgetune_node.contract.commands import Recalibrate, Record
from edgetune_node.events.effects import SaveRecording, StartSearch
from edgetune_signal import StreamSpec


def reasons(command: dict[str, Any], stored: dict[str, float] | None = None) -> list[str]:
    return reasons_against(Recalibrate.model_validate(command), stored or {}, spec=SPEC, window=64)


def test_a_healthy_baseline_alone_is_refused() -> None:
    (reason,) = reasons({**LIVE, "classes": ["normal"]})
    assert "'normal' alone" in reason
    assert reason.endswith("collect another one too")


def test_a_live_class_may_be_new_where_another_is_stored() -> None:
    assert reasons({**LIVE, "classes": ["normal"]}, {"inner": 4.0}) == []
    assert reasons({**LIVE, "classes": ["normal"]}, {"inner": 0.0}) != []


def test_stored_needs_recordings_of_two_classes() -> None:
    assert "no stored recordings" in reasons(stored_command())[0]
    assert "only 'normal'" in reasons(stored_command(), {"normal": 3.0})[0]
    assert reasons(stored_command(), {"normal": 3.0, "inner": 3.0}) == []


def test_a_take_must_hold_a_window_and_fit_in_memory() -> None:
    (reason,) = reasons({**LIVE, "seconds_per_take": 0.63})
    assert reason.startswith("seconds_per_take: 0.63 s are fewer samples than one window")
    assert reasons({**LIVE, "seconds_per_take": 0.64}) == []
    fast = StreamSpec(channels=3, rate_hz=100_000.0, unit="g")
    (reason,) = reasons_against(Record(id="r", label="x", seconds=3600.0), {}, spec=fast, window=64)
    assert reason == "seconds: 3600 s do not fit in memory at 100000 Hz; take 56 s or less"


def test_a_job_that_should_not_have_been_accepted_fails_at_once() -> None:
    running = job({**LIVE, "classes": ["normal"]})
    assert running.finished.status == "failed"
    assert not any(isinstance(output, StartSearch | SaveRecording) for output in running.wants)
