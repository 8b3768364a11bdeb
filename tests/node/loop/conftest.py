"""A node as users have it: a process with its configuration, a machine it listens to, a broker between it and us."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from assets import BEARING, BUDGET, CLASSES
from brokers import Broker, Recorder, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 120.0


class NodeProcess:
    """``edgetune run`` in a folder of its own, seen through a subscriber to everything it says."""

    def __init__(self, folder: Path, broker: Any, recorder: Callable[..., Any], config: str, protocol: str) -> None:
        self.folder = folder
        self.broker = broker
        self.playing = folder / "playing.txt"
        self.data = folder / "data"
        self.config = folder / "config.toml"
        self.config.write_text(
            f"""
[node]
id = "n1"
data_dir = '{self.data}'
health_interval_s = 1
[mqtt]
port = {broker.port}
protocol = "{protocol}"
{config.format(playing=self.playing)}
""",
            encoding="utf-8",
        )
        self.scada = recorder(broker, "edgetune/n1/#", protocol=protocol)
        self.boot: str | None = None  # of the node that was started last
        self._process: subprocess.Popen[bytes] | None = None
        self._ids = iter(range(10_000))

    def start(self, *, stderr: int | None = None, prefix: Sequence[str] = (), **environment: str) -> None:
        """Start it and wait until it is online; ``prefix`` is a command that ends in running the node."""
        wait_until(self.scada.subscribed, what="somebody hears what it says first")
        with (self.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "edgetune_node", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log if stderr is None else stderr,
                env={name: value for name, value in os.environ.items() if not name.startswith("EDGETUNE_")}
                | environment,
            )
        said = self.wait("status", lambda status: status["status"] == "online" and status["boot"] != self.boot)
        self.boot = said["boot"]

    def log(self) -> str:
        return (self.folder / "node.log").read_text(encoding="utf-8")

    def audit(self, event: str) -> list[dict[str, Any]]:
        """What the node noted of one kind of event: of commands that were accepted, then of others."""
        logs = [self.data / name for name in ("audit.jsonl", "audit.refused.jsonl")]
        texts = [log.read_text(encoding="utf-8") for log in logs if log.exists()]
        whole = [line for text in texts for line in text.rpartition("\n")[0].splitlines()]  # written whole
        return [line for line in map(json.loads, whole) if line["event"] == event]

    def kept(self, leaf: str) -> str:
        """Every message on a topic that waits on the node's disk for the broker; none where it writes just now."""
        rows: list[tuple[bytes]] = []
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as folder,
            contextlib.suppress(FileNotFoundError, sqlite3.DatabaseError),
        ):
            for part in self.data.glob("outbox.sqlite*"):  # the node keeps its own to itself
                shutil.copy(part, folder)
            with contextlib.closing(sqlite3.connect(f"{folder}/outbox.sqlite")) as outbox:
                rows = outbox.execute("SELECT payload FROM entry WHERE topic LIKE ?", (f"%/{leaf}",)).fetchall()
        return "".join(payload.decode() for (payload,) in rows)

    def play(self, name: str) -> None:
        """Switch the machine, and wait until what the node hears is from after the switch."""
        self.playing.write_text(name, encoding="utf-8")

    def command(self, name: str, asset: str = "bearing", **fields: Any) -> str:
        command_id = f"{name}-{next(self._ids)}"
        self.scada.publish(f"edgetune/n1/{asset}/cmd/{name}", {"id": command_id, **fields})
        return command_id

    def reply(self, command_id: str, *statuses: str) -> dict[str, Any]:
        """Wait for an answer to a command; any final one where no status is given."""
        wanted = statuses or ("done", "failed", "rejected")
        message = self.scada.wait_for(
            lambda found: (
                "/resp/" in found.topic and found.json()["id"] == command_id and found.json()["status"] in wanted
            ),
            PATIENCE_S,
        )
        answer: dict[str, Any] = message.json()
        return answer

    def resumed(self, job: str) -> dict[str, Any]:
        """Wait until a node that was started again goes on with a job; progress from before may come once more."""
        again = {"id": job, "status": "progress", "reason": "resumed after a restart"}
        message = self.scada.wait_for(
            lambda found: "/resp/" in found.topic and again.items() <= found.json().items(), PATIENCE_S
        )
        answer: dict[str, Any] = message.json()
        return answer

    def wait(self, leaf: str, holds: Callable[[dict[str, Any]], Any], *, asset: str | None = None) -> dict[str, Any]:
        """Wait for a message on a topic of the node or of any asset, from those seen or to come."""
        message = self.scada.wait_for(
            lambda found: (
                found.topic.endswith(f"/{leaf}")
                and (asset is None or f"/{asset}/" in found.topic)
                and holds(found.json())
            ),
            PATIENCE_S,
        )
        value: dict[str, Any] = message.json()
        return value

    def adopt(self, calibrated: Path, **environment: str) -> str:
        """Begin where a calibration has ended: start with its recordings and its model, which is named."""
        shutil.copytree(calibrated, self.data, symlinks=True, dirs_exist_ok=True)
        self.start(**environment)
        said = self.wait("classification", lambda found: found["model"])
        return str(said["model"])

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.scada.clear()

    def collect(self, classes: dict[str, str], seconds: float, **fields: Any) -> str:
        """Recalibrate live: put the machine into each condition when the node asks for its class."""
        job = self.command("recalibrate", source="live", classes=list(classes), seconds_per_take=seconds, **fields)
        for class_, condition in classes.items():
            self.wait(
                "calibration",
                lambda status, class_=class_: (
                    status["job"] == job and status["phase"] == "waiting" and status["class"] == class_
                ),
            )
            self.play(condition)
            self.settle()
            self.reply(self.command("continue"), "done")
        return job

    def settle(self) -> None:
        """Wait for two more messages on ``health``: between them the node has heard only what plays now."""
        self.scada.wait_for_count("edgetune/n1/health", len(self.scada.on("edgetune/n1/health")) + 2, PATIENCE_S)

    def searching_pid(self) -> int:
        """Wait for the one process that the node has begun, a moment after it has said that it searches."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children
        wait_until(lambda: len(children()) == 1, what="the node has a search")
        [child] = children()
        return int(child.pid)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for the process to end; give its exit code."""
        assert self._process is not None
        code = self._process.wait(PATIENCE_S)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def node(tmp_path: Path, fresh_broker: Any, recorder: Callable[..., Any]) -> Iterator[Callable[..., NodeProcess]]:
    made: list[NodeProcess] = []

    def make(config: str, protocol: str = "5") -> NodeProcess:
        folder = tmp_path / f"node-{len(made)}"
        folder.mkdir()
        made.append(NodeProcess(folder, fresh_broker, recorder, config, protocol))
        return made[-1]

    yield make
    for process in made:
        process.close()


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a node keeps of `BEARING` after it was calibrated live to tell ``normal`` from ``inner``."""
    folder = tmp_path_factory.mktemp("calibrated")
    broker = Broker(folder / "broker").start()
    made: list[Recorder] = []

    def recorder(*arguments: Any, **options: Any) -> Recorder:
        made.append(Recorder(*arguments, **options))
        return made[-1]

    loop = NodeProcess(folder, broker, recorder, BEARING, "5")
    try:
        loop.start()
        answer = loop.reply(loop.collect(CLASSES, 3, budget=BUDGET))
        assert answer["detail"]["deployed"] is True
        loop.send(signal.SIGTERM)
        loop.ended()
    finally:
        loop.close()
        for client in made:
            client.close()
        broker.stop()
    shutil.copytree(loop.data / "assets", folder / "kept" / "assets", symlinks=True)
    return folder / "kept"


@pytest.fixture
def bearing() -> str:
    """An asset of this name that hears a simulated bearing at four times real time, in the condition that plays."""
    return BEARING


@pytest.fixture
def card_of() -> Callable[[Path], dict[str, Any]]:
    def read(folder: Path) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return value

    return read
