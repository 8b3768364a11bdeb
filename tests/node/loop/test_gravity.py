"""A sensor that shows gravity in another unit than is configured is told by a running node while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import Block, encode_block

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

RATE_HZ, BLOCK = 3200.0, 640
PUMP = """
[[asset]]
id = "pump"
rate_hz = 3200
unit = "{unit}"
vibration_s = 0.2
"""


@pytest.mark.parametrize(("unit", "wrong", "of", "right"), [("g", 9.8, "m/s2", 1.0), ("m/s2", 1.0, "g", 9.8)])
def test_gravity_in_another_unit_is_told_with_both_units_until_it_is_in_the_right_one(
    node: Callable[..., Any], unit: str, wrong: float, of: str, right: float
) -> None:
    edge = node(PUMP.replace("{unit}", unit))
    edge.start()
    random = np.random.default_rng(0)
    sent = 0

    def problems() -> list[str]:
        health = edge.scada.on("edgetune/n1/health")
        return [each for each in health[-1].json()["problems"] if "gravity" in each] if health else []

    def quality() -> list[str]:
        vibration = edge.scada.on("edgetune/n1/pump/vibration")
        return list(vibration[-1].json()["quality"]) if vibration else ["nothing yet"]

    def plays_until(condition: Callable[[], object], mean: float) -> None:
        nonlocal sent
        deadline_s = time.monotonic() + 120
        due_s = time.monotonic()
        while not condition():
            assert time.monotonic() < deadline_s, (problems(), quality())
            due_s += BLOCK / RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))
            samples = np.stack([random.normal(mean, 0.1, BLOCK)]).astype(np.float32)
            edge.scada.publish("edgetune/n1/pump/samples", encode_block(Block(samples, sent, 0, RATE_HZ, unit)), qos=0)
            sent += 1

    plays_until(lambda: problems() and "gravity_unit" in quality(), wrong)
    (problem,) = problems()
    assert problem.startswith(f"pump: the samples' mean is {wrong:.1f}")
    assert f"gravity in {of}, but unit is {unit}: set unit" in problem
    edge.forget()
    plays_until(lambda: quality() == [], right)
    edge.forget()
    edge.wait("health", lambda found: not any("gravity" in each for each in found["problems"]))
