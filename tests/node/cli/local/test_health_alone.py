"""Healthy recordings alone on the command line: searched, shown, verified, evaluated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def _record(folder: Path, label: str, impacts: float, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(1, 60_000)).astype(np.float32)
    samples[:, ::100] += impacts
    np.savez(folder / f"{label}-{seed}.npz", samples=samples, rate_hz=12_000.0, label=label, unit="g")


def test_healthy_recordings_alone_make_a_bundle_that_every_command_understands(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    healthy, asked = tmp_path / "healthy", tmp_path / "asked"
    _record(healthy, "normal", 0.0, 1)
    _record(asked, "normal", 0.0, 2)
    _record(asked, "inner", 12.0, 3)
    options = ("--window", "512", "--hop", "256", "--out", str(tmp_path / "models"))
    searched = cli("search", str(healthy), *options, "--false-alarms-per-month", "2", "--json")
    assert searched.code == 0, searched.err
    found = json.loads(searched.out)
    assert (found["kind"], found["accuracy"], found["classes"]) == ("health", None, ["normal"])
    assert found["false_alarms"] <= 0.01
    assert found["supported_per_month"] == pytest.approx(3 * 2_629_800 / found["healthy_seconds"], rel=0.01)
    bundle = found["bundle"]

    shown = cli("bundle", "show", bundle)
    assert shown.code == 0, shown.err
    assert "false alarms" in shown.out
    assert "rule out more than" in shown.out
    verified = json.loads(cli("bundle", "verify", bundle, "--json").out)
    assert verified["precisions"] == ["float", "int8"]
    assert verified["self_test_windows"] > 0
    assert "health model of normal" in cli("bundle", "list", str(tmp_path)).out
    picked = cli("bundle", "pick", bundle, "--arena", "720", "--out", str(tmp_path / "picked"))
    assert picked.code == 1
    assert "keeps no Pareto front" in picked.err

    evaluated = cli("evaluate", bundle, str(asked), "--json")
    assert evaluated.code == 0, evaluated.err
    figures = json.loads(evaluated.out)
    assert (figures["accuracy"], figures["seen_windows"]) == (None, 0)
    by_recording = {each["label"]: each for each in figures["by_recording"]}
    assert by_recording["normal"]["alarmed"] <= by_recording["normal"]["windows"] // 50
    assert by_recording["inner"]["alarmed"] == by_recording["inner"]["windows"]
    assert "over the limit" in cli("evaluate", bundle, str(asked)).out
    alone = json.loads(cli("evaluate", bundle, str(healthy / "normal-1.npz"), "--json").out)
    assert [each["name"] for each in alone["by_class"]] == ["normal"]


def test_a_series_of_snapshots_makes_a_health_model_and_is_evaluated(cli: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = (1000 * rng.normal(size=(60, 2, 2560))).astype(np.int16)
    series = tmp_path / "week1.npz"
    np.savez(series, samples=samples, scale=0.001, rate_hz=25_600.0, interval_s=600.0, unit="g")
    searched = cli("search", str(series), "--out", str(tmp_path / "models"), "--json")
    assert searched.code == 0, searched.err
    found = json.loads(searched.out)
    assert (found["kind"], found["classes"], found["healthy_seconds"]) == ("health", ["normal"], 6.0)
    samples[:, :, ::50] += 12_000
    worn = tmp_path / "week9.npz"
    np.savez(worn, samples=samples, scale=0.001, rate_hz=25_600.0, interval_s=600.0, unit="g", label="worn")
    figures = json.loads(cli("evaluate", found["bundle"], str(worn), "--json").out)
    (of,) = figures["by_recording"]
    assert (of["name"], of["label"], of["windows"], of["alarmed"]) == ("week9", "worn", 60, 60)


def test_one_sign_alone_is_refused_in_words_of_the_user(cli: Callable[..., Any], tmp_path: Path) -> None:
    _record(tmp_path / "takes", "fist", 0.0, 1)
    done = cli(
        "search", str(tmp_path / "takes"), "--window", "512", "--task", "sign", "--out", str(tmp_path / "models")
    )
    assert done.code == 1
    assert "telling apart takes two" in done.err
