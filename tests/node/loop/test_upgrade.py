"""A data folder that an earlier version left is gone on with: its model, its messages, its answers, its recordings.

``assets/data-0.1.tar.gz`` is what 0.1.0 left when it was killed while the broker was away: a model, two recordings, the
end of a fault that nobody has heard of yet, and a finished command. It is never made anew.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

ASSETS = Path(__file__).parent / "assets"
MODEL, FAULT, COMMAND = "20261125t130412-a13c", "0c6fc458b754", "recalibrate-0"


def test_a_node_goes_on_with_the_data_of_version_0_1(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    with tarfile.open(ASSETS / "data-0.1.tar.gz") as frozen:
        frozen.extractall(loop.folder, filter="data")
    recordings = {path: path.read_bytes() for path in loop.data.rglob("recordings/*.npz")}
    assert len(recordings) == 2

    loop.start()
    assert loop.wait("model", lambda model: model["id"] == MODEL)["arena_bytes"] <= 4096
    ended = loop.wait("fault", lambda fault: fault["event"] == FAULT and not fault["active"])
    assert ended["historical"] is True
    assert loop.wait("classification", lambda found: found["model"] == MODEL)["class"] == "normal"

    loop.scada.publish("edgetune/n1/bearing/cmd/recalibrate", {"id": COMMAND, "source": "stored"})
    assert loop.reply(COMMAND)["detail"]["model"] == MODEL  # the first answer again, and no second search

    loop.scada.publish(
        "edgetune/n1/bearing/cmd/recalibrate",
        {"id": "after", "source": "stored", "budget": {"ram_bytes": 4096, "search_seconds": 2}, "deploy": "always"},
    )
    renewed = loop.reply("after")
    assert renewed["status"] == "done", renewed
    assert loop.wait("model", lambda model: model["id"] == renewed["detail"]["model"])["previous"] == MODEL
    assert {path: path.read_bytes() for path in recordings} == recordings
