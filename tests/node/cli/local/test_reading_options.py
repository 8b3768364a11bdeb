"""What files do not say of themselves is said the same way to every command that reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_node.cli.backtesting.plays import find_plays
from edgetune_signal import Recording, RecordingError, StreamSpec, load_dataset, open_source, write_recording
from edgetune_signal.files import ReadOptions, read_file, read_series
from edgetune_signal.sources import recorded_spec

if TYPE_CHECKING:
    from pathlib import Path

SIGNAL = np.random.default_rng(0).normal(0, 1, (2, 400)).astype(np.float32)
COMMANDS = {
    "import": ("import", "{data}", "--label", "a", "--dry-run"),
    "report": ("report", "{data}"),
    "backtest": ("backtest", "{data}", "--config", "{config}"),
    "simulate": ("simulate", "--node", "n", "--replay", "{data}"),
}
CONTRADICTIONS = [
    ("says.csv", ("--rate-hz", "20000"), "says 1000 Hz where the option says 20000 Hz"),
    ("says.csv", ("--unit", "m/s2"), "is in 'g' where the option says 'm/s2'"),
    ("says.csv", ("--columns", "z"), "has no column 'z': choose some of t, x, y"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    head, rows = "t,x [g],y [g]\n", [f"{n / 1000:.4f},{x:.5f},{y:.5f}" for n, (x, y) in enumerate(SIGNAL.T)]
    (tmp_path / "says.csv").write_text(head + "\n".join(rows) + "\n", encoding="ascii")
    np.savetxt(tmp_path / "bare.csv", SIGNAL.T, delimiter=",", header="x,y", comments="")
    (tmp_path / "config.toml").write_text(
        '[node]\nid = "n"\n[[asset]]\nid = "a"\ntask = "fault"\nchannels = 1\nrate_hz = 1000.0\nunit = "g"\n',
        encoding="ascii",
    )
    return tmp_path


def words(command: str, folder: Path, name: str) -> list[str]:
    return [word.format(data=folder / name, config=folder / "config.toml") for word in COMMANDS[command]]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "options", "reason"), CONTRADICTIONS)
def test_an_option_that_contradicts_a_file_is_refused_with_both_values(
    command: str, name: str, options: tuple[str, ...], reason: str, folder: Path, cli: Any
) -> None:
    ended = cli(*words(command, folder, name), *options)
    assert ended.code != 0
    assert reason in " ".join((ended.err + ended.out).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_rate_that_nobody_says_is_asked_for(command: str, folder: Path, cli: Any) -> None:
    ended = cli(*words(command, folder, "bare.csv"))
    assert ended.code != 0
    assert "rate" in ended.err


def test_a_report_uses_what_was_said(folder: Path, cli: Any) -> None:
    said = ("--rate-hz", "1000", "--columns", "y", "--unit", "g", "--out", folder / "page.html", "--json")
    [found] = json.loads(cli("report", folder / "bare.csv", *said).out)["recordings"]
    assert (found["channels"], found["rate_hz"], found["unit"]) == (1, 1000.0, "g")
    assert found["peak"] == pytest.approx(float(np.abs(SIGNAL[1] - SIGNAL[1].mean()).max()), rel=1e-3)
    assert "<figure>" in (folder / "page.html").read_text(encoding="utf-8")


def test_what_is_played_is_what_was_said(folder: Path) -> None:
    reading = ReadOptions(columns=("y",), rate_hz=500.0, unit="g")
    [play] = find_plays(folder / "bare.csv", reading)
    assert (play.channels, play.rate_hz, play.unit) == (1, 500.0, "g")
    played = np.concatenate([piece.samples for piece in play.pieces()], axis=1)
    np.testing.assert_allclose(played, SIGNAL[1:], rtol=1e-5)
    default = StreamSpec(4, 12_000.0, "mm/s")
    assert recorded_spec(str(folder / "bare.csv"), default, reading) == StreamSpec(1, 500.0, "g")
    said = {"path": str(folder / "bare.csv"), "columns": ["y"], "rate_hz": 500.0, "unit": "g", "speed": 0}
    source = open_source("replay", StreamSpec(1, 500.0, "g"), said)
    chunk = source.read(5.0)
    source.close()
    assert chunk is not None
    np.testing.assert_allclose(chunk.samples[0], SIGNAL[1, : chunk.samples.shape[1]], rtol=1e-5)


def test_options_of_files_without_files_are_refused(cli: Any) -> None:
    ended = cli("simulate", "--node", "n", "--columns", "x")
    assert ended.code == 2
    assert "are for --replay" in ended.err
    ended = cli("report", ".", "--rate-hz", "inf")
    assert ended.code == 2
    assert "--rate-hz must be a number, not inf" in ended.err


def test_a_recording_of_ours_is_held_to_what_was_said_too(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_recording(path, Recording(SIGNAL, 1000.0, "normal", unit="g", condition="1500rpm"))
    found = read_file(path, ReadOptions(columns=("2",)))
    assert (found.condition, found.samples.tolist()) == ("1500rpm", SIGNAL[1:].tolist())
    with pytest.raises(RecordingError, match="says 1000 Hz where the option says 900 Hz"):
        read_file(path, ReadOptions(rate_hz=900.0))
    np.savez(tmp_path / "s.npz", samples=SIGNAL.reshape(4, 2, 100), rate_hz=1000.0, interval_s=10.0)
    series = read_series(tmp_path / "s.npz", ReadOptions(columns=("2",), unit="g"))
    assert (series.unit, series.samples.shape, series.snapshot(1).shape) == ("g", (4, 1, 100), (1, 100))


def test_data_sets_are_read_as_was_said(folder: Path) -> None:
    for number, name in enumerate(("inner0", "normal0")):
        (folder / "set").mkdir(exist_ok=True)
        np.savetxt(folder / "set" / f"{name}.csv", SIGNAL.T + number, delimiter=",", header="x,y", comments="")
    with pytest.raises(RecordingError, match=r"does not say its rate: give it \(--rate-hz"):
        load_dataset(folder / "set", window=50)
    dataset = load_dataset(folder / "set", window=50, unit="g", reading=ReadOptions(columns=("x",), rate_hz=500.0))
    assert (dataset.rate_hz, dataset.unit, dataset.x.shape) == (500.0, "g", (16, 1, 50))
    np.savez(folder / "w.npz", x=dataset.x, label=dataset.label, classes=np.array(dataset.classes), rate_hz=500.0)
    with pytest.raises(RecordingError, match="a file of windows says all of its samples"):
        load_dataset(folder / "w.npz", reading=ReadOptions(rate_hz=400.0))
