"""A node that runs backs itself up, over a kill too, and goes on as another node elsewhere."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.storage import Archive
from edgetune_signal import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_a_running_node_is_backed_up_and_goes_on_as_another(
    node: Callable[..., Any],
    bearing: str,
    cli: Callable[..., Any],
    spawn: Callable[..., Any],
    recorder: Callable[..., Any],
    tmp_path: Path,
) -> None:
    loop = node(bearing)
    loop.start()
    loop.reply(loop.command("record", label="normal", seconds=1), "done")
    out = tmp_path / "n1.zip"
    done = cli("backup", "--config", loop.config, "--out", out, "--json")
    assert done.code == 0, done.err
    detail = json.loads(done.out)
    assert (detail["node"], detail["file"]) == ("n1", str(out))
    assert [each["status"] for each in loop.audit("answered") if each["command"] == "backup"] == ["accepted", "done"]
    [taken] = (loop.data / "assets" / "bearing" / "recordings").glob("*.npz")

    other = tmp_path / "other"
    config = other / "config.toml"
    other.mkdir()
    text = loop.config.read_text(encoding="utf-8")
    config.write_text(text.replace(str(loop.data), str(other / "data")).replace('id = "n1"', 'id = "n2"'))
    restored = cli("restore", out, "--config", config, "--node-id", "n2", "--unsigned")
    assert restored.code == 0, restored.err
    [again] = (other / "data" / "assets" / "bearing" / "recordings").glob("*.npz")
    assert read_recording(again).samples.tolist() == read_recording(taken).samples.tolist()
    scada = recorder(loop.broker, "edgetune/n2/#")
    spawn("run", "--config", config)
    scada.wait_for(lambda found: found.topic.endswith("/status") and found.json()["status"] == "online")
    state = scada.wait_for(lambda found: found.topic.endswith("bearing/state")).json()
    assert state["phase"] != "failed"
    assert not [found for found in scada.on("edgetune/n2/resp/backup") if found]


def test_a_backup_that_the_node_is_killed_over_is_answered_and_none_is_half_done(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.start()
    loop.reply(loop.command("record", label="normal", seconds=2), "done")
    for number in range(3):
        loop.scada.publish("edgetune/n1/cmd/backup", {"id": f"b{number}", "keep": 2})
        loop.reply(f"b{number}", "accepted", "done")
        loop.send(signal.SIGKILL)
        loop.ended()
        loop.start()
        answer = loop.reply(f"b{number}", "done", "failed")
        assert answer["status"] == "done" or "send it again" in answer["reason"]
    loop.scada.publish("edgetune/n1/cmd/backup", {"id": "last", "keep": 1})
    detail = loop.reply("last", "done")["detail"]
    [only] = (loop.data / "backups").iterdir()
    assert detail["file"] == f"backups/{only.name}"
    manifest = Archive(only, None).manifest
    assert (manifest.node, len(manifest.files)) == ("n1", detail["files"])
