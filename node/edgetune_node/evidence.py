"""What speaks for a fault besides the network: physics' verdict, whether the two agree, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from edgetune_node.alarm import NOVEL
from edgetune_signal.condition import defect_of_class

if TYPE_CHECKING:
    from edgetune_node.alarm import AlarmState
    from edgetune_signal.defects import Defect
    from edgetune_signal.velocity import Zone

Physics: TypeAlias = Literal["agrees", "disagrees", "suggests", "silent", "unavailable"]

PARTS: dict[str, str] = {
    "bpfo": "outer race",
    "bpfi": "inner race",
    "bsf2": "rolling element",
    "ftf": "cage",
}


def physics_verdict(
    state: AlarmState, defect: Defect | None, zone: Zone | None, *, looked: bool, heard: bool = True
) -> tuple[Physics, str]:
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

    Returns
    -------
    verdict
        ``agrees`` or ``disagrees``; ``suggests`` where the class names no part but physics does; ``silent`` where
        physics shows nothing; ``unavailable`` where it could not look.
    sentence
        For people.
    """
    shown = f"the envelope shows the line of the {PARTS[defect]} ({defect})" if defect else ""
    if defect and not heard:
        return "suggests", f"there is no model; {shown}"
    if not state.active:
        if defect:
            return "disagrees", f"the network hears {state.class_!r}, but {shown}"
        if zone in ("C", "D") and heard:
            return "disagrees", f"the network hears {state.class_!r}, but the velocity lies in zone {zone}"
        return ("silent", "") if looked or zone else ("unavailable", "")
    expected = defect_of_class(state.class_)
    if defect and expected:
        if defect == expected:
            return "agrees", f"{shown}, as the network says"
        return "disagrees", f"the network says {state.class_!r}, but {shown}"
    if defect:
        return "suggests", f"{state.class_!r} names no part of the bearing; {shown}"
    if expected and looked:
        return "silent", f"no line of the {PARTS[expected]} stands out of the envelope (yet)"
    return ("silent", "") if looked else ("unavailable", "")


def recommended_action(state: AlarmState, physics: Physics, defect: Defect | None, zone: Zone | None) -> str:
    """Say in one sentence what a maintenance engineer should do."""
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
