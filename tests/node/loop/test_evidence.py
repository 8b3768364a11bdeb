"""A fault's signal, spectrum and history can be had from a running node, over a kill and by the command line."""

from __future__ import annotations

import csv
import json
import signal
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_signal_of_a_fault_is_kept_over_a_kill_and_sent_on_request(
    node: Callable[..., Any], bearing: str, calibrated: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    loop = node(bearing)
    loop.adopt(calibrated)
    loop.play("inner_severe")
    fault = loop.wait("fault", lambda found: found["active"] and found["class"] == "inner")
    told = loop.wait("spectrum", lambda found: found["event"] == fault["event"])
    assert (told["reason"], told["class"], told["severity"]) == ("raised", "inner", fault["severity"])
    assert 10 <= told["seconds"] <= 20
    assert len(json.dumps(told)) <= 4096

    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    job = loop.command("capture", event=fault["event"])
    done = loop.reply(job, "done")["detail"]
    parts: dict[int, dict[str, Any]] = {}
    while len(parts) < done["parts"]:
        message = loop.scada.wait_for(
            lambda found: (
                found.topic.endswith("resp/capture")
                and found.json()["id"] == job
                and found.json()["detail"].get("part", -1) not in {-1, *parts}
            )
        )
        assert len(message.payload) <= 65_536
        detail = message.json()["detail"]
        parts[detail["part"]] = detail
    data = b"".join(b64decode(parts[number]["data"]) for number in sorted(parts))
    samples = np.frombuffer(data, "<f4")
    answered = [each["status"] for each in loop.audit("answered") if each["command"] == "capture"]
    assert answered == ["accepted", "done"]
    assert samples.size == done["samples"] == round(told["seconds"] * 12_000)

    target = ("--broker", f"mqtt://127.0.0.1:{loop.broker.port}", "--node", "n1")
    out = tmp_path / "signal.npz"
    outcome = cli("capture", *target, "--event", fault["event"], "--out", str(out), "--json")
    assert outcome.code == 0, outcome
    kept = read_recording(out)
    assert np.array_equal(kept.samples[0], samples)
    assert (kept.label, kept.unit, kept.rate_hz) == ("inner", "g", 12_000)
    refused = cli("capture", *target, "--event", "e-none")
    assert (refused.code, "no signal is kept of 'e-none'" in refused.err) == (1, True)


def test_the_history_of_a_machine_is_there_at_once_and_after_a_restart(
    node: Callable[..., Any], bearing: str, calibrated: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    loop = node(bearing)
    loop.adopt(calibrated)
    loop.wait("vibration", lambda found: found["rms"][0] is not None)
    answer = loop.reply(loop.command("history"))
    assert (answer["status"], answer["detail"]["step"], answer["detail"]["rows"] >= 1) == ("done", "minute", True)
    before = loop.wait("health", lambda found: found["assets"][0]["healthy_seconds"])["assets"][0]
    loop.send(signal.SIGTERM)
    loop.ended()
    loop.forget()
    loop.start()
    after = loop.wait("health", lambda found: found["assets"][0]["healthy_seconds"])["assets"][0]
    assert after["healthy_seconds"] >= before["healthy_seconds"]
    assert (loop.data / "assets" / "bearing" / "heard.json").is_file()
    out = tmp_path / "trend.csv"
    target = ("--broker", f"mqtt://127.0.0.1:{loop.broker.port}", "--node", "n1")
    outcome = cli("history", *target, "--figures", "rms,kurtosis", "--out", str(out))
    assert outcome.code == 0, outcome
    with out.open(encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    assert header == ["time", "rms", "kurtosis"]
    assert 0 < float(first[1]) < 10
    assert float(first[2]) > 1
