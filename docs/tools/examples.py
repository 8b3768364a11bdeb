"""Write an example of every message and command into docs/examples, as a node and its broker exchanged them."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgetune_node.config import MqttSection
from edgetune_node.contract import COMMANDS, MESSAGES, Topics
from edgetune_node.demo.broker import DemoBroker, find_mosquitto
from edgetune_node.demo.processes import ChildProcess
from edgetune_node.operator import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
PATIENCE_S: Final = 120.0
TREND_S: Final = 130.0
BUDGET: Final = {"ram_bytes": 4096, "search_seconds": 10.0}
CONFIG: Final = """
[node]
id = "edge1"
namespace = "acme/plant1/press-shop/line3"
health_interval_s = 1
[mqtt]
port = {port}
[[asset]]
id = "bearing1"
rate_hz = 12000
alarm = {{ raise_after_s = 1.0, clear_after_s = 2.0 }}
[asset.source]
type = "simulated"
select_file = 'bearing1.txt'
[asset.machine]
group = 2
support = "rigid"
bearing = "6205-2RS"
shaft_rpm = 1797.0
[asset.budget]
search_seconds = 10
[[asset]]
id = "armband1"
task = "sign"
channels = 8
rate_hz = 200
unit = "counts"
clip_level = 128.0
subject = "anna"
[asset.window]
length = 52
hop = 13
[asset.source]
type = "simulated"
machine = "armband"
condition = "rest"
select_file = 'armband1.txt'
[asset.budget]
search_seconds = 10
"""


class Plant:
    """A node with a simulated bearing and a simulated armband, and everything that was said and told so far."""

    def __init__(self, folder: Path, mqtt: MqttSection) -> None:
        self.folder = folder
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.topics = Topics("acme/plant1/press-shop/line3", "edge1")
        self._mqtt = mqtt
        self._changed = threading.Condition()
        self._client = OperatorClient(mqtt)
        self._client.subscribe(f"{self.topics.base}/#")
        self._operators: dict[str, OperatorClient] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for item in self._client.messages():
            with self._changed:
                self.heard.append(item)
                self._changed.notify_all()

    def play(self, asset: str, condition: str) -> None:
        """Put a simulated machine into a condition."""
        (self.folder / f"{asset}.txt").write_text(condition, encoding="utf-8")

    def send(self, name: str, asset: str = "bearing1", **fields: Any) -> str:
        """Send a command; return its id."""
        if asset not in self._operators:
            self._operators[asset] = OperatorClient(self._mqtt, self.topics, asset)
        return self._operators[asset].send(name, **fields)

    def ask(self, name: str, asset: str = "bearing1", **fields: Any) -> dict[str, Any]:
        """Send a command and wait for its final answer.

        Raises
        ------
        SystemExit
            If it is not carried out.
        """
        job = self.send(name, asset, **fields)
        answer = self.wait("resp", lambda said: said["id"] == job and said["status"] in {"done", "failed", "rejected"})
        if answer["status"] != "done":
            raise SystemExit(f"{name} ended {answer['status']}: {answer['reason']}")
        return answer

    def wait(self, leaf: str, holds: Callable[[dict[str, Any]], Any], since: int = 0) -> dict[str, Any]:
        """Wait for a message, of those heard from ``since`` on or to come.

        Raises
        ------
        SystemExit
            If none comes.
        """
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while True:
                for topic, said in self.heard[since:]:
                    if f"/{leaf}" in topic and holds(said):
                        return said
                since = len(self.heard)
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise SystemExit(f"no such message on {leaf} within {PATIENCE_S} s")

    def collect(self, asset: str, classes: dict[str, str], *, rest_seconds: float | None = None) -> dict[str, Any]:
        """Recalibrate with a guided collection of classes, each with the condition that stands for it.

        A person then rests for ``rest_seconds``.
        """
        job = self.send(
            "recalibrate",
            asset,
            source="live",
            classes=list(classes),
            seconds_per_take=5.0,
            budget=BUDGET,
            deploy="always",
            rest_seconds=rest_seconds,
        )
        takes = [*classes.items(), *([("rest", classes["rest"])] if rest_seconds else [])]
        since = 0
        for name, condition in takes:
            self.wait(
                "calibration",
                lambda said, name=name: said["job"] == job and said["phase"] == "waiting" and said["class"] == name,
                since,
            )
            since = len(self.heard)
            self.play(asset, condition)
            time.sleep(1.0)  # what the node heard before the switch must be over
            self.send("continue", asset)
        return self.wait("resp/recalibrate", lambda said: said["id"] == job and said["status"] == "done")

    def close(self) -> None:
        """Disconnect."""
        for client in (self._client, *self._operators.values()):
            client.close()


def scenario(plant: Plant) -> None:
    """Let everything happen once that a node can say or be told."""
    began_s = time.monotonic()
    plant.wait("info", bool)
    plant.ask("ping")
    plant.play("bearing1", "normal")
    context = f"{plant.topics.base}/bearing1/context"
    plant._client.publish(context, json.dumps({"shaft_rpm": 1797.0, "load": 0.5}).encode(), retain=True)  # noqa: SLF001
    first = plant.collect("bearing1", {"normal": "normal", "inner": "inner_severe", "ball": "ball_severe"})
    plant.ask("record", label="normal", seconds=2.0)
    since = len(plant.heard)
    plant.play("bearing1", "inner_severe")
    plant.wait("fault", lambda said: said["active"] and said["evidence"]["physics"] == "agrees", since)
    plant.wait("spectrum", bool, since)
    plant.ask("capture", now=True, before_s=0.5, after_s=0.5, samples=False)
    plant.ask("acknowledge", by="anna", comment="bearing ordered")
    plant.ask("shelve", **{"class": "inner"}, seconds=60.0, by="anna")
    plant.play("bearing1", "normal")
    plant.wait("fault", lambda said: not said["active"], len(plant.heard))
    since = len(plant.heard)
    plant.play("bearing1", "outer_severe")
    novel = plant.wait("fault", lambda said: said["active"] and said["class"] == "novel", since)
    plant.wait("health", lambda said: novel["event"] in json.dumps(said), since)
    time.sleep(3.0)  # some seconds of it are kept for the label
    plant.play("bearing1", "normal")
    plant.wait("fault", lambda said: not said["active"], len(plant.heard))
    plant.ask("label", label="ball", event=novel["event"])
    plant.ask("label", label="outer", event=novel["event"])  # another look: it moves
    plant.ask("recalibrate", source="stored", budget=BUDGET, deploy="always")
    time.sleep(max(0.0, TREND_S - (time.monotonic() - began_s)))  # a minute of trend has to be full
    plant.ask("history", step="minute", figures=["rms", "kurtosis"])
    plant.ask("rollback")
    other = min(first["detail"]["front"], key=lambda point: point["arena_bytes"])
    plant.ask("deploy", model=first["detail"]["model"], point=other["point"])
    plant.send("recalibrate", source="stored", budget={"ram_bytes": 4096, "search_seconds": 60.0})
    plant.ask("cancel")
    plant.collect("armband1", {"rest": "rest", "fist": "fist", "pinch": "pinch"}, rest_seconds=10.0)
    plant.play("armband1", "rest")
    time.sleep(4.0)  # no sign begins before rest was heard
    plant.play("armband1", "fist")
    time.sleep(2.0)
    plant.play("armband1", "rest")
    plant.wait("sign", lambda said: said["class"] == "fist")
    plant.ask("profile", "armband1", condition="left_arm")
    plant.ask("forget", "armband1", subject="anna")
    plant.ask("backup")


BEST: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "fault": lambda said: said["active"] and said["evidence"]["physics"] == "agrees",
    "calibration": lambda said: said["phase"] == "searching",
    "classification": lambda said: said["class"] == "inner",
    "vibration": lambda said: said["velocity_rms_mm_s"] is not None and said["defects"],
    "sign": lambda said: said["class"] == "fist",
    "sign_start": lambda said: said["class"] == "fist",
    "model": lambda said: said["id"] is not None,
    "state": lambda said: said["phase"] == "monitoring" and said["model"],
    "resp": lambda said: said["status"] == "done" and bool(said["detail"]),
}
"""The example that shows most of a message."""


def newest(heard: list[tuple[str, dict[str, Any]]], leaf: str) -> dict[str, Any] | None:
    """Return the newest message of a topic that shows most, else the newest; None where there was none."""
    found = [(topic, said) for topic, said in heard if topic.split("/")[-1] == leaf or f"/{leaf}/" in topic]
    if not found:
        return None
    telling = [each for each in found if BEST.get(leaf, bool)(each[1])] or found
    topic, said = telling[-1]
    return {"topic": topic, "payload": said}


def told(heard: list[tuple[str, dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    """Return the first command of a name that was carried out, and its answers on the common topic."""
    answers = [(topic, said) for topic, said in heard if topic.endswith(f"/resp/{name}")]
    carried = {said["id"] for _, said in answers if said["status"] == "done"}
    for topic, said in heard:
        if topic.endswith(f"/cmd/{name}") and said["id"] in carried:
            last = [(at, answer) for at, answer in answers if answer["id"] == said["id"]][-1]
            return [{"topic": topic, "payload": said}, {"topic": last[0], "payload": last[1]}]
    return []


def write(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Write the examples.

    Raises
    ------
    SystemExit
        If something was never said or told.
    """
    found = {model.topic.split("/")[0]: newest(heard, model.topic.split("/")[0]) for model in MESSAGES}
    examples = {leaf: [each] for leaf, each in found.items() if each}
    examples |= {f"cmd-{name}": each for name in COMMANDS if (each := told(heard, name))}
    context = newest(heard, "context")
    examples |= {"context": [context]} if context else {}
    missing = {*found, *(f"cmd-{name}" for name in COMMANDS), "context"} - set(examples)
    EXAMPLES.mkdir(exist_ok=True)
    for name, example in examples.items():
        text = json.dumps(example, indent=1) + "\n"
        (EXAMPLES / f"{name}.json").write_text(text, encoding="utf-8")
    if missing:
        raise SystemExit(f"never said or told: {', '.join(sorted(missing))}")


@contextlib.contextmanager
def plant_of(folder: Path) -> Iterator[Plant]:
    """Start broker and node; end both."""
    with DemoBroker(folder, find_mosquitto()) as broker:
        config = folder / "config.toml"
        config.write_text(CONFIG.format(port=broker.port), encoding="utf-8")
        plant = Plant(folder, MqttSection(port=broker.port))
        node = ChildProcess(
            [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)], folder / "node.log"
        )
        try:
            yield plant
        except SystemExit:
            sys.stderr.write(node.log_tail() + "\n")
            raise
        finally:
            node.stop()
            plant.close()


def main() -> None:
    """Run the plant through the scenario and write what was said."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), plant_of(Path(folder)) as plant:
        scenario(plant)
        write(plant.heard)


if __name__ == "__main__":
    main()
