"""Listens to a source for a few seconds and says whether what it delivers is what the configuration promises."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.cli.local.finding import Finding
from edgetune_signal import SourceEnded, SourceError, window_quality

if TYPE_CHECKING:
    from edgetune_node.cli.local.finding import Level
    from edgetune_node.config import AssetSection
    from edgetune_signal import Chunk, Source, StreamSpec

READ_S = 0.2
FIRST_CHUNK_S = 3.0
RATE_DOUBTFUL, RATE_WRONG = 0.03, 0.10
_QUALITY: dict[str, tuple[Level, str, str]] = {
    "nan": ("problem", "some samples are not finite (NaN)", "look at the sensor's driver"),
    "flat": ("problem", "a channel is constant", "look at the sensor, its cable and its supply"),
    "clipped": ("warning", "samples are clipped", "choose a larger range or less gain"),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a source delivered.

    Attributes
    ----------
    chunks
        In order.
    seconds
        From the first chunk's arrival to the last one's.
    error
        Why it ended early; None where it did not.
    """

    chunks: list[Chunk] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None


def listen(source: Source, seconds: float) -> Heard:
    """Read for ``seconds`` after the first chunk, which may take 3 s to come."""
    chunks: list[Chunk] = []
    started = first = last = time.monotonic()
    try:
        while time.monotonic() - first < (seconds if chunks else FIRST_CHUNK_S):
            chunk = source.read(READ_S)
            if chunk is None:
                continue
            last = time.monotonic()
            if not chunks:
                first = last
            chunks.append(chunk)
    except SourceEnded:
        return Heard(chunks, last - first, None if chunks else "it ended at once")
    except SourceError as error:
        return Heard(chunks, last - started, str(error))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and that is what is to be found out
        return Heard(chunks, last - started, f"its read() raised {name_error(error)}")
    return Heard(chunks, last - first)


def name_error(error: Exception) -> str:
    """Name an exception that a plug-in let out: its type and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def source_findings(section: AssetSection, heard: Heard, *, missed: bool = True) -> list[Finding]:
    """Hold what was heard against what the configuration promises; silence is a problem where it is ``missed``."""
    name = f"source {section.id}"
    findings = []
    if heard.error is not None:
        findings.append(Finding(name, "problem", heard.error, "look at the source's options, sensor and cable"))
    if not heard.chunks:
        if heard.error is None:
            level: Level = "problem" if missed else "warning"
            yet = "" if missed else " yet: nothing came"
            seen = f"no samples{yet} within {FIRST_CHUNK_S:g} s"
            findings.append(Finding(name, level, seen, _silent_advice(section)))
        return findings
    shapes = {chunk.samples.shape[0] for chunk in heard.chunks}
    if shapes != {section.channels}:
        seen = f"{', '.join(map(str, sorted(shapes)))} channels where the configuration says {section.channels}"
        return [*findings, Finding(name, "problem", seen, "correct channels of this asset, or the source")]
    findings.append(_rate(name, section.spec, heard))
    samples = np.concatenate([chunk.samples for chunk in heard.chunks], axis=1)
    for flaw in window_quality(samples, section.clip_level):
        level, seen, advice = _QUALITY[flaw]
        findings.append(Finding(name, level, seen, advice))
    gaps = sum(chunk.gap for chunk in heard.chunks[1:])
    if gaps:
        seen = f"{gaps} gaps in {heard.seconds:.1f} s: samples are lost on the way"
        findings.append(Finding(name, "warning", seen, "look at the network, the broker and the sender"))
    return findings


def _rate(name: str, spec: StreamSpec, heard: Heard) -> Finding:
    after_first = sum(chunk.samples.shape[1] for chunk in heard.chunks[1:])
    if after_first == 0 or heard.seconds <= 0:
        return Finding(name, "warning", "only one block of samples came, too little to tell the rate", "try again")
    measured = after_first / heard.seconds
    deviation = abs(measured / spec.rate_hz - 1)
    seen = (
        f"{spec.channels} channel{'s' if spec.channels > 1 else ''} in {spec.unit}, "
        f"{measured:,.0f} samples/s measured, {spec.rate_hz:,g} configured"
    )
    if deviation <= RATE_DOUBTFUL:
        return Finding(name, "ok", seen)
    level: Level = "warning" if deviation <= RATE_WRONG else "problem"
    advice = "correct rate_hz of this asset, or the source (a speed other than 1, lost samples, a wrong clock divider)"
    return Finding(name, level, seen, advice)


def _silent_advice(section: AssetSection) -> str:
    if section.source.type == "mqtt":
        return "start what publishes the asset's samples (edgetune simulate does, for a trial), and let it write there"
    return "look at the source's options, sensor and cable"
