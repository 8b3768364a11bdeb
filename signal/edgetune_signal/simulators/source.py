"""Opens a simulated machine or person as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edgetune_signal.options import OptionReader
from edgetune_signal.simulators.armband import (
    ARMBAND_CHANNELS,
    ARMBAND_GESTURES,
    ARMBAND_RATE_HZ,
    ARMBAND_UNIT,
    ArmbandSimulator,
)
from edgetune_signal.simulators.bearing import (
    BEARING_CHANNELS,
    BEARING_CONDITIONS,
    BEARING_MIN_RATE_HZ,
    BEARING_UNITS,
    BearingSimulator,
)
from edgetune_signal.sources import DEFAULT_BLOCK_S, PacedSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.sources import Source
    from edgetune_signal.stream import Samples, StreamSpec

MACHINES = ("bearing", "armband")


class _Simulator(Protocol):
    def generate(self, n: int) -> Samples: ...

    def select(self, condition: str, /) -> None: ...


class _SimulatorPlayer:
    """Play a simulator, which never ends and never misses a sample."""

    def __init__(self, simulator: _Simulator) -> None:
        self._simulator = simulator

    def play(self, n: int) -> tuple[Samples, bool]:
        return self._simulator.generate(n), False

    def pause_s(self) -> float:
        return 0.0

    def select(self, name: str) -> None:
        self._simulator.select(name)


def open_simulated(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Open a simulated bearing or armband.

    Parameters
    ----------
    spec
        Bearing: 1 or 3 channels in ``g`` or ``m/s2``, 2700 Hz or more. Armband: 8 channels at 200 Hz in ``counts``.
    options
        ``machine`` (``bearing`` | ``armband``), ``condition`` (``normal``, ``inner_slight`` ...; for an armband a
        gesture), ``seed``, ``speed`` (1 = real time, 0 = as fast as consumed), ``block_s`` (duration of a chunk),
        ``select_file``; bearing: ``shaft_rpm``, ``load`` (0 to 1); armband: ``subject`` (the person), ``session``,
        ``turn`` (electrodes by which it is worn turned), ``fatigue`` (0 to 1).

    Raises
    ------
    SourceOptionsError
        Options or specification are wrong; every problem is named.
    """
    reader = OptionReader("simulated", options)
    machine = reader.choice("machine", "bearing", MACHINES)
    seed = reader.integer("seed", 0)
    speed = reader.number("speed", 1.0, minimum=0.0, maximum=1e4)
    block_s = reader.number("block_s", DEFAULT_BLOCK_S, minimum=1e-4, maximum=10.0)
    select_file = reader.text("select_file", None)
    bearing = machine == "bearing"
    if bearing:
        condition = reader.choice("condition", "normal", BEARING_CONDITIONS)
        _check_bearing(reader, spec)
    else:
        condition = reader.choice("condition", "rest", ARMBAND_GESTURES)
        _check_armband(reader, spec)
    shaft_rpm = reader.number("shaft_rpm", 1797.0, minimum=60.0, maximum=60000.0)
    load = reader.number("load", 0.0, minimum=0.0, maximum=1.0)
    subject = options.get("subject", "0")
    reader.text("subject", None) if not isinstance(subject, int) else reader.integer("subject", 0)
    session = reader.integer("session", 0)
    turn = reader.number("turn", 0.0, minimum=-8.0, maximum=8.0)
    fatigue = reader.number("fatigue", 0.0, minimum=0.0, maximum=1.0)
    for name in ("subject", "session", "turn", "fatigue") if bearing else ("shaft_rpm", "load"):
        if reader.given(name):
            reader.problem(name, f"is not an option of machine {machine!r}: leave it out")
    reader.finish()
    simulator: _Simulator
    if bearing:
        simulator = BearingSimulator(
            rate_hz=spec.rate_hz,
            channels=spec.channels,
            condition=condition,
            shaft_rpm=shaft_rpm,
            load=load,
            seed=seed,
            unit=spec.unit,
        )
    else:
        simulator = ArmbandSimulator(
            gesture=condition, subject=str(subject), seed=seed, session=session, turn=turn, fatigue=fatigue
        )
    return PacedSource(_SimulatorPlayer(simulator), spec, speed=speed, block_s=block_s, select_file=select_file)


def _check_bearing(reader: OptionReader, spec: StreamSpec) -> None:
    if spec.channels not in BEARING_CHANNELS:
        reader.problem("channels", f"of a simulated bearing must be 1 or 3, not {spec.channels}")
    if spec.rate_hz < BEARING_MIN_RATE_HZ:
        reader.problem(
            "rate_hz", f"of a simulated bearing must be at least {BEARING_MIN_RATE_HZ:g}, not {spec.rate_hz:g}"
        )
    if spec.unit not in BEARING_UNITS:
        reader.problem("unit", f"of a simulated bearing must be g or m/s2, not {spec.unit!r}")


def _check_armband(reader: OptionReader, spec: StreamSpec) -> None:
    if spec.channels != ARMBAND_CHANNELS:
        reader.problem("channels", f"of a simulated armband must be {ARMBAND_CHANNELS}, not {spec.channels}")
    if spec.rate_hz != ARMBAND_RATE_HZ:
        reader.problem("rate_hz", f"of a simulated armband must be {ARMBAND_RATE_HZ:g}, not {spec.rate_hz:g}")
    if spec.unit != ARMBAND_UNIT:
        reader.problem("unit", f"of a simulated armband must be {ARMBAND_UNIT!r}, not {spec.unit!r}")
