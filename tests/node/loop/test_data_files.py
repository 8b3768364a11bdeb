"""Single files of the data folder are removed or overwritten under a running node: what docs/reference says of each."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from assets import ARM, BUDGET, CLASSES, RESTING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

GARBAGE = b"\xa5"


def about_the_folder(health: dict[str, Any]) -> str:
    return "".join(problem for problem in health["problems"] if "data_dir" in problem)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(GARBAGE * path.stat().st_size)


def quiet(loop: Any) -> dict[str, Any]:
    """Wait until the node has looked at its folder again, and see that it has nothing to tell of it."""
    loop.forget()
    loop.settle()
    health: dict[str, Any] = loop.wait("health", lambda _: True)
    assert about_the_folder(health) == ""
    return health


def again(loop: Any) -> None:
    """Kill the node, which shows what is on disk, and start it again."""
    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()


def remove_bundle(models: Path) -> str:
    used = (models / "current").resolve()
    used.rename(models.with_name("taken"))  # in one step, whenever the node looks
    return str(used)


def remove_network(models: Path) -> str:
    (models / "current" / "model.onnx").unlink()
    return str((models / "current").resolve() / "model.onnx")


def remove_link(models: Path) -> str:
    (models / "current").unlink()
    return str(models / "current")


def test_the_model_in_use_is_written_again_and_goes_on_where_it_is_overwritten(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    model = loop.adopt(calibrated)
    models = loop.data / "assets" / "bearing" / "models"
    for remove in (remove_link, remove_network, remove_bundle):
        gone = f"data_dir: {remove(models)} was removed while the node ran"
        health = loop.wait("health", lambda health, gone=gone: gone in about_the_folder(health))
        assert "made again with outbox, commands and 1 models in use" in about_the_folder(health)
        assert "nothing else that is in use is missing" in about_the_folder(health)
    again(loop)
    assert loop.wait("classification", lambda found: found["model"])["model"] == model
    overwrite(models / "current" / "model.onnx")
    quiet(loop)
    assert loop.wait("classification", lambda _: True)["model"] == model
    again(loop)
    state = loop.wait("state", lambda found: found["phase"] == "uncalibrated")
    assert "model.onnx" in state["reason"]


def test_a_note_of_the_wearer_is_written_again(node: Callable[..., Any]) -> None:
    loop = node(ARM + RESTING)
    loop.start()
    loop.reply(loop.command("profile", "arm", subject="ben"), "accepted")
    loop.wait("state", lambda state: state["subject"] == "ben")
    noted = loop.data / "assets" / "arm" / "wearer.json"
    noted.unlink()
    told = about_the_folder(loop.wait("health", lambda health: "made again" in about_the_folder(health)))
    assert f"data_dir: {noted} was removed while the node ran" in told
    assert "nothing else that is in use is missing" in told
    again(loop)
    assert loop.wait("state", lambda state: not state["historical"])["subject"] == "ben"


def test_another_bundle_that_is_damaged_is_named_when_it_is_wanted_and_one_that_is_removed_is_lost(
    node: Callable[..., Any], bearing: str, calibrated: Path
) -> None:
    loop = node(bearing)
    first = loop.adopt(calibrated)
    models = loop.data / "assets" / "bearing" / "models"
    other = loop.data / "incoming" / "other"
    shutil.copytree(models / f"model-{first}", other)
    card = json.loads((other / "card.json").read_bytes())
    (other / "card.json").write_text(json.dumps(card | {"id": f"{first[:-1]}{'0' if first[-1] != '0' else '1'}"}))
    second = loop.reply(loop.command("deploy", model="other"), "done")["detail"]["model"]
    assert second != first
    overwrite(models / f"model-{first}" / "model.onnx")
    quiet(loop)
    assert "model.onnx" in loop.reply(loop.command("deploy", model=first), "failed")["reason"]
    assert "model.onnx" in loop.reply(loop.command("rollback"), "failed")["reason"]
    shutil.rmtree(models / f"model-{first}")
    quiet(loop)
    assert "no previous model" in loop.reply(loop.command("rollback"), "failed")["reason"]
    assert f"no model is called '{first}'" in loop.reply(loop.command("deploy", model=first), "failed")["reason"]
    loop.forget()
    assert loop.wait("classification", lambda _: True)["model"] == second


def test_a_recording_that_is_damaged_is_named_when_it_is_wanted_and_one_that_is_removed_is_lost(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    for label in ("normal", "inner", "outer"):
        loop.reply(loop.command("record", label=label, seconds=1), "done")
    names = {path.name.split("-")[0]: path for path in (loop.data / "assets/bearing/recordings").iterdir()}
    overwrite(names["normal"])
    os.truncate(names["inner"], 100)
    names["outer"].unlink()
    quiet(loop)
    answer = loop.reply(loop.command("recalibrate", source="stored"))
    assert answer["status"] == "rejected"
    for damaged in ("normal", "inner"):
        assert f"{names[damaged].name} is left out" in answer["reason"]
    assert "outer" not in answer["reason"]
    assert loop.reply(loop.command("record", label="outer", seconds=1))["status"] == "done"


def test_a_take_that_is_removed_while_its_job_goes_on_ends_in_no_model_that_does_not_know_it(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    job = loop.command("recalibrate", source="live", classes=list(CLASSES), seconds_per_take=1, budget=BUDGET)
    loop.wait("calibration", lambda found: (found["phase"], found["class"]) == ("waiting", "normal"))
    loop.reply(loop.command("continue"), "done")
    loop.wait("calibration", lambda found: (found["phase"], found["class"]) == ("waiting", "inner"))
    shutil.rmtree(loop.data / "assets" / "bearing" / "recordings")
    loop.wait("health", lambda health: "bearing/recordings was removed" in about_the_folder(health))
    loop.reply(loop.command("continue"), "done")
    answer = loop.reply(job)
    assert answer["status"] == "failed"
    assert "is gone, damaged or of another stream: normal-" in answer["reason"]
    assert "every recording of 'normal'; record again" in answer["reason"]
    assert not (loop.data / "assets" / "bearing" / "models" / "current").exists()


def test_an_audit_log_that_is_removed_cut_or_overwritten_goes_on_behind_that(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    log = loop.data / "audit.jsonl"

    def done() -> str:
        job: str = loop.command("shelve", seconds=60, by="anna", **{"class": "inner"})
        loop.reply(job, "done")
        return job

    def lines() -> list[str]:
        found = [line for line in log.read_bytes().splitlines() if line.strip(GARBAGE)]
        return [line["id"] for line in map(json.loads, found) if line["event"] == "answered"]

    jobs = [done()]
    assert lines() == jobs
    log.unlink()
    jobs = [done()]
    assert lines() == jobs
    os.truncate(log, 0)
    jobs = [done()]
    assert lines() == jobs
    overwrite(log)
    jobs = [done(), done()]
    assert lines() == jobs
    assert log.read_bytes().startswith(GARBAGE)
    quiet(loop)
    again(loop)
    jobs.append(done())
    assert lines() == jobs
