"""How often each fault is tried: by ``make chaos``, and by the quick part of it in ``make test``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each fault is tried."""

    kills: dict[str, int]
    stops: dict[str, int]
    starts: int
    restarts: int
    freezes_s: tuple[float, ...]
    cuts: int
    pulled_s: tuple[float, ...]
    full_s: tuple[float, ...]
    unplugged: int
    starved_mib: tuple[int, ...]
    poisons: int
    twins: int
    jumps_s: tuple[int, ...]
    floods_s: tuple[float, ...]


FULL = Plan(
    kills={"monitoring": 20, "recording": 10, "collecting": 10, "searching": 10, "deploying": 10},
    stops={"monitoring": 5, "recording": 5, "collecting": 3, "searching": 5, "deploying": 5},
    starts=10,
    restarts=10,
    freezes_s=(2, 5, 10, 60),
    cuts=30,
    pulled_s=(1, 3, 8, 20, 45),
    full_s=(0, 5, 15, 30),
    unplugged=5,
    starved_mib=(48, 64, 80),
    poisons=6,
    twins=1,
    jumps_s=(3600, -3600),
    floods_s=(5, 20),
)
QUICK = Plan(
    kills={"monitoring": 1, "recording": 1, "collecting": 1, "searching": 1, "deploying": 1},
    stops={},
    starts=1,
    restarts=1,
    freezes_s=(2,),
    cuts=7,
    pulled_s=(6,),
    full_s=(1,),
    unplugged=1,
    starved_mib=(),
    poisons=2,
    twins=0,
    jumps_s=(),
    floods_s=(1,),
)
