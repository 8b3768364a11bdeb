"""A node that follows a script, and what a node says of a job."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edgetune_node.contract.messages import CalibrationStatus, Info, Model, Response, State, Status
from edgetune_node.contract.parts import AssetInfo
from edgetune_node.operator.job import FollowedJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.contract.message import Message

ASSET = "press"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BASE = f"edgetune/n/{ASSET}"
SENT = FollowedJob(id="mine", command="recalibrate")


def calibration(phase: str, job: str = "mine", **fields: Any) -> tuple[str, dict[str, Any]]:
    stamp = {"schema": "calibration/1", "ts": "2026-01-31T12:00:00.000Z", "boot": "b", "seq": 1}
    return f"{BASE}/calibration", {**stamp, "job": job, "phase": phase, "instruction": "do", "percent": 5, **fields}


def reply(status: str, job: str = "mine", **fields: Any) -> tuple[str, dict[str, Any]]:
    return f"{BASE}/resp/recalibrate", {"id": job, "command": "recalibrate", "status": status, **fields}


class ScriptedNode:
    """A node that does nothing but what its script says."""

    def __init__(self, recorder: Callable[..., Any], broker: Any, protocol: str = "5") -> None:
        self.id = f"node-{uuid.uuid4().hex[:8]}"
        self.base = f"edgetune/{self.id}"
        self.url = f"mqtt://{broker.host}:{broker.port}"
        self.target = ("--broker", self.url, "--node", self.id, "--protocol", protocol)
        self.seen = recorder(broker, f"{self.base}/#", protocol=protocol)
        self.retains = True
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
        self.seen.publish(
            f"{place}/{leaf or model.topic}", message.json_bytes(), retain=model.retained and self.retains
        )

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
