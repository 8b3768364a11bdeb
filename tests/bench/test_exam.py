"""The examination never asks about what was learned, and its parts work on small recordings."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import exam
import exam_methods
import exam_minirocket
import exam_protocols
import exam_tables
import numpy as np
import pytest
from real_data import ABSENT, DATA

from edgetune_signal.datasets.load import recordings_dataset
from edgetune_signal.recordings.recording import Recording, write_recording

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.datasets.dataset import Dataset

RATE = 200.0
RNG = np.random.default_rng(5)


def noise(label: str, *, group: str, condition: str = "", subject: str = "", samples: int = 400) -> Recording:
    """A tone whose frequency tells the label, in noise; no two recordings are alike."""
    time = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * (12.0 + 60.0 * (label == "b")) * time + RNG.random())
    both = tone + 0.1 * RNG.normal(size=(2, samples))
    return Recording(both.astype(np.float32), RATE, label, "g", condition=condition, group=group, subject=subject)


def bench_of(takes: int = 4, samples: int = 400) -> list[Recording]:
    return [
        noise(label, group=f"{label}{take}", condition=f"{take % 2}", samples=samples)
        for label in "ab"
        for take in range(takes)
    ]


def stretches(windows: np.ndarray) -> set[bytes]:
    """Short stretches of the windows' first channel: a sample that both sides have shows in them."""
    return {piece.tobytes() for window in windows for piece in np.array_split(window[0], len(window[0]) // 10)}


def assert_apart(sheet: exam_protocols.Sheet) -> None:
    known = set(sheet.learn.groups) | (set(sheet.library.groups) if sheet.library is not None else set())
    for test in sheet.tests.values():
        assert len(test)
        assert not known & set(test.groups)
        assert not stretches(test.x) & stretches(sheet.learn.x)


def test_recordings_are_divided_whole() -> None:
    sheet = exam_protocols.divided(bench_of(), lambda one: one.condition == "0", 50)
    assert_apart(sheet)
    assert sheet.learn.conditions == ("0",)
    assert sheet.tests["test"].conditions == ("1",)


def test_early_and_late_share_no_sample_and_no_group() -> None:
    recordings = bench_of()
    sheet = exam_protocols.early_late(recordings, 50)
    assert_apart(sheet)
    assert len(sheet.learn.groups) == len(sheet.tests["test"].groups) == len(recordings)
    late = recordings[0].samples[0, 280 + 50 :][:50]
    assert any((window[0] == late).all() for window in sheet.tests["test"].x)


def test_a_division_by_window_would_be_found() -> None:
    data = recordings_dataset(bench_of(), 50, 25)
    even = np.arange(len(data)) % 2 == 0
    leaking = exam_protocols.Sheet(data.select(np.flatnonzero(even)), {"test": data.select(np.flatnonzero(~even))})
    with pytest.raises(AssertionError):
        assert_apart(leaking)


def test_only_one_protocol_is_by_window_and_the_table_says_so() -> None:
    by_window = [protocol for protocol in exam_protocols.PROTOCOLS if protocol.by_window]
    assert [protocol.name for protocol in by_window] == ["cwru-fe"]
    assert all("random windows" in protocol.title for protocol in by_window)
    assert sum(len(protocol.tests) for protocol in exam_protocols.PROTOCOLS if not protocol.by_window) >= 14


def groups_of(data: Dataset) -> set[str]:
    return {data.groups[index] for index in np.unique(data.group)} if data.groups else set()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "foreign").is_dir(), reason=ABSENT)
@pytest.mark.parametrize("protocol", exam_protocols.PROTOCOLS, ids=lambda protocol: protocol.name)
def test_no_protocol_asks_about_what_it_learned(protocol: exam_protocols.Protocol) -> None:
    for subject in list(protocol.subjects(DATA))[:2]:
        sheet = protocol.load(DATA, subject)
        assert tuple(sheet.tests) == protocol.tests
        learned = {window.tobytes() for window in sheet.learn.x}
        named = groups_of(sheet.learn) | (groups_of(sheet.library) if sheet.library is not None else set())
        for test in sheet.tests.values():
            assert not named & groups_of(test)
            assert set(test.classes) <= set(sheet.learn.classes)
            if not protocol.by_window:  # an armband at rest repeats a window of zeros by chance
                assert sum(window.tobytes() in learned for window in test.x if window.any()) == 0


def test_offset_and_hum_are_as_large_as_they_say() -> None:
    recordings = bench_of()
    rms = np.sqrt(np.mean([one.samples**2 for one in recordings]))
    shifted = exam_protocols.disturbed(recordings, offset=5.0)
    added = np.stack([new.samples - old.samples for new, old in zip(shifted, recordings, strict=True)])
    np.testing.assert_allclose(np.abs(added), 5 * rms, rtol=1e-3)
    np.testing.assert_allclose(added[:, 0], added[0, 0, 0], rtol=1e-3)
    humming = exam_protocols.disturbed(recordings, hum=1.0)
    hum = np.stack([new.samples - old.samples for new, old in zip(humming, recordings, strict=True)])
    assert np.sqrt((hum**2).mean()) == pytest.approx(rms, rel=0.05)
    spectrum = np.abs(np.fft.rfft(hum[0, 0]))
    assert np.fft.rfftfreq(hum.shape[2], 1 / RATE)[spectrum.argmax()] == pytest.approx(50.0)


@pytest.mark.parametrize("method", exam_methods.METHODS, ids=lambda method: method.name)
def test_every_plain_method_tells_two_tones_apart(method: exam_methods.Method) -> None:
    if not method.available:
        pytest.skip(f"{method.needs} is not installed: pip install 'edgetune[exam]'")
    sheet = exam_protocols.divided(bench_of(), lambda one: one.condition == "0", 50)
    test = sheet.tests["test"]
    for task in method.tasks:
        predict, size = method.fit(sheet.learn, task, 0)
        assert size > 0
        assert (predict(test.x) == test.label).mean() > 0.95


def test_one_centre_a_recording_tells_what_one_a_class_cannot() -> None:
    """A class of two clouds stands on both sides of the other."""
    x = np.array([-2.0, 2.0, 0.0]).repeat(60)[:, None] + 0.1 * RNG.normal(size=(180, 1))
    data = replace(
        recordings_dataset(bench_of(6, samples=1500), 50, 50).select(np.arange(180)),
        x=x[:, :, None].astype(np.float32),
        label=np.array([0, 0, 1]).repeat(60),
        group=np.arange(3).repeat(60),
    )
    accuracy = {}
    for name, centre in (("class", None), ("recording", data.group)):
        predict, _ = exam_methods.discriminant(lambda z: z[:, :, 0].astype(np.float64), data, centre=centre)
        accuracy[name] = float((predict(data.x) == data.label).mean())
    assert accuracy["recording"] == 1.0
    assert accuracy["class"] < 0.8


def test_ridge_is_the_textbooks_whichever_side_is_longer() -> None:
    targets = RNG.normal(size=(30, 2))
    targets -= targets.mean(0)
    for features in (8, 60):
        z = RNG.normal(size=(30, features))
        found = exam_minirocket._ridge(z, targets)
        candidates = [np.linalg.solve(z.T @ z + a * np.eye(features), z.T @ targets) for a in exam_minirocket.PENALTIES]
        assert min(np.abs(found - weights).max() for weights in candidates) < 1e-6


def test_the_fingerprint_of_plain_methods_ignores_the_search() -> None:
    assert exam.fingerprint("edgetune") != exam.fingerprint("bands + LDA")


def run_of(protocol: str, method: str, accuracy: float, *, seed: int = 0, subject: str = "") -> dict[str, object]:
    used = {"flash_bytes": 100, "cpu_seconds": 1.0, "peak_rss_bytes": 2**20}
    tests = {"test": {"accuracy": accuracy, "worst": accuracy - 0.1, "windows": 100, "unknown": 0.0, "int8": accuracy}}
    found = {"protocol": protocol, "subject": subject, "method": method, "seed": seed, "tests": tests, **used}
    if method == "edgetune":
        card = {"accuracy": 0.99, "low": 0.95, "high": 1.0, "windows": 50, "left_out": {"900rpm": 0.5, "600rpm": 0.7}}
        found |= {
            "card": card,
            "arena_bytes": 900,
            "arena_bytes_deployed": 3600,
            "deployed": "float",
            "stopped_by": "time",
        }
    return found


def test_the_summary_compares_with_the_best_plain_method(tmp_path: Path) -> None:
    results = [
        run_of("mfpt", "edgetune", 0.90, seed=0),
        run_of("mfpt", "edgetune", 0.80, seed=1),
        run_of("mfpt", "bands + LDA", 0.95),
        run_of("mfpt", "MiniRocket + ridge", 0.99),
        run_of("myo-3", "edgetune", 0.97, subject="one"),
        run_of("myo-3", "edgetune", 0.91, subject="two"),
        run_of("myo-3", "log-covariance + LDA", 0.90, subject="one"),
        {"protocol": "gear", "subject": "", "method": "edgetune", "seed": 0, "refused": "no memory"},
    ]
    rows = exam_tables.summary(results)
    ours = {row["protocol"]: row for row in rows if row["method"] == "edgetune"}
    assert ours["mfpt"]["accuracy"] == pytest.approx(0.85)
    assert ours["mfpt"]["inside"] == 0.0
    assert ours["myo-3"]["worst"] == pytest.approx(0.91)
    assert ours["myo-3"]["inside"] == 0.5
    said = exam_tables.notes(results, rows)
    assert "on 1 of 2 protocols; the mean difference is -3.0 points, the worst -10.0" in said[0]
    assert any("4 of 4 searches used up their processor time" in note for note in said)
    assert any("Refused: gear" in note and "no memory" in note for note in said)
    text = exam_tables.markdown(rows, said)
    assert "| MFPT, loads between | 85.0 / 75.0 | 95.0 / 85.0 |" in text
    exam_tables.picture(rows, tmp_path / "exam.png")
    assert (tmp_path / "exam.png").read_bytes().startswith(b"\x89PNG")


def test_quick_is_a_part_of_the_whole(tmp_path: Path) -> None:
    for folder in ("myo_gestures", "foreign/myo41", "foreign/dc22", "foreign/shift21"):
        for person in "abc":
            (tmp_path / folder / person).mkdir(parents=True)
    options = argparse.Namespace(quick=False, only=None, method="", people=None, seconds=60.0, no_mains=False)
    whole = set(exam.plan(tmp_path, options))
    quick = set(exam.plan(tmp_path, argparse.Namespace(**{**vars(options), "quick": True})))
    assert quick < whole
    assert {run.seed for run in whole if run.method == "edgetune"} == {0, 1}
    only = exam.plan(tmp_path, argparse.Namespace(**{**vars(options), "only": "mfpt", "method": "edge"}))
    assert {(run.protocol, run.method) for run in only} == {("mfpt", "edgetune"), ("mfpt-outside", "edgetune")}


@pytest.mark.slow
def test_an_examination_of_small_recordings_goes_on_where_it_was_left(tmp_path: Path) -> None:
    rig = tmp_path / "data" / "foreign" / "mfpt"
    rig.mkdir(parents=True)
    for label in "ab":
        for load in ("0lbs", "50lbs", "100lbs", "150lbs"):
            one = noise(label, group="", condition=load, samples=12_000)
            write_recording(rig / f"{label}_{load}.npz", one)
    command = [sys.executable, exam.__file__, "--only", "mfpt", "--out", str(tmp_path / "out"), "--seconds", "8"]
    environment = {**os.environ, "EDGETUNE_DATA": str(tmp_path / "data"), "EXAM_MINIROCKET": "84"}

    def examine(*further: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *further], env=environment, capture_output=True, text=True, check=True)

    examine("--method", "bands")
    kept = (tmp_path / "out" / "runs.jsonl").read_text().splitlines()
    done = examine()
    assert f"{len(kept)} kept from before" in done.stderr
    told = json.loads((tmp_path / "out" / "exam.json").read_text())
    assert not [run for run in told["results"] if "refused" in run]
    rows = {(row["protocol"], row["method"]): row for row in told["summary"]}
    for name in ("mfpt", "mfpt-outside"):
        assert rows[name, "edgetune"]["accuracy"] > 0.9
        assert rows[name, "bands + LDA"]["accuracy"] > 0.9
    assert len(rows["mfpt", "edgetune"]["seeds"]) == 2
    assert (tmp_path / "out" / "exam.png").exists()
    assert "MFPT" in (tmp_path / "out" / "exam.md").read_text()
