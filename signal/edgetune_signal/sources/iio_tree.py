"""What Linux says of its industrial I/O devices in sysfs, and how they are told what to do."""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_signal.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RATE_TOLERANCE = 1e-3
"""Devices write 0.097656 for 25/256 Hz; more than this is another rate."""
TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Attributes:
    """A folder of sysfs files, each with one value; reads and writes say in clear words what went wrong."""

    folder: Path

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        return (self.folder / name).exists()

    def first(self, *names: str) -> str | None:
        """Return the first of ``names`` that is there."""
        return next((name for name in names if self.has(name)), None)

    def read(self, name: str) -> str:
        """Return the content; `SourceError` where it cannot be read."""
        try:
            return (self.folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(_explained(self.folder / name, "read", error)) from error

    def number(self, name: str) -> float:
        """Return the content as a number; `SourceError` where it is none."""
        text = self.read(name)
        try:
            return float(text)
        except ValueError:
            raise SourceError(f"{self.folder / name} holds {text!r}, not a number") from None

    def write(self, name: str, value: str) -> None:
        """Write a value unless it stands there already; `SourceError` where the device does not take it."""
        path = self.folder / name
        try:
            if path.read_text(encoding="utf-8").strip() != value:
                path.write_text(value, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(_explained(path, f"set to {value!r}", error)) from error


def _explained(path: Path, what: str, error: OSError | UnicodeDecodeError) -> str:
    advice = "is the device still there?"
    if isinstance(error, PermissionError):
        advice = "let the node's user write there: docs/reference/sources.md has the udev rule"
    elif isinstance(error, OSError) and error.errno == errno.EBUSY:
        advice = "another program uses the device: stop it"
    elif isinstance(error, OSError) and error.errno == errno.EINVAL:
        advice = "the driver does not take this value"
    reason = error.strerror if isinstance(error, OSError) else error
    return f"{path} cannot be {what}: {reason}; {advice}"


def find_device(devices: Path, wanted: str | None) -> Path:
    """Return the folder of a device.

    Parameters
    ----------
    devices
        ``/sys/bus/iio/devices``.
    wanted
        Its name (``adxl345``) or number (``iio:device0``); None for the only one.

    Raises
    ------
    SourceError
        There is none, or more than one; the message names those there are.
    """
    found = [(folder, _name(folder)) for folder in sorted(devices.glob("iio:device*"))]
    if not found:
        raise SourceError(f"no IIO device in {devices}: is the sensor wired, and its driver loaded (dmesg, dtoverlay)?")
    named = ", ".join(f"{name} ({folder.name})" for folder, name in found)
    chosen = [folder for folder, name in found if wanted in (None, name, folder.name)]
    if not chosen:
        raise SourceError(f"no IIO device {wanted!r} in {devices}: there are {named}; set device to one of them")
    if len(chosen) > 1:
        raise SourceError(f"several IIO devices in {devices} could be meant: {named}; set device to iio:deviceN of one")
    return chosen[0]


def _name(folder: Path) -> str:
    attributes = Attributes(folder)
    return attributes.read("name") if attributes.has("name") else folder.name


def choose_trigger(devices: Path, device: Path, wanted: str | None) -> None:
    """Set the trigger that starts each measurement, where the device takes one.

    ``wanted``, else the one that is set, else the device's own (``adxl355-dev0``).

    Raises
    ------
    SourceError
        There is no such trigger, or none that could be meant; the message names those there are.
    """
    attributes = Attributes(device / "trigger")
    if not attributes.has("current_trigger"):
        if wanted is not None:
            raise SourceError(f"{device} takes no trigger (its driver has its own): remove trigger = {wanted!r}")
        return
    names = {Attributes(folder).read("name") for folder in sorted(devices.glob("trigger*"))}
    number = device.name.removeprefix("iio:device")
    own = next(
        (name for name in sorted(names) if name.startswith(_name(device)) and name.endswith(f"dev{number}")), None
    )
    chosen = wanted or attributes.read("current_trigger") or own
    if chosen not in names:
        asked = f"no trigger {chosen!r}" if chosen else f"{_name(device)} needs a trigger"
        raise SourceError(
            f"{asked}: there are {', '.join(sorted(names)) or 'none'}; "
            "mkdir /sys/kernel/config/iio/triggers/hrtimer/NAME makes one that is a timer (module iio-trig-hrtimer)"
        )
    attributes.write("current_trigger", chosen)


def set_rate(devices: Path, device: Path, kind: str, rate_hz: float) -> None:
    """Set the rate of the device, and of a trigger that is a timer.

    Raises
    ------
    SourceError
        The device cannot do this rate; the message names those it can.
    """
    attributes = Attributes(device)
    name = attributes.first(f"in_{kind}_sampling_frequency", "sampling_frequency")
    if name is not None:
        if attributes.has(f"{name}_available"):
            offered = attributes.read(f"{name}_available")
            rate = _offered_rate(offered, rate_hz)
            if rate is None:
                raise SourceError(
                    f"{device.name} ({_name(device)}) cannot do {rate_hz:g} Hz: it offers {offered} Hz; "
                    "set rate_hz of the asset to one of them, or sensor_rate_hz of the source to a higher one"
                )
        else:
            rate = f"{rate_hz:g}"
        attributes.write(name, rate)
        _check_rate(attributes, name, rate_hz)
    trigger = Attributes(device / "trigger")
    if trigger.has("current_trigger"):
        chosen = trigger.read("current_trigger")
        for folder in sorted(devices.glob("trigger*")):
            timer = Attributes(folder)
            if timer.read("name") == chosen and timer.has("sampling_frequency"):
                timer.write("sampling_frequency", f"{rate_hz:g}")
                _check_rate(timer, "sampling_frequency", rate_hz)


def _check_rate(attributes: Attributes, name: str, rate_hz: float) -> None:
    taken = attributes.number(name)
    if not math.isclose(taken, rate_hz, rel_tol=RATE_TOLERANCE):
        raise SourceError(
            f"{attributes.folder / name} is {taken:g} after {rate_hz:g} was set: set rate_hz to {taken:g}"
        )


def _offered_rate(offered: str, rate_hz: float) -> str | None:
    """Return how a file such as ``sampling_frequency_available`` writes a rate; None where it does not offer it."""
    words = offered.strip("[]").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    if offered.startswith("["):  # [lowest step highest]
        lowest, _, highest = numbers if len(numbers) == len(("lowest", "step", "highest")) else (math.inf, 0, 0)
        return f"{rate_hz:g}" if lowest <= rate_hz <= highest else None
    near = (
        word for word, rate in zip(words, numbers, strict=True) if math.isclose(rate, rate_hz, rel_tol=RATE_TOLERANCE)
    )
    return next(near, None)


def enable_elements(elements: Attributes, wanted: Sequence[str]) -> None:
    """Enable the scan elements ``wanted`` (``accel_x``), and the time stamp where there is one; disable the others.

    Raises
    ------
    SourceError
        The device lacks one of them; the message names those it has.
    """
    present = scan_elements(elements)
    missing = [name for name in wanted if name not in present]
    if missing:
        raise SourceError(
            f"{elements.folder}: no channel {', '.join(missing)}; there are {', '.join(present) or 'none'}: "
            "set elements of the source, or channels of the asset"
        )
    for name in present:
        elements.write(f"in_{name}_en", "1" if name in wanted or name == TIMESTAMP else "0")


def scan_elements(elements: Attributes) -> list[str]:
    """Return the names of a device's scan elements, in the order in which they lie in a record."""
    names = [path.name.removeprefix("in_").removesuffix("_en") for path in elements.folder.glob("in_*_en")]
    return sorted(names, key=lambda name: elements.number(f"in_{name}_index"))
