"""``edgetune search`` makes a bundle under budgets in a child process, and answers mistakes in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import typer

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import ModelCard
from edgetune_node.cli.local.healthy_class import without_healthy_class
from edgetune_node.cli.local.search import _folders
from edgetune_node.demo.broker import wait_until
from edgetune_node.terminal.sizes import parse_seconds, parse_seconds_or_none
from edgetune_signal import BearingSimulator, Recording, write_recording

EDGETUNE = [sys.executable, "-m", "edgetune_node"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
KEYS = {
    "bundle",
    "accuracy",
    "arena_bytes",
    "streamed_bytes",
    "flash_bytes",
    "macs",
    "parameters",
    "candidates",
    "trained",
    "seconds",
    "cpu_seconds",
    "peak_rss_bytes",
    "deployed",
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a simulated bearing in each of three conditions."""
    folder = tmp_path_factory.mktemp("recordings")
    for label, condition in {"normal": "normal", "inner": "inner_severe", "outer": "outer_severe"}.items():
        samples = BearingSimulator(condition=condition, seed=1).generate(48_000)
        write_recording(folder / f"{label}.npz", Recording(samples, 12_000.0, label, unit="g"))
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDGETUNE, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=ENVIRONMENT,
    )


def windows_file(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    content = {
        "x": rng.normal(size=(40, 1, 64)).astype(np.float32),
        "label": np.arange(40) % 2,
        "classes": np.array(["a", "b"]),
        "rate_hz": 1000.0,
    }
    np.savez(path, **{**content, **changes})
    return path


@pytest.mark.parametrize(
    ("classes", "kind", "said"),
    [
        (["normal", "inner"], "classes", None),
        (["good", "inner"], "classes", "no class is 'normal'"),
        (["normal"], "health", None),
        (["inner"], "health", "this health model takes 'inner' for health"),
    ],
)
def test_faults_without_a_healthy_class_are_told_with_what_to_do(
    classes: list[str], kind: Any, said: str | None
) -> None:
    told = without_healthy_class(ModelCard.model_construct(task="fault", classes=classes, kind=kind))
    assert (told is None) == (said is None)
    if said is not None:
        assert told is not None
        assert told.startswith(said)
        assert "rest_class" in told
    assert without_healthy_class(ModelCard.model_construct(task="sign", classes=classes, kind=kind)) is None


@pytest.mark.slow
def test_a_search_says_that_no_class_is_healthy_and_evaluate_takes_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat([1.0, 5.0], 60)[:, None, None]
    x = (loud * rng.normal(size=(120, 1, 64))).astype(np.float32)
    data = windows_file(tmp_path / "w.npz", x=x, label=np.repeat([0, 1], 60), classes=np.array(["good", "inner"]))
    ended = run("search", data, "--time", "5s", "--out", tmp_path / "out", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert "no class is 'normal'" in ended.stderr
    assert found["warning"] in ended.stderr
    silent = run("evaluate", found["bundle"], data, "--json")
    assert "--healthy CLASS" in silent.stderr
    assert {each["alarmed"] for each in json.loads(silent.stdout)["by_class"]} == {None}
    named = run("evaluate", found["bundle"], data, "--healthy", "good", "--json")
    assert "--healthy" not in named.stderr
    alarmed = {each["name"]: each["alarmed"] for each in json.loads(named.stdout)["by_class"]}
    assert alarmed["inner"] > alarmed["good"]


@pytest.mark.slow
def test_a_search_ends_with_a_bundle_within_its_budgets(recordings: Path, tmp_path: Path) -> None:
    options = ["--window", 512, "--ram", "4KiB", "--flash", "32KiB", "--macs", "1e6", "--time", "12s"]
    ended = run("search", recordings, *options, "--out", tmp_path / "out", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert set(found) >= KEYS
    assert found["arena_bytes"] <= 4096
    assert found["flash_bytes"] <= 32_768
    assert found["macs"] <= 1_000_000
    assert found["accuracy"] >= 0.9
    assert "candidates" in ended.stderr or "seen" in ended.stderr
    assert "warning: 12 s may be too short to train any network, so that only closed forms are tried" in ended.stderr
    card = load_bundle(Path(found["bundle"])).card
    assert card.cost.arena_bytes == found["arena_bytes"]
    evaluated = run("evaluate", found["bundle"], recordings, "--json")
    assert json.loads(evaluated.stdout)["accuracy"] >= 0.9
    assert json.loads(evaluated.stdout)["unknown_rate"] <= 0.05
    table = run("evaluate", found["bundle"], recordings).stdout
    assert "% unknown on" in table.splitlines()[0]
    again = run("search", recordings, *options[:-1], "13s", "--out", tmp_path / "out", "--json")
    assert again.returncode == 1
    assert "journal" in json.loads(again.stdout)["error"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: pip install 'edgetune[train]'")
def test_a_time_too_short_to_train_in_is_told_before_and_beside_the_figures(tmp_path: Path) -> None:
    ended = run("search", windows_file(tmp_path / "data.npz"), "--time", "9s", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert "warning: 9 s is too short to train networks" in ended.stderr
    shown = " ".join(ended.stdout.split())
    assert "0 trained in" in shown
    assert "stopped by time" in shown
    assert "no network was trained: 9 s are too short" in shown


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_interrupting_a_search_keeps_the_best_network_so_far(tmp_path: Path, how: signal.Signals) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4, 16_384)).astype(np.float32)  # takes minutes to converge on
    data = windows_file(tmp_path / "data.npz", x=x, label=np.arange(60) % 2)
    journal, log = tmp_path / "out" / "journal.jsonl", tmp_path / "stderr"
    command = [*EDGETUNE, "search", str(data), "--time", "1h", "--out", str(journal.parent), "--json"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=ENVIRONMENT) as search,
    ):
        assert wait_until(lambda: search.poll() is not None or results_in(journal) > 0, 120), log.read_text()
        children = psutil.Process(search.pid).children(recursive=True)
        search.send_signal(how)
        if how is signal.SIGHUP:  # a closed terminal may send it twice, which nobody means as giving up
            assert wait_until(lambda: "stopping" in log.read_text(), 120), log.read_text()
            search.send_signal(how)
        output, _ = search.communicate(timeout=120)
        assert search.returncode == 0, log.read_text()
    found = json.loads(output)
    assert found["stopped_by"] == "cancelled"
    assert Path(found["bundle"]).is_dir()
    assert not any(child.is_running() for child in children)


def results_in(journal: Path) -> int:
    """Count what a search has found so far; its journal begins with a header."""
    return len(journal.read_text().splitlines()) - 1 if journal.is_file() else 0


@pytest.mark.slow
def test_a_budget_that_nothing_fits_names_the_smallest_arena(recordings: Path, tmp_path: Path) -> None:
    options = ["--window", 512, "--time", "10s", "--out", tmp_path / "out", "--json"]
    ended = run("search", recordings, "--ram", 64, *options)
    assert ended.returncode == 1
    answer = json.loads(ended.stdout)
    assert 64 < answer["smallest_arena_bytes"] < 4096
    assert str(answer["smallest_arena_bytes"]) in answer["error"]
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"x": np.full((40, 1, 64), np.nan, np.float32)}, "not a finite number"),
        ({"x": np.zeros((40, 64), np.float32)}, "(windows, channels, length)"),
        ({"rate_hz": -1.0}, "rate_hz"),
        ({"label": np.arange(40)}, "classes has indices 0 to 1"),
    ],
)
def test_data_that_cannot_be_searched_are_named(cli: Any, tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    data = windows_file(tmp_path / "data.npz", **changes)
    ended = cli("search", data, "--time", "5s", "--out", tmp_path / "out", "--json")
    assert ended.code == 1
    assert named in json.loads(ended.out)["error"]


@pytest.mark.slow
def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    ended = run("search", tmp_path / "nowhere.npz", "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "nowhere.npz" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--ram", "much"],
        ["--mains-hz", "-50"],
        ["--time", "0"],
        ["--macs", "-3"],
        ["--task", "guess"],
        ["--window", "0"],
    ],
)
def test_wrong_options_are_wrong_usage(cli: Any, tmp_path: Path, options: list[str]) -> None:
    ended = cli("search", windows_file(tmp_path / "data.npz"), *options)
    assert ended.code == 2
    assert options[0] in ended.err


@pytest.mark.slow
def test_the_smallest_accurate_network_is_searched_and_a_hopeless_latency_is_told(
    recordings: Path, tmp_path: Path
) -> None:
    options = ["--window", 512, "--time", "10s", "--objective", "smallest", "--accuracy", 0.9, "--json"]
    options += ["--mains-hz", 60]
    ended = run("search", recordings, *options, "--latency", "1s", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    asked = {"objective": "smallest", "accuracy": 0.9, "latency_us": 1e6, "held": True}
    assert load_bundle(Path(found["bundle"])).card.notes["goal"] == asked
    assert found["arena_bytes"] <= 1024
    assert (found["notes"]["hum"]["mains_hz"], found["notes"]["hum"]["heard"]) == (60, False)
    hopeless = run("search", recordings, *options, "--latency", "1us", "--out", tmp_path / "hopeless")
    assert hopeless.returncode == 1
    assert "no network fits latency_us = 1; the smallest that would do" in json.loads(hopeless.stdout)["error"]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("2m", 120), ("1ms", 1e-3), ("250us", 250e-6)])
def test_times_are_read_as_people_type_them(text: str, seconds: float) -> None:
    assert parse_seconds(text) == parse_seconds_or_none(text) == pytest.approx(seconds)


def test_only_some_times_may_be_zero() -> None:
    assert parse_seconds_or_none("0s") == 0.0
    with pytest.raises(typer.BadParameter, match="must be more than zero"):
        parse_seconds("0s")


@pytest.mark.slow
def test_several_data_are_a_search_each_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    label = np.arange(60) % 2
    x = np.random.default_rng(1).normal(size=(60, 1, 64)) * (1 + label[:, None, None])
    good = [windows_file(tmp_path / f"{name}.npz", x=x.astype(np.float32), label=label) for name in ("press", "pump")]
    bad = windows_file(tmp_path / "bad.npz", rate_hz=-1.0)

    ended = run("search", good[0], bad, good[1], "--time", "8s", "--workers", 2, "--out", tmp_path / "out", "--json")

    first, failed, second = json.loads(ended.stdout)["results"]
    assert ended.returncode == 1
    assert [each["data"] for each in (first, failed, second)] == [str(good[0]), str(bad), str(good[1])]
    assert "rate_hz" in failed["error"]
    for each, name in ((first, "press"), (second, "pump")):
        assert Path(each["bundle"]).parent == (tmp_path / "out" / name).resolve()
        assert each["workers"] == 2
        assert each["speedup"] > 0
        assert each["tested_on"] == "later_in_the_same_recordings"  # nobody said what was recorded together


def test_data_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    data = [tmp_path / "a" / "x.npz", tmp_path / "b" / "x.npz", tmp_path / "y.npz"]
    assert _folders(data, tmp_path) == [tmp_path / "x", tmp_path / "x-2", tmp_path / "y"]
    assert _folders(data[:1], tmp_path) == [tmp_path]


def test_workers_here_and_on_a_cluster_are_wrong_usage(cli: Any, tmp_path: Path) -> None:
    data = windows_file(tmp_path / "data.npz")
    ended = cli("search", data, "--workers", 2, "--cluster", "tcp://127.0.0.1:1", "--out", tmp_path)
    assert ended.code == 2
    assert "not both" in ended.err


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="edgetune[cluster]")
    data = windows_file(tmp_path / "data.npz")
    ended = run("search", data, "--cluster", "tcp://127.0.0.1:1", "--out", tmp_path / "out", "--json")
    assert ended.returncode == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in json.loads(ended.stdout)["error"]


def test_recordings_need_a_window_length(cli: Any, recordings: Path) -> None:
    ended = cli("search", recordings)
    assert ended.code == 2
    assert "add how many samples a window has, --window 512" in " ".join(ended.err.replace("│", " ").split())
