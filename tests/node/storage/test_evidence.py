"""Kept signals stay within their quota, the severe ones longest; the trend of a year fits its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.errors import NodeError
from edgetune_node.events.evidence import Capture, KeepEvidence
from edgetune_node.monitor.trend_recorder import TREND_FIGURES, TREND_ROW
from edgetune_node.storage.evidence import EvidenceStore
from edgetune_node.storage.trends import MOST_ROWS, TrendStore
from edgetune_signal import BearingSimulator, Chunk, read_recording

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.contract.parts import CaptureReason

RATE = 12_000.0
START_NS = 1_800_000_000 * 10**9


def section(**more: Any) -> AssetSection:
    return AssetSection(id="bearing", rate_hz=RATE, **more)


def keep(
    event: str,
    seconds: float = 2.0,
    level: int = 2,
    condition: str = "inner_severe",
    reason: CaptureReason = "raised",
    **more: Any,
) -> KeepEvidence:
    samples = BearingSimulator(condition=condition, seed=1).generate(round(seconds * RATE)).astype(np.float32)
    half = samples.shape[1] // 2
    chunks = (
        Chunk(samples[:, :half], START_NS, RATE, 0),
        Chunk(samples[:, half:], START_NS + round(half / RATE * 1e9), RATE, 1),
    )
    return KeepEvidence("bearing", Capture(event, reason, "inner", "warning", level), chunks, samples.shape[1], **more)


def test_a_signal_comes_back_as_it_was_with_its_spectra_beside_it(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", section())
    wanted = keep("e1", shaft_rpm=1797.0, subject="pump")
    told = store.keep(wanted)
    kept, count = store.read("e1", None)
    assert (kept.number, kept.reason, kept.severity, count) == (0, "raised", "warning", 1)
    assert np.array_equal(kept.recording.samples, np.concatenate([each.samples for each in wanted.chunks], axis=1))
    assert (kept.recording.label, kept.recording.subject, kept.recording.shaft_rpm) == ("inner", "pump", 1797.0)
    assert kept.recording.time_ns == pytest.approx(START_NS, abs=1000)
    [path] = (tmp_path / "evidence").glob("*.npz")
    with np.load(path) as archive:
        assert archive["spectrum_envelope_hz"].tolist() == told.envelope_hz
    assert read_recording(path).group == "evidence-e1"


def test_the_envelope_spectrum_has_the_line_of_the_defect(tmp_path: Path) -> None:
    machine = {"bearing": "6205-2RS", "shaft_rpm": 1797.0}
    told = EvidenceStore(tmp_path / "evidence", section(machine=machine)).keep(
        keep("e1", seconds=10.0, condition="outer_severe")
    )
    highest = told.envelope_hz[int(np.argmax(told.envelope_amplitude))]
    assert highest == pytest.approx(3.5848 * 1797 / 60, rel=0.02)


def test_a_spectrum_stays_under_four_kibibytes_however_it_looks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    samples = (random.normal(size=(2, 512_000)) * 1.2345e-5).astype(np.float32)
    for number, quality in enumerate(((), ("rate_off",))):
        chunk = Chunk(samples, START_NS, 51_200.0, 0, quality=quality)
        asset = AssetSection(id="bearing", rate_hz=51_200, channels=2, evidence_max_bytes=2**26)
        capture = Capture(f"event-{number}-{'x' * 50}", "raised", "c" * 64, "warning", 2)
        told = EvidenceStore(tmp_path / "evidence", asset).keep(KeepEvidence("bearing", capture, (chunk,), 512_000))
        assert 80 < len(told.frequency_hz) <= 96
        assert len(told.json_bytes()) <= 4096


def test_samples_that_are_no_numbers_are_kept_as_zero_and_named(tmp_path: Path) -> None:
    samples = np.ones((1, 24_000), dtype=np.float32)
    samples[0, 100] = np.nan
    store = EvidenceStore(tmp_path / "evidence", section())
    told = store.keep(KeepEvidence("bearing", Capture("e", "raised"), (Chunk(samples, START_NS, RATE, 0),), 24_000))
    assert "nan" in told.quality
    assert store.read("e", None)[0].recording.samples[0, 100] == 0


def test_signals_of_an_event_are_numbered_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", section())
    for _ in range(3):
        store.keep(keep("e1"))
    assert [store.read("e1", number)[0].number for number in (0, 1, 2, None)] == [0, 1, 2, 2]
    with pytest.raises(NodeError, match="event 'e1' has no signal 3; it has 0, 1, 2"):
        store.read("e1", 3)
    with pytest.raises(NodeError, match="no signal is kept of 'e9'; signals are kept of e1"):
        store.read("e9", None)


def test_a_damaged_signal_is_named_where_it_is_asked_for(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", section())
    for event in ("e1", "e1", "e2"):
        store.keep(keep(event))
    first, second, _ = sorted((tmp_path / "evidence").iterdir())
    first.write_bytes(b"\xa5" * first.stat().st_size)
    with pytest.raises(NodeError, match=f"event 'e1' has no signal 0; it has 1; {first.name} cannot be read"):
        store.read("e1", 0)
    second.write_bytes(b"")
    with pytest.raises(NodeError, match=f"kept of e2; {first.name}, {second.name} cannot be read"):
        store.read("e1", None)
    assert store.read("e2", None)[1] == 1


def test_beyond_the_quota_the_newer_half_stays_and_the_severe_of_the_older(tmp_path: Path) -> None:
    one = 24_000 * 4 + 16_384
    store = EvidenceStore(tmp_path / "evidence", section(evidence_max_bytes=4 * one))
    for number, level in enumerate((3, 1, 2, 2, 2)):
        store.keep(keep(f"e{number}", level=level))
    left = [event for event in ("e0", "e1", "e2", "e3", "e4") if _kept(store, event)]
    assert left == ["e0", "e2", "e3", "e4"]
    assert sum(path.stat().st_size for path in (tmp_path / "evidence").iterdir()) <= 4 * one
    with pytest.raises(NodeError, match="evidence_max_bytes"):
        store.keep(keep("large", seconds=20))


def test_what_a_command_asks_for_does_not_push_out_the_signal_of_a_raise(tmp_path: Path) -> None:
    one = 24_000 * 4 + 16_384
    store = EvidenceStore(tmp_path / "evidence", section(evidence_max_bytes=3 * one))
    store.keep(keep("open", level=3))
    store.keep(keep("open", level=4, reason="risen"))
    for number in range(5):
        store.keep(keep(f"asked{number}", level=0, reason="asked"))
        assert _kept(store, f"asked{number}")
    assert [store.read("open", number)[0].reason for number in (0, 1)] == ["raised", "risen"]
    assert sum(path.stat().st_size for path in (tmp_path / "evidence").iterdir()) <= 3 * one


def _kept(store: EvidenceStore, event: str) -> bool:
    try:
        return bool(store.read(event, None))
    except NodeError:
        return False


# ---- the trend -------------------------------------------------------------------------------------------------


def rows(first: int, count: int, value: float = 1.0) -> bytes:
    return b"".join(TREND_ROW.pack(first + each, *[value] * len(TREND_FIGURES)) for each in range(count))


def test_minutes_hours_and_days_are_means_of_the_minutes(tmp_path: Path) -> None:
    store = TrendStore(tmp_path / "trend", 2**24)
    store.append(rows(60 * 24 * 100, 60, 1.0))
    store.append(rows(60 * 24 * 100 + 60, 60, 3.0))
    step, found = store.read(0, 1e12, None, ("rms",))
    assert (step, len(found), found[0]) == ("minute", 120, (86_400.0 * 100, (1.0,)))
    assert store.read(0, 1e12, "hour", ("rms",)) == ("hour", ((8_640_000.0, (1.0,)), (8_643_600.0, (3.0,))))
    assert store.read(0, 1e12, "day", ("rms", "distance")) == ("day", ((8_640_000.0, (2.0, 2.0)),))
    assert len(store.read(8_643_600.0, 8_643_660.0, "minute", ("rms",))[1]) == 1


def test_minutes_that_are_not_written_yet_count_too(tmp_path: Path) -> None:
    store = TrendStore(tmp_path / "trend", 2**24)
    assert store.read(0, 1e12, None, ("rms",)) == ("minute", ())
    store.append(rows(1000, 2, 1.0))
    assert [row[1] for row in store.read(0, 1e12, "minute", ("rms",), rows(1001, 2, 3.0))[1]] == [
        (1.0,),
        (2.0,),
        (3.0,),
    ]


def test_a_figure_that_was_not_known_is_none(tmp_path: Path) -> None:
    store = TrendStore(tmp_path / "trend", 2**24)
    store.append(TREND_ROW.pack(1000, *[float("nan")] * (len(TREND_FIGURES) - 1), 0.5))
    assert store.read(0, 1e12, "minute", ("rms", "distance"))[1] == ((60_000.0, (None, 0.5)),)


def test_what_a_power_cut_has_torn_is_passed_over_and_replaced(tmp_path: Path) -> None:
    store = TrendStore(tmp_path / "trend", 2**24)
    store.append(rows(1000, 3))
    [path] = (tmp_path / "trend").iterdir()
    with path.open("ab") as file:
        file.write(b"\0" * TREND_ROW.size + b"torn")
    assert len(store.read(0, 1e12, "minute", ("rms",))[1]) == 3
    store.append(rows(1003, 1))
    assert len(store.read(0, 1e12, "minute", ("rms",))[1]) == 4


@pytest.mark.slow
def test_a_year_of_minutes_fits_sixteen_mebibytes_and_is_there_by_the_hour(tmp_path: Path) -> None:
    store = TrendStore(tmp_path / "trend", 16 * 2**20)
    first = 1_800_000_000 // 60
    for day in range(450):
        store.append(rows(first + day * 1440, 1440, float(day)))
    size = sum(path.stat().st_size for path in (tmp_path / "trend").iterdir())
    assert size <= 16 * 2**20
    end_s = (first + 450 * 1440) * 60.0
    step, found = store.read(end_s - 366 * 86_400, end_s, None, TREND_FIGURES)
    assert (step, len(found)) == ("day", pytest.approx(367, abs=1))
    assert len(store.read(end_s - 366 * 86_400, end_s, "hour", ("rms",))[1]) == pytest.approx(366 * 24, abs=1)
    with pytest.raises(NodeError, match=f"more than {MOST_ROWS}"):
        store.read(0, end_s, "minute", ("rms",))


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path) -> None:
    TrendStore(tmp_path / "trend", 0).append(rows(1000, 3))
    assert list(tmp_path.iterdir()) == []
