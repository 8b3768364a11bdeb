"""A rolling bearing's vibration, generated from what happens in it: impacts, load zone, slip, resonance, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetune_signal.errors import SourceError
from edgetune_signal.stream import STANDARD_GRAVITY
from edgetune_signal.vibration import DEEP_GROOVE_6205, BearingGeometry

Float64 = NDArray[np.float64]

BEARING_UNITS = {"g": 1.0, "m/s2": STANDARD_GRAVITY}
BEARING_CHANNELS = (1, 3)
BEARING_MIN_RATE_HZ = 2700.0
"""Below this no resonance of the housing is left to see."""


@dataclass(frozen=True, slots=True)
class _Mode:
    """A resonance of the housing and how strongly each channel (vertical, horizontal, axial) sees it."""

    frequency_hz: float
    damping: float
    gains: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Severity:
    """How far a defect has grown: strength of its impacts, and its width as a part of the way between two."""

    impact_g: float
    width: float
    looseness: float


_MODES = (
    _Mode(1180.0, 0.040, (0.30, 0.45, 0.20)),
    _Mode(2750.0, 0.030, (0.75, 0.40, 0.35)),
    _Mode(3380.0, 0.025, (1.00, 0.65, 0.25)),
    _Mode(4950.0, 0.020, (0.35, 0.25, 0.60)),
)
_SEVERITIES = {
    "slight": _Severity(0.45, 0.02, 1.1),
    "moderate": _Severity(1.3, 0.05, 1.4),
    "severe": _Severity(3.2, 0.11, 2.0),
}
BEARING_CONDITIONS = (
    "normal",
    *(f"{part}_{severity}" for part in ("inner", "outer", "ball") for severity in _SEVERITIES),
)

_HARMONICS_G = (0.020, 0.012, 0.005, 0.003)  # of the shaft: unbalance, misalignment, and what follows
_HARMONIC_GAINS = (1.0, 0.8, 0.3)
_NOISE_G = (0.050, 0.042, 0.035)
_NOISE_TAPS = (1.0, 0.55, -0.25)  # friction noise is not white: a short moving average
_SLIP = 0.012  # standard deviation of the time between two impacts, relative: balls slide
_IMPACT_SPREAD = 0.12  # of the strength of single impacts
_SPEED_WANDER = 0.002
_SPEED_WANDER_HZ = 0.4
_ENTRY = 0.35  # a ball falls into the defect softly and strikes its far edge
_INNER_CONTACT = 0.6  # a ball's spot striking the inner race reaches the housing through a longer way
_LOAD_FLOOR = 0.06  # a ball outside the load zone still touches
_ANTI_ALIAS = 0.92  # of the Nyquist frequency: what lies above never reaches a sensor's samples
_DECAYED = math.log(1e4)


class BearingSimulator:
    """Generate the acceleration of a bearing's housing.

    The signal does not depend on how it is cut into calls of `generate`, only on the parameters, the seed and the
    moments of `select`.

    Parameters
    ----------
    rate_hz
        Samples per second, at least `BEARING_MIN_RATE_HZ`.
    channels
        1, or 3 for vertical, horizontal and axial.
    condition
        One of `BEARING_CONDITIONS`: ``normal``, or a part and a severity such as ``inner_slight``.
    shaft_rpm
        Mean speed of the shaft.
    load
        Radial load from 0 (none) to 1 (rated): impacts grow, the load zone widens, resonances stiffen by 3 %.
    seed
        Another seed is another take of the same machine.
    unit
        ``g`` or ``m/s2``.
    geometry
        The bearing; 6205-2RS by default.

    Notes
    -----
    The model of R. B. Randall and J. Antoni (Mech. Syst. Signal Process. 25 (2011) 485): impacts at the defect order
    whose intervals jitter by slip, so that phase is lost over time; amplitude by the Stribeck load distribution, passed
    by an inner-race defect once a turn and by a ball's at the cage's rate; each impact excites decaying modes. A defect
    has an entry and an exit (N. Sawalhi and R. B. Randall, Mech. Syst. Signal Process. 25 (2011) 846).
    """

    def __init__(
        self,
        *,
        rate_hz: float = 12000.0,
        channels: int = 1,
        condition: str = "normal",
        shaft_rpm: float = 1797.0,
        load: float = 0.0,
        seed: int = 0,
        unit: str = "g",
        geometry: BearingGeometry = DEEP_GROOVE_6205,
    ) -> None:
        if channels not in BEARING_CHANNELS or unit not in BEARING_UNITS or rate_hz < BEARING_MIN_RATE_HZ:
            raise SourceError(
                f"a simulated bearing has 1 or 3 channels in g or m/s2 at {BEARING_MIN_RATE_HZ:g} Hz or more, "
                f"not {channels} in {unit!r} at {rate_hz:g} Hz"
            )
        self._rate = rate_hz
        self._channels = channels
        self._scale = BEARING_UNITS[unit]
        self._shaft_hz = shaft_rpm / 60
        self._load = load
        self._orders = geometry.orders()
        self._modes = [mode for mode in _MODES if mode.frequency_hz * 1.03 < _ANTI_ALIAS * rate_hz / 2]
        omega = 2 * math.pi * (1 + 0.03 * load) * np.array([[mode.frequency_hz] for mode in self._modes])
        damping = np.array([[mode.damping] for mode in self._modes])
        self._decay: Float64 = damping * omega
        self._omega: Float64 = omega * np.sqrt(1 - damping * damping)
        self._ring = math.ceil(_DECAYED / float(self._decay.min()) * rate_hz)
        grid = np.arange(self._ring) / rate_hz
        self._sine: Float64 = np.exp(-self._decay * grid) * np.sin(self._omega * grid)
        self._cosine: Float64 = np.exp(-self._decay * grid) * np.cos(self._omega * grid)
        noise_seed, impact_seed, phase_seed = np.random.SeedSequence(seed).spawn(3)
        self._noise_rng = np.random.default_rng(noise_seed)
        self._impact_rng = np.random.default_rng(impact_seed)
        self._phases: Float64 = np.random.default_rng(phase_seed).uniform(0, 2 * math.pi, len(_HARMONICS_G) + 1)
        self._noise: Float64 = np.zeros((channels, len(_NOISE_TAPS) - 1))
        self._tail: Float64 = np.zeros((len(self._modes), 0))
        self._position = 0
        self._strikes = 0
        self._next_impact_s = 0.0
        self._part = "normal"
        self._severity: _Severity | None = None
        self.condition = "normal"
        self.select(condition)

    def select(self, condition: str) -> None:
        """Put the bearing into another condition from the next sample on; what rings goes on ringing.

        Raises
        ------
        SourceError
            There is no such condition.
        """
        if condition not in BEARING_CONDITIONS:
            raise SourceError(f"a bearing has no condition {condition!r}; it has {', '.join(BEARING_CONDITIONS)}")
        part, _, severity = condition.partition("_")
        if part not in ("normal", self._part):
            self._next_impact_s = self._position / self._rate + self._impact_rng.random() * self._interval_s(part)
        self.condition, self._part, self._severity = condition, part, _SEVERITIES.get(severity)

    def generate(self, n: int) -> NDArray[np.float32]:
        """Return the next ``n`` samples, ``float32 (channels, n)``."""
        time_s: Float64 = (self._position + np.arange(n)) / self._rate
        modal = self._modal_response(n)
        angle = self._shaft_angle(time_s)
        noise = self._friction_noise(n)
        looseness = self._severity.looseness if self._severity else 1.0
        out: Float64 = np.empty((self._channels, n))
        for channel in range(self._channels):
            total = noise[channel] * (_NOISE_G[channel] * (1 + 0.3 * self._load) * (0.8 + 0.2 * looseness))
            for order, amplitude in enumerate(_HARMONICS_G, start=1):
                gain = amplitude * looseness * _HARMONIC_GAINS[channel]
                total += gain * np.sin(order * angle + self._phases[order] + channel * math.pi / 2)
            for mode, response in zip(self._modes, modal, strict=True):
                total += mode.gains[channel] * response
            out[channel] = total
        self._position += n
        return (out * self._scale).astype(np.float32)

    def _shaft_angle(self, time_s: Float64) -> Float64:
        """Angle of a shaft whose speed wanders slowly around its mean."""
        wander = 2 * math.pi * _SPEED_WANDER_HZ
        shift = _SPEED_WANDER / wander * np.sin(wander * time_s + self._phases[0])
        angle: Float64 = 2 * math.pi * self._shaft_hz * (time_s + shift)
        return angle

    def _interval_s(self, part: str) -> float:
        order = {"inner": self._orders.bpfi, "outer": self._orders.bpfo, "ball": 2 * self._orders.bsf}[part]
        return 1 / (order * self._shaft_hz)

    def _modal_response(self, n: int) -> Float64:
        """Return ``(modes, n)``: what still rings plus the impacts of the next ``n`` samples."""
        buffer: Float64 = np.zeros((len(self._modes), n + max(self._ring, self._tail.shape[1])))
        buffer[:, : self._tail.shape[1]] = self._tail
        end_s = (self._position + n) / self._rate
        while self._severity is not None and self._next_impact_s < end_s:
            interval = self._interval_s(self._part)
            strength = self._severity.impact_g * self._impact_gain(self._next_impact_s)
            exit_s = self._next_impact_s + self._severity.width * interval
            buffer = self._strike(buffer, self._next_impact_s, _ENTRY * strength)
            buffer = self._strike(buffer, exit_s, strength)
            self._next_impact_s += interval * max(0.5, 1 + _SLIP * self._impact_rng.standard_normal())
            self._strikes += 1
        self._tail = buffer[:, n:]
        return buffer[:, :n]

    def _strike(self, buffer: Float64, at_s: float, strength: float) -> Float64:
        """Add the modes' decaying sines from an impact between two samples on (the sine of a sum, from tables)."""
        first = math.ceil(at_s * self._rate)
        offset = first - self._position
        missing = offset + self._ring - buffer.shape[1]
        if missing > 0:
            buffer = np.concatenate([buffer, np.zeros((len(self._modes), missing))], axis=1)
        since_s = first / self._rate - at_s
        scale = strength * np.exp(-self._decay * since_s)
        ringing = buffer[:, offset : offset + self._ring]
        ringing += scale * np.cos(self._omega * since_s) * self._sine
        ringing += scale * np.sin(self._omega * since_s) * self._cosine
        return buffer

    def _impact_gain(self, at_s: float) -> float:
        """Strength of one impact: where in the load zone it falls, and chance."""
        angle = float(self._shaft_angle(np.array([at_s]))[0])
        spread = max(0.2, 1 + _IMPACT_SPREAD * self._impact_rng.standard_normal())
        gain = (0.7 + 0.6 * self._load) * spread
        if self._part == "inner":
            return gain * self._load_zone(angle)
        if self._part == "ball":
            contact = _INNER_CONTACT if self._strikes % 2 else 1.0
            return gain * contact * self._load_zone(self._orders.ftf * angle)
        return gain

    def _load_zone(self, angle: float) -> float:
        """Stribeck's load distribution, 1 where the load presses, a floor outside the zone."""
        epsilon = 0.3 + 0.2 * self._load
        pressed = 1 - (1 - math.cos(angle)) / (2 * epsilon)
        return max(_LOAD_FLOOR, pressed**1.5) if pressed > 0 else _LOAD_FLOOR

    def _friction_noise(self, n: int) -> Float64:
        fresh = self._noise_rng.standard_normal((n, self._channels)).T
        white = np.concatenate([self._noise, fresh], axis=1)
        self._noise = white[:, n:]
        total: Float64 = np.zeros((self._channels, n))
        for lag, tap in enumerate(_NOISE_TAPS):
            first = len(_NOISE_TAPS) - 1 - lag
            total += tap * white[:, first : first + n]
        return total / math.sqrt(sum(tap * tap for tap in _NOISE_TAPS))
