"""What people mistype, and a defect of the node itself: each is told, and nothing is left of it."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
from assets import ARM, RESTING
from brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

PUMP = """
[[asset]]
id = "pump"
rate_hz = 3200
"""
DEFECT = """
from edgetune_node.core.jobs import AssetJobs

whole, failed = AssetJobs.tick, []


def tick(self):
    if self.job is None or failed:
        return whole(self)
    failed.append(self.job)
    raise RuntimeError("put in by the test")


AssetJobs.tick = tick
"""


def test_a_number_as_id_samples_as_json_and_a_mistyped_person_are_told_and_leave_nothing(
    node: Callable[..., Any], fresh_broker: Any
) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    loop = node(f'{ARM}subject = "anna"{RESTING}{PUMP}')
    port = free_port()
    fresh_broker.more = [f"listener {port} ::1"]
    fresh_broker.stop()
    fresh_broker.start()
    text = loop.config.read_text(encoding="utf-8").replace(f"port = {fresh_broker.port}", f'host = "[::1]"\n{port = }')
    loop.config.write_bytes(b"\xef\xbb\xbf" + text.encode())  # as Windows' editors save it
    loop.start()

    loop.scada.publish("edgetune/n1/arm/cmd/rollback", b'{"id": 7}')
    [error] = loop.reply("7", "rejected")["errors"]
    assert error.startswith("id: ")

    for payload, kind in ((b'{"samples": [0.1, 0.2]}', "JSON"), (b"0.1,0.2", "text"), (b"[0.1, 0.2]", "JSON")):
        loop.scada.publish("edgetune/n1/pump/samples", payload)
        loop.wait("health", lambda found, kind=kind: any(f"looks like {kind}" in each for each in found["problems"]))
        loop.forget()
        problems = loop.wait("health", lambda _: True)["problems"]
        [told] = [each for each in problems if "looks like" in each]  # the newest alone
        assert f"looks like {kind}" in told

    people = loop.data / "assets" / "arm" / "people"
    loop.reply(loop.command("profile", "arm", subject="benn"), "done")
    job = loop.command("recalibrate", "arm", source="live", classes=["rest", "fist"], seconds_per_take=1)
    loop.wait("calibration", lambda found: (found["job"], found["phase"]) == (job, "waiting"))
    loop.reply(loop.command("cancel", "arm"), "done")
    loop.reply(loop.command("profile", "arm", subject="anna"), "done")
    assert not people.exists() or list(people.iterdir()) == []


def test_a_recalibrate_over_which_the_node_fails_is_answered_and_leaves_no_job(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    (loop.folder / "sitecustomize.py").write_text(DEFECT, encoding="ascii")
    loop.start(PYTHONPATH=str(loop.folder))
    asked = {"source": "live", "classes": ["normal", "inner"], "seconds_per_take": 1}
    answer = loop.reply(loop.command("recalibrate", **asked))
    assert (answer["status"], "put in by the test" in answer["reason"]) == ("failed", True)
    loop.wait("health", lambda found: any("CommandArrived failed" in each for each in found["problems"]))
    again = loop.command("recalibrate", **asked)
    loop.reply(again, "accepted")
    loop.wait("calibration", lambda found: (found["job"], found["phase"]) == (again, "waiting"))
    loop.reply(loop.command("cancel"), "done")
    last = loop.reply(again, "failed")

    loop.send(signal.SIGKILL)
    loop.ended()
    loop.forget()
    loop.start()
    loop.settle()
    said = [found.json() for found in loop.scada.on("edgetune/n1/bearing/resp/recalibrate")]
    assert [each for each in said if each["ts"] != last["ts"]] == []  # it does not come back; its last answer may
    loop.wait("state", lambda found: found["phase"] == "uncalibrated")
