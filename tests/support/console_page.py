"""A console's server as a process, and everything a plant says, from the documentation's examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from brokers import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from brokers import Broker, Recorder

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NODE_LEAVES = ("info", "health", "status")
LEAVES = {
    "bearing1": ("state", "model", "calibration", "fault", "vibration", "classification", "spectrum"),
    "armband1": ("state", "model", "calibration", "emg", "classification"),
}


class ConsoleServer:
    """`edgetune console` on a free port, ended when the block ends.

    Attributes
    ----------
    url
        Address of the page.
    """

    def __init__(self, folder: Path, broker: Broker, *options: str, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "edgetune_node", "console", "--broker"]
        self._command += [f"mqtt://{broker.host}:{broker.port}", "--listen", "127.0.0.1:0", *options]
        self._environment = environment
        self._log = folder / "console.log"
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        wait_until(lambda: b"\n" in self._log.read_bytes() or self._process.poll() is not None, what="it says where")
        self.url = self.log().rpartition("the page is at ")[2].split()[0]
        if "127.0.0.1:0" in self._command:  # where it listened first it listens again
            self._command[self._command.index("127.0.0.1:0")] = self.url.removeprefix("http://").rstrip("/")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


def example(name: str) -> tuple[str, dict[str, Any]]:
    """Topic and payload of a documented message."""
    first = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))[0]
    return str(first["topic"]), dict(first["payload"])


def play(recorder: Recorder, namespace: str, node: str = "edge1") -> None:
    """Publish, retained, what a node with a machine and an armband says."""
    for leaf in NODE_LEAVES:
        recorder.publish(f"{namespace}/{node}/{leaf}", json.dumps(example(leaf)[1]).encode(), retain=True)
    for asset, leaves in LEAVES.items():
        for leaf in leaves:
            recorder.publish(f"{namespace}/{node}/{asset}/{leaf}", json.dumps(example(leaf)[1]).encode(), retain=True)
