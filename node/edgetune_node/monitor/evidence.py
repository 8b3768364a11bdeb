"""What speaks for a fault besides the network: physics' verdict, whether the two agree, and what to do."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.contract import NOVEL, UNKNOWN, Evidence
from edgetune_node.monitor.severity import LEVEL
from edgetune_node.monitor.vibration_parts import indicator_part
from edgetune_signal.vibration import defect_of_class, indicators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Fault, OtherDefect, PhysicsWord
    from edgetune_node.monitor.alarm_state import AlarmState
    from edgetune_node.monitor.vibration import VibrationMonitor
    from edgetune_node.monitor.vibration_parts import WindowsPart
    from edgetune_signal.stream import Samples
    from edgetune_signal.vibration import Defect, Zone

WINDOWS = 16
"""Indicators are given of so many windows at the most."""


PARTS: dict[str, str] = {
    "bpfo": "outer race",
    "bpfi": "inner race",
    "bsf2": "rolling element",
    "ftf": "cage",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """The evidence of an event that was published last while its fault was heard, with the severity's level then."""

    event: str | None
    level: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class PhysicsVerdict:
    """What physics says to the network's condition, in a word and in a sentence, and what that rests on."""

    word: PhysicsWord
    note: str
    defect: Defect | None
    zone: Zone | None


class EvidenceCollector:
    """Collects the evidence for the alarm's state.

    An active event keeps the evidence that was published last while its fault was heard: what is heard after a repair,
    or of a failed sensor, says nothing of it but its own quality. A rise of severity brings the evidence up to date.

    Parameters
    ----------
    settings
        The asset's configuration.
    vibration
        What physics sees.
    said
        The fault as it was published last before the node stopped.
    """

    def __init__(self, settings: AssetSection, vibration: VibrationMonitor, said: Fault | None = None) -> None:
        self._settings = settings
        self._vibration = vibration
        self._windows: deque[tuple[str, Samples]] = deque(maxlen=WINDOWS)
        self._heard: WindowsPart | None = None
        self._last: PhysicsVerdict | None = None
        self._shown: _Shown | None = None
        if said is not None and said.active:
            self._shown = _Shown(said.event, said.severity_level or 0, said.evidence)

    def hear(self, class_: str, samples: Samples) -> None:
        """Keep a window that the alarm has counted for ``class_``; shape ``(channels, length)``."""
        self._windows.append((class_, samples))

    def forget(self) -> None:
        """Forget the windows: the machine does not run."""
        self._windows.clear()

    def stays(self, state: AlarmState) -> bool:
        """Whether the evidence of an active event stays as it is, because its fault is not heard now."""
        shown = self._shown
        if not state.active or shown is None or shown.event != state.event or LEVEL[state.severity] > shown.level:
            return False
        faulty = [not self._sound(class_) for class_, _ in self._windows]
        return not faulty or not faulty[-1] or 2 * sum(faulty) <= len(faulty)

    def turned(self, state: AlarmState, *, heard: bool) -> bool:
        """Whether physics says another thing than was said or asked last; ``heard`` as of `physics_verdict`."""
        if self.stays(state):
            return False
        verdict, before = self._verdict(state, heard=heard), self._last
        self._last = verdict
        return before is not None and verdict != before

    def message(self, state: AlarmState, *, heard: bool, novel_s: float) -> Evidence:
        """Return the evidence, with the indicators of the newest windows that were classified as the state's class.

        Without such windows the indicators stay as they were. ``novel_s`` is how many seconds of its event are kept.
        """
        kept_s = round(novel_s, 3)
        if self._shown is not None and self.stays(state):
            shown = self._shown.evidence
            quality = list(dict.fromkeys([*shown.quality, *self._vibration.evidence()["quality"]]))
            return shown.model_copy(update={"novel_kept_s": kept_s, "quality": quality})
        found = self._collect(state, heard=heard, kept_s=kept_s)
        self._shown = _Shown(state.event, LEVEL[state.severity], found) if state.active else None
        return found

    def _sound(self, class_: str) -> bool:
        """Whether a window of this class says nothing of a fault."""
        settings = self._settings
        return class_ in {settings.healthy_class, UNKNOWN} or settings.alarm.severity.get(class_) == "none"

    def _collect(self, state: AlarmState, *, heard: bool, kept_s: float) -> Evidence:
        windows = [samples for class_, samples in self._windows if class_ == state.class_]
        if windows:
            value = indicators(np.concatenate(windows, axis=1), self._settings.unit, self._settings.rate_hz)
            self._heard = {
                **indicator_part(value),
                "unit": value.unit,
                "seconds": round(value.seconds, 4),
                "windows": len(windows),
                "class_": state.class_,
            }
        verdict = self._last = self._verdict(state, heard=heard)
        physics = self._vibration.evidence()
        word, note = verdict.word, verdict.note
        action = recommended_action(state, word, verdict.defect, verdict.zone)
        if self._heard is None:
            return Evidence(**physics, novel_kept_s=kept_s, physics=word, note=note, action=action)
        return Evidence(**self._heard, **physics, novel_kept_s=kept_s, physics=word, note=note, action=action)

    def _verdict(self, state: AlarmState, *, heard: bool) -> PhysicsVerdict:
        physics = self._vibration.physics
        defect = None if physics.match is None else physics.match.defect
        word, note = physics_verdict(
            state,
            defect,
            physics.zone,
            looked=physics.looked,
            heard=heard,
            others=physics.others,
            building=None if state.active else self._building(),
        )
        return PhysicsVerdict(word, note, defect, physics.zone)

    def _building(self) -> str | None:
        """Return the class of a fault that most of the newest windows have; None where most are sound."""
        if not self._windows:
            return None
        (class_, count), *_ = Counter(class_ for class_, _ in self._windows).most_common(1)
        return class_ if 2 * count > len(self._windows) and not self._sound(class_) else None


def physics_verdict(
    state: AlarmState,
    defect: Defect | None,
    zone: Zone | None,
    *,
    looked: bool,
    heard: bool = True,
    others: Sequence[OtherDefect] = (),
    building: str | None = None,
) -> tuple[PhysicsWord, str]:
    """Hold the network's condition against the lines of the envelope and the velocity's zone.

    Parameters
    ----------
    state
        The debounced condition.
    defect
        Defect whose line stands out, None where none does.
    zone
        Of the velocity, None where it is not known.
    looked
        Whether bearing and speed are known, so that a missing line means something.
    heard
        Whether there is a network to agree with.
    others
        Defects that it may be instead of ``defect``. A network that names one of them is not contradicted.
    building
        Class of a fault that is heard now, but not for as long as it takes to raise it.

    Returns
    -------
    verdict
        ``agrees`` or ``disagrees``; ``suggests`` where the class names no part but physics does; ``silent`` where
        physics shows nothing; ``unavailable`` where it could not look.
    sentence
        For people.
    """
    shown = f"the envelope shows the line of the {PARTS[defect]} ({defect})" if defect else ""
    shown += "".join(map(_or, others)) if defect else ""
    if defect and not heard:
        return "suggests", f"there is no model; {shown}"
    if not state.active:
        hears = building or state.class_
        if defect and building and defect_of_class(building) in {defect, *(other.defect for other in others)}:
            return "agrees", f"{shown}, and the network hears {hears!r}; the fault is raised if that lasts"
        if defect:
            return "disagrees", f"the network hears {hears!r}, but {shown}"
        if zone in ("C", "D") and heard:
            return "disagrees", f"the network hears {state.class_!r}, but the velocity lies in zone {zone}"
        return ("silent", "") if looked or zone else ("unavailable", "")
    expected = defect_of_class(state.class_)
    if defect and expected:
        if defect == expected or any(other.defect == expected for other in others):
            return "agrees", f"{shown}, as the network says"
        return "disagrees", f"the network says {state.class_!r}, but {shown}"
    if defect:
        return "suggests", f"{state.class_!r} names no part of the bearing; {shown}"
    if expected and looked:
        return "silent", f"no line of the {PARTS[expected]} stands out of the envelope (yet)"
    return ("silent", "") if looked else ("unavailable", "")


def _or(other: OtherDefect) -> str:
    """Return what else the line may be, as a part of a sentence."""
    part = f"the {PARTS[other.defect]} ({other.defect})"
    if other.because == "resolution":
        return f", or of {part}, which lies too near to be told apart"
    at = "" if other.shaft_rpm is None else f" at {other.shaft_rpm:g} rpm"
    return f", or of {part} if the shaft turns{at}"


def recommended_action(state: AlarmState, physics: PhysicsWord, defect: Defect | None, zone: Zone | None) -> str:
    """Return in one sentence what a maintenance engineer should do."""
    if not state.active:
        if physics in ("disagrees", "suggests"):
            return "look at the machine: physics shows what the network does not know; record it and recalibrate"
        return "none"
    if zone == "D":
        return "stop the machine as soon as the process allows and inspect it: this vibration does damage (zone D)"
    if state.class_ == NOVEL:
        return "look at the machine; give what it does now a name (cmd/label), then recalibrate"
    part = PARTS[defect] if defect else PARTS.get(defect_of_class(state.class_) or "", "")
    if physics == "disagrees":
        return "inspect the machine and measure again before replacing anything: network and physics disagree"
    urgency = "soon" if zone == "C" or physics == "agrees" else "at the next stop"
    if not part:
        return f"inspect the machine {urgency}"
    return f"inspect the bearing's {part} {urgency}, check its lubrication, and have a spare ready"
