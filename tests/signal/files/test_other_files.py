"""WAV, CSV and MATLAB files are played as recordings, and what they do not say themselves has to be told."""

from __future__ import annotations

import re
import struct
import wave
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from scipy.io import savemat, wavfile

from edgetune_signal import RecordingError, SourceEnded, SourceError, SourceOptionsError, StreamSpec, open_source
from edgetune_signal.files import ReadOptions, open_file, whole_recording
from edgetune_signal.sources.conformance import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_signal import Recording, Source
    from edgetune_signal.stream.types import Samples

NOISE = np.random.default_rng(0).uniform(-1, 0.5, (2, 600))
SPEC = StreamSpec(2, 1000.0, "g")


def write(folder: Path, kind: str) -> dict[str, Any]:
    """Write the ramp as a file of a kind, and give the options that play it."""
    path = folder / f"ramp.{kind.partition(' ')[0]}"
    told: dict[str, Any] = {"rate_hz": 1000}
    match kind:
        case "wav":
            wavfile.write(path, 1000, (NOISE.T * 32768).astype(np.int16))
            told = {"full_scale": 1.0}
        case "csv":
            np.savetxt(path, NOISE.T, delimiter=",", header="x,y", comments="")
        case "mat":
            savemat(path, {"vibration": NOISE.T, "other": "text"})
            told |= {"variable": "vibration"}
    return {"path": str(path), "speed": 0, **told}


def read(path: Path, **said: Any) -> Recording:
    return whole_recording(path, open_file(path, ReadOptions(**said)))


def played(source: Source) -> Samples:
    samples = []
    with closing(source):
        try:
            while (chunk := source.read(30.0)) is not None:
                samples.append(chunk.samples)
        except SourceEnded:
            pass
    return np.concatenate(samples, axis=1)


KINDS = ["wav", "csv", "mat"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_keeps_the_contract(
    kind: str, check: Callable[[Callable[[], Source]], None], tmp_path: Path
) -> None:
    options = write(tmp_path, kind)
    check(lambda: open_source("replay", SPEC, options))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_played_whole(kind: str, tmp_path: Path) -> None:
    options = write(tmp_path, kind)
    np.testing.assert_allclose(played(open_source("replay", SPEC, options)), NOISE, atol=1 / 32768)


def test_a_folder_may_hold_files_of_every_kind(tmp_path: Path) -> None:
    options: dict[str, Any] = {}
    for kind in KINDS:
        options |= write(tmp_path, kind)
        (tmp_path / f"ramp.{kind}").rename(tmp_path / f"{kind}_ramp.{kind.upper()}")
    options |= {"path": str(tmp_path), "loop": True}
    with closing(open_source("replay", SPEC, options)) as source:
        for name in ("mat_ramp", "wav_ramp", "csv_ramp"):
            source.select(name)
            chunk = source.read(30.0)
            assert chunk is not None
            np.testing.assert_allclose(chunk.samples, NOISE[:, :20], atol=1 / 32768)


def test_two_recordings_of_one_name_are_refused_for_nobody_could_say_which_is_meant(tmp_path: Path) -> None:
    options = write(tmp_path, "wav") | write(tmp_path, "csv") | {"path": str(tmp_path)}
    with pytest.raises(SourceOptionsError, match=r"two recordings 'ramp': rename ramp\.csv or ramp\.wav"):
        open_source("replay", SPEC, options)
    (tmp_path / "ramp.csv").unlink()
    np.testing.assert_allclose(played(open_source("replay", SPEC, options)), NOISE, atol=1 / 32768)


@pytest.mark.parametrize(("kind", "missing"), [("wav", "full_scale"), ("csv", "rate_hz"), ("mat", "rate_hz")])
def test_what_a_file_does_not_say_is_asked_for_with_its_name(kind: str, missing: str, tmp_path: Path) -> None:
    options = write(tmp_path, kind)
    del options[missing]
    with pytest.raises(SourceOptionsError, match=rf"{missing} is missing: .*ramp\.{kind}"):
        open_source("replay", SPEC, options)
    np.savez(tmp_path / "a.npz", samples=NOISE.astype(np.float32), rate_hz=1000, label="a")
    with closing(open_source("replay", SPEC, options | {"path": str(tmp_path)})) as source:
        assert source.read(30.0) is not None  # a file that is not played may lack what it likes


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_rate_is_refused(kind: str, tmp_path: Path) -> None:
    options = write(tmp_path, kind)
    with pytest.raises(SourceOptionsError, match="1000 Hz where the stream has 2000"):
        open_source("replay", StreamSpec(2, 2000.0, "g"), options)


def test_a_file_in_volts_from_a_faster_recorder_is_converted(tmp_path: Path) -> None:
    ramp = np.linspace(-1, 0.5, 1200).reshape(2, 600)
    np.savetxt(tmp_path / "ramp.csv", ramp.T, delimiter=",", header="x,y", comments="")
    told = {"path": str(tmp_path / "ramp.csv"), "speed": 0, "rate_hz": 1000, "columns": ["x", "y"]}
    options = told | {"sensor_rate_hz": 1000, "sensor_unit": "V", "sensitivity": 0.1}
    samples = played(open_source("replay", StreamSpec(2, 500.0, "g"), options))
    assert samples.shape[1] == pytest.approx(300 - 54, abs=5)
    slope = np.diff(samples[0]).mean()
    assert slope == pytest.approx(10 * 2 * (ramp[0, 1] - ramp[0, 0]), rel=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_full_scale_is_the_same_for_every_type_of_sample(dtype: type, tmp_path: Path) -> None:
    path = tmp_path / "half.wav"
    top = {np.uint8: 128 + 64, np.int16: 1 << 14, np.int32: 1 << 30}.get(dtype, 0.5)
    wavfile.write(path, 8000, np.full(50, top, dtype))
    recording = read(path, full_scale=50.0, unit="m/s2")
    np.testing.assert_array_equal(recording.samples, np.full((1, 50), 25.0, np.float32))
    assert (recording.rate_hz, recording.unit, recording.label) == (8000.0, "m/s2", "half")


def test_24_bits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "quarter.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(48000)
        file.writeframes(struct.pack("<i", -(1 << 21))[:3] * 20)
    np.testing.assert_array_equal(read(path, full_scale=4.0, unit="g").samples, np.full((1, 20), -1.0))


def test_a_number_that_is_too_large_is_named(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "large.wav", 8000, np.full(50, 1e300))
    with pytest.raises(RecordingError, match=r"large\.wav: a value after row 0 is infinite"):
        read(tmp_path / "large.wav", full_scale=1.0, unit="g")


@pytest.mark.parametrize("kept", [0, 10, 30, 43, 100, 2000])
def test_a_wav_file_that_is_cut_off_is_refused_by_name(kept: int, tmp_path: Path) -> None:
    write(tmp_path, "wav")
    path = tmp_path / "ramp.wav"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RecordingError, match=r"ramp\.wav: "):
        read(path, full_scale=1.0, unit="g")


def rows(path: Path, text: str, columns: tuple[str, ...] = ()) -> list[list[float]]:
    path.write_text(text, encoding="utf-8")
    recording = read(path, rate_hz=10.0, columns=columns)
    return [[float(value) for value in channel] for channel in recording.samples]


@pytest.mark.parametrize(
    "text",
    [
        "1,4\n2,5\n3,6\n",
        "x;y\n1,0;4,0\n2,0;5,0\n3,0;6,0\n",
        "# logger 7\n\na x\n1 4\n2\t5\n3 6",
        "\ufeff1\t4\r\n2\t5\r\n3\t6\r\n",
    ],
)
def test_csv_files_of_every_habit_are_read(text: str, tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", text) == [[1, 2, 3], [4, 5, 6]]


def test_columns_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    text = 'Logger 7, 2026\n"time s",x,y\n0.0,1,4\n0.1,2,5\n'
    assert rows(tmp_path / "a.csv", text, ("y", "x")) == [[4, 5], [1, 2]]
    assert rows(tmp_path / "a.csv", text, ("2",)) == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("1,2\n", ("x", "2"), "has no column 'x': choose some of 1, 2, or of 1 to 2"),
        ("t,x\n1,2\n", ("t", "y"), "has no column 'y': choose some of t, x, or of 1 to 2"),
        ("1,2\n", ("1", "1"), "a column is asked for twice"),
        ("1,2\n" * 500 + "3,x\n", (), "line 501, column 2: 'x' is no number: mend that line"),
        ("1,2\n3\n" + 8 * "4,5\n", (), "samples are missing before row 3: edgetune import cuts it there"),
        ("1,2\nnan,4\n5,6\n", (), "samples are missing before row 3"),
        ("1,2\ninf,4\n", (), "a value near line 2 is infinite"),
        ("a,b\nc,d\n", (), "none of its first 2 lines is a row of numbers; the first reads 'a,b'"),
        ("", (), "none of its first 0 lines is a row of numbers"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused_with_what_to_do(
    text: str, columns: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError) as caught:
        rows(tmp_path / "a.csv", text, columns)
    assert str(caught.value).startswith(f"{tmp_path / 'a.csv'}: ")
    assert re.search(message, str(caught.value)), str(caught.value)


@given(content=st.binary(max_size=200))
@example(content=b"PK\x05\x06")
@example(content=b"PK\x03\x04")
@example(content=b"\x93NUMPY\x01\x00\x06\x00  a\n b")
@example(content=b"\xc4\xb1nf\n")
@example(content=b"inf\ninf\n")
@example(content=b"1e308\n-1e308\n")
@example(content=b"\x93NUMPY\x01\x00\x04\x00{'a'")
def test_any_bytes_are_a_recording_or_a_recording_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    for found in (
        path,
        path.with_suffix(".wav"),
        path.with_suffix(".mat"),
        path.with_suffix(".npy"),
    ):
        path.rename(found)
        path = found
        with suppress(RecordingError):
            assert np.isfinite(read(path, rate_hz=10.0).samples).all()


@pytest.mark.parametrize("shape", [(2, 600), (600, 2)])
def test_a_matlab_variable_may_lie_either_way(shape: tuple[int, int], tmp_path: Path) -> None:
    values = NOISE if shape == (2, 600) else NOISE.T
    savemat(tmp_path / "a.mat", {"v": values})
    recording = read(tmp_path / "a.mat", variable="v", rate_hz=10.0)
    np.testing.assert_allclose(recording.samples, NOISE, rtol=1e-6)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("speed", r"has no signal named 'speed': set variable to one of v \(600 x 2\), cell\.a \(1 x 40\)"),
        ("text", "has no signal named 'text'"),
        (None, r"holds several signals: choose one \(variable\) of v \(600 x 2\), cell\.a"),
    ],
)
def test_a_matlab_variable_that_does_not_fit_is_refused_with_what_to_do(
    variable: str | None, message: str, tmp_path: Path
) -> None:
    savemat(tmp_path / "a.mat", {"v": NOISE.T, "text": "hello", "cell": {"a": np.arange(40.0)}})
    with pytest.raises(RecordingError, match=message):
        read(tmp_path / "a.mat", variable=variable, rate_hz=10.0)


def test_a_broken_file_is_refused_while_another_plays_on(tmp_path: Path) -> None:
    options = write(tmp_path, "csv") | {"path": str(tmp_path), "loop": True, "full_scale": 1.0}
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    with closing(open_source("replay", SPEC, options)) as source:
        with pytest.raises(SourceError, match=r"recording 'torn' cannot be played: .*torn\.wav"):
            source.select("torn")
        assert source.read(30.0) is not None


def test_a_damaged_xdf_file_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyxdf")
    (tmp_path / "a.xdf").write_bytes(b"XDF:" + b"\xff" * 60)
    with pytest.raises(RecordingError, match="is damaged"):
        open_file(tmp_path / "a.xdf", ReadOptions())
    assert capfd.readouterr().err == ""


def test_a_header_that_numpy_has_no_words_for_is_told_with_what_to_do(tmp_path: Path) -> None:
    header = b"-" * 7000 + b"1"
    path = tmp_path / "deep.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(
        RecordingError, match=r"deep\.npy: cannot be read as a \.npy array of numbers: \w.*; write it anew"
    ):
        read(path, rate_hz=10.0)
