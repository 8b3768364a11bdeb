"""A series of snapshots is replayed as a sensor would send it: each with its pause, its time and a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal.errors import SourceEnded, SourceOptionsError
from edgetune_signal.sources import open_source
from edgetune_signal.stream import StreamSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = StreamSpec(2, 1000.0, "g")
COUNTS = np.arange(3 * 2 * 100).reshape(3, 2, 100).astype(np.int16)


def written(folder: Path, **changes: Any) -> Path:
    values: dict[str, Any] = {"samples": COUNTS, "rate_hz": 1000.0, "interval_s": 10.0, "scale": 0.5, "unit": "g"}
    path = folder / "series.npz"
    np.savez(path, **{name: value for name, value in {**values, **changes}.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "times", [{}, {"interval_s": None, "time_ns": np.array([5, 15, 25], np.int64) * 1_000_000_000}]
)
def test_each_snapshot_comes_with_its_pause_its_time_and_a_gap(tmp_path: Path, times: dict[str, Any]) -> None:
    options = {"path": str(written(tmp_path, **times)), "speed": 0, "block_s": 0.06}
    source = open_source("replay", SPEC, options)
    chunks = [source.read(1.0) for _ in range(6)]
    with pytest.raises(SourceEnded):
        source.read(1.0)
    source.close()
    chunks = [chunk for chunk in chunks if chunk is not None]
    assert [chunk.samples.shape[1] for chunk in chunks] == [60, 40] * 3
    assert [chunk.gap for chunk in chunks] == [False, False, True, False, True, False]
    first = chunks[0].time_ns
    assert [round((chunk.time_ns - first) / 1e6) for chunk in chunks] == [0, 60, 10_000, 10_060, 20_000, 20_060]
    heard = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    assert np.array_equal(heard, 0.5 * np.concatenate(list(COUNTS), axis=1))


def test_a_series_is_played_again_and_paced_by_its_pauses(tmp_path: Path) -> None:
    options = {"path": str(written(tmp_path)), "speed": 10_000, "block_s": 0.1, "loop": True}
    source = open_source("replay", SPEC, options)
    chunks = []
    while len(chunks) < 7:
        chunk = source.read(1.0)
        if chunk is not None:
            chunks.append(chunk)
    source.close()
    assert [chunk.gap for chunk in chunks] == [False] + [True] * 6
    assert np.array_equal(chunks[3].samples, chunks[0].samples)


def test_a_series_that_does_not_fit_the_stream_is_refused(tmp_path: Path) -> None:
    path = str(written(tmp_path, samples=COUNTS[:, :1]))
    with pytest.raises(SourceOptionsError, match="1 channels where the stream has 2"):
        open_source("replay", SPEC, {"path": path})
