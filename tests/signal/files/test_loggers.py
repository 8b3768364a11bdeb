"""Text as the loggers of others write it: LabVIEW, dates in any order, headings that come again, clocks that jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import RecordingError
from edgetune_signal.files import ReadOptions, open_file, pieces
from edgetune_signal.files.times import clock_of

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_signal.files import Piece, SignalInfo

N, RATE_HZ = 1200, 1000.0
RANDOM = np.random.default_rng(0)
SIGNAL = np.round(RANDOM.normal(0, 1, (2, N)), 4)
BEGIN = datetime(2024, 3, 5, 23, 59, 59, 500_000, tzinfo=UTC)
TIMES = np.arange(N) / RATE_HZ
HEADING = "time,x,y\n"


def rows(times: list[str], separator: str = ",") -> list[str]:
    return [f"{time}{separator}{x:.4f}{separator}{y:.4f}\n" for time, (x, y) in zip(times, SIGNAL.T, strict=True)]


def seconds(times: Any = TIMES, digits: int = 6) -> list[str]:
    return [f"{time:.{digits}f}" for time in times]


def read(path: Path, text: str, **said: Any) -> tuple[SignalInfo, list[Piece]]:
    path.write_text(text, encoding="utf-8", newline="")
    found = open_file(path, ReadOptions(**said))
    return found.info, list(pieces(found))


def gaps(parts: list[Piece]) -> list[int]:
    return [part.start for part in parts if part.gap]


def whole(parts: list[Piece], expected: Any = SIGNAL) -> None:
    np.testing.assert_allclose(np.concatenate([part.samples for part in parts], axis=1), expected, rtol=1e-6)


LVM = (
    "LabVIEW Measurement\t\r\nSeparator\tTab\r\nDecimal_Separator\t{point}\r\nX_Columns\t{columns}\r\n"
    "Date\t2024/03/05\r\nTime\t14:05:10{point}123456\r\n***End_of_Header***\t\r\n\t\r\n"
)
SEGMENT = (
    "Channels\t2\t\t\r\nSamples\t600\t600\t\r\nDate\t2024/03/05\t2024/03/05\t\r\nY_Unit_Label\tm/s^2\tm/s^2\t\r\n"
    "X0\t0{point}0E+0\t0{point}0E+0\t\r\nDelta_X\t0{point}001000\t0{point}001000\t\r\n***End_of_Header***\t\t\t\r\n"
    "{names}\tComment\r\n"
)


def lvm(columns: str, point: str = ".") -> str:
    names = "X_Value\tacc1\tX_Value\tacc2" if columns == "Multi" else "X_Value\tacc1\tacc2"
    time = {"No": "\t{1}\t{2}\r\n", "One": "{0}\t{1}\t{2}\r\n", "Multi": "{0}\t{1}\t{0}\t{2}\r\n"}[columns]
    lines = [time.format(f"{t:.6f}", f"{x:.4f}", f"{y:.4f}") for t, (x, y) in zip(TIMES, SIGNAL.T, strict=True)]
    head = LVM.format(point=point, columns=columns) + SEGMENT.format(point=point, names=names)
    return head + "".join(lines).replace(".", point)


@pytest.mark.parametrize(("columns", "point"), [("No", ","), ("No", "."), ("One", ","), ("One", "."), ("Multi", ".")])
def test_labview_text_of_every_setting_is_read(columns: str, point: str, tmp_path: Path) -> None:
    info, parts = read(tmp_path / "a.lvm", lvm(columns, point))
    assert (info.rate_hz, info.unit, info.names) == (RATE_HZ, "m/s2", ("acc1", "acc2"))
    assert not gaps(parts)
    whole(parts)


def test_segments_of_labview_text_that_begin_again_are_apart(tmp_path: Path) -> None:
    segment = SEGMENT.format(point=".", names="X_Value\tacc1\tacc2")
    lines = [line.replace(",", "\t") for line in rows(seconds([*TIMES[:600], *TIMES[:600]]))]
    head = LVM.format(point=".", columns="One")
    info, parts = read(
        tmp_path / "a.lvm", head + segment + "".join(lines[:600]) + "\n" + segment + "".join(lines[600:])
    )
    assert (info.rate_hz, gaps(parts)) == (RATE_HZ, [600])
    whole(parts)


DATES = {
    "%d/%m/%Y %H:%M:%S.%f": True,
    "%d.%m.%Y %H:%M:%S,%f": True,
    "%d-%m-%y %H:%M:%S.%f": True,
    "%m/%d/%Y %I:%M:%S.%f %p": True,
    "%d-%b-%Y %H:%M:%S.%f": True,
    "%d %B %Y %H:%M:%S.%f": True,
    "%d/%b/%Y:%H:%M:%S.%f": True,
    "%d/%m/%Y %H:%M:%S:%f": True,
    "%Y%m%d %H%M%S.%f": True,
    "%Y%m%d%H%M%S.%f": True,
    "%Y-%m-%dT%H:%M:%S.%f+00:00": True,
    "%H:%M:%S.%f": False,
}


@pytest.mark.parametrize("form", DATES)
def test_dates_in_any_order_go_on_over_midnight(form: str, tmp_path: Path) -> None:
    stamps = [(BEGIN + timedelta(seconds=time)).strftime(form) for time in TIMES.tolist()]
    separator = ";" if "," in form else ","
    info, parts = read(tmp_path / "a.csv", f"Datum{separator}x{separator}y\n" + "".join(rows(stamps, separator)))
    assert (info.rate_hz, info.names, gaps(parts)) == (RATE_HZ, ("x", "y"), [])
    assert info.time_ns == (round(BEGIN.timestamp() * 1e9) if DATES[form] else 0)
    whole(parts)


@pytest.mark.parametrize(("day", "told"), [(13, True), (5, False)])
def test_where_nothing_tells_day_from_month_the_start_is_left_out(day: int, told: bool, tmp_path: Path) -> None:  # noqa: FBT001
    begin = datetime(2024, 3, day, 12, 0, 0, tzinfo=UTC)
    stamps = [(begin + timedelta(seconds=time)).strftime("%d/%m/%Y %H:%M:%S.%f") for time in TIMES.tolist()]
    info, _ = read(tmp_path / "a.csv", "date,x,y\n" + "".join(rows(stamps)))
    assert (info.rate_hz, info.time_ns) == (RATE_HZ, round(begin.timestamp() * 1e9) if told else 0)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (HEADING, HEADING),
        (HEADING, "\n" + HEADING),
        (HEADING, "time, x, y\n"),
        (HEADING, '"time","x","y"\n'),
        ("time,x,y\ns,g,g\n", "time,x,y\ns,g,g\n"),
        ("Device: A\nRate: 1000 Hz\n" + HEADING, "Device: A\nRate: 1000 Hz\n" + HEADING),
    ],
)
def test_a_heading_that_comes_again_is_no_row(first: str, again: str, tmp_path: Path) -> None:
    lines = rows(seconds())
    info, parts = read(tmp_path / "a.csv", first + "".join(lines[:700]) + again + "".join(lines[700:]))
    assert (info.rate_hz, gaps(parts)) == (RATE_HZ, [])
    whole(parts)


@pytest.mark.parametrize("jitter", [0.0, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("digits", [3, 6])
def test_a_clock_that_jitters_is_no_gap_and_a_lost_sample_is_one(jitter: float, digits: int, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    late = np.zeros(N)
    late[400:] += 1 / RATE_HZ
    late[900:] += 0.25
    for missing in (np.zeros(N), late):
        times = np.round(TIMES + missing + random.normal(0, jitter / RATE_HZ, N), digits)
        info, parts = read(tmp_path / "a.csv", HEADING + "".join(rows(seconds(times, digits))))
        assert info.rate_hz == RATE_HZ
        found = gaps(parts)
        if missing.any():
            assert len(found) == 2
            np.testing.assert_allclose(found, [400, 900], atol=3)
        else:
            assert found == []
        whole(parts)


def test_rows_that_share_a_time_are_a_burst_and_no_gap(tmp_path: Path) -> None:
    times = np.floor(np.arange(N) / 20) * 0.02
    info, parts = read(tmp_path / "a.csv", HEADING + "".join(rows(seconds(times, 3))))
    assert (info.rate_hz, gaps(parts)) == (RATE_HZ, [])
    times[700:] += 3.0
    assert gaps(read(tmp_path / "b.csv", HEADING + "".join(rows(seconds(times, 3))))[1]) == [700]


@pytest.mark.parametrize(
    ("name", "unit_s"), [("ms", 1e-3), ("millis", 1e-3), ("micros", 1e-6), ("time_us", 1e-6), ("t (ms)", 1e-3)]
)
def test_a_unit_in_a_name_is_used(name: str, unit_s: float, tmp_path: Path) -> None:
    times = [str(round(time / unit_s)) for time in TIMES]
    info, _ = read(tmp_path / "a.csv", f"{name},x,y\n" + "".join(rows(times)))
    assert (info.rate_hz, info.names) == (RATE_HZ, ("x", "y"))


def test_whole_numbers_of_no_unit_tell_gaps_and_no_rate(tmp_path: Path) -> None:
    counts = np.arange(N)
    counts[500:] += 40
    text = "timestamp,x,y\n" + "".join(rows([str(count) for count in counts]))
    info, _ = read(tmp_path / "a.csv", text)
    assert (info.rate_hz, info.names) == (None, ("x", "y"))
    info, parts = read(tmp_path / "a.csv", text, rate_hz=250.0)
    assert (info.rate_hz, info.rate_from, gaps(parts)) == (250.0, "option", [500])


def test_a_line_that_is_damaged_is_still_no_heading(tmp_path: Path) -> None:
    lines = rows(seconds())
    with pytest.raises(RecordingError, match="mend that line"):
        read(tmp_path / "a.csv", HEADING + "".join(lines[:700]) + "time,x,z\n" + "".join(lines[700:]))


@pytest.mark.parametrize("time", ["back", "still"])
def test_a_time_that_does_not_go_forward_is_no_channel(time: str, tmp_path: Path) -> None:
    said = seconds(TIMES[::-1]) if time == "back" else ["0.1"] * N
    info, parts = read(tmp_path / "a.csv", HEADING + "".join(rows(said)), rate_hz=RATE_HZ)
    assert info.names == ("x", "y")
    assert [use.use for use in info.columns] == ["unused", "channel", "channel"]
    whole(parts)


def test_a_time_with_one_step_back_is_the_time(tmp_path: Path) -> None:
    said = seconds()
    said[30] = "-5"
    info, _ = read(tmp_path / "a.csv", HEADING + "".join(rows(said)))
    assert (info.names, info.rate_hz) == (("x", "y"), RATE_HZ)


def test_commas_within_numbers_do_not_cut_them(tmp_path: Path) -> None:
    text = "t;x\n" + "".join(f"{number / 1000:.3f};1.{number:03d},5\n".replace("0.", "0,", 1) for number in range(99))
    with pytest.raises(RecordingError, match="no column of samples"):
        read(tmp_path / "a.csv", text)


@pytest.mark.parametrize(("steps", "rate_hz"), [([1.0, 100.0], 1.0), ([0.0, 0.2], 10.0)])
def test_times_of_which_half_of_the_steps_are_long_have_a_rate(steps: list[float], rate_hz: float) -> None:
    """None is near to the median, which lies between the two kinds."""
    clock = clock_of(np.cumsum([0.0, *steps * 20]), 0.1)
    assert clock is not None
    assert clock.rate_hz == pytest.approx(rate_hz, rel=0.1)
