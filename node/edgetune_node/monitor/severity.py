"""How bad a fault is: from its class, ISO zone, growth against the machine's own baseline, and physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_node.contract import Severity

SEVERITIES: Final[tuple[Severity, ...]] = ("none", "watch", "warning", "alarm", "danger")
"""Severities from the least on; the place of one is its ``severity_level``."""
LEVEL: Final[Mapping[Severity, int]] = {severity: level for level, severity in enumerate(SEVERITIES)}
GROWTH: Final[Mapping[float, Severity]] = {4.0: "alarm", 2.0: "warning"}
"""Times the RMS of the healthy machine from which a fault is at least so severe: 6 and 12 dB. They decide within an
event. Growth alone is no danger: on a quiet rig (HIT) the smallest defect has more than ten times the healthy RMS."""
ZONES: Final[Mapping[str, Severity]] = {"D": "danger", "C": "alarm"}
"""ISO 20816: D does damage, in C a machine may not run for long."""
ZONE_GROWTH: Final = 1.25
"""Times its own healthy velocity from which a zone counts: a machine that was accepted in zone C is not in alarm for
that. ISO 20816 calls a quarter of the limit B/C a significant change."""


@dataclass(frozen=True, slots=True)
class PhysicalSigns:
    """What the vibration itself says of how bad a fault is.

    Attributes
    ----------
    zone
        ISO zone of the velocity; None where it is not known.
    velocity_growth, growth
        Velocity and RMS over those of the healthy machine; None where one is not known.
    defect
        Whether the line of a bearing defect stands out.
    unseen_mode
        Whether the machine runs in a mode in which it was not heard healthy and nothing is fault-like: what is novel
        then is most likely that.
    """

    zone: str | None = None
    velocity_growth: float | None = None
    growth: float | None = None
    defect: bool = False
    unseen_mode: bool = False

    @property
    def reasons(self) -> dict[str, Severity]:
        """Severity for each reason that there is."""
        found: dict[str, Severity] = {}
        zone = ZONES.get(self.zone or "")
        if zone is not None and (self.velocity_growth is None or self.velocity_growth >= ZONE_GROWTH):
            found["zone"] = zone
        if self.growth is not None:
            grown = next((severity for times, severity in GROWTH.items() if self.growth >= times), None)
            if grown is not None:
                found["growth"] = grown
        if self.defect:
            found["physics"] = "alarm"
        return found


NO_SIGNS: Final = PhysicalSigns()


class SeverityHold:
    """The severity of one event: rises at once, falls only after a time.

    Parameters
    ----------
    clear_after_s
        Judged seconds for which every verdict must be less severe before the severity falls.
    """

    def __init__(self, clear_after_s: float, severity: Severity = "none") -> None:
        self._clear_after_s = clear_after_s
        self.severity: Severity = severity
        self._lower_s = 0.0
        self._lower: Severity = "none"

    def start(self, severity: Severity) -> None:
        """Begin an event."""
        self.severity, self._lower_s, self._lower = severity, 0.0, "none"

    def hear(self, severity: Severity, seconds: float) -> bool:
        """Count a verdict of this severity that stands for ``seconds``; return whether the severity has risen."""
        if LEVEL[severity] > LEVEL[self.severity]:
            self.start(severity)
            return True
        if severity == self.severity:
            self._lower_s, self._lower = 0.0, "none"
            return False
        self._lower_s += seconds
        self._lower = most_severe(self._lower, severity)
        if self._lower_s >= self._clear_after_s:
            self.start(self._lower)
        return False


def most_severe(*severities: Severity) -> Severity:
    """Return the worst of some severities; ``none`` without any."""
    return max(severities, key=lambda each: LEVEL[each], default="none")
