"""``edgetune import`` and ``edgetune export``: what people have becomes recordings, and back."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from killing import killer

from edgetune_signal import RecordingError, load_dataset, read_recording
from edgetune_signal.files import StagedFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE_HZ = 500
RANDOM = np.random.default_rng(0)


@pytest.fixture
def edgetune(cli: Callable[..., Any]) -> Callable[..., Any]:
    def run(*words: str, code: int = 0) -> Any:
        done = cli(*words)
        assert done.code == code, done.err + done.out
        return done

    return run


@pytest.fixture
def imported(edgetune: Callable[..., Any]) -> Callable[..., Any]:
    def run(*words: str, code: int = 0) -> Any:
        return json.loads(edgetune("import", *words, "--json", code=code).out)

    return run


def write(path: Path, rows: int = 300, extra: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [f",{extra if row < rows // 2 else 'normal'}" if extra else "" for row in range(rows)]
    lines = [f"{row / RATE_HZ:.4f},{RANDOM.normal():.5f}{labels[row]}" for row in range(rows)]
    lines.insert(0, "t,x [g],state" if extra else "t,x [g]")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def test_a_folder_a_class_becomes_recordings_that_a_search_takes(tmp_path: Path, imported: Any) -> None:
    for class_ in ("normal", "inner"):
        for number in range(3):
            write(tmp_path / "files" / class_ / f"run{number}.csv")
    said = imported(str(tmp_path / "files"), "--label-from", "folder", "--out", str(tmp_path / "out"))
    assert said["refused"] == []
    assert {(each["label"], each["rate_hz"], each["channels"], each["samples"]) for each in said["recordings"]} == {
        ("normal", 500.0, 1, 300),
        ("inner", 500.0, 1, 300),
    }
    assert {each["name"] for each in said["recordings"]} == {
        f"{c}-run{n}" for c in ("normal", "inner") for n in range(3)
    }
    held = {
        each: read_recording(tmp_path / "out" / f"{each}.npz").held_out_from for each in ("inner-run0", "inner-run2")
    }
    assert held == {"inner-run0": 300, "inner-run2": 0}  # the last of three takes is for testing
    dataset = load_dataset(tmp_path / "out", window=50)
    assert (dataset.classes, dataset.unit) == (("inner", "normal"), "g")
    direct = load_dataset(tmp_path / "files", window=50)
    np.testing.assert_array_equal(np.sort(direct.x, axis=0), np.sort(dataset.x, axis=0))


def test_a_dry_run_shows_what_would_be_made_and_writes_nothing(
    tmp_path: Path, edgetune: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "inner-race-at-full-load.csv"
    write(path)
    shown = edgetune("import", str(path), "--label", "normal", "--dry-run").out
    assert "t: time" in shown
    assert "500" in shown
    assert "…" not in shown  # names that differ at their end stay apart
    assert "1 recordings would be made, 0 files refused" in shown
    assert list(tmp_path.iterdir()) == [path]


def test_a_column_of_labels_cuts_a_file_and_an_option_wins_over_it(
    tmp_path: Path, edgetune: Any, imported: Any
) -> None:
    write(tmp_path / "a.csv", extra="inner")
    said = imported(str(tmp_path / "a.csv"), "--label-from", "column", "--out", str(tmp_path / "out"))
    assert [(each["label"], each["samples"]) for each in said["recordings"]] == [("inner", 150), ("normal", 150)]
    assert read_recording(tmp_path / "out" / "a-001.npz").label == "normal"
    words = (
        "import",
        str(tmp_path / "a.csv"),
        "--label-from",
        "column:state",
        "--label",
        "outer",
        "--dry-run",
        "--json",
    )
    done = edgetune(*words)
    assert "--label outer wins over --label-from column:state" in done.err
    assert [each["label"] for each in json.loads(done.out)["recordings"]] == ["outer"]


def test_names_by_a_pattern_and_a_table_say_class_condition_and_person(tmp_path: Path, imported: Any) -> None:
    write(tmp_path / "anna_fist_1.csv")
    write(tmp_path / "ben_open_1.csv")
    said = imported(str(tmp_path), "--pattern", "{subject}_{label}_{skip}", "--out", str(tmp_path / "out"))
    assert {each["label"] for each in said["recordings"]} == {"fist", "open"}
    assert read_recording(tmp_path / "out" / "anna_fist_1.npz").subject == "anna"
    table = tmp_path / "labels.tsv"
    table.write_text("file;label;condition\nanna_fist_1.csv;inner;1500rpm\n", encoding="ascii")
    [only] = imported(str(tmp_path), "--table", str(table), "--out", str(tmp_path / "other"))["recordings"]
    assert (only["label"], only["condition"]) == ("inner", "1500rpm")


def test_a_file_that_cannot_be_read_is_named_with_its_line_and_the_others_are_imported(
    tmp_path: Path, imported: Any
) -> None:
    write(tmp_path / "good.csv", 600)
    bad = (tmp_path / "good.csv").read_text(encoding="ascii").splitlines()
    bad[501] = "0.9,oops"
    (tmp_path / "bad.csv").write_text("\n".join(bad), encoding="ascii")
    said = imported(str(tmp_path), "--label", "normal", "--out", str(tmp_path / "out"), code=1)
    assert [each["name"] for each in said["recordings"]] == ["good"]
    [refused] = said["refused"]
    assert (refused["file"], refused["line"]) == (str(tmp_path / "bad.csv"), 502)
    assert "'oops' is no number" in refused["reason"]
    assert "mend that line" in refused["advice"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.npz"]


def test_a_signal_with_a_gap_is_cut_there_and_stays_one_group(tmp_path: Path, imported: Any) -> None:
    write(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text(encoding="ascii").splitlines()
    lines[101] = lines[101].partition(",")[0] + ","
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="ascii")
    [only] = imported(str(tmp_path / "a.csv"), "--label", "normal", "--out", str(tmp_path / "out"))["recordings"]
    assert (only["samples"], only["gaps"]) == (300, 1)
    parts = [read_recording(tmp_path / "out" / name) for name in only["files"]]
    assert [(part.samples.shape[1], part.group) for part in parts] == [(100, "a"), (199, "a")]


def test_what_is_there_is_not_overwritten_and_nothing_half_done_is_left(tmp_path: Path, imported: Any) -> None:
    write(tmp_path / "a.csv")
    words = (str(tmp_path / "a.csv"), "--label", "normal", "--out", str(tmp_path / "out"))
    imported(*words)
    before = (tmp_path / "out" / "a.npz").read_bytes()
    said = imported(*words, code=1)
    assert "is there already" in said["refused"][0]["reason"]
    assert (tmp_path / "out" / "a.npz").read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "wav", "mat"])
def test_a_recording_goes_out_and_comes_back(kind: str, tmp_path: Path, edgetune: Any, imported: Any) -> None:
    write(tmp_path / "a.csv")
    imported(str(tmp_path / "a.csv"), "--label", "normal", "--out", str(tmp_path / "out"))
    edgetune("export", str(tmp_path / "out" / "a.npz"), "--format", kind, "--out", str(tmp_path / f"back.{kind}"))
    told = ("--full-scale", "1", "--unit", "g") if kind == "wav" else ()
    imported(str(tmp_path / f"back.{kind}"), "--label", "normal", "--out", str(tmp_path / "again"), *told)
    first, again = read_recording(tmp_path / "out" / "a.npz"), read_recording(tmp_path / "again" / "back.npz")
    np.testing.assert_allclose(again.samples, first.samples, rtol=1e-6)
    assert (again.rate_hz, again.unit) == (first.rate_hz, first.unit)


def test_an_export_is_told_as_json_and_leaves_nothing_where_it_fails(
    tmp_path: Path, edgetune: Any, imported: Any
) -> None:
    write(tmp_path / "a.csv")
    imported(str(tmp_path / "a.csv"), "--label", "normal", "--out", str(tmp_path / "out"))
    source, target = tmp_path / "out" / "a.npz", tmp_path / "b.mat"
    words = ("export", str(source), "--format", "mat", "--out", str(target), "--json")
    said = json.loads(edgetune(*words).out)
    assert said == {"file": str(target), "format": "mat", "bytes": target.stat().st_size}
    assert "is there already" in json.loads(edgetune(*words, code=1).out)["error"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.mat", "out"]


def test_without_a_rate_or_a_class_the_option_is_named(tmp_path: Path, edgetune: Any, imported: Any) -> None:
    np.savetxt(tmp_path / "a.asc", RANDOM.normal(0, 1, (300, 2)))
    [refused] = imported(str(tmp_path / "a.asc"), "--label", "normal", "--dry-run", code=1)["refused"]
    assert (refused["reason"], refused["advice"]) == ("does not say its rate", "give it (--rate-hz)")
    [refused] = imported(str(tmp_path / "a.asc"), "--rate-hz", "500", "--dry-run", code=1)["refused"]
    assert refused["reason"] == "nothing says its class"
    done = edgetune("import", str(tmp_path / "a.asc"), code=1)
    assert "--out is missing" in done.err


@pytest.mark.parametrize("dry", [True, False])
def test_a_file_of_too_few_samples_is_refused_and_not_called_made(dry: bool, tmp_path: Path, imported: Any) -> None:  # noqa: FBT001
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n", encoding="ascii")
    words = (str(tmp_path / "a.csv"), "--label", "normal", "--rate-hz", "100", "--out", str(tmp_path / "out"))
    said = imported(*words, *(["--dry-run"] if dry else []), code=1)
    assert said["recordings"] == []
    assert "no 16 samples of a class follow one another" in said["refused"][0]["reason"]
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_an_import_that_is_killed_at_any_step_leaves_nothing_that_hinders_the_next(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "files" / f"normal{number}.csv", 40)
    out = tmp_path / "out"
    words = ("import", str(tmp_path / "files"), "--label-from", "name", "--out", str(out))
    names = [f"normal{number}.npz" for number in range(3)]
    killed = 0
    with killer() as run:
        for step in itertools.count(1):
            shutil.rmtree(out, ignore_errors=True)
            code = run.run(step, *words)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
            whole = sorted(path.name for path in out.glob("*.npz"))
            made = whole == names and not list(out.glob(".import-*/placing"))
            assert all(read_recording(out / name).samples.shape == (1, 40) for name in whole)
            assert run.run(0, *words) == (1 if made else 0)  # what is made is not overwritten
            assert sorted(path.name for path in out.iterdir()) == names
    assert killed > 20


def test_two_imports_into_one_folder_do_not_meet(tmp_path: Path, edgetune: Any) -> None:
    write(tmp_path / "a.csv")
    with StagedFolder(tmp_path / "out") as folder:
        folder.path("b.npz").write_bytes(b"not yet")
        assert not list((tmp_path / "out").glob("*.npz"))
        done = edgetune("import", str(tmp_path / "a.csv"), "--label", "x", "--out", str(tmp_path / "out"), code=1)
        assert "another import is writing into it: wait until it ends" in done.err
    assert not (tmp_path / "out").exists()


def test_what_an_import_has_not_done_is_no_data(tmp_path: Path) -> None:
    with StagedFolder(tmp_path) as folder:
        write(folder.path("a.csv"))
        with pytest.raises(RecordingError, match="holds no file that can be read"):
            load_dataset(tmp_path, window=50)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.csv," + "x" * 200_000, "is no table"),
        ("y" * 5000 + ",normal", "is not in"),
        ("a.csv,normal\na.csv,inner", "line 3 has 'inner' for a.csv"),
    ],
)
def test_a_table_that_is_wrong_is_refused_in_one_line(row: str, told: str, tmp_path: Path, imported: Any) -> None:
    write(tmp_path / "files" / "a.csv")
    (tmp_path / "table.csv").write_text(f"file,label\n{row}\n", encoding="ascii")
    said = imported(str(tmp_path / "files"), "--table", str(tmp_path / "table.csv"), "--dry-run", code=1)
    assert told in said["error"]
    assert len(said["error"]) < 1000


@pytest.mark.parametrize("class_", ["a\nb", "a\x1bb", "x" * 201])
def test_a_class_that_no_screen_can_show_is_refused(class_: str, tmp_path: Path, imported: Any) -> None:
    write(tmp_path / "a.csv")
    said = imported(str(tmp_path / "a.csv"), "--label", class_, "--dry-run", code=1)
    assert "is no class" in said["refused"][0]["reason"]


@pytest.mark.parametrize(
    "words",
    [
        ("import", "--json"),
        ("import", "x", "--bogus", "--json"),
        ("ping", "--json"),
        ("backup", "--config", "none.toml", "--json"),
        ("import", "nothing", "--label", "a", "--dry-run", "--json"),
    ],
)
def test_a_command_that_fails_prints_one_json_object(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgetune_node", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {1, 2}
    assert list(json.loads(done.stdout)) == ["error"]
