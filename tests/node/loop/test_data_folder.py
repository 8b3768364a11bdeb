"""The data folder is taken away from under a node: it names that, makes the folder again, and loses no message."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from assets import ARM, BUDGET, CLASSES, RESTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


def delete(data: Path) -> None:
    shutil.rmtree(data, ignore_errors=True)  # the node may write while it goes


def empty(data: Path) -> None:
    for path in data.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def rename(data: Path) -> None:
    data.rename(data.with_name("moved"))


def mount(data: Path, *options: str) -> None:
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(data)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of our own can only be mounted by root")


@pytest.fixture
def unmounted() -> Iterator[Callable[[Path], None]]:
    """Unmounts a folder when the test ends, or when it is called."""
    folders: list[Path] = []
    yield folders.append
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def about_the_folder(health: dict[str, Any]) -> str:
    return "".join(problem for problem in health["problems"] if "data_dir" in problem)


NAMED = {
    delete: "was removed",
    empty: "was emptied",
    rename: "/moved while the node ran",
    mount: "another file system is at data_dir",
}


@pytest.mark.parametrize("take_away", NAMED)
def test_a_folder_that_is_taken_away_is_named_and_made_again(
    node: Callable[..., Any],
    bearing: str,
    unmounted: Callable[[Path], None],
    card_of: Callable[[Path], dict[str, Any]],
    until: Callable[..., None],
    take_away: Callable[[Path], None],
) -> None:
    loop = node(bearing)
    unmounted(loop.data)
    loop.start()
    job = loop.collect(CLASSES, 3, budget=BUDGET)
    model = loop.reply(job)["detail"]["model"]
    loop.broker.freeze()  # so that messages wait
    loop.play("inner_severe")
    loop.send(signal.SIGSTOP)  # else it may look while half of the folder is there
    take_away(loop.data)
    loop.send(signal.SIGCONT)
    loop.broker.thaw()
    health = loop.wait("health", lambda health: "made again" in about_the_folder(health))
    assert NAMED[take_away] in about_the_folder(health)
    assert "with outbox, commands and 1 models in use" in about_the_folder(health)
    assert "full" not in "".join(health["problems"])
    assert "MiB free" not in "".join(health["problems"])
    raised = loop.wait("fault", lambda fault: fault["active"])
    assert card_of(loop.data / "assets" / "bearing" / "models" / "current")["id"] == model
    assert loop.reply(loop.command("record", label="normal", seconds=1))["status"] == "done"
    loop.broker.stop()
    loop.play("normal")
    until(lambda: '"active":false' in loop.kept("fault"), what="the end of the fault is on disk, at the path")
    loop.send(signal.SIGKILL)  # what the folder holds now must last
    loop.ended()
    loop.forget()
    loop.broker.start()
    loop.start()
    loop.wait("model", lambda found: found["id"] == model)
    loop.wait("fault", lambda fault: fault["event"] == raised["event"] and fault["cleared"])
    loop.scada.publish("edgetune/n1/bearing/cmd/recalibrate", {"id": job, "source": "stored"})
    assert loop.reply(job)["detail"]["model"] == model  # the answer of then, and no new job
    assert not about_the_folder(loop.wait("health", lambda found: found["boot"] != health["boot"]))


def test_a_folder_that_cannot_be_made_again_is_named_until_it_can(
    node: Callable[..., Any], bearing: str, unmounted: Callable[[Path], None]
) -> None:
    loop = node(bearing)
    loop.start()
    unmounted(loop.data)
    mount(loop.data, "-o", "ro")
    health = loop.wait("health", lambda health: "in memory only" in about_the_folder(health))
    assert "another file system is at data_dir" in about_the_folder(health)
    assert "Read-only file system" in about_the_folder(health)
    assert "full" not in "".join(health["problems"])
    answer = loop.reply(loop.command("record", label="normal", seconds=1))
    assert answer["status"] == "failed"
    assert "is gone or replaced" in answer["reason"]
    cancelled = loop.command("cancel")
    loop.reply(cancelled)
    loop.forget()
    subprocess.run(["umount", "-l", str(loop.data)], check=True)
    loop.wait("health", lambda health: not about_the_folder(health))
    assert loop.reply(loop.command("record", label="normal", seconds=1))["status"] == "done"
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0


def test_a_file_in_place_of_the_folder_is_named_until_it_goes(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    loop.start()
    moved = loop.data.with_name("moved")
    loop.send(signal.SIGSTOP)  # else it may look in between
    loop.data.rename(moved)
    loop.data.write_text("")
    loop.send(signal.SIGCONT)
    health = loop.wait("health", lambda health: "cannot be made again" in about_the_folder(health))
    assert "and something that is no folder is there" in about_the_folder(health)
    assert f"{loop.data} is no folder; make it a folder" in about_the_folder(health)
    loop.data.unlink()
    loop.wait("health", lambda health: "it was made again" in about_the_folder(health))
    assert (loop.data / "outbox.sqlite").is_file()


def test_a_link_whose_folder_went_is_named_until_it_is_back(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    target = loop.data.with_name("elsewhere")
    target.mkdir()
    loop.data.symlink_to(target)
    loop.start()
    target.rename(target.with_name("moved"))
    health = loop.wait("health", lambda health: "cannot be made again" in about_the_folder(health))
    assert f"is a link to {target}, which is not there" in about_the_folder(health)
    target.mkdir()
    loop.wait("health", lambda health: "it was made again" in about_the_folder(health))
    assert (target / "outbox.sqlite").is_file()


def remove_recordings(data: Path) -> None:
    shutil.rmtree(data / "assets" / "bearing" / "recordings")


def remove_outbox(data: Path) -> None:
    (data / "outbox.sqlite").unlink()


def overwrite_outbox(data: Path) -> None:
    for path in data.glob("outbox.sqlite*"):
        with path.open("r+b") as file:
            file.write(b"\xa5" * path.stat().st_size)


PARTS = {
    remove_recordings: ("bearing/recordings was removed while", "what else was in there is lost"),
    remove_outbox: ("outbox.sqlite was removed or replaced while", "nothing else is missing"),
    overwrite_outbox: ("outbox.sqlite was overwritten while", "nothing else is missing"),
}


@pytest.mark.parametrize("take_away", PARTS)
def test_a_part_that_is_taken_away_is_named_and_made_again(
    node: Callable[..., Any], bearing: str, take_away: Callable[[Path], None]
) -> None:
    loop = node(bearing)
    loop.start()
    job = loop.command("record", label="normal", seconds=1)
    told = loop.reply(job, "done")["detail"]
    take_away(loop.data)
    health = loop.wait("health", lambda health: "made again" in about_the_folder(health))
    what, lost = PARTS[take_away]
    assert what in about_the_folder(health)
    assert lost in about_the_folder(health)
    assert loop.reply(loop.command("record", label="normal", seconds=1))["status"] == "done"
    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    loop.scada.publish("edgetune/n1/bearing/cmd/record", {"id": job, "label": "normal", "seconds": 1})
    assert loop.reply(job)["detail"] == told  # the answer of then, which names the recording of then
    assert not about_the_folder(loop.wait("health", lambda found: found["boot"] != health["boot"]))


def test_who_wears_the_sensor_is_written_again(node: Callable[..., Any]) -> None:
    loop = node(ARM + RESTING)
    loop.start()
    loop.command("profile", "arm", subject="ben")
    loop.wait("state", lambda state: state["subject"] == "ben")
    loop.send(signal.SIGSTOP)  # else it may look while half of the folder is there
    delete(loop.data)
    loop.send(signal.SIGCONT)
    loop.wait("health", lambda health: "made again" in about_the_folder(health))
    assert "ben" in (loop.data / "assets" / "arm" / "wearer.json").read_text()


def test_files_for_other_systems_that_are_overwritten_are_named_and_made_again(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    systems = '[home_assistant]\nprefix = "homeassistant"\n[sparkplug]\ngroup = "Plant1"\nprimary_host = "scada1"\n'
    loop = node(systems + bearing)
    loop.start()
    announced = loop.data / "announced.json"
    until(announced.exists, what="the announcements are noted")
    noted = announced.read_bytes()
    announced.write_text("[")
    for part in loop.data.glob("sparkplug.sqlite*"):  # an index of the log, mapped into memory, would kill the node
        part.write_bytes(b"")
    health = loop.wait("health", lambda health: "sparkplug.sqlite was overwritten" in "".join(health["problems"]))
    assert "it was made again, nothing is lost" in "".join(health["problems"])
    assert (loop.data / "sparkplug.sqlite").stat().st_size > 0
    until(lambda: announced.read_bytes() == noted, what="the announcements are noted again")
    loop.send(signal.SIGSTOP)  # else it may look while half of the folder is there
    empty(loop.data)
    loop.send(signal.SIGCONT)
    until(lambda: announced.exists() and announced.read_bytes() == noted, what="they are noted in an empty folder")
    loop.wait("health", lambda health: "made again" in about_the_folder(health))  # before, a backup is refused
    loop.scada.publish("edgetune/n1/cmd/backup", {"id": "b1", "keep": 1})
    until(lambda: list((loop.data / "backups").glob("n1-*.zip")), what="the backup is made")
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0
