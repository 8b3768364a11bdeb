"""What the demo plays: a simulated bearing, recordings of a real machine, or a person with a simulated armband."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgetune_signal import Recording, RecordingError, StreamSpec, open_source, read_recording
from edgetune_signal.sources import DEFAULT_BLOCK_S, PacedSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgetune_signal import Source
    from edgetune_signal.stream import Samples

HEALTHY = "normal"
SIMULATED_SPEC = StreamSpec(channels=1, rate_hz=12_000.0, unit="g")
SIMULATED_CONDITIONS = {
    "normal": "normal",
    "inner": "inner_moderate",
    "outer": "outer_moderate",
    "ball": "ball_moderate",
}
SIMULATED_FAULTS = ("inner", "outer")
SIMULATED_MACHINE = '{ group = 2, bearing = "6205-2RS", shaft_rpm = 1797 }'
ARMBAND_SPEC = StreamSpec(channels=8, rate_hz=200.0, unit="counts")
GESTURES = ("rest", "fist", "open_hand", "wrist_flexion", "pinch")
SHOWN_SIGNS = ("fist", "wrist_flexion")
MIN_FAULTS = 2
SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine or a person, and how it can be.

    Attributes
    ----------
    source
        Its samples in real time.
    conditions
        What to select in ``source`` for each class.
    healthy
        The class that is no fault, or no sign.
    shown
        The classes that are shown as faults or signs, in order.
    task, asset
        What a node makes of it, and what it calls it.
    window, hop
        Samples of a window, and from one to the next.
    machine
        What is known of it, as an inline table of `[asset.machine]`.
    """

    source: Source
    conditions: Mapping[str, str]
    healthy: str
    shown: tuple[str, ...]
    task: Literal["fault", "sign"] = "fault"
    asset: str = "bearing"
    window: int = 512
    hop: int = 512
    machine: str = "{}"


def simulated(seed: int) -> Scene:
    """Return the simulated bearing in four conditions; ``seed`` picks one of many."""
    source = open_source("simulated", SIMULATED_SPEC, {"machine": "bearing", "seed": seed, "block_s": DEFAULT_BLOCK_S})
    return Scene(source, SIMULATED_CONDITIONS, HEALTHY, SIMULATED_FAULTS, machine=SIMULATED_MACHINE)


def armband(seed: int) -> Scene:
    """Return a person with a simulated armband; ``seed`` picks one of many takes."""
    source = open_source("simulated", ARMBAND_SPEC, {"machine": "armband", "seed": seed, "block_s": DEFAULT_BLOCK_S})
    gestures = {name: name for name in GESTURES}
    return Scene(source, gestures, GESTURES[0], SHOWN_SIGNS, task="sign", asset="arm", window=50, hop=10)


def recorded(folder: Path) -> Scene:
    """Return a machine that plays the recordings in ``folder``; their labels are its classes.

    Each recording goes on where it was left, so that a fault is shown with samples that were not collected before,
    as long as the recording lasts.

    Raises
    ------
    RecordingError
        Where there is no folder, no ``normal`` recording, fewer than two others, they differ in shape, or one cannot be
        read.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise RecordingError(f"{folder}: is no folder with .npz recordings in it")
    recordings: dict[str, Recording] = {}
    for path in paths:
        recording = read_recording(path)
        recordings.setdefault(recording.label, recording)
    others = sorted(set(recordings) - {HEALTHY})
    if HEALTHY not in recordings or len(others) < MIN_FAULTS:
        raise RecordingError(
            f"{folder}: has {', '.join(recordings)}; "
            f"the demo needs one labelled {HEALTHY!r} and at least {MIN_FAULTS} others"
        )
    spec = _common_spec(folder, recordings)
    source = PacedSource(RecordingsPlayer(recordings), spec, speed=1.0, block_s=DEFAULT_BLOCK_S)
    return Scene(source, {label: label for label in recordings}, HEALTHY, (others[0], others[len(others) // 2]))


class RecordingsPlayer:
    """Plays one recording of several over and over; each goes on where it was left."""

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        self._samples = {label: recording.samples for label, recording in recordings.items()}
        self._position = dict.fromkeys(self._samples, 0)
        self._label = next(iter(self._samples))
        self._seam = False

    def play(self, n: int) -> tuple[Samples, bool]:
        """Return the next 1 to ``n`` samples, and whether they do not follow on those before."""
        samples = self._samples[self._label]
        start = self._position[self._label]
        part = samples[:, start : start + n]
        seam = self._seam
        self._seam = start + n >= samples.shape[1]
        self._position[self._label] = 0 if self._seam else start + n
        return part, seam

    def pause_s(self) -> float:
        """Return 0: recordings have no pauses."""
        return 0.0

    def select(self, name: str) -> None:
        """Play the recording labelled ``name`` from here on."""
        self._label = name
        self._seam = True


def _common_spec(folder: Path, recordings: Mapping[str, Recording]) -> StreamSpec:
    specs = {
        StreamSpec(recording.samples.shape[0], recording.rate_hz, recording.unit or "g")
        for recording in recordings.values()
    }
    if len(specs) > 1:
        shown = "; ".join(f"{spec.channels} channels, {spec.rate_hz:g} Hz, {spec.unit}" for spec in specs)
        raise RecordingError(f"{folder}: its recordings differ: {shown}; the demo has one sensor")
    short = [label for label, recording in recordings.items() if recording.seconds < SHORTEST_S]
    if short:
        raise RecordingError(f"{folder}: shorter than {SHORTEST_S:g} s: {', '.join(short)}; record longer")
    return specs.pop()
