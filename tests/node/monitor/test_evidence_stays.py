"""The evidence of an open event stays as it was when its fault is no longer heard: a repair says nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import Bench, context, said
from manual_clock import START_NS

from edgetune_node.events.events import ChunkArrived, ModelReady, Tick
from edgetune_signal import BearingSimulator, Chunk

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle
    from edgetune_node.events.effects import Effect

RATE = 12_000.0
TENTH = 1200
PHYSICS = ("zone", "velocity_rms_mm_s", "defect", "defect_amplitude", "rms", "physics", "note", "action")


class Machine(Bench):
    """A node beside a bearing that breaks and is repaired; the alarm is latched, so that the event stays open."""

    def __init__(self, **more: Any) -> None:
        machine = {"group": 2, "bearing": "6205-2RS", "shaft_rpm": 1797.0}
        alarm = {"raise_after_s": 1, "clear_after_s": 2, "latch": True, "heartbeat_s": 1}
        super().__init__(rate_hz=RATE, vibration_s=1.0, machine=machine, alarm=alarm, **more)
        self.bearing = BearingSimulator(seed=1)

    def run(self, condition: str, seconds: float, *, gain: float = 1.0) -> list[Effect]:
        self.bearing.select(condition)
        effects = []
        for _ in range(round(seconds * RATE / TENTH)):
            samples = (gain * self.bearing.generate(TENTH)).astype(np.float32)
            self.clock.now += TENTH / RATE
            time_ns = START_NS + round(self.clock.now * 1e9)
            effects += self.handle(ChunkArrived("bearing", Chunk(samples, time_ns, RATE, self.sequence["bearing"])))
            self.sequence["bearing"] += 1
            effects += self.handle(Tick())
        return effects

    def said_now(self) -> dict[str, Any]:
        [fault] = said(self.node.assets["bearing"].announce(), "fault")
        return fault


def physics(fault: dict[str, Any]) -> dict[str, Any]:
    return {name: fault["evidence"][name] for name in PHYSICS}


@pytest.fixture
def broken(bundle: Bundle) -> Machine:
    """A machine whose outer race has broken, and whose event is open."""
    machine = Machine()
    machine.handle(ModelReady("bearing", "", bundle, None))
    machine.run("outer_severe", 8)
    assert machine.said_now()["active"]
    assert machine.said_now()["evidence"]["defect"] == "bpfo"
    return machine


def test_evidence_of_an_open_event_is_not_replaced_by_a_repaired_machine(
    broken: Machine, healthy_bundle: Bundle
) -> None:
    before = broken.said_now()
    broken.handle(ModelReady("bearing", "", healthy_bundle, None))
    faults = said(broken.run("normal", 12), "fault")
    assert len(faults) >= 10
    for fault in (*faults, broken.said_now()):
        assert (fault["active"], fault["event"]) == (True, before["event"])
        assert physics(fault) == physics(before)
    assert faults[-1]["latched"]
    [cleared] = said(broken.command("acknowledge", id="a", by="ana"), "fault")
    assert (cleared["active"], cleared["evidence"]["defect"]) == (False, None)


def test_it_follows_while_the_fault_is_heard_and_when_its_severity_rises(broken: Machine) -> None:
    before = broken.said_now()
    broken.run("outer_severe", 5, gain=8)
    louder = broken.said_now()
    assert louder["event"] == before["event"]
    assert louder["severity_level"] > before["severity_level"]
    assert louder["evidence"]["velocity_rms_mm_s"] > 5 * before["evidence"]["velocity_rms_mm_s"]
    assert louder["evidence"]["rms"][0] > 4 * before["evidence"]["rms"][0]


def test_a_machine_that_stands_still_for_its_repair_keeps_the_evidence(broken: Machine) -> None:
    before = physics(broken.said_now())
    context(broken, running=False)
    broken.run("normal", 3, gain=1e-3)
    assert physics(broken.said_now()) == before


def test_a_node_that_restarts_during_the_repair_keeps_the_evidence(broken: Machine, healthy_bundle: Bundle) -> None:
    before = broken.said_now()
    [last] = [effect.message.json_bytes() for effect in broken.node.assets["bearing"].announce()[1:]]  # type: ignore[attr-defined]
    restarted = Machine(last={"fault": last})
    assert physics(restarted.said_now()) == physics(before)
    restarted.handle(ModelReady("bearing", "", healthy_bundle, None))
    restarted.run("normal", 5)
    after = restarted.said_now()
    assert (after["active"], after["event"]) == (True, before["event"])
    assert physics(after) == physics(before)
