"""Measures on a person's recordings what a new model's card then says of signs: false ones in rest, and effort."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import structlog

from edgetune_nas.bundle import CARD, load_bundle, measured_classifier
from edgetune_nas.card import SignFigures
from edgetune_node.clock import from_ns
from edgetune_node.monitor import SignDetector, SignStart, judge, power
from edgetune_node.storage.recordings import is_of, misfit
from edgetune_signal import Chunk, RecordingError, Windower, read_recording
from edgetune_signal.durable import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_signal import Recording, RecordingStore

log = structlog.get_logger()


def note_sign_figures(folder: Path, section: AssetSection, recordings: RecordingStore, subject: str) -> None:
    """Measure a bundle of signs on a person's recordings, and write that into its card.

    A card that has been written already stays.

    Raises
    ------
    BundleError
        The bundle cannot be loaded.
    OSError
        The card cannot be written; the one before stays.
    """
    bundle = load_bundle(folder)
    if bundle.card.signs is not None or bundle.card.kind == "health":
        return
    figures = _measure(bundle, section, _own(section, recordings, subject))
    card = bundle.card.model_copy(update={"signs": figures})
    with replacing(folder / CARD, folder / f".tmp-{CARD}") as file:
        file.write(card.model_dump_json(indent=2).encode())


def _own(section: AssetSection, recordings: RecordingStore, subject: str) -> list[Recording]:
    found = []
    for info in recordings.list():
        if is_of(info, section, subject) and misfit(info, section) is None:
            try:
                found.append(read_recording(info.path))
            except RecordingError as error:
                log.warning("recording left out", path=str(info.path), problem=str(error))
    return found


def _measure(bundle: Bundle, section: AssetSection, recordings: list[Recording]) -> SignFigures:
    powers: dict[str, list[NDArray[np.float64]]] = {}
    false, seconds = 0, 0.0
    as_measured = replace(bundle, network=measured_classifier(bundle))
    for recording in recordings:
        powers.setdefault(recording.label, []).append(power(recording.samples))
        held_out = recording.samples[:, recording.held_out_from :]
        if recording.label == section.healthy_class and held_out.shape[1] >= section.window.length:
            false += _signs(as_measured, section, held_out)
            seconds += held_out.shape[1] / section.rate_hz
    return SignFigures(
        false_per_minute_of_rest=None if seconds == 0 else round(60 * false / seconds, 3),
        rest_seconds=round(seconds, 3),
        power={
            label: [float(f"{value:.6g}") for value in np.mean(each, axis=0)]
            for label, each in powers.items()
            if label in bundle.card.classes and np.isfinite(each).all()
        },
    )


def _signs(bundle: Bundle, section: AssetSection, samples: NDArray[np.float32]) -> int:
    """Return the number of signs that a node would find in samples."""
    window, numbers = section.window, itertools.count()
    detector = SignDetector(
        section.sign, section.healthy_class, lambda: str(next(numbers)), window.hop / section.rate_hz
    )
    windower = Windower(section.channels, window.length, window.hop, clip_level=section.clip_level)
    length = timedelta(seconds=(window.length - 1) / section.rate_hz)
    found = 0
    for each in windower.push(Chunk(samples, 0, section.rate_hz, 0)):
        end = from_ns(each.time_ns)
        verdict = judge(each, bundle, rest_class=section.healthy_class, distant=True, times=section.distance_times)
        found += sum(isinstance(told, SignStart) for told in detector.observe(verdict, end - length, end))
    return found
