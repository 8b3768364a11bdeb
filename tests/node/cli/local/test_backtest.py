"""A backtest raises what a node would have raised, at the time of the recordings, and counts false alarms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backtests import RATE, record, run
from drawings import words
from manual_clock import START_NS

from edgetune_node.cli.backtesting.figures import poisson_interval
from edgetune_node.cli.backtesting.page import _over_time
from edgetune_node.cli.backtesting.plays import find_plays
from edgetune_node.cli.backtesting.run import Point
from edgetune_signal import Recording, RecordingError, write_recording
from edgetune_signal.recordings import read_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.bundle.read import Bundle

TIMES = ("--raise-after", "2s", "--clear-after", "4s")


def test_recordings_are_one_stream_and_a_fault_lasts_from_one_to_the_next(
    cli: Callable[..., Any], bundle: Bundle, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        record(tmp_path / "data", name)
    found = run(cli, bundle.path, tmp_path / "data", *TIMES)
    assert [each["name"] for each in found["recordings"]] == ["a", "b"]
    [event] = found["events"]
    assert (event["class"], event["recording"], event["cleared_s"]) == ("inner", "a", None)
    assert event["raised_s"] == pytest.approx(2, abs=0.3)
    assert [each["alarmed"] for each in found["recordings"]] == [True, True]
    assert [each["raised_s"] for each in found["recordings"]] == [event["raised_s"], None]
    assert found["recordings"][0]["classes"] == ["inner"]
    assert found["signal_seconds"] == 12
    per_month = 30.44 * 86_400 / 12
    assert found["false_alarms_per_month"] == pytest.approx(per_month, rel=1e-3)
    assert found["false_alarms_per_month_low"] == pytest.approx(0.0253 * per_month, rel=1e-2)
    assert found["false_alarms_per_month_high"] == pytest.approx(5.572 * per_month, rel=1e-2)


def test_each_begins_anew(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        record(tmp_path / "data", name, at_s=0 if name == "a" else 500)
    found = run(cli, bundle.path, tmp_path / "data", "--each", *TIMES)
    assert len({each["event"] for each in found["events"]}) == 2
    assert [each["raised_s"] for each in found["events"]] == [pytest.approx(2, abs=0.3)] * 2


@pytest.mark.slow
def test_the_page_has_the_evidence_of_each_recording(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        record(tmp_path / "data", name)
    page = tmp_path / "page.html"
    run(cli, bundle.path, tmp_path / "data", "--each", "--html", page, *TIMES)
    assert page.read_text(encoding="utf-8").count("<img") == 3


def test_recordings_are_played_in_order_of_their_time(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    record(tmp_path / "data", "a_late", at_s=1000)
    record(tmp_path / "data", "b_early", seconds=1.5, at_s=0)
    found = run(cli, bundle.path, tmp_path / "data", *TIMES)
    assert [each["name"] for each in found["recordings"]] == ["b_early", "a_late"]
    [event] = found["events"]
    assert event["raised_s"] == pytest.approx(1000.5, abs=0.3)  # a second and a half was heard before the pause
    assert event["raised_ts"].startswith("2026-01-01T00:16:40.")


def test_health_that_stays_healthy_bounds_the_rate_and_has_no_event(
    cli: Callable[..., Any], healthy_bundle: Bundle, tmp_path: Path
) -> None:
    record(tmp_path / "data", "a")
    record(tmp_path / "data", "b", "inner")
    found = run(cli, healthy_bundle.path, tmp_path / "data", *TIMES)
    assert (found["events"], found["false_alarms_per_month"], found["healthy_seconds"]) == ([], 0, 6)
    assert found["false_alarms_per_month_high"] == pytest.approx(3.689 * 30.44 * 86_400 / 6, rel=1e-3)
    assert not any(each["alarmed"] for each in found["recordings"])


def test_without_health_there_is_no_rate(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    record(tmp_path / "data", "a", "inner")
    assert run(cli, bundle.path, tmp_path / "data", *TIMES)["false_alarms_per_month"] is None


def test_the_model_and_the_alarm_of_a_node_are_taken_from_its_configuration(
    cli: Callable[..., Any], bundle: Bundle, tmp_path: Path
) -> None:
    record(tmp_path / "data", "a")
    models = tmp_path / "node" / "assets" / "bearing" / "models"
    models.mkdir(parents=True)
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
[node]
id = "n1"
data_dir = '{tmp_path / "node"}'
[[asset]]
id = "bearing"
rate_hz = 1000
window = {{ length = 64, hop = 64 }}
alarm = {{ raise_after_s = 3, clear_after_s = 5 }}
""",
        encoding="utf-8",
    )
    refused = cli("backtest", "--config", config, tmp_path / "data", "--json")
    assert (refused.code, "no model in use" in refused.out) == (1, True)
    (models / "current").symlink_to(bundle.path)
    [event] = run(cli, "--config", config, tmp_path / "data")["events"]
    assert event["raised_s"] == pytest.approx(3, abs=0.3)


def test_files_of_other_programs_are_played_as_they_are(
    cli: Callable[..., Any], bundle: Bundle, tmp_path: Path
) -> None:
    samples = np.random.default_rng(0).normal(size=5000)
    for label in ("normal", "inner"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        lines = [f"{at / RATE:.4f};{value:.6f}" for at, value in enumerate(samples)]
        (folder / f"pump_{label}.csv").write_text("\n".join(["time [s];acceleration [g]", *lines]), encoding="utf-8")
    found = run(cli, bundle.path, tmp_path / "data", "--each", *TIMES)
    assert {(each["name"], each["label"], each["alarmed"]) for each in found["recordings"]} == {
        ("pump_normal", "normal", True),
        ("pump_inner", "inner", True),
    }
    assert found["healthy_seconds"] == 5


def test_snapshots_count_by_their_interval(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-1000, 1000, (40, 1, 128)).astype(np.int16)
    path = tmp_path / "series.npz"
    np.savez(path, samples=samples, rate_hz=RATE, interval_s=600.0, scale=0.001, unit=np.array("g"))
    found = run(cli, bundle.path, path, "--raise-after", "6000", "--clear-after", "12000")
    [event] = found["events"]
    assert event["raised_s"] % 600 == 0
    assert 600 * 5 <= event["raised_s"] <= 600 * 12
    assert found["signal_seconds"] == pytest.approx(40 * 0.128)
    assert found["recordings"][0]["name"] == "series"


def test_a_page_shows_what_happened(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    record(tmp_path / "data", "a <b>")
    page = tmp_path / "page.html"
    outcome = cli("backtest", bundle.path, tmp_path / "data", *TIMES, "--html", page)
    assert outcome.code == 0, outcome
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 2  # over time, and the evidence of the event
    assert "a &lt;b&gt;" in text
    assert "<b>" not in text
    assert "1 event in 6 s of signal; in healthy recordings" in outcome.out


@pytest.mark.parametrize(
    ("step_s", "unit", "distances", "numbers"),
    [(1, "seconds", (0.4, 30.0), {"1", "10"}), (3600, "hours", (0.5, 3.0), {"0.5", "1", "2"})],
)
def test_the_course_of_a_backtest_has_plain_numbers_and_a_unit_that_fits(
    step_s: int, unit: str, distances: tuple[float, float], numbers: set[str]
) -> None:
    points = [Point(turn * step_s, 0.1, 3.0, distances[turn % 2], event=False) for turn in range(9)]
    played: Any = SimpleNamespace(points=points, events=[], recordings=[])
    drawn = {word for _, word in words(_over_time(played))}
    assert {"RMS", "kurtosis", "distance", f"{unit} since the first sample"} | numbers <= drawn
    assert not [word for word in drawn if "$" in word or "\\" in word]


def test_recordings_without_the_healthy_class_are_told(cli: Callable[..., Any], bundle: Bundle, tmp_path: Path) -> None:
    record(tmp_path / "data", "run1", label="good")
    outcome = cli("backtest", bundle.path, tmp_path / "data", *TIMES)
    assert "no recording is of the healthy class 'normal'" in outcome.out


@pytest.mark.parametrize(
    ("seconds", "options", "told"),
    [
        ((10, 10), ("--each",), "2 of 2 recordings are too short, so nothing can be raised in them"),
        (
            (12, 5),
            ("--each",),
            "1 of 2 recordings is too short, so nothing can be raised in it: a fault must last 10 s",
        ),
        ((5,), (), "1 of 1 recording is too short"),
        ((6, 6), (), None),
        ((12, 5), (), None),
        ((5, 5), ("--each", *TIMES), None),
    ],
)
def test_recordings_that_are_too_short_for_an_alarm_are_told(
    cli: Callable[..., Any],
    bundle: Bundle,
    tmp_path: Path,
    seconds: tuple[int, ...],
    options: tuple[str, ...],
    told: str | None,
) -> None:
    for number, each in enumerate(seconds):
        record(tmp_path / "data", f"r{number}", seconds=each)
    outcome = cli("backtest", bundle.path, tmp_path / "data", *options)
    last = outcome.out.splitlines()[-1]
    assert ("too short" in last) == (told is not None), outcome
    assert (told or "") in last
    assert ("give a shorter --raise-after" in last) == (told is not None)


def test_a_fault_of_short_recordings_of_one_stream_that_is_not_raised_is_told(
    cli: Callable[..., Any], healthy_bundle: Bundle, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        record(tmp_path / "data", name)
    outcome = cli("backtest", healthy_bundle.path, tmp_path / "data")
    assert "2 of 2 recordings are too short, so a fault that only one of them shows is not raised" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("{data}",), 2, "give BUNDLE and DATA"),
        (("{bundle}", "{empty}"), 1, "empty: holds no"),
        (("{bundle}", "{other}"), 1, "does not fit"),
        (("{bundle}", "{mixed}"), 1, "play them apart"),
    ],
)
def test_what_cannot_be_played_is_refused(
    cli: Callable[..., Any], bundle: Bundle, tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    places = {name: tmp_path / name for name in ("data", "empty", "other", "mixed")}
    for place in places.values():
        place.mkdir()
    record(places["data"], "a")
    two = np.zeros((2, 1000), dtype=np.float32)
    for name in ("other", "mixed"):
        write_recording(places[name] / "two.npz", Recording(two, RATE, "normal", "g"))
    record(places["mixed"], "one")
    outcome = cli("backtest", *(each.format(bundle=bundle.path, **places) for each in arguments))
    assert (outcome.code, reason in outcome.err) == (code, True), outcome


def test_the_interval_of_a_count_is_the_exact_one() -> None:
    assert poisson_interval(0) == (0.0, pytest.approx(3.689, abs=1e-3))
    assert poisson_interval(10) == (pytest.approx(4.795, abs=1e-3), pytest.approx(18.39, abs=1e-2))


# ---- snapshots -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"interval_s": None}, "interval_s missing"),
        ({"interval_s": 0.01}, "less than a snapshot lasts"),
        ({"interval_s": None, "time_ns": np.arange(3)}, "snapshot 1 begins before"),
        ({"interval_s": None, "time_ns": np.arange(2)}, "time_ns must have one value"),
        ({"rate_hz": -1.0}, "rate_hz"),
        ({"scale": 0.0}, "scale"),
        ({"samples": np.zeros((2, 100))}, "samples must be"),
        ({"samples": np.full((3, 1, 100), np.nan)}, "no numbers"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    values = {"samples": np.zeros((3, 1, 100)), "rate_hz": RATE, "interval_s": 10.0, **changes}
    np.savez(tmp_path / "s.npz", **{name: value for name, value in values.items() if value is not None})
    with pytest.raises(RecordingError, match=reason):
        read_snapshots(tmp_path / "s.npz")


def test_times_of_snapshots_may_be_uneven(tmp_path: Path) -> None:
    time_ns = START_NS + np.array([0, 10, 40]) * 10**9
    np.savez(tmp_path / "s.npz", samples=np.ones((3, 2, 100), np.int16), rate_hz=RATE, time_ns=time_ns, scale=0.5)
    [play] = find_plays(tmp_path / "s.npz")
    assert (play.time_ns, play.seconds, play.span_s) == (START_NS, pytest.approx(0.3), pytest.approx(40.1))
    pieces = list(play.pieces())
    assert [(piece.start_s, piece.gap, float(piece.samples.mean())) for piece in pieces] == [
        (0, False, 0.5),
        (10, True, 0.5),
        (40, True, 0.5),
    ]
