"""Makes a labelled recording of what the stream has just said (``cmd/label``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal import Recording, held_out_start, window_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_node.commands import LabelCommand
    from edgetune_node.config import AssetSection
    from edgetune_signal import Chunk

UNUSABLE = frozenset({"nan", "flat"})


def recent_recording(
    chunks: Sequence[Chunk],
    settings: AssetSection,
    command: LabelCommand,
    subject: str,
    condition: str,
    shaft_rpm: float | None,
) -> Recording | str:
    """Give the last ``command.seconds`` of ``chunks``, which have no gap, as a recording; or why that cannot be."""
    wanted = round(command.seconds * settings.rate_hz)
    if wanted < settings.window.length:
        shortest = settings.window.length / settings.rate_hz
        return f"seconds: {command.seconds:g} is shorter than one window ({shortest:g} s)"
    have = sum(chunk.samples.shape[1] for chunk in chunks)
    if have < wanted:
        return f"only {have / settings.rate_hz:.2f} s of the stream are at hand without a gap"
    kept = np.concatenate([chunk.samples for chunk in chunks], axis=1)[:, have - wanted :]
    bad = UNUSABLE & set(window_quality(kept, settings.clip_level))
    if bad:
        return f"the samples are unusable: {', '.join(sorted(bad))}"
    last = chunks[-1]
    end_ns = last.time_ns + round(last.samples.shape[1] / settings.rate_hz * 1e9)
    return Recording(
        samples=kept,
        rate_hz=settings.rate_hz,
        label=command.label,
        unit=settings.unit,
        time_ns=end_ns - round(wanted / settings.rate_hz * 1e9),
        sensor=settings.sensor,
        subject=subject,
        condition=condition,
        group=f"label-{command.id}",
        held_out_from=held_out_start(wanted, 0, 1),
        shaft_rpm=shaft_rpm,
    )
