"""Geometry of a rolling-element bearing and the orders at which its defects strike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class DefectOrders(NamedTuple):
    """Defect frequencies as multiples of the shaft's frequency (outer ring fixed).

    Attributes
    ----------
    ftf
        Cage (fundamental train).
    bpfo
        Ball passes over a spot of the outer race.
    bpfi
        Ball passes over a spot of the inner race.
    bsf
        Spin of a ball; a spot on a ball strikes at twice this, once on each race.
    """

    ftf: float
    bpfo: float
    bpfi: float
    bsf: float


@dataclass(frozen=True, slots=True)
class BearingGeometry:
    """Geometry of a bearing.

    Attributes
    ----------
    balls
        Number of rolling elements.
    ball_diameter, pitch_diameter
        In the same unit, whatever it is.
    contact_angle
        In degrees.
    """

    balls: int
    ball_diameter: float
    pitch_diameter: float
    contact_angle: float = 0.0

    def orders(self) -> DefectOrders:
        r"""Return the defect orders.

        Notes
        -----
        With n balls and :math:`r = d \cos\varphi / D` (R. B. Randall and J. Antoni, *Rolling element bearing
        diagnostics, a tutorial*, Mech. Syst. Signal Process. 25 (2011) 485): FTF = (1 - r)/2, BPFO = n(1 - r)/2,
        BPFI = n(1 + r)/2, BSF = D/(2d) (1 - r²).
        """
        ratio = self.ball_diameter * math.cos(math.radians(self.contact_angle)) / self.pitch_diameter
        return DefectOrders(
            ftf=(1 - ratio) / 2,
            bpfo=self.balls * (1 - ratio) / 2,
            bpfi=self.balls * (1 + ratio) / 2,
            bsf=self.pitch_diameter / (2 * self.ball_diameter) * (1 - ratio * ratio),
        )


DEEP_GROOVE_6205 = BearingGeometry(balls=9, ball_diameter=7.94, pitch_diameter=39.04)
"""6205-2RS, millimetres: the drive-end bearing of the Case Western Reserve test rig."""

BEARINGS: dict[str, BearingGeometry] = {
    "6203": BearingGeometry(balls=8, ball_diameter=6.75, pitch_diameter=28.55),
    "6203-2RS": BearingGeometry(balls=8, ball_diameter=6.746, pitch_diameter=28.499),
    "6205": DEEP_GROOVE_6205,
    "6205-2RS": DEEP_GROOVE_6205,
    "6804": BearingGeometry(balls=13, ball_diameter=3.5, pitch_diameter=25.6),
    "ER-16K": BearingGeometry(balls=9, ball_diameter=7.9375, pitch_diameter=38.5064),
    "NICE": BearingGeometry(balls=8, ball_diameter=5.969, pitch_diameter=31.623),
    "UER204": BearingGeometry(balls=8, ball_diameter=7.92, pitch_diameter=34.55),
    "ZA-2115": BearingGeometry(balls=16, ball_diameter=8.407, pitch_diameter=71.501, contact_angle=15.17),
}
"""Bearings whose geometry is published with a public data set, millimetres.

6203 (Paderborn University), 6203-2RS and 6205-2RS (Case Western Reserve, SKF), 6804 (FEMTO-ST, NSK), ER-16K
(SpectraQuest's machinery fault simulator, Rexnord), NICE (MFPT), UER204 (XJTU-SY, LDK), ZA-2115 (IMS, Rexnord).
Others by their geometry, or by the orders that their maker gives: catalogues do not print balls, and lists that are
copied from one page to the next contradict each other.
"""
