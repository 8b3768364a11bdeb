"""``edgetune report`` draws what a node has recorded, on one page, however much and however odd that is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawings import svg_of, words
from manual_clock import START_NS
from typer.testing import CliRunner, Result

from edgetune_node.cli import build
from edgetune_node.cli.recordings_report import page as recordings_page
from edgetune_node.cli.recordings_report.figures import Found, RecordingFigures
from edgetune_node.cli.recordings_report.pictures import (
    COLUMNS,
    coarser,
    picture,
    time_unit,
    trend_picture,
)
from edgetune_node.config.machine import MachineSection
from edgetune_node.errors import ConfigError
from edgetune_signal import BearingSimulator, Recording, RecordingError, read_recording, write_recording
from edgetune_signal.files import ReadOptions
from edgetune_signal.vibration.spectrum import amplitude_spectrum

DAY_NS = 86_400 * 10**9
PICTURE = re.compile(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build(["report"]), [str(argument) for argument in arguments])


def recording(label: str, condition: str = "normal", day: int = 0, seconds: int = 3) -> Recording:
    samples = BearingSimulator(condition=condition, seed=day).generate(seconds * 12_000).astype(np.float32)
    return Recording(samples, 12_000.0, label, "g", START_NS + day * DAY_NS, group=f"{label}{day}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A node's data folder: two assets, something without a name yet, and a torn file."""
    folder = tmp_path / "data"
    for asset in ("fan", "pump"):
        (folder / "assets" / asset / "recordings").mkdir(parents=True)
    (folder / "assets" / "pump" / "novel").mkdir()
    pump = folder / "assets" / "pump" / "recordings"
    for day in range(2):
        write_recording(pump / f"normal-{day}.npz", recording("normal", day=day))
    write_recording(pump / "outer-0.npz", recording("outer", "outer_severe"))
    write_recording(folder / "assets" / "pump" / "novel" / "n.npz", recording("novel", "inner_severe"))
    write_recording(folder / "assets" / "fan" / "recordings" / "normal.npz", recording("normal"))
    (pump / "torn.npz").write_bytes((pump / "outer-0.npz").read_bytes()[:3000])
    return folder


@pytest.mark.slow
def test_a_nodes_recordings_become_one_page_that_needs_no_network(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = run("report", data, "--bearing", "6205-2RS", "--shaft-rpm", 1797, "--out", page, "--json")
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told["report"] == str(page)
    assert [(row["asset"], row["label"], row["recordings"]) for row in told["classes"]] == [
        ("fan", "normal", 1),
        ("pump", "normal", 2),
        ("pump", "novel", 1),
        ("pump", "outer", 1),
    ]
    heard = {(each["asset"], each["file"]): each for each in told["recordings"]}
    assert heard["pump", "outer-0.npz"]["defect"] == "bpfo"
    assert heard["pump", "n.npz"]["defect"] == "bpfi"
    assert heard["pump", "normal-0.npz"]["defect"] is None
    assert heard["pump", "normal-0.npz"]["velocity_rms_mm_s"] > 0
    assert [each["file"].rpartition("/")[2] for each in told["broken"]] == ["torn.npz"]
    text = page.read_text(encoding="utf-8")
    assert len(PICTURE.findall(text)) == 6  # five recordings, and the pump's trend
    assert "lines of defects at 1797 rpm" in text
    assert "bpfo stands out" in text
    assert "torn.npz" in text
    frame = PICTURE.sub("", text)
    assert not re.search(r"https?:|<script|<link|@import", frame)


def test_the_machine_of_each_asset_comes_from_the_configuration(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    known = 'bearing = "6205-2RS"\nshaft_rpm = 1797\ngroup = 2'
    config.write_text(
        f'[node]\nid = "n"\n[[asset]]\nid = "pump"\nrate_hz = 12000\n[asset.machine]\n{known}\n'
        '[[asset]]\nid = "fan"\nrate_hz = 12000\n'
    )
    told = json.loads(run("report", data, "--config", config, "--json").stdout)["recordings"]
    assert {each["zone"] is None for each in told if each["asset"] == "pump"} == {False}
    assert {(each["zone"], each["shaft_rpm"]) for each in told if each["asset"] == "fan"} == {(None, None)}


@pytest.mark.parametrize("place", ["assets/pump", "assets/pump/recordings"])
def test_one_asset_or_one_folder_will_do(data: Path, place: str) -> None:
    told = json.loads(run("report", data / place, "--json").stdout)
    assert {each["label"] for each in told["recordings"]} >= {"normal", "outer"}
    shown = run("report", data / place)
    assert "outer-0" in shown.stdout
    assert "torn.npz cannot be read" in shown.stderr


def test_a_bearing_may_be_given_by_its_geometry_or_its_orders(data: Path) -> None:
    orders = "bpfo=3.5848,bpfi=5.4152,bsf=2.3567,ftf=0.3983"
    for bearing in ("6205", "balls=9,ball_diameter=7.94,pitch_diameter=39.04", orders):
        told = json.loads(run("report", data, "--bearing", bearing, "--shaft-rpm", 1797, "--json").stdout)
        assert {each["defect"] for each in told["recordings"] if each["label"] == "outer"} == {"bpfo"}
    for wrong, reason in (("balls=9", "needs balls"), ("balls=nine", "'balls=nine' is no name=number")):
        refused = run("report", data, "--bearing", wrong)
        assert isinstance(refused.exception, ConfigError)
        assert reason in str(refused.exception)


def test_what_cannot_be_is_refused_in_words(data: Path, tmp_path: Path) -> None:
    unknown = run("report", data, "--bearing", "9999")
    assert isinstance(unknown.exception, ConfigError)
    assert "no bearing is called '9999'" in str(unknown.exception)
    torn = data / "assets" / "pump" / "recordings" / "torn.npz"
    torn.rename(tmp_path / "torn.npz")
    broken = run("report", tmp_path)
    assert isinstance(broken.exception, RecordingError)
    assert "none of 1 recordings can be read: torn.npz" in str(broken.exception)


def test_a_name_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    write_recording(tmp_path / "a.npz", Recording(np.ones((1, 64), np.float32), 100.0, evil))
    assert run("report", tmp_path, "--out", tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 5), (8, 200), (1, 700)])
@pytest.mark.parametrize("sounds", [True, False])
def test_every_recording_can_be_drawn(shape: tuple[int, int], *, sounds: bool) -> None:
    samples = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32) if sounds else np.ones(shape, np.float32)
    machine = MachineSection(bearing="6205-2RS", shaft_rpm=1797, envelope_band_hz=(2000, 4000))
    drawing, caption = picture(Recording(samples, 200.0, "fist", "counts"), machine)
    assert PICTURE.search(drawing)
    assert "envelope" in caption


def test_the_peak_of_a_sine_reads_its_amplitude_and_no_line_is_lost() -> None:
    seconds = np.arange(50_000) / 10_000
    samples = 0.3 * np.sin(2 * np.pi * 1234 * seconds) + 5.0
    frequency, amplitude = amplitude_spectrum(samples, 10_000.0)
    assert frequency[amplitude.argmax()] == 1234
    assert amplitude.max() == pytest.approx(0.3, rel=1e-3)
    assert coarser(frequency, amplitude)[1].max() == amplitude.max()
    assert len(coarser(frequency, amplitude)[1]) <= COLUMNS


def figures(number: int, label: str) -> RecordingFigures:
    day = f"2026-01-{1 + number % 28:02d}T{number // 28:02d}:00:00.000Z"
    one = (0.1, 0.4, 4.0, 3.0, 1.0)
    return RecordingFigures(
        f"{number}.npz", "pump", label, day, 1.0, 0.25, 12e3, "g", 1, *one, "A", None, None, None, None
    )


@pytest.mark.slow
def test_ten_thousand_recordings_make_no_larger_a_page_than_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = recording("a", seconds=1)
    drawn: list[Path] = []
    monkeypatch.setattr(recordings_page, "read_file", lambda path, _: drawn.append(path) or some)
    monkeypatch.setattr(recordings_page, "picture", lambda *_: ("", ""))
    sizes = []
    for count in (600, 10_000):
        known = {Found(tmp_path / f"{n}.npz", "pump"): figures(n % 600, f"c{n % 7}") for n in range(count)}
        broken = {Found(tmp_path / f"x{n}.npz"): "torn" for n in range(count)}
        page = recordings_page.recordings_page(
            tmp_path, known, broken, lambda _: MachineSection(), lambda each: each, ReadOptions()
        )
        sizes.append(len(page))
    assert max(sizes) < 400_000
    assert len(drawn) == 2 * recordings_page.MOST_PICTURES
    assert f"{recordings_page.MOST_ROWS} of 10000 are listed" in page


def test_each_class_is_drawn_before_any_is_drawn_twice() -> None:
    labels = ["a"] * 30 + ["b", "c"]
    paths = [Path(f"{n}.npz") for n in range(32)]
    known = {Found(path, "pump"): figures(n, label) for n, (path, label) in enumerate(zip(paths, labels, strict=True))}
    chosen = recordings_page.for_pictures(list(known), known)
    assert [known[each].label for each in chosen[:4]] == ["a", "b", "c", "a"]
    assert len(chosen) == recordings_page.MOST_PICTURES


def test_one_moment_is_no_trend() -> None:
    assert trend_picture([figures(1, "a"), replace(figures(1, "b"), rms=2.0)]) is None
    assert trend_picture([replace(figures(1, "a"), time=None), replace(figures(2, "b"), time=None)]) is None


def test_real_recordings_show_their_defect(recordings_dir: Path) -> None:
    machine = MachineSection(bearing="6205-2RS")
    for name, line in (("outer_centered_007", "bpfo"), ("inner_007", "bpfi")):
        _, caption = picture(read_recording(recordings_dir / "cwru_de_1797rpm" / f"{name}.npz"), machine)
        assert f"{line} stands out" in caption


def test_the_axes_of_a_spectrum_have_plain_numbers() -> None:
    for condition, numbers in (("normal", {"0.001", "0.01"}), ("inner_severe", {"0.005", "0.01", "0.02"})):
        found = [text for _, text in words(picture(recording("x", condition), MachineSection())[0])]
        assert not [text for text in found if "$" in text or "\\" in text]
        assert numbers <= {*found}


def test_the_names_of_defect_lines_stand_above_the_lines() -> None:
    drawing, _ = picture(recording("x", "inner_severe"), MachineSection(bearing="6205-2RS", shaft_rpm=1797))
    lines = re.findall(r'd="M [\d.]+ [\d.]+ \nL [\d.]+ ([\d.]+) \n" clip-path', svg_of(drawing))
    tops = [float(top) for top in lines]
    names = [height for height, text in words(drawing) if text.startswith(("bpfo", "bpfi", "bsf2", "ftf"))]
    assert len(names) == 4
    assert tops
    assert max(names) < max(tops)


@pytest.mark.parametrize(
    ("span_s", "unit"), [(0.5, "seconds"), (9, "seconds"), (130, "minutes"), (7200, "hours"), (3e5, "days")]
)
def test_a_trend_is_told_in_a_unit_that_fits_it(span_s: float, unit: str) -> None:
    assert time_unit(span_s)[0] == unit
    first, second = (replace(figures(1, "a"), time=f"2026-01-01T00:00:{second:02d}.000Z") for second in (0, 9))
    drawing = trend_picture([first, second])
    assert drawing is not None
    assert "seconds since 2026-01-01 00:00:00 UTC" in [text for _, text in words(drawing)]
