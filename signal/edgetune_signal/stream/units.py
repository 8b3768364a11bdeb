"""Units of samples, and the factor from one to another where they measure the same."""

from __future__ import annotations

STANDARD_GRAVITY = 9.80665
"""m/s2 in one g (CGPM 1901)."""

_SIZES: dict[str, tuple[str, float]] = {
    "m/s2": ("acceleration", 1.0),
    "g": ("acceleration", STANDARD_GRAVITY),
    "mg": ("acceleration", STANDARD_GRAVITY / 1e3),
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
    "uV": ("voltage", 1e-6),
}


def unit_factor(given: str, wanted: str) -> float | None:
    """Return what a value in ``given`` is multiplied with to be in ``wanted``, or None where that is not known.

    Examples
    --------
    >>> unit_factor("g", "m/s2"), unit_factor("counts", "counts"), unit_factor("V", "g")
    (9.80665, 1.0, None)
    """
    if given == wanted:
        return 1.0
    quantity, size = _SIZES.get(given, ("", 1.0))
    wanted_quantity, wanted_size = _SIZES.get(wanted, ("", 1.0))
    return size / wanted_size if quantity and quantity == wanted_quantity else None


def units_like(unit: str) -> tuple[str, ...]:
    """Return the units that ``unit`` can be made into, itself first."""
    others = (name for name in _SIZES if name != unit and unit_factor(unit, name) is not None)
    return (unit, *others)
