"""A surface-EMG armband on a forearm: gestures as activations around the arm, seen by eight rotated electrodes."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

ARMBAND_CHANNELS = 8
ARMBAND_RATE_HZ = 200.0
ARMBAND_UNIT = "counts"
ARMBAND_GESTURES = ("rest", "fist", "open_hand", "wrist_flexion", "wrist_extension", "pinch")

_MUSCLES = 12
_MUSCLE_ANGLES = 2 * math.pi * np.arange(_MUSCLES) / _MUSCLES
# Activations around the arm: (centre in radians, sharpness, level). Flexors lie around 0, extensors around pi.
_PATTERNS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "rest": (),
    "fist": ((0.2, 1.2, 1.0), (3.3, 2.0, 0.45)),
    "open_hand": ((2.7, 1.8, 0.85), (4.4, 3.0, 0.35)),
    "wrist_flexion": ((0.0, 3.0, 0.9), (5.4, 3.0, 0.5)),
    "wrist_extension": ((3.5, 3.0, 0.95), (1.9, 3.5, 0.4)),
    "pinch": ((0.9, 4.0, 0.55), (2.1, 4.0, 0.35)),
}
_FULL_EFFORT_COUNTS = 38.0
_BASELINE_COUNTS = 0.9
_CROSSTALK = 5.0  # sharpness of an electrode's view of the muscles: neighbours see one another's
_ONSET_S = 0.09  # time constant with which a contraction builds up and relaxes
_TREMOR_HZ = 9.5
_TREMOR = 0.14
_EFFORT_SPREAD = 0.1  # no two contractions are equally strong
_PASS_HZ = (20.0, 92.0)
_TIRED_PASS_HZ = (15.0, 55.0)
_TIRED_LOUDER = 0.4
_TIRES_S, _RECOVERS_S = 40.0, 80.0  # time constants
_SESSION_TURN = 0.15  # electrodes by which an armband that is put on anew sits elsewhere
_SESSION_GAIN = 0.15
_SESSION_EFFORT = 0.15
_TAPS = 21
_LIMITS = (-128.0, 127.0)


class ArmbandSimulator:
    """Generate eight channels of surface EMG in the integer counts of an 8-bit armband.

    The signal does not depend on how it is cut into calls of `generate`.

    Parameters
    ----------
    gesture
        One of `ARMBAND_GESTURES`.
    subject
        The person: decides how the armband is turned on the arm (any angle), the gain of each electrode, and how this
        person's gestures differ from others'.
    seed
        Another seed is another take of the same person.
    session
        Another number is another session of the same person: the armband sits a little elsewhere, contacts and efforts
        differ.
    turn
        Electrodes by which the armband is worn turned: with 1, channel 1 hears what channel 2 heard.
    fatigue
        How much held gestures tire, from 0 to 1: the signal becomes slower and louder, and recovers with rest.

    Notes
    -----
    The surface signal is band-limited noise whose amplitude follows the muscles' activation (N. Hogan and R. W. Mann,
    IEEE Trans. Biomed. Eng. 27 (1980) 382), with tremor near 10 Hz and contractions that build up over a tenth of a
    second. An electrode sees near muscles most and its neighbours' too.
    """

    def __init__(
        self,
        *,
        gesture: str = "rest",
        subject: str = "0",
        seed: int = 0,
        session: int = 0,
        turn: float = 0.0,
        fatigue: float = 0.0,
    ) -> None:
        person = np.random.default_rng(zlib.crc32(subject.encode()))
        self.rotation = float(person.uniform(0, 2 * math.pi))
        self._gains: Float64 = np.exp(person.normal(0, 0.25) + person.normal(0, 0.12, (ARMBAND_CHANNELS, 1)))
        self._targets = {name: _activation(pattern, person) for name, pattern in _PATTERNS.items()}
        self.rotation += 2 * math.pi * turn / ARMBAND_CHANNELS
        if session:
            day = np.random.default_rng((zlib.crc32(subject.encode()), session))
            self.rotation += day.normal(0, _SESSION_TURN) * 2 * math.pi / ARMBAND_CHANNELS
            self._gains *= np.exp(day.normal(0, _SESSION_GAIN, (ARMBAND_CHANNELS, 1)))
            self._targets = {
                name: level * np.exp(day.normal(0, _SESSION_EFFORT, (_MUSCLES, 1)))
                for name, level in self._targets.items()
            }
        electrodes = self.rotation + 2 * math.pi * np.arange(ARMBAND_CHANNELS) / ARMBAND_CHANNELS
        view = np.exp(_CROSSTALK * (np.cos(electrodes[:, None] - _MUSCLE_ANGLES) - 1))
        self._view: Float64 = view / np.sqrt((view * view).sum(axis=1, keepdims=True))
        noise_seed, effort_seed, phase_seed = np.random.SeedSequence(seed).spawn(3)
        self._noise_rng = np.random.default_rng(noise_seed)
        self._effort_rng = np.random.default_rng(effort_seed)
        self._phases: Float64 = np.random.default_rng(phase_seed).uniform(0, 2 * math.pi, (_MUSCLES, 1))
        self._taps = _band_pass(_PASS_HZ)
        self._fatigue = fatigue
        self._tired_taps = _band_pass(_TIRED_PASS_HZ)
        self._tired = 0.0
        self._noise: Float64 = np.zeros((_MUSCLES + ARMBAND_CHANNELS, _TAPS - 1))
        self._position = 0
        self._switched = 0
        self._before: Float64 = np.zeros((_MUSCLES, 1))
        self._target: Float64 = np.zeros((_MUSCLES, 1))
        self.gesture = "rest"
        self.select(gesture)

    def select(self, gesture: str) -> None:
        """Start another gesture; the contraction builds up from the present one.

        Raises
        ------
        SourceError
            There is no such gesture.
        """
        if gesture not in ARMBAND_GESTURES:
            raise SourceError(f"an armband has no gesture {gesture!r}; it has {', '.join(ARMBAND_GESTURES)}")
        self._before = self._level(np.array([self._position]))
        self._tired = float(self._tiredness(np.array([self._position]))[0])
        effort = max(0.5, 1 + _EFFORT_SPREAD * self._effort_rng.standard_normal())
        self._target = effort * self._targets[gesture]
        self._switched = self._position
        self.gesture = gesture

    def generate(self, n: int) -> NDArray[np.float32]:
        """Return the next ``n`` samples, ``float32 (8, n)``: whole counts from -128 to 127."""
        position = self._position + np.arange(n)
        tremor = 1 + _TREMOR * np.sin(2 * math.pi * _TREMOR_HZ / ARMBAND_RATE_HZ * position + self._phases)
        noise, slow = self._band_limited_noise(n)
        if self._fatigue:
            noise[:_MUSCLES] = self._tire(noise[:_MUSCLES], slow[:_MUSCLES], position)
        muscles = _FULL_EFFORT_COUNTS * self._level(position) * tremor * noise[:_MUSCLES]
        seen: Float64 = np.zeros((ARMBAND_CHANNELS, n))
        for muscle in range(_MUSCLES):
            seen += self._view[:, muscle : muscle + 1] * muscles[muscle]
        counts = np.rint(self._gains * seen + _BASELINE_COUNTS * noise[_MUSCLES:])
        self._position += n
        return np.clip(counts, *_LIMITS).astype(np.float32)

    def _level(self, position: NDArray[np.int64]) -> Float64:
        """Activation ``(muscles, n)``: an exponential approach to the gesture's."""
        since_s = (position - self._switched) / ARMBAND_RATE_HZ
        level: Float64 = self._target + (self._before - self._target) * np.exp(-since_s / _ONSET_S)
        return level

    def _tiredness(self, position: NDArray[np.int64]) -> Float64:
        """How tired the muscles are ``(n,)``, from 0 to 1."""
        since_s = (position - self._switched) / ARMBAND_RATE_HZ
        target, time_s = (0.0, _RECOVERS_S) if self.gesture == "rest" else (1.0, _TIRES_S)
        tired: Float64 = target + (self._tired - target) * np.exp(-since_s / time_s)
        return tired

    def _tire(self, noise: Float64, slow: Float64, position: NDArray[np.int64]) -> Float64:
        """Mix in slower noise, and make it louder, by how tired the muscles are."""
        share = self._fatigue * self._tiredness(position)
        together = float(np.dot(self._taps, self._tired_taps))
        power = (1 - share) ** 2 + share**2 + 2 * share * (1 - share) * together
        mixed: Float64 = ((1 - share) * noise + share * slow) / np.sqrt(power) * (1 + _TIRED_LOUDER * share)
        return mixed

    def _band_limited_noise(self, n: int) -> tuple[Float64, Float64]:
        """Return unit noise ``(muscles + electrodes, n)`` of fresh muscles and of tired ones (zero without fatigue)."""
        fresh = self._noise_rng.standard_normal((n, _MUSCLES + ARMBAND_CHANNELS)).T
        white = np.concatenate([self._noise, fresh], axis=1)
        self._noise = white[:, n:]
        own = _filtered(white, self._taps)
        return own, _filtered(white, self._tired_taps) if self._fatigue else np.zeros_like(own)


def _activation(pattern: tuple[tuple[float, float, float], ...], person: np.random.Generator) -> Float64:
    """Activation of each muscle ``(muscles, 1)`` in one person's version of a gesture."""
    level: Float64 = np.zeros(_MUSCLES)
    for centre, sharpness, strength in pattern:
        own_centre = centre + person.normal(0, 0.12)
        own_strength = strength * math.exp(person.normal(0, 0.12))
        level += own_strength * np.exp(sharpness * (np.cos(_MUSCLE_ANGLES - own_centre) - 1))
    return level[:, None]


def _filtered(white: Float64, taps: list[float]) -> Float64:
    """Return ``white`` without its first samples, filtered."""
    n = white.shape[1] - _TAPS + 1
    total: Float64 = np.zeros((white.shape[0], n))
    for lag, tap in enumerate(taps):
        first = _TAPS - 1 - lag
        total += tap * white[:, first : first + n]
    return total


def _band_pass(edges_hz: tuple[float, float]) -> list[float]:
    """Hamming-windowed difference of two low-passes, scaled to unit noise power."""
    k = np.arange(_TAPS) - (_TAPS - 1) / 2
    low, high = (2 * edge / ARMBAND_RATE_HZ for edge in edges_hz)
    taps = (high * np.sinc(high * k) - low * np.sinc(low * k)) * np.hamming(_TAPS)
    scaled: list[float] = (taps / np.sqrt((taps * taps).sum())).tolist()
    return scaled
