"""Two people share an armband, as users see it: a process, a broker, and what each of them signs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from assets import ARM

from edgetune_signal import ArmbandSimulator, Recording, write_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

ARMBAND = f"""{ARM}
subject = "anna"
budget = {{{{ search_seconds = 3 }}}}
[asset.source]
type = "replay"
path = 'FOLDER'
select = "anna-rest"
loop = true
speed = 8
block_s = 0.1
select_file = '{{playing}}'
"""
GESTURES = ("rest", "fist")


@pytest.fixture
def arm(node: Callable[..., Any], tmp_path: Path) -> Any:
    """A node that hears half a minute of each person's gestures, again and again.

    Anna has another half minute for later: takes of one half minute may share windows, and the library leaves out a
    recording that has a window of the new data.
    """
    folder = tmp_path / "people"
    folder.mkdir()
    for seed, (played, person) in enumerate((("anna", "anna"), ("ben", "ben"), ("anna-later", "anna"))):
        for number, gesture in enumerate(GESTURES):
            armband = ArmbandSimulator(subject=person, gesture=gesture, seed=10 * seed + number)
            armband.generate(200)
            write_recording(
                folder / f"{played}-{gesture}.npz", Recording(armband.generate(6000), 200.0, gesture, "counts")
            )
    return node(ARMBAND.replace("FOLDER", str(folder)))


def take(arm: Any, job: str, played: str, class_: str, number: int) -> None:
    """Make a sign when the node asks for it."""
    arm.wait(
        "calibration",
        lambda found: (found["job"], found["phase"], found["class"], found["take"]) == (job, "waiting", class_, number),
    )
    if number == 1:
        arm.play(f"{played}-{class_}")
        arm.settle()
    arm.reply(arm.command("continue", "arm"), "done")


def rested_over_a_kill(arm: Any, job: str) -> None:
    """Let ben rest for half a minute, which the node asks for again after a kill."""
    moving = {"phase": "waiting", "class": "rest", "take": 1, "takes": 1}
    asked = arm.wait("calibration", lambda found: moving.items() <= found.items())["instruction"]
    assert asked.startswith("Rest ('rest') for 30 s: move arm and fingers slightly")
    arm.send(signal.SIGKILL)
    arm.ended()
    arm.forget()
    arm.start()
    assert arm.resumed(job)["detail"]["stored_takes"] == 4
    take(arm, job, "ben", "rest", 1)


def calibrated_again(arm: Any, before: str, card_of: Callable[[Path], dict[str, Any]]) -> None:
    """Let anna make each sign again: her recordings from before are the prior then, and so are the five of ben."""
    asked = {"classes": list(GESTURES), "seconds_per_take": 4, "rest_seconds": 0}
    job = arm.command("recalibrate", "arm", source="live", deploy="always", **asked)
    for class_ in GESTURES:
        take(arm, job, "anna-later", class_, 1)
    answer = arm.reply(job)
    assert answer["status"] == "done", answer
    card = card_of(arm.data / "assets" / "arm" / "models" / "current")
    assert card["id"] == answer["detail"]["model"] != before
    assert card["library"] == answer["detail"]["library"]
    assert (card["library"]["recordings"], card["library"]["role"]) == (7, "means_and_spread")


def test_each_person_has_a_calibration_and_a_model_of_their_own_over_kills(
    arm: Any, card_of: Callable[[Path], dict[str, Any]]
) -> None:
    arm.start()
    arm.wait("info", lambda found: found["assets"][0]["subject"] == "anna")
    asked = {"classes": list(GESTURES), "seconds_per_take": 4, "rest_seconds": 0}
    job = arm.command("recalibrate", "arm", source="live", **asked)
    for class_ in GESTURES:
        take(arm, job, "anna", class_, 1)
    answer = arm.reply(job)
    assert answer["status"] == "done", answer
    annas = answer["detail"]["model"]

    arm.forget()
    job = arm.command("profile", "arm", subject="ben")
    arm.wait("state", lambda found: found["subject"] == "ben" and not found["classifying"])
    arm.wait("info", lambda found: found["assets"][0]["subject"] == "ben")
    assert "busy: profile" in arm.reply(arm.command("profile", "arm", subject="anna"), "rejected")["reason"]
    take(arm, job, "ben", "rest", 1)
    arm.wait("calibration", lambda found: (found["job"], found["take"], found["phase"]) == (job, 2, "waiting"))
    arm.send(signal.SIGKILL)
    arm.ended()
    arm.forget()
    arm.start()
    resumed = arm.resumed(job)
    assert resumed["command"] == "profile"
    assert resumed["detail"]["stored_takes"] == 1
    for class_, number in (("rest", 2), ("fist", 1), ("fist", 2)):
        take(arm, job, "ben", class_, number)
    rested_over_a_kill(arm, job)
    answer = arm.reply(job)
    assert answer["status"] == "done", answer
    bens = answer["detail"]["model"]
    card = card_of(arm.data / "assets" / "arm" / "people" / "ben" / "models" / "current")
    assert card["id"] == bens
    (searched,) = [line for line in map(json.loads, arm.log().splitlines()) if line.get("job") == job and "pid" in line]
    assert (searched["recordings"], searched["library"]) == (5, 2)
    arm.wait("model", lambda found: (found["id"], found["subject"], found["previous"]) == (bens, "ben", None))
    assert "no previous model" in arm.reply(arm.command("rollback", "arm"), "failed")["reason"]
    for gesture in ("rest", "fist", "rest"):
        arm.play(f"ben-{gesture}")
        arm.settle()
    arm.wait("sign", lambda found: (found["class"], found["subject"], found["model"]) == ("fist", "ben", bens))

    arm.send(signal.SIGKILL)
    arm.ended()
    arm.forget()
    arm.start()
    arm.wait("classification", lambda found: found["model"] == bens)
    arm.wait("state", lambda found: (found["subject"], found["model"]) == ("ben", bens))
    done = arm.reply(arm.command("profile", "arm", subject="anna"))
    assert (done["status"], done["detail"]["model"]) == ("done", annas)
    arm.wait("classification", lambda found: found["model"] == annas)
    arm.wait("model", lambda found: (found["id"], found["subject"]) == (annas, "anna"))

    calibrated_again(arm, annas, card_of)


def test_a_forgotten_person_is_nowhere_in_the_data_folder_over_a_kill(arm: Any) -> None:
    arm.start()
    assert arm.reply(arm.command("profile", "arm", subject="benno"))["status"] == "done"
    arm.reply(arm.command("record", "arm", label="fist", seconds=1), "done")
    arm.wait("state", lambda found: found["subject"] == "benno")
    kept = arm.command("capture", "arm", now=True, before_s=0.5, after_s=0.5, samples=False)
    arm.reply(kept, "done")
    assert list((arm.data / "assets" / "arm" / "evidence").glob("*.npz"))
    job = arm.command("forget", "arm", subject="benno")
    arm.reply(job, "accepted")
    arm.send(signal.SIGKILL)
    arm.ended()
    arm.start()
    arm.reply(job, "done")  # where it was done before the kill, this is the answer of then
    now = {"subject": "anna", "phase": "uncalibrated", "boot": arm.boot}
    arm.wait("state", lambda found: now.items() <= found.items())
    asked = [sys.executable, "-m", "edgetune_node", "forget", "--config", str(arm.config), "--asset", "arm", "--json"]
    again = subprocess.run([*asked, "--subject", "benno"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert again.returncode == 0, again.stderr
    result = json.loads(again.stdout)
    assert result["status"] == "done"
    kinds = ("recordings", "models", "unknown_signs", "captures", "trend_files")
    assert {name: result["erased"][name] for name in kinds} == dict.fromkeys(kinds, 0)
    arm.send(signal.SIGTERM)
    arm.ended()
    named = [path for path in arm.data.rglob("*") if "benno" in str(path.relative_to(arm.data))]
    named += [path for path in arm.data.rglob("*") if path.is_file() and b"benno" in path.read_bytes()]
    assert named == []
