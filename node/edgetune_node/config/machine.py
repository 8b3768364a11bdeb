"""``[asset.machine]``: what the plant knows of a machine, for indicators that physics gives."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgetune_signal import BEARINGS, BearingGeometry, DefectOrders, Machine
from edgetune_signal.vibration import ZONE_LIMITS_MM_S, Support

Positive = Annotated[float, Field(gt=0)]
GEOMETRY = ("balls", "ball_diameter", "pitch_diameter")
ORDERS = ("bpfo", "bpfi", "bsf", "ftf")


class MachineSection(BaseModel):
    """``[asset.machine]``: everything is optional, and what is missing leaves out what depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    group: Literal[1, 2] | None = None
    support: Support = "rigid"
    zone_limits_mm_s: tuple[Positive, Positive, Positive] | None = None
    bearing: str | dict[str, float] | None = None
    shaft_rpm: float | None = Field(None, gt=0, le=1e6)
    shaft_rpm_range: tuple[Positive, Positive] | None = None
    envelope_band_hz: tuple[Positive, Positive] | None = None
    min_rpm: Positive | None = None
    min_rms: Positive | None = None

    @field_validator("zone_limits_mm_s", "shaft_rpm_range", "envelope_band_hz")
    @classmethod
    def _rising(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values is not None and any(low >= high for low, high in pairwise(values)):
            raise ValueError(f"each value must be larger than the one before, not {list(values)}")
        return values

    @field_validator("bearing")
    @classmethod
    def _known(cls, bearing: str | dict[str, float] | None) -> str | dict[str, float] | None:
        if isinstance(bearing, str) and bearing not in BEARINGS:
            raise ValueError(
                f"no bearing is called {bearing!r}; there are {', '.join(BEARINGS)}; of others give the geometry "
                f"({', '.join(GEOMETRY)}, contact_angle) or the orders ({', '.join(ORDERS)})"
            )
        if isinstance(bearing, dict):
            _orders(bearing)
        return bearing

    @property
    def machine(self) -> Machine:
        """What the indicators need."""
        limits = None if self.group is None else ZONE_LIMITS_MM_S[self.group, self.support]
        return Machine(
            orders=self._defect_orders(),
            band_hz=self.envelope_band_hz,
            shaft_range_rpm=self.shaft_rpm_range,
            zone_limits_mm_s=self.zone_limits_mm_s or limits,
        )

    def _defect_orders(self) -> DefectOrders | None:
        if self.bearing is None:
            return None
        return BEARINGS[self.bearing].orders() if isinstance(self.bearing, str) else _orders(self.bearing)


def read_bearing(text: str) -> str | dict[str, float]:
    """Read a bearing from a command line: a name, or ``balls=9,ball_diameter=7.94,pitch_diameter=39.04``, or orders.

    Raises
    ------
    ValueError
        A part of a geometry is no ``name=number``.
    """
    if "=" not in text:
        return text
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            raise ValueError(
                f"{part.strip()!r} is no name=number; write {', '.join(f'{each}=...' for each in GEOMETRY)}, "
                f"or {', '.join(f'{each}=...' for each in ORDERS)}"
            ) from None
    return given


def _orders(given: dict[str, float]) -> DefectOrders:
    """Orders as the bearing's maker gives them, or from its geometry."""
    if set(given) == set(ORDERS):
        if min(given.values()) <= 0:
            raise ValueError("orders must be positive")
        return DefectOrders(**given)
    if not set(GEOMETRY) <= set(given) <= {*GEOMETRY, "contact_angle"}:
        raise ValueError(
            f"needs {', '.join(GEOMETRY)} (and contact_angle), or {', '.join(ORDERS)}; found {', '.join(given)}"
        )
    balls = given["balls"]
    if balls < 3 or balls != int(balls) or not 0 < given["ball_diameter"] < given["pitch_diameter"]:  # noqa: PLR2004
        raise ValueError("needs three balls or more, and a ball_diameter between 0 and pitch_diameter")
    if not 0 <= given.get("contact_angle", 0) < 90:  # noqa: PLR2004 - degrees
        raise ValueError("contact_angle must be from 0 to less than 90 degrees")
    return BearingGeometry(**{**given, "balls": int(balls)}).orders()  # type: ignore[arg-type]
