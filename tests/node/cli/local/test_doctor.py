from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from manual_clock import EPOCH, ManualClock

from edgetune_node.cli.local import access_checks, checks, doctor, source_check as listening
from edgetune_node.cli.local.checks import check_clock, check_disk, check_packages
from edgetune_node.cli.local.source_check import Heard, source_findings
from edgetune_node.config.settings import AssetSection, MqttSection
from edgetune_node.contract.messages import Health, Status
from edgetune_node.contract.topics import Topics
from edgetune_node.operator.broker_limits import BrokerLimits
from edgetune_signal import Chunk, install_hint

if TYPE_CHECKING:
    from collections.abc import Callable

ASSET = '[[asset]]\nid = "press"\nrate_hz = 12000\n'
SIMULATED = ASSET + '[asset.source]\ntype = "simulated"\n'
PRESS = AssetSection(id="press", rate_hz=1000)


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait long for what comes, and not for what a test knows not to come."""
    monkeypatch.setattr(doctor, "LISTEN_S", 0.5)
    monkeypatch.setattr(access_checks, "ECHO_S", 60.0)
    monkeypatch.setattr(doctor, "RETAINED_S", 0.1)
    monkeypatch.setattr(listening, "FIRST_CHUNK_S", 60.0)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setattr(listening, "RATE_WRONG", float("inf"))  # half a second on a busy machine proves no rate

    def write(broker: Any, assets: str = SIMULATED, node: str = "n", mqtt: str = "") -> Path:
        path = tmp_path / "config.toml"
        path.write_text(
            f'[node]\nid = "{node}"\ndata_dir = "{tmp_path / "data"}"\n[mqtt]\nhost = "{broker.host}"\n'
            f"port = {broker.port}\n{mqtt}\n{assets}"
        )
        return path

    return write


def findings(ended: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ended.out)["findings"]
    return found


def of(ended: Any, check: str) -> list[dict[str, Any]]:
    return [finding for finding in findings(ended) if finding["check"] == check]


def test_a_healthy_node_to_be_has_no_problems(broker: Any, cli: Any, configure: Any) -> None:
    ended = cli("doctor", "--config", configure(broker), "--json")
    assert ended.code == 0, ended.out
    result = json.loads(ended.out)
    assert result["problems"] == 0
    levels = {finding["check"]: finding["level"] for finding in result["findings"]}
    assert levels["configuration"] == levels["broker"] == levels["access"] == levels["disk"] == "ok"
    assert "configured" in of(ended, "source press")[0]["seen"]
    assert of(ended, "models press")[0]["seen"] == "no model in use"


def test_settings_of_before_that_were_converted_are_named(broker: Any, cli: Any, configure: Any) -> None:
    ended = cli("doctor", "--config", configure(broker, f"{SIMULATED}[asset.alarm]\nvotes = 8\n"), "--json")
    assert ended.code == 0, ended.out
    right, replaced = of(ended, "configuration")
    assert (right["level"], replaced["level"]) == ("ok", "warning")
    assert "alarm.votes of version 0.1.0 became raise_after_s = " in replaced["seen"]


def test_a_broker_on_another_machine_is_a_warning_until_it_is_asked_for_by_name() -> None:
    found = doctor._broker(MqttSection(host="broker", insecure=["anonymous"]), BrokerLimits())
    assert (found.level, found.seen) == ("warning", "broker:1883 takes MQTT 5")
    assert "mqtt: no TLS for broker: " in found.advice
    assert 'mqtt.insecure = ["plaintext"]' in found.advice

    assert doctor._broker(MqttSection(host="broker", insecure=["anonymous", "plaintext"]), BrokerLimits()).level == "ok"


def test_people_get_a_line_and_what_to_do(broker: Any, cli: Any, configure: Any) -> None:
    ended = cli("doctor", "--config", configure(broker))
    assert ended.code == 0
    assert "ok      access: " in ended.out
    assert "        edgetune recalibrate makes one" in ended.out


def test_every_mistake_in_the_configuration_is_a_finding(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[node]\nid = "a/b"\n[[asset]]\nid = "press"\nrate_hz = -1\n')
    ended = cli("doctor", "--config", path, "--json")
    assert ended.code == 2
    assert [finding["seen"].split(":")[0] for finding in findings(ended)] == ["node.id", "asset.0.rate_hz"]
    ended = cli("doctor", "--config", tmp_path / "absent.toml")
    assert ended.code == 2
    assert "cannot be read" in ended.out


def test_a_broker_that_is_down_does_not_hide_the_rest(make_broker: Any, cli: Any, configure: Any) -> None:
    process = make_broker().start()
    process.stop()
    ended = cli("doctor", "--config", configure(process), "--json")
    assert ended.code == 1
    (broker,) = of(ended, "broker")
    assert "refuses the connection" in broker["seen"]
    assert "[mqtt] in the configuration" in broker["advice"]
    assert "--" not in broker["seen"] + broker["advice"]
    assert of(ended, "disk")[0]["level"] == "ok"
    assert of(ended, "source press")[0]["level"] != "problem"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refusal_by_the_acl_is_noticed(
    make_broker: Any, cli: Any, configure: Any, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(access_checks, "ECHO_S", 3.0)
    acl = "user n\ntopic read edgetune/#\ntopic write edgetune/n/press/#\n"
    process = make_broker(users={"n": "secret"}, acl=acl).start()
    login = f'username = "n"\npassword = "secret"\nprotocol = "{protocol}"'
    ended = cli("doctor", "--config", configure(process, mqtt=login), "--json")
    assert ended.code == 1
    (access,) = of(ended, "access")
    assert "edgetune/n/resp/doctor" in access["seen"]
    assert "edgetune/n/#" in access["advice"]


def test_a_wrong_password_is_a_problem(make_broker: Any, cli: Any, configure: Any) -> None:
    process = make_broker(users={"n": "secret"}).start()
    ended = cli("doctor", "--config", configure(process, mqtt='username = "n"\npassword = "x"'), "--json")
    assert ended.code == 1
    (broker,) = of(ended, "broker")
    assert "refuses user 'n'" in broker["seen"]
    assert "--" not in broker["seen"]


def test_samples_that_do_not_come_are_missed_by_a_running_node_alone(
    broker: Any, scripted_node: Any, cli: Any, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "FIRST_CHUNK_S", 0.5)
    node = scripted_node(broker)
    config = configure(broker, ASSET, node.id)
    ended = cli("doctor", "--config", config, "--json")
    assert ended.code == 0
    (source,) = of(ended, "source press")
    assert (source["level"], "no samples yet" in source["seen"]) == ("warning", True)
    assert "edgetune simulate" in source["advice"]
    node.say(Status, status="online")
    monkeypatch.setattr(doctor, "RETAINED_S", 10.0)
    ended = cli("doctor", "--config", config, "--json")
    assert ended.code == 1
    (source,) = of(ended, "source press")
    assert (source["level"], source["seen"]) == ("problem", "no samples within 0.5 s")


@pytest.mark.slow
def test_the_way_of_the_readme_ends_without_a_problem(fresh_broker: Any, spawn: Any, tmp_path: Path) -> None:
    example = Path(__file__).parents[4] / "config.example.toml"
    (tmp_path / "config.toml").write_bytes(example.read_bytes())
    environment = {**os.environ, "EDGETUNE_MQTT__PORT": str(fresh_broker.port)}
    process = spawn("doctor", "--config", "config.toml", cwd=tmp_path, env=environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "edgetune simulate" in out


@pytest.mark.slow
def test_samples_over_mqtt_are_measured(
    broker: Any, scripted_node: Any, cli: Any, configure: Any, spawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = scripted_node(broker)
    spawn("simulate", "--asset", "press", *node.target)
    node.seen.wait_for_count(f"{node.base}/press/samples", 3)
    monkeypatch.setattr(doctor, "LISTEN_S", 2.0)  # a second block, also from a process that hardly runs
    ended = cli("doctor", "--config", configure(broker, ASSET, node.id), "--json")
    (source,) = of(ended, "source press")
    assert "samples/s measured, 12,000 configured" in source["seen"]
    node.seen.publish(f"{node.base}/press/samples", b"not a block", retain=True)
    monkeypatch.setattr(listening, "FIRST_CHUNK_S", 8.0)
    ended = cli("doctor", "--config", configure(broker, ASSET.replace("12000", "48000"), node.id), "--json")
    node.seen.publish(f"{node.base}/press/samples", b"", retain=True)
    assert ended.code == 1
    assert "12000 Hz where the stream has 48000" in of(ended, "source press")[0]["seen"]


def test_wrong_options_of_a_source_are_named(broker: Any, cli: Any, configure: Any) -> None:
    ended = cli("doctor", "--config", configure(broker, SIMULATED + 'colour = "blue"\n'), "--json")
    assert ended.code == 1
    assert "colour" in of(ended, "source press")[0]["seen"]


def test_a_running_node_keeps_its_connection_and_its_sensor(
    broker: Any, scripted_node: Any, cli: Any, configure: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "RETAINED_S", 60.0)
    node = scripted_node(broker)
    watcher = recorder(broker, f"{node.base}/#")
    node.say(Status, status="online")
    figures = dict.fromkeys(("samples", "windows", "dropped_chunks", "gaps"), 0)
    press = {"id": "press", **figures, "inference_p50_us": None, "inference_p99_us": None, "source_error": None}
    vitals = dict.fromkeys(("uptime_s", "rss_bytes", "cpu_percent", "queue_depth", "dropped_chunks", "reconnects"), 0)
    vitals |= {"temperature_c": None, "outbox_depth": 0, "outbox_dropped": 0, "disk_free_bytes": 0}
    promised = {"healthy_seconds": 90_000.0, "raised": 1, "supported_per_month": 175.0}
    node.say(Health, **vitals, assets=[{**press, **promised, "sample_age_s": 0.2}])
    sensor = ASSET + '[asset.source]\ntype = "serial"\nport = "/dev/ttyUSB0"\n'
    ended = cli("doctor", "--config", configure(broker, sensor, node.id), "--json")
    assert ended.code == 0, ended.out
    assert "in use by the running node" in of(ended, "source press")[0]["seen"]
    [told] = of(ended, "alarms press")
    assert told["level"] == "ok"
    assert "at most 175 false alarms a month at 95 % confidence, by 25 h of health" in told["seen"]
    promised |= {"healthy_seconds": 5.2, "supported_per_month": 1.52e6}
    node.say(Health, **vitals, assets=[{**press, **promised, "sample_age_s": 0.2}])
    [told] = of(cli("doctor", "--config", configure(broker, sensor, node.id), "--json"), "alarms press")
    assert "5 s of health tell nothing of false alarms a month yet; a day is the least; faults raised" in told["seen"]
    watcher.publish(f"{node.base}/last", b"")
    watcher.wait_for(lambda message: message.topic.endswith("/last"))
    published = {message.topic.removeprefix(node.base) for message in watcher.messages} - {"/last"}
    assert published == {"/status", "/health", "/resp/doctor", "/press/resp/doctor"}
    assert f"as {node.id} " not in broker.log()
    node.say(Health, **vitals, assets=[{**press, "sample_age_s": None}])
    ended = cli("doctor", "--config", configure(broker, sensor, node.id), "--json")
    assert ended.code == 1
    assert "no samples yet" in of(ended, "source press")[0]["seen"]


def chunks(samples: np.ndarray[Any, Any], gap_at: int | None = None) -> list[Chunk]:
    return [
        Chunk(part.astype(np.float32), 0, 1000.0, index, gap=index == gap_at)
        for index, part in enumerate(np.split(samples, 10, axis=1))
    ]


NOISE = np.random.default_rng(0).standard_normal((1, 1000))


@pytest.mark.parametrize(
    ("samples", "seconds", "level", "named"),
    [
        (NOISE, 0.9, "ok", "1,000 samples/s measured"),
        (NOISE, 0.95, "warning", "947 samples/s measured"),
        (NOISE, 1.8, "problem", "500 samples/s measured"),
        (np.zeros((1, 1000)), 0.9, "problem", "constant"),
        (np.where(NOISE > 2, np.nan, NOISE), 0.9, "problem", "NaN"),
        (np.clip(NOISE, -1, 1), 0.9, "warning", "clipped"),
        (np.repeat(NOISE, 3, axis=0), 0.9, "problem", "3 channels"),
    ],
)
def test_what_a_source_delivers_is_held_against_the_configuration(
    samples: Any, seconds: float, level: str, named: str
) -> None:
    found = source_findings(PRESS, Heard(chunks(samples), seconds))
    assert [finding.level for finding in found if named in finding.seen] == [level]


def test_lost_samples_are_counted() -> None:
    found = source_findings(PRESS, Heard(chunks(NOISE, gap_at=4), 0.9))
    assert any("1 gaps" in finding.seen for finding in found)
    assert not any("gaps" in finding.seen for finding in source_findings(PRESS, Heard(chunks(NOISE, gap_at=0), 0.9)))


def test_a_source_that_breaks_is_reported_with_its_reason() -> None:
    (found,) = source_findings(PRESS, Heard(error="/dev/ttyUSB0 is gone"))
    assert (found.level, found.seen) == ("problem", "/dev/ttyUSB0 is gone")


class Hasty:
    """A plug-in's source whose author forgot a field of `Chunk`."""

    spec = PRESS.spec

    def read(self, timeout_s: float) -> Chunk | None:
        del timeout_s
        return Chunk(samples=NOISE.astype(np.float32), time_ns=0, sequence=0)  # type: ignore[call-arg]

    def select(self, name: str) -> None:
        raise AssertionError(name)

    def close(self) -> None:
        pass


def test_whatever_a_plug_in_raises_is_a_problem_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = Topics("edgetune", "n")
    section = AssetSection.model_validate({"id": "press", "rate_hz": 1000, "source": {"type": "hasty"}})

    def refuse(*_: object) -> Any:
        raise OSError("/dev/hasty0 is not there")

    for opened, named in ((lambda *_: Hasty(), "TypeError: Chunk.__init__"), (refuse, "OSError: /dev/hasty0")):
        monkeypatch.setattr(doctor, "open_source", opened)
        (found,) = doctor.try_source(section, MqttSection(), topics, reachable=True)
        assert found.level == "problem"
        assert named in found.seen


def test_a_full_disk_is_a_problem_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((100, "problem"), (1500, "warning"), (5000, "ok")):
        monkeypatch.setattr(checks, "free_bytes", lambda _, free=free: free)
        assert [finding.level for finding in check_disk(tmp_path / "not" / "yet", 1000)] == [level]


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = check_disk(tmp_path / "file", 1000)
    assert found.level == "problem"
    assert "cannot be written" in found.seen


def test_a_data_dir_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    (found,) = check_disk(tmp_path / "not" / "yet", 1000)
    assert f"{tmp_path / 'not' / 'yet'} will be made" in found.seen
    (found,) = check_disk(tmp_path, 1000)
    assert f"{tmp_path} can be written" in found.seen


def test_a_clock_that_was_never_set_is_a_warning() -> None:
    (found,) = check_clock(ManualClock(EPOCH, synced=False))
    assert found.level == "warning"
    assert "1970" in found.seen


def test_the_onnxruntime_that_crashes_a_pi_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda _: "1.21.0")
    assert check_packages()[0].level == "problem"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "illegal instruction"),
        ("raise ImportError('libgomp.so.1 is not there')", "cannot be imported: ImportError: libgomp.so.1"),
    ],
)
def test_an_onnxruntime_that_dies_at_import_is_named(
    broker: Any, spawn: Any, configure: Any, tmp_path: Path, module: str, told: str
) -> None:
    folder = tmp_path / "modules" / "onnxruntime"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(module)
    environment = {**os.environ, "PYTHONPATH": str(folder.parent)}
    out, err = spawn("--version", env=environment).communicate(timeout=120)
    assert out.startswith("edgetune "), err
    doctor = spawn("doctor", "--config", configure(broker), "--json", env=environment)
    out, err = doctor.communicate(timeout=120)
    assert doctor.returncode == 1, err
    [found] = [finding for finding in json.loads(out)["findings"] if finding["check"] == "onnxruntime"]
    assert (found["level"], told in found["seen"]) == ("problem", True)


def test_a_command_that_a_library_kills_names_the_import(spawn: Any, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    process = spawn("--help", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGILL
    assert "Illegal instruction" in err
    assert str(tmp_path / "onnxruntime.py") in err


@pytest.mark.parametrize(("spec", "said"), [(None, "closed-form"), (ModuleSpec("torch", None), "train")])
def test_it_says_whether_searches_can_train(monkeypatch: pytest.MonkeyPatch, spec: Any, said: str) -> None:
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda _: spec)
    found = check_packages()[1]
    assert said in found.seen
    assert (spec is None) == (install_hint("train") in found.advice)


def test_torch_is_not_imported_for_it() -> None:
    code = (
        "import sys; from edgetune_node.cli.local import checks, doctor; checks.check_packages(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()
    assert "edgetune_node.cli.local.doctor" in done.stdout.split()
