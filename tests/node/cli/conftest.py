"""Runs the command line in this process or in one of its own, against a node that follows a script.

Fixtures
--------
cli
    ``cli("record", "--label", "x")`` runs a command here and gives its `Outcome`.
spawn
    ``spawn("simulate", ...)`` starts a command as a process; ended when the test ends.
scripted_node
    ``scripted_node(broker)`` is a node with one asset on a real broker that says what the test tells it to.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli import main
from edgetune_node.contract.messages import CalibrationStatus, Info, Message, Model, Response, State, Status
from edgetune_node.contract.parts import AssetInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASSET = "press"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["edgetune", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return call


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [sys.executable, "-m", "edgetune_node", *map(str, arguments)]
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


class ScriptedNode:
    """A node that does nothing but what its script says."""

    def __init__(self, recorder: Callable[..., Any], broker: Any, protocol: str = "5") -> None:
        self.id = f"node-{uuid.uuid4().hex[:8]}"
        self.base = f"edgetune/{self.id}"
        self.url = f"mqtt://{broker.host}:{broker.port}"
        self.target = ("--broker", self.url, "--node", self.id, "--protocol", protocol)
        self.seen = recorder(broker, f"{self.base}/#", protocol=protocol)
        self._sequence = 0
        self._handled: set[str] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def online(self, *assets: str) -> None:
        self.say(Status, status="online")
        described = [
            AssetInfo(id=name, task="fault", channels=1, rate_hz=12000, unit="g", window=512, hop=512, source="mqtt")
            for name in assets or (ASSET,)
        ]
        self.say(Info, versions={}, assets=described, capabilities=[], insecure=[], config={})

    def say(self, model: type[Message], /, *, leaf: str | None = None, asset: str = ASSET, **fields: Any) -> None:
        self._sequence += 1
        message = model(ts=NOW, boot="b00t", seq=self._sequence, **fields)
        place = self.base if model.owner == "node" else f"{self.base}/{asset}"
        self.seen.publish(f"{place}/{leaf or model.topic}", message.json_bytes(), retain=model.retained)

    def command(self, name: str) -> dict[str, Any]:
        """The next command of that name."""
        topic = f"{self.base}/{ASSET}/cmd/{name}"
        found = self.seen.wait_for(lambda message: message.topic == topic and message.json()["id"] not in self._handled)
        payload: dict[str, Any] = found.json()
        self._handled.add(payload["id"])
        return payload

    def reply(self, command: dict[str, Any], name: str, status: str, **fields: Any) -> None:
        self.say(Response, leaf=f"resp/{name}", id=command["id"], command=name, status=status, **fields)

    def calibration(self, job: dict[str, Any], phase: str, **fields: Any) -> None:
        fields = {"instruction": f"now {phase}", "percent": 10.0, **fields}
        self.say(CalibrationStatus, job=job["id"], phase=phase, **fields)

    def model(self, **fields: Any) -> None:
        self.say(Model, **fields)

    def state(self, phase: str, reason: str = "") -> None:
        self.say(State, phase=phase, reason=reason, since=NOW)

    def play(self, script: Callable[[ScriptedNode], None]) -> None:
        """Run ``script`` beside the test."""

        def run() -> None:
            try:
                script(self)
            except BaseException as error:  # noqa: BLE001 - given to the test in `finish`
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join(90)
            assert not self._thread.is_alive(), "the script waits for something that did not come"
        if self._error is not None:
            raise self._error


@pytest.fixture
def scripted_node(recorder: Callable[..., Any]) -> Iterator[Callable[..., ScriptedNode]]:
    made: list[ScriptedNode] = []

    def make(broker: Any, protocol: str = "5") -> ScriptedNode:
        made.append(ScriptedNode(recorder, broker, protocol))
        return made[-1]

    yield make
    for node in made:
        node.finish()
