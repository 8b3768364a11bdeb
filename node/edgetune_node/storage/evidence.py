"""The folder of signals that were kept around a raise, a rise or a request, bounded in bytes; and their spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_node.clock import from_ns
from edgetune_node.contract import Spectrum
from edgetune_node.errors import NodeError
from edgetune_node.events import KeptSignal
from edgetune_node.monitor import SEVERITIES
from edgetune_node.storage.bounded import BoundedFolder, KeptFile
from edgetune_signal import (
    Recording,
    ShaftSpeed,
    diagnose,
    read_recording,
    window_quality,
    write_recording,
)
from edgetune_signal.recordings import FILE_OVERHEAD_BYTES
from edgetune_signal.vibration import HARMONICS, defect_orders, spectra

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import CaptureReason
    from edgetune_node.events import Capture, KeepEvidence
    from edgetune_signal import Condition

PREFIX: Final = "evidence"
SPECTRA_BYTES: Final = 8192
"""More than the spectra of a signal take in its file."""
LOOKED_AT_S: Final = 10.0
"""Spectra are of the last seconds of a signal, in which the fault is."""
REASONS: Final[tuple[CaptureReason, ...]] = ("raised", "risen", "asked")


@dataclass(frozen=True, slots=True)
class _Kept(KeptFile):
    """A file; its name says its place in their order, its number in its event, the severity's level, and the reason."""

    @property
    def _parts(self) -> list[str]:
        return self.info.path.stem.split("-")

    @property
    def event(self) -> str:
        return self.info.group.removeprefix(f"{PREFIX}-")

    @property
    def place(self) -> int:
        return _number(self._parts[1:2])

    @property
    def number(self) -> int:
        return _number(self._parts[2:3])

    @property
    def rank(self) -> int:
        return _number(self._parts[3:4])

    @property
    def spare(self) -> bool:
        return self.reason == "asked"  # somebody has it already; the signal of a raise is there once

    @property
    def reason(self) -> CaptureReason:
        return next((reason for reason in REASONS if reason in self._parts[4:5]), "asked")


def _number(parts: list[str]) -> int:
    return int(parts[0]) if parts and parts[0].isdigit() else 0


class EvidenceStore:
    """Keeps signals as recordings that have their spectra beside them.

    When they take more than their quota, those that a command asked for go first. Of the others the newer half stays;
    of the older half the least severe goes first.

    Parameters
    ----------
    folder
        Where they are; created where it is absent.
    section
        The asset's configuration, with the quota.
    """

    def __init__(self, folder: Path, section: AssetSection) -> None:
        self._folder = folder
        self._section = section
        self._quota = section.evidence_max_bytes
        self._kept = BoundedFolder(folder, self._quota, _Kept)

    def keep(self, wanted: KeepEvidence) -> Spectrum:
        """Store a signal; return its spectra as a message.

        Raises
        ------
        NodeError
            It alone takes more than the quota.
        edgetune_signal.RecordingError
            It cannot be written; what was kept before stays.
        """
        capture, recording, quality = wanted.wanted, _recording(wanted, self._section), _quality(wanted)
        needed = recording.samples.nbytes + FILE_OVERHEAD_BYTES + SPECTRA_BYTES
        if needed > self._quota:
            raise NodeError(f"a signal needs {needed} bytes, and evidence_max_bytes is {self._quota}: raise it")
        kept = self._kept.files()
        place = max(recording.time_ns, max((each.place for each in kept), default=0) + 1)
        number = max((each.number for each in kept if each.event == capture.event), default=-1) + 1
        message = spectrum_message(recording, self._section, capture, number, quality)
        path = self._folder / f"{PREFIX}-{place}-{number}-{capture.level}-{capture.reason}.npz"
        write_recording(path, recording, _arrays(message))
        self._kept.trim()
        return message

    def erase(self, subject: str, *, nameless: bool) -> tuple[int, list[str]]:
        """Delete what is kept of a person, as `BoundedFolder.erase`; return how many, and files that cannot be read."""
        return self._kept.erase(subject, nameless=nameless), self._kept.broken

    def read(self, event: str, number: int | None) -> tuple[KeptSignal, int]:
        """Return a signal of an event, the newest without ``number``, and how many are kept of that event.

        Raises
        ------
        NodeError
            There is none.
        edgetune_signal.RecordingError
            It cannot be read.
        """
        kept = self._kept.files()
        of_event = {each.number: each for each in kept if each.event == event}
        if not of_event:
            events = list(dict.fromkeys(each.event for each in kept))
            there = f"signals are kept of {', '.join(events[-8:])}" if events else "no signal is kept of any event"
            raise NodeError(f"event: no signal is kept of {event!r}; {there}{self._kept.unreadable}")
        found = of_event.get(max(of_event) if number is None else number)
        if found is None:
            there = ", ".join(map(str, of_event))
            raise NodeError(f"number: event {event!r} has no signal {number}; it has {there}{self._kept.unreadable}")
        return KeptSignal(found.number, found.reason, _severity(found.rank), read_recording(found.info.path)), len(
            of_event
        )


def spectrum_message(
    recording: Recording, section: AssetSection, capture: Capture, number: int, quality: tuple[str, ...]
) -> Spectrum:
    """Compute the spectra of a signal's loudest channel, or of the one whose defect lines are clearest."""
    samples = recording.samples[:, -max(2, round(LOOKED_AT_S * recording.rate_hz)) :]
    machine = section.machine.machine
    rpm = recording.shaft_rpm or section.machine.shaft_rpm
    found = diagnose(samples, section.spec, machine, ShaftSpeed(rpm, "config") if rpm else None)
    channel = found.channel if found.lines else int(np.argmax(np.nan_to_num(found.indicators.rms)))
    highest_hz = _highest_hz(found, section)
    shown = spectra(
        samples[channel].astype(np.float64), section.rate_hz, band_hz=machine.band_hz, highest_hz=highest_hz
    )
    envelope = shown.envelope
    return Spectrum(
        ts=from_ns(recording.time_ns),
        event=None if capture.reason == "asked" else capture.event,
        number=number,
        reason=capture.reason,
        class_=capture.class_ or None,
        severity=capture.severity or None,
        seconds=round(recording.seconds, 4),
        rate_hz=recording.rate_hz,
        unit=recording.unit,
        channel=channel,
        shaft_rpm=None if found.shaft is None else round(found.shaft.rpm, 1),
        frequency_hz=list(shown.spectrum.frequency_hz),
        amplitude=list(shown.spectrum.amplitude),
        envelope_band_hz=None if shown.band_hz is None else [round(edge, 1) for edge in shown.band_hz],
        envelope_hz=[] if envelope is None else list(envelope.frequency_hz),
        envelope_amplitude=[] if envelope is None else list(envelope.amplitude),
        quality=list(quality),
    )


def _highest_hz(found: Condition, section: AssetSection) -> float:
    orders = section.machine.machine.orders
    if orders is None or found.shaft is None or found.shaft.rpm <= 0:
        return section.rate_hz / 20
    return (HARMONICS + 0.2) * max(defect_orders(orders).values()) * found.shaft.rpm / 60


def _recording(wanted: KeepEvidence, section: AssetSection) -> Recording:
    samples = np.concatenate([chunk.samples for chunk in wanted.chunks], axis=1)[:, -wanted.samples :]
    last = wanted.chunks[-1]
    end_ns = last.time_ns + round(last.samples.shape[1] / section.rate_hz * 1e9)
    return Recording(
        samples=np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32, copy=False),
        rate_hz=section.rate_hz,
        label=wanted.wanted.class_ or wanted.wanted.reason,
        unit=section.unit,
        time_ns=end_ns - round(samples.shape[1] / section.rate_hz * 1e9),
        sensor=section.sensor,
        subject=wanted.subject,
        condition=wanted.condition,
        group=f"{PREFIX}-{wanted.wanted.event}",
        shaft_rpm=wanted.shaft_rpm,
    )


def _quality(wanted: KeepEvidence) -> tuple[str, ...]:
    """Return what is wrong with a signal; where it says ``nan``, samples that were no number are kept as 0."""
    found = [flag for chunk in wanted.chunks for flag in (*window_quality(chunk.samples, None), *chunk.quality)]
    return tuple(dict.fromkeys(found))


def _arrays(message: Spectrum) -> dict[str, NDArray[Any]]:
    names = ("frequency_hz", "amplitude", "envelope_hz", "envelope_amplitude")
    return {f"spectrum_{name}": np.array(getattr(message, name), dtype=np.float64) for name in names}


def _severity(level: int) -> str:
    return SEVERITIES[min(level, len(SEVERITIES) - 1)]
