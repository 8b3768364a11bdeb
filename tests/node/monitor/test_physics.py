"""Physics speaks by growth against the healthy machine, and says what else a line may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_node.config.machine import MachineSection
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.context import Context
from edgetune_node.contract.parts import OtherDefect
from edgetune_node.monitor.alarm import AlarmState
from edgetune_node.monitor.drift import DriftMonitor
from edgetune_node.monitor.evidence import physics_verdict
from edgetune_node.monitor.vibration import VibrationMonitor
from edgetune_signal import (
    DEEP_GROOVE_6205,
    BearingSimulator,
    Chunk,
    Machine,
    ShaftSpeed,
    StreamSpec,
    diagnose,
    read_recording,
)
from edgetune_signal.vibration.defects import DefectLine, ambiguous, clearer, matched

if TYPE_CHECKING:
    from pathlib import Path

RATE = 12_000


def fault(class_: str) -> AlarmState:
    return AlarmState(active=True, event="e1", class_=class_, severity="alarm")


def line(defect: Any, frequency_hz: float, amplitude: float, score: float) -> DefectLine:
    return DefectLine(defect, 1.0, frequency_hz, amplitude, (), over_floor=score, score=score)


def test_a_line_speaks_only_where_it_has_grown_against_the_healthy_machine() -> None:
    lines = [line("bpfo", 107.4, 0.02, 6.0), line("bpfi", 162.2, 0.001, 5.0)]
    match = matched(lines)
    assert match is not None
    assert match.defect == "bpfo"
    assert matched(lines, {"bpfo": 0.02 / 7.9}) == lines[1]
    assert matched(lines, {"bpfo": 0.02 / 8.1}) == lines[0]
    assert matched(lines, {"bpfo": 0.01, "bpfi": 0.001}) is None


def test_two_defects_within_a_resolution_step_are_ambiguous() -> None:
    lines = [line("bpfo", 107.4, 0.02, 6.0), line("bsf2", 108.2, 0.02, 5.0), line("bpfi", 162.2, 0.02, 5.0)]
    assert ambiguous(lines[0], lines, 1.0) == (lines[1],)
    assert ambiguous(lines[0], lines, 0.5) == ()
    assert ambiguous(lines[0], [lines[0], line("bsf2", 107.4, 0.02, 1.0)], 1.0) == ()


@pytest.mark.parametrize(
    ("score", "amplitude", "named"), [(6.0, 0.03, True), (6.0, 0.01, False), (9.0, 0.01, True), (4.0, 0.03, False)]
)
def test_of_two_speeds_the_larger_line_or_the_much_clearer_one_is_named(
    score: float, amplitude: float, *, named: bool
) -> None:
    other = line("bpfo", 68.7, 0.02, 6.0)
    assert clearer(line("bpfi", 107.0, amplitude, score), other) is named


def test_a_bearing_whose_orders_lie_together_says_both_parts_in_the_evidence() -> None:
    orders = {"bpfo": 3.58, "bpfi": 5.4, "bsf": 1.79, "ftf": 0.398}
    watch = VibrationMonitor(AssetSection(id="b", rate_hz=RATE, machine=MachineSection(bearing=orders)))
    bearing = BearingSimulator(condition="outer_severe")
    for second in range(5):
        watch.push(Chunk(bearing.generate(RATE), second * 10**9, float(RATE), second))
        found = watch.look(float(second), Context(shaft_rpm=1797.0))
        assert found is not None
    message = watch.message(found)
    assert {message.defect, message.other_defects[0].defect} == {"bpfo", "bsf2"}
    assert message.other_defects[0].because == "resolution"
    physics = watch.physics
    assert physics.match is not None
    for class_ in ("outer", "ball"):
        word, note = physics_verdict(fault(class_), physics.match.defect, None, looked=True, others=physics.others)
        assert (word, "too near to be told apart" in note) == ("agrees", True)


def test_what_another_speed_would_say_is_said() -> None:
    other = OtherDefect(defect="bpfo", frequency_hz=68.7, shaft_rpm=1150.0, because="speed")
    word, note = physics_verdict(fault("novel"), "bpfi", None, looked=True, others=[other])
    assert word == "suggests"
    assert "inner race (bpfi), or of the outer race (bpfo) if the shaft turns at 1150 rpm" in note


def test_the_lines_of_the_healthy_machine_are_remembered_over_a_restart() -> None:
    settings = AssetSection(id="b", rate_hz=RATE)
    drift = DriftMonitor(settings)
    drift.swap("m1")
    assert drift.healthy_lines == {}
    bearing = BearingSimulator()
    found = diagnose(
        bearing.generate(RATE), settings.spec, Machine(DEEP_GROOVE_6205.orders()), ShaftSpeed(1797.0, "config")
    )
    for _ in range(31 * 60):
        drift.look(found)
        for _ in range(24):
            drift.hear(1.0, None)
    assert drift.known is not None
    lines = DriftMonitor(settings, drift.known).healthy_lines
    assert set(lines) == {"bpfo", "bpfi", "bsf2"}
    assert lines["bpfo"] == pytest.approx(next(each.amplitude for each in found.lines if each.defect == "bpfo"))
    assert drift.reasons == ()


def test_real_healthy_seconds_are_silent_and_no_right_defect_is_lost(recordings_dir: Path) -> None:
    """The healthy machine's first three seconds are its baseline; of the rest none may match."""
    machine = Machine(DEEP_GROOVE_6205.orders())
    spec = StreamSpec(1, RATE, "g")

    def looks(path: Path, healthy: dict[Any, float] | None, first: int = 0) -> list[str | None]:
        samples = read_recording(path).samples
        seconds = range(first, samples.shape[1] // RATE)
        found = [
            diagnose(samples[:, at * RATE :][:, :RATE], spec, machine, ShaftSpeed(1797.0, "config"), healthy)
            for at in seconds
        ]
        return [None if each.match is None else each.match.defect for each in found]

    folder = recordings_dir / "cwru_de_1797rpm"
    [normal] = folder.glob("normal*.npz")
    samples = read_recording(normal).samples
    heard = [
        {each.defect: each.amplitude for each in diagnose(second, spec, machine, ShaftSpeed(1797.0, "config")).lines}
        for second in (samples[:, at * RATE :][:, :RATE] for at in range(3))
    ]
    healthy = {name: float(np.median([each[name] for each in heard])) for name in heard[0]}
    assert set(looks(normal, healthy, first=3)) == {None}
    for path in sorted(folder.glob("*.npz")):
        expected = {"inner": "bpfi", "outer": "bpfo"}.get(path.stem.split("_")[0])
        if expected is not None:
            before, after = (Counter(looks(path, each)) for each in (None, healthy))
            assert after[expected] >= before[expected], path.stem
