"""Files and blocks written by earlier releases are read for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgetune_signal import decode_block, read_recording

ASSETS = Path(__file__).parent / "assets"


def test_a_recording_of_format_1_is_read() -> None:
    got = read_recording(ASSETS / "recording-format-1.npz")
    np.testing.assert_array_equal(got.samples, np.arange(12).reshape(2, 6))
    assert (got.rate_hz, got.label, got.unit, got.time_ns) == (1000.5, "inner", "g", 1_700_000_000_000_000_001)
    assert (got.sensor, got.subject, got.condition, got.group) == ("left", "press 3", "half load", "take 2")
    assert (got.held_out_from, got.shaft_rpm) == (4, 1797.0)


def test_a_block_of_version_1_is_read() -> None:
    got = decode_block((ASSETS / "block-version-1.bin").read_bytes())
    np.testing.assert_array_equal(got.samples, np.arange(8).reshape(2, 4))
    assert (got.dtype, got.sequence, got.time_ns) == ("int16", 7, 28_001_000)
    assert (got.rate_hz, got.scale, got.unit) == (1000.0, 0.5, "m/s²")
