"""What the last seconds say of a machine, what speaks for its fault, and how its velocity moves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from manual_clock import ManualClock
from pydantic import ValidationError

from edgetune_node.config.machine import MachineSection
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.context import Context
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.parts import Evidence
from edgetune_node.contract.topics import Topics
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.alarm import AlarmState
from edgetune_node.monitor.asset import Asset
from edgetune_node.monitor.evidence import EvidenceCollector, physics_verdict, recommended_action
from edgetune_node.monitor.trend import MOST_POINTS, Trend
from edgetune_node.monitor.vibration import VibrationMonitor
from edgetune_signal import (
    DEEP_GROOVE_6205,
    BearingSimulator,
    Chunk,
    DefectOrders,
    read_recording,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.contract.messages import Vibration

RATE = 12_000


HEALTHY = AlarmState(active=False, event=None, class_="normal", severity="none")


def fault(class_: str) -> AlarmState:
    return AlarmState(active=True, event="e1", class_=class_, severity="alarm")


class Seconds:
    """Feeds a watch with a simulated bearing, one second after the other."""

    def __init__(self, context: Context | None = None, **machine: Any) -> None:
        section = {"group": 2, "bearing": "6205-2RS", **machine}
        self.watch = VibrationMonitor(AssetSection(id="b", rate_hz=RATE, machine=MachineSection(**section)))
        self.context = context or Context()
        self.bearing = BearingSimulator()
        self.count = 0

    def play(self, condition: str, seconds: int = 1) -> Vibration:
        self.bearing.select(condition)
        for _ in range(seconds):
            self.watch.push(Chunk(self.bearing.generate(RATE), self.count * 10**9, float(RATE), self.count))
            self.count += 1
            found = self.watch.look(float(self.count), self.context)
            assert found is not None
            message = self.watch.message(found)
        return message


def test_a_second_becomes_a_message_with_velocity_zone_and_defects() -> None:
    message = Seconds(shaft_rpm=1797.0).play("outer_severe")
    assert message.defect == "bpfo"
    assert message.defect_hz == pytest.approx(3.5848 * 1797 / 60, abs=0.01)
    assert (message.shaft_rpm, message.shaft_rpm_from) == (1797.0, "config")
    (velocity,) = message.velocity_rms_mm_s or ()
    assert 1.545 < velocity < 2.8  # the shaft's four harmonics alone have 1.545
    assert message.zone == "B"
    assert set(message.defects) == {"bpfo", "bpfi", "bsf2", "ftf"}


def test_the_plant_knows_the_speed_better_than_the_configuration() -> None:
    seconds = Seconds(Context(shaft_rpm=1797.0), shaft_rpm=900.0)
    assert seconds.play("inner_severe").defect == "bpfi"
    assert seconds.watch.evidence()["shaft_rpm_from"] == "context"


def test_a_defect_is_evidence_once_three_looks_show_it_and_until_they_do_not() -> None:
    seconds = Seconds(shaft_rpm=1797.0)
    shown = []
    for condition in ("normal", *["inner_severe"] * 4, *["normal"] * 4):
        seconds.play(condition)
        shown.append(seconds.watch.evidence()["defect"])
    assert shown == [None, None, None, "bpfi", "bpfi", "bpfi", "bpfi", None, None]


def test_an_estimated_speed_is_believed_when_it_stays() -> None:
    seconds = Seconds(shaft_rpm_range=(1500.0, 2500.0))
    assert seconds.play("normal").quality == ["no_shaft_speed"]
    message = seconds.play("normal", 2)
    assert message.shaft_rpm_from == "estimated"
    assert message.shaft_rpm == pytest.approx(1797, rel=0.01)


def test_a_speed_that_stayed_is_believed_through_a_few_looks_that_show_none() -> None:
    seconds = Seconds(shaft_rpm_range=(1500.0, 2500.0))
    seconds.play("normal", 3)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)
    shown = []
    for _ in range(5):
        seconds.watch.push(Chunk(noise, seconds.count * 10**9, float(RATE), seconds.count))
        seconds.count += 1
        found = seconds.watch.look(float(seconds.count), seconds.context)
        assert found is not None
        shown.append(None if found.shaft is None else (round(found.shaft.rpm, -2), found.shaft.origin))
    assert shown == [(1800.0, "estimated")] * 4 + [None]


def test_a_speed_estimated_before_the_plant_spoke_is_not_believed_after_it() -> None:
    seconds = Seconds(shaft_rpm_range=(1500.0, 2500.0))
    seconds.play("normal", 3)
    seconds.context = Context(shaft_rpm=2400.0)
    seconds.play("normal")
    seconds.context = Context()
    assert seconds.play("normal").quality == ["no_shaft_speed"]


@pytest.mark.parametrize("speeds", [(1500.0, 2500.0), (1700.0, 3300.0)])
@pytest.mark.parametrize("rpm", [1797, 1772])
def test_of_real_machines_no_wrong_speed_is_told(recordings_dir: Path, rpm: int, speeds: tuple[float, float]) -> None:
    """The speeds that the recordings are named by are nominal, within a percent."""
    machine = MachineSection(bearing="6205-2RS", shaft_rpm_range=speeds)
    told: list[float | None] = []
    for path in sorted((recordings_dir / f"cwru_de_{rpm}rpm").glob("*.npz")):
        samples = read_recording(path).samples
        watch = VibrationMonitor(AssetSection(id="b", rate_hz=RATE, machine=machine))
        for second in range(samples.shape[1] // RATE):
            watch.push(Chunk(samples[:, second * RATE :][:, :RATE], second * 10**9, float(RATE), second))
            found = watch.look(float(second), Context())
            assert found is not None
            told.append(None if found.shaft is None else found.shaft.rpm)
    known = [speed for speed in told if speed is not None]
    assert [speed for speed in known if abs(speed / rpm - 1) > 0.015] == []
    assert len(known) > len(told) / 3


@pytest.mark.parametrize("configured", [1797.0, 1730.0, 1860.0])
def test_a_motor_that_slips_still_shows_its_defect(configured: float) -> None:
    seconds = Seconds(shaft_rpm=configured)
    message = seconds.play("inner_severe", 5)
    assert message.defect == "bpfi"
    assert message.shaft_rpm_from == ("config" if configured == 1797.0 else "estimated")
    assert message.shaft_rpm == pytest.approx(1797.0, rel=0.01)
    told = Seconds(Context(shaft_rpm=configured))
    message = told.play("inner_severe", 5)
    assert (message.shaft_rpm, message.shaft_rpm_from) == (configured, "context")  # the plant knows


@pytest.mark.parametrize("configured", [1730.0, 1860.0])
def test_real_races_show_their_defect_however_far_their_motor_slips(recordings_dir: Path, configured: float) -> None:
    machine = MachineSection(bearing="6205-2RS", shaft_rpm=configured)
    shown = Counter[str]()
    for rpm in (1797, 1772):
        for path in sorted((recordings_dir / f"cwru_de_{rpm}rpm").glob("*.npz")):
            wanted = {"inner": "bpfi", "outer": "bpfo", "normal": ""}.get(path.stem.split("_")[0])
            if wanted is None:
                continue
            samples = read_recording(path).samples
            watch = VibrationMonitor(AssetSection(id="b", rate_hz=RATE, machine=machine))
            for second in range(8):
                watch.push(Chunk(samples[:, second * RATE :][:, :RATE], second * 10**9, float(RATE), second))
                watch.look(float(second), Context())
                match = watch.physics.match
                if second >= 5:
                    found = "" if match is None else match.defect
                    shown["right" if found == wanted else found or "missed"] += 1
    assert set(shown) <= {"right", "missed"}
    assert shown["right"] > 0.9 * shown.total()


def test_without_a_bearing_nothing_is_looked_for() -> None:
    message = Seconds(bearing=None, shaft_rpm=1797.0).play("inner_severe")
    assert (message.defects, message.defect, message.envelope_band_hz, message.quality) == ({}, None, None, [])


def test_evidence_fits_its_message() -> None:
    seconds = Seconds(shaft_rpm=1797.0)
    seconds.play("inner_severe", 4)
    evidence = Evidence(**seconds.watch.evidence())
    assert evidence.defect == "bpfi"
    assert evidence.defect_over_floor is not None
    assert evidence.velocity_rms_mm_s is not None


@pytest.mark.parametrize(
    ("state", "defect", "zone", "looked", "verdict"),
    [
        (fault("inner_severe"), "bpfi", "A", True, "agrees"),
        (fault("inner_severe"), "bpfo", "A", True, "disagrees"),
        (fault("inner_severe"), None, "A", True, "silent"),
        (fault("inner_severe"), None, "A", False, "unavailable"),
        (fault("looseness"), "bpfo", None, True, "suggests"),
        (fault("looseness"), None, None, True, "silent"),
        (HEALTHY, "bpfo", "A", True, "disagrees"),
        (HEALTHY, None, "D", False, "disagrees"),
        (HEALTHY, None, "B", True, "silent"),
        (HEALTHY, None, None, False, "unavailable"),
    ],
)
def test_network_and_physics_are_held_against_each_other(
    state: AlarmState, defect: Any, zone: Any, looked: Any, verdict: str
) -> None:
    found, note = physics_verdict(state, defect, zone, looked=looked)
    assert found == verdict
    assert bool(note) == (verdict != "unavailable" and (verdict != "silent" or state.class_ == "inner_severe"))


@pytest.mark.parametrize(
    ("building", "verdict", "said"),
    [("inner_severe", "agrees", "the fault is raised if that lasts"), ("outer", "disagrees", "hears 'outer', but")],
)
def test_while_a_fault_is_not_raised_yet_physics_is_held_against_what_is_heard(
    building: str, verdict: str, said: str
) -> None:
    found, note = physics_verdict(HEALTHY, "bpfi", "A", looked=True, building=building)
    assert (found, said in note) == (verdict, True)


def test_a_fault_is_heard_where_most_of_the_newest_windows_have_it() -> None:
    seconds = Seconds(shaft_rpm=1797.0)
    seconds.play("inner_severe", 4)
    collector = EvidenceCollector(AssetSection(id="b", rate_hz=RATE), seconds.watch)
    window = seconds.bearing.generate(512)
    collector.hear("normal", window)
    assert collector.message(HEALTHY, heard=True, novel_s=0.0).physics == "disagrees"
    collector.hear("inner_severe", window)
    collector.hear("inner_severe", window)
    assert collector.message(HEALTHY, heard=True, novel_s=0.0).physics == "agrees"


def test_without_a_model_physics_alone_suggests() -> None:
    assert physics_verdict(HEALTHY, "bpfo", "A", looked=True, heard=False)[0] == "suggests"


def test_the_state_is_repeated_when_physics_changes_its_mind() -> None:
    section = AssetSection(id="b", rate_hz=RATE, machine=MachineSection(group=2, bearing="6205-2RS", shaft_rpm=1797.0))
    clock = ManualClock()
    asset = Asset(section, Publisher(Topics("edgetune", "n"), "boot", clock), lambda: "e1")
    bearing = BearingSimulator(condition="outer_severe")
    faults = []
    for count in range(6):
        clock.now = float(count)
        chunk = Chunk(bearing.generate(RATE), count * 10**9, float(RATE), count)
        faults += [each.message for each in asset.listen(chunk) if isinstance(each.message, Fault)]
    (repeated,) = faults
    assert not repeated.active
    assert (repeated.evidence.defect, repeated.evidence.physics) == ("bpfo", "suggests")
    assert "outer race" in repeated.evidence.note
    assert repeated.evidence.action.startswith("look at the machine")


def test_a_fault_raised_before_physics_has_looked_is_repeated_once_it_has() -> None:
    section = AssetSection(id="b", rate_hz=RATE, machine=MachineSection(group=2, bearing="6205-2RS", shaft_rpm=1797.0))
    asset = Asset(section, Publisher(Topics("edgetune", "n"), "boot", ManualClock()), lambda: "e1")
    [said] = [each.message for each in asset.announce() if isinstance(each.message, Fault)]
    assert said.evidence.physics == "unavailable"
    chunk = Chunk(BearingSimulator().generate(RATE), 0, float(RATE), 0)
    [said] = [each.message for each in asset.listen(chunk) if isinstance(each.message, Fault)]
    assert (said.evidence.physics, said.evidence.zone) == ("silent", "A")


@pytest.mark.parametrize(
    ("state", "physics", "defect", "zone", "words"),
    [
        (HEALTHY, "silent", None, "A", "none"),
        (HEALTHY, "disagrees", "bpfo", "A", "recalibrate"),
        (fault("inner"), "agrees", "bpfi", "A", "inner race soon"),
        (fault("inner"), "silent", None, "A", "inner race at the next stop"),
        (fault("inner"), "disagrees", "bpfo", "A", "measure again"),
        (fault("looseness"), "unavailable", None, None, "inspect the machine at the next stop"),
        (fault("inner"), "agrees", "bpfi", "D", "stop the machine"),
    ],
)
def test_there_is_something_to_do(state: AlarmState, physics: Any, defect: Any, zone: Any, words: str) -> None:
    assert words in recommended_action(state, physics, defect, zone)


def test_a_rising_figure_is_told_from_a_steady_one() -> None:
    random = np.random.default_rng(0)
    for slope, word in ((0.0, "steady"), (0.5, "rising"), (-0.5, "falling")):
        trend = Trend()
        for second in range(3600):
            trend.add(second, 2.0 + slope * second / 3600 + random.normal(0, 0.1))
        found = trend.slope
        assert found is not None
        assert found.word == word
        assert found.per_hour == pytest.approx(slope, abs=0.06)


def test_a_trend_reaches_back_as_far_as_it_watched_and_stays_small() -> None:
    trend = Trend()
    assert trend.slope is None
    for minute in range(60 * 24 * 7):
        trend.add(60.0 * minute, 1.0)
    assert len(trend._points) < MOST_POINTS
    assert trend.slope is not None
    assert trend.slope.seconds > 6 * 86_400


def test_a_machine_is_described_by_catalogue_geometry_or_orders() -> None:
    geometry = {"balls": 9.0, "ball_diameter": 7.94, "pitch_diameter": 39.04}
    orders = {"bpfo": 3.5848, "bpfi": 5.4152, "bsf": 2.3567, "ftf": 0.3983}
    for bearing in ("6205-2RS", geometry, {**geometry, "contact_angle": 0.0}):
        assert MachineSection(bearing=bearing).machine.orders == DEEP_GROOVE_6205.orders()
    assert MachineSection(bearing=orders).machine.orders == DefectOrders(**orders)
    assert MachineSection(group=1, support="flexible").machine.zone_limits_mm_s == (3.5, 7.1, 11.0)
    assert MachineSection(group=1, zone_limits_mm_s=(1, 2, 3)).machine.zone_limits_mm_s == (1, 2, 3)
    assert MachineSection().machine.zone_limits_mm_s is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"bearing": "6299"}, "6205-2RS"),
        ({"bearing": {"balls": 9.0}}, "pitch_diameter"),
        ({"bearing": {"balls": 2.0, "ball_diameter": 1.0, "pitch_diameter": 5.0}}, "three balls"),
        ({"bearing": {"balls": 9.0, "ball_diameter": 9.0, "pitch_diameter": 5.0}}, "three balls"),
        (
            {"bearing": {"balls": 9.0, "ball_diameter": 1.0, "pitch_diameter": 5.0, "contact_angle": 90.0}},
            "contact_angle",
        ),
        ({"bearing": {"bpfo": 0.0, "bpfi": 5.0, "bsf": 2.0, "ftf": 0.4}}, "positive"),
        ({"zone_limits_mm_s": (1.4, 1.4, 4.5)}, "larger"),
        ({"shaft_rpm_range": (1800.0, 1500.0)}, "larger"),
    ],
)
def test_an_impossible_machine_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MachineSection(**setting)
