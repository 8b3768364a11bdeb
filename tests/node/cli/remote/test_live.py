"""A node is alive when what it last said of itself is good and fresh."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from edgetune_node.cli.remote import live
from edgetune_node.cli.remote.live import START_S, check_live, find_problems
from edgetune_node.config.settings import MqttSection, Settings, load_settings
from edgetune_node.contract.messages import Health, Status

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LIMITS: dict[str, float] = {"interval_s": 10.0, "max_age_s": 5.0}


def status(value: str = "online", boot: str = "b", ts: datetime = NOW) -> Status:
    return Status.model_validate({"ts": ts, "boot": boot, "seq": 0, "schema": "status/1", "status": value})


def asset(name: str = "press", **changes: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("samples", "windows", "dropped_chunks", "gaps"), 0)
    known = {"sample_age_s": 0.1, "inference_p50_us": None, "inference_p99_us": None, "source_error": None}
    return {"id": name, **figures, **known, **changes}


def health(*assets: dict[str, Any], ts: datetime = NOW, boot: str = "b", uptime_s: float = 100.0) -> Health:
    counts = ("rss_bytes", "queue_depth", "dropped_chunks", "reconnects", "outbox_depth", "outbox_dropped")
    return Health.model_validate(
        {
            "schema": "health/1",
            "ts": ts,
            "boot": boot,
            "seq": 1,
            "uptime_s": uptime_s,
            **dict.fromkeys(counts, 0),
            "cpu_percent": 1.0,
            "temperature_c": None,
            "disk_free_bytes": 10**9,
            "assets": list(assets) or [asset()],
        }
    )


def test_a_node_that_is_online_with_fresh_health_and_samples_has_no_problems() -> None:
    assert find_problems(status(), health(), NOW, **LIMITS) == []


@pytest.mark.parametrize("value", ["stopped", "offline"])
def test_a_node_that_is_not_online_is_not_alive(value: str) -> None:
    assert find_problems(status(value), health(), NOW, **LIMITS) == [f"the node is {value}"]


@given(st.floats(-10_000, 10_000))
def test_health_is_fresh_for_three_intervals_either_side_of_the_clock(age_s: float) -> None:
    found = find_problems(status(), health(ts=NOW - timedelta(seconds=age_s)), NOW, **LIMITS)
    assert (found == []) == (abs(timedelta(seconds=age_s)) <= timedelta(seconds=30))


@pytest.mark.parametrize("last", [None, health(boot="a former life")])
def test_health_of_a_former_life_does_not_count(last: Health | None) -> None:
    (problem,) = find_problems(status(), last, NOW, **LIMITS)
    assert "no health since it started" in problem


def test_an_asset_may_be_without_first_samples_for_a_while_after_the_start() -> None:
    silent = asset(sample_age_s=None)
    assert find_problems(status(), health(silent, uptime_s=START_S), NOW, **LIMITS) == []
    (problem,) = find_problems(status(), health(silent, uptime_s=START_S + 1), NOW, **LIMITS)
    assert problem == "press: no samples since the start 61 s ago"


def test_each_asset_with_old_samples_or_a_failing_source_is_named() -> None:
    said = health(asset("a"), asset("b", sample_age_s=5.1), asset("c", source_error="unplugged"))
    assert find_problems(status(), said, NOW, **LIMITS) == [
        "b: no samples for 5 s, where 5 s are allowed",
        "c: its source fails: unplugged",
    ]


# ---- against a real broker -----------------------------------------------------------------------------------------


def settings(broker: Any, node: str = "edge-1", **mqtt: Any) -> Settings:
    return Settings.model_validate(
        {
            "node": {"id": node, "namespace": "acme", "health_interval_s": 3600},
            "mqtt": MqttSection(host=broker.host, port=broker.port, **mqtt),
            "asset": [{"id": "press", "rate_hz": 12_000}],
        }
    )


def say(client: Any, node: str, *messages: Status | Health) -> None:
    for message in messages:
        client.publish(f"acme/{node}/{message.topic}", message.json_bytes(), retain=True)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_broker_is_asked_for_what_the_node_last_said(
    broker: Any, recorder: Any, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RETAINED_S", 60.0)
    node = f"asked-{protocol.replace('.', '')}"
    now = datetime.now(UTC)
    say(recorder(broker), node, status(ts=now), health(ts=now))
    assert check_live(settings(broker, node, protocol=protocol), max_age_s=5) == []
    say(recorder(broker), node, health(asset(sample_age_s=9.0), ts=now))
    assert check_live(settings(broker, node, protocol=protocol), max_age_s=5) == [
        "press: no samples for 9 s, where 5 s are allowed"
    ]


def test_a_node_that_never_said_anything_is_not_alive(broker: Any) -> None:
    (problem,) = check_live(settings(broker, "nobody"), max_age_s=5)
    assert "acme/nobody is not known to broker 127.0.0.1:" in problem


def test_what_cannot_be_understood_is_a_problem(broker: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETAINED_S", 60.0)
    say(recorder(broker), "newer", health(ts=datetime.now(UTC)))
    recorder(broker).publish("acme/newer/status", {"schema": "status/2", "status": "sleeping"}, retain=True)
    (problem,) = check_live(settings(broker, "newer"), max_age_s=5)
    assert "acme/newer says what this version does not understand" in problem
    assert "status" in problem


def test_a_broker_that_is_away_or_refuses_the_password_is_a_problem(make_broker: Any) -> None:
    locked = make_broker(users={"node": "right"}).start()
    (problem,) = check_live(settings(locked, username="node", password="wrong"), max_age_s=5)
    assert "refuses user 'node'" in problem
    locked.stop()
    (problem,) = check_live(settings(locked, username="node", password="right"), max_age_s=5)
    assert "refuses the connection" in problem


def config_file(folder: Path, broker: Any, node: str) -> Path:
    path = folder / "node.toml"
    path.write_text(
        f'node = {{ id = "{node}", namespace = "acme", health_interval_s = 3600 }}\n'
        f"mqtt = {{ port = {broker.port} }}\n"
        'asset = [{ id = "press", rate_hz = 12000 }]\n'
    )
    assert load_settings(path).node.id == node
    return path


def run_check(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    code = "from edgetune_node.cli.remote import live; live.RETAINED_S = 60.0; live.main()"  # for a busy machine
    command = [sys.executable, "-c", code, "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_health_check_of_a_container_ends_0_or_1_with_a_line_per_problem(
    broker: Any, recorder: Any, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    said = health(asset(sample_age_s=30.0), asset("pump", sample_age_s=40.0), ts=now)
    say(recorder(broker), "checked", status(ts=now), said)
    config = config_file(tmp_path, broker, "checked")
    bad, good = run_check(config), run_check(config, "--max-age", "60")
    assert (bad.returncode, len(bad.stdout.splitlines()), bad.stderr) == (1, 2, "")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")


def test_a_wrong_configuration_ends_the_health_check_with_1(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("node = { id = 'a b' }\n")
    command = [sys.executable, "-m", "edgetune_node.cli.remote.live", "--config", str(tmp_path / "node.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "node.id" in done.stdout


def test_the_health_check_imports_nothing_heavy() -> None:
    code = "import edgetune_node.cli.remote.live, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    heavy = {"torch", "onnxruntime", "onnx", "scipy.signal", "matplotlib", "rich", "structlog"}
    assert heavy & set(json.loads(done.stdout)) == set()
