"""A backtest holds signs against what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backtests import RATE, record, run

from edgetune_node.cli.backtesting.plays import Cue, Play, find_plays
from edgetune_node.cli.backtesting.signs import SignLog, cue_spans
from edgetune_node.clock import EPOCH
from edgetune_node.contract.messages import Sign, SignStart
from edgetune_signal import Recording, RecordingError, write_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path


def sign(event: str, class_: str, start_s: float, end_s: float) -> Sign:
    def at(seconds: float) -> datetime:
        from datetime import timedelta

        return EPOCH + timedelta(seconds=seconds)

    return Sign(event=event, class_=class_, confidence=1, start=at(start_s), end=at(end_s), windows=1, model="m")


def test_signs_are_held_against_the_cue(tmp_path: Path) -> None:
    cue = np.repeat([0, 1, 0, 2, 0, 1, 0, 1, 0], 1000)
    path = tmp_path / "a.npz"
    samples = np.zeros((1, 9000), dtype=np.float32)
    write_recording(
        path, Recording(samples, RATE, "fist", "g"), {"cue": cue, "cue_classes": np.array(["fist", "pinch"])}
    )
    [play] = find_plays(path)
    log = SignLog()
    log.start(play, 100.0)
    log.hear(sign("1", "fist", 101.2, 101.9), 102.0, EPOCH)
    log.hear(sign("2", "fist", 103.2, 104.5), 104.6, EPOCH)
    log.hear(sign("3", "unknown", 105.5, 105.9), 106.0, EPOCH)
    log.hear(sign("4", "pinch", 108.2, 108.9), 109.0, EPOCH)
    log.end()
    assert log.counts == {"right": 1, "wrong": 1, "unknown": 1, "missed": 1}
    assert log.false_per_minute_of_rest == 60 * 1 / 5
    assert log.signs[0].fields() == {
        "event": "1",
        "class": "fist",
        "start_s": 1.2,
        "end_s": 1.9,
        "decided_s": 2.0,
        "recording": "a",
        "end_class": "fist",
    }


def test_a_sign_that_ends_in_the_next_recording_is_one_sign(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.npz", Recording(np.zeros((1, 5000), np.float32), RATE, "fist", "g"))
    [play] = find_plays(tmp_path)
    log = SignLog(("rest", "fist"))
    begun = sign("1", "fist", 1, 1)
    log.start(play, 0.0)
    log.hear(SignStart(event="1", class_="fist", confidence=1, start=begun.start, model="m"), 1.4, EPOCH)
    log.end()
    log.start(play, 5.0, goes_on=True)
    log.hear(sign("1", "fist", 1, 7), 7.2, EPOCH)
    log.end()
    [one] = log.signs
    assert (one.start_s, one.end_s, one.recording) == (1.0, 7.0, "a")
    assert log.counts["right"] == 2  # it went on into what the second recording asks for
    assert [each.earlier_s for each in log.judged] == [0, 5]
    log.start(play, 0.0)
    log.end()
    assert log.counts["missed"] == 1  # another stream


@pytest.fixture
def signs(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Path:
    """Put a bundle that calls everything a fist into a folder."""
    return write_tiny_bundle(tmp_path / "signs", classes=("fist", "pinch"), favourite=0, task="sign")


def test_takes_of_signs_are_held_against_their_labels(cli: Callable[..., Any], signs: Path, tmp_path: Path) -> None:
    for name, label in (("a", "fist"), ("b", "pinch"), ("d", "wave")):
        record(tmp_path / "data", name, label, seconds=5)
    samples = np.random.default_rng(0).normal(size=(1, 5000)).astype(np.float32)
    rest = Recording(samples, RATE, "still", "g")
    write_recording(tmp_path / "data" / "c.npz", rest, {"cue": np.zeros(5000, np.int8)})
    outcome = cli("backtest", signs, tmp_path / "data", "--each")
    assert outcome.code == 0, outcome
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["recording", "asked", "sign", "start_s", "end_s", "outcome"] in rows
    assert [[*row[:3], row[-1]] for row in rows if row and row[0] in {"a", "b", "c", "d"}] == [
        ["a", "fist", "fist", "right"],
        ["b", "pinch", "fist", "wrong"],
        ["c", "rest", "fist", "false"],
        ["d", "wave", "fist", "-"],
    ]
    assert "alarmed" not in outcome.out
    last = outcome.out.splitlines()[-1]
    totals = "4 signs in 20 s of signal: 1 right, 1 wrong, 0 missed, 0 unknown; 12 false signs a minute of rest"
    assert last.startswith(totals)
    assert "the model does not know the label: d; the model has no class 'rest'" in last
    found = run(cli, signs, tmp_path / "data", "--each")
    assert [found[name] for name in ("right", "wrong", "false_per_minute_of_rest")] == [1, 1, 12]


def test_a_sign_is_missed_where_no_rest_was_heard_before_it(
    cli: Callable[..., Any], tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    made = write_tiny_bundle(tmp_path / "signs", classes=("fist", "rest"), favourite=0, task="sign")
    record(tmp_path / "data", "a", "fist", seconds=5)
    totals, hint = cli("backtest", made, tmp_path / "data", "--each").out.splitlines()[-2:]
    assert totals.startswith("0 signs in 5 s of signal: 0 right, 0 wrong, 1 missed, 0 unknown; no rest ('rest')")
    assert hint.startswith("no sign is told before rest was heard")
    assert hint.endswith("leave out --each")


def test_signs_of_one_stream_are_listed_with_their_times(cli: Callable[..., Any], signs: Path, tmp_path: Path) -> None:
    record(tmp_path / "data", "a", "walk", seconds=5)
    outcome = cli("backtest", signs, tmp_path / "data")
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["sign", "start_s", "end_s"] in rows
    assert any(row[:1] == ["fist"] and row[2:] == ["goes", "on"] for row in rows)
    assert outcome.out.splitlines()[-1].startswith(
        "1 sign in 5 s of signal; no recording has a cue, or a label that the model knows (fist, pinch), "
        "to hold them against; the model has no class 'rest'"
    )


def test_a_cue_of_one_class_names_the_label(tmp_path: Path) -> None:
    values = np.array([0, 0, 1, 1], dtype=np.int8)
    write_recording(tmp_path / "a.npz", Recording(np.zeros((1, 4), np.float32), 2.0, "g1"), {"cue": values})
    play = find_plays(tmp_path)[0]
    found = play.cue()
    assert isinstance(found, Cue)
    assert cue_spans(found, play.rate_hz) == [("g1", 1.0, 2.0)]
    path = tmp_path / "a.npz"
    recording = Recording(np.zeros((1, 4), np.float32), 2.0, "g2")
    write_recording(path, recording, {"cue": 2 * values})
    found = find_plays(tmp_path)[0].cue()
    assert isinstance(found, Cue)
    assert cue_spans(found, 2.0) == [("g2", 1.0, 2.0)]
    write_recording(path, recording, {"cue": 2 * values, "cue_classes": np.array(["g1"])})
    with pytest.raises(RecordingError, match="cue_classes has 1 names"):
        Play.cue(find_plays(tmp_path)[0])
