"""``edgetune doctor`` and what brokers lack or refuse; it leaves what they keep as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.cli.local import access_checks, doctor, source_check as listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIMULATED = '[[asset]]\nid = "press"\nrate_hz = 12000\n[asset.source]\ntype = "simulated"\n'
ON_RETAINED = {"status", "info", "health", "press/state", "press/fault", "press/model", "press/calibration"}


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LISTEN_S", 0.1)
    monkeypatch.setattr(doctor, "RETAINED_S", 0.1)
    monkeypatch.setattr(access_checks, "ECHO_S", 60.0)
    monkeypatch.setattr(listening, "FIRST_CHUNK_S", 60.0)
    monkeypatch.setattr(listening, "RATE_WRONG", float("inf"))


@pytest.fixture
def examine(cli: Any, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Run doctor against a broker; return its exit code and what it found of ``broker`` and ``access``."""

    def run(broker: Any, protocol: str, login: str = "") -> tuple[int, list[dict[str, Any]]]:
        config = tmp_path / "config.toml"
        config.write_text(
            f'[node]\nid = "n"\ndata_dir = "{tmp_path / "data"}"\n[mqtt]\nhost = "{broker.host}"\n'
            f'port = {broker.port}\nprotocol = "{protocol}"\n{login}\n{SIMULATED}'
        )
        ended = cli("doctor", "--config", config, "--json")
        found = json.loads(ended.out)["findings"]
        return ended.code, [each for each in found if each["check"] in {"broker", "access"}]

    return run


def kept(recorder: Any, broker: Any, **login: str) -> dict[str, bytes]:
    """What a client that comes now is given as retained."""
    watcher = recorder(broker, "edgetune/#", **login)
    watcher.publish("edgetune/last", b"x")
    watcher.wait_for(lambda message: message.topic == "edgetune/last")
    return {each.topic: each.payload for each in watcher.messages if each.topic != "edgetune/last"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_keeps_of_a_node_that_is_not_running_stays(
    fresh_broker: Any, examine: Any, recorder: Any, protocol: str
) -> None:
    before = {"edgetune/n/status": b'{"status":"stopped"}', "edgetune/n/press/fault": b'{"active":true}'}
    plant = recorder(fresh_broker, "edgetune/#")
    for topic, payload in before.items():
        plant.publish(topic, payload, retain=True)
    plant.wait_for_count("edgetune/n/press/fault", 1)
    code, found = examine(fresh_broker, protocol)
    assert (code, [each["level"] for each in found]) == (0, ["ok", "ok"])
    assert kept(recorder, fresh_broker) == before
    retained = {each.topic.removeprefix("edgetune/n/") for each in plant.messages if each.retain}
    assert retained >= ON_RETAINED
    tried = {each.topic.removeprefix("edgetune/n/") for each in plant.messages if each.topic != "edgetune/last"}
    assert tried - ON_RETAINED == {
        "press/classification",
        "press/vibration",
        "press/spectrum",
        "resp/doctor",
        "press/resp/doctor",
    }


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("topic", ["status", "press/fault", "press/classification"])
def test_the_one_topic_that_is_refused_is_named(
    make_broker: Any, examine: Any, monkeypatch: pytest.MonkeyPatch, protocol: str, topic: str
) -> None:
    monkeypatch.setattr(access_checks, "ECHO_S", 10.0)
    said = [*ON_RETAINED, "press/classification", "press/vibration", "press/spectrum", "resp/#", "press/resp/#"]
    rules = [f"topic write edgetune/n/{leaf}" for leaf in said if leaf != topic]
    acl = "\n".join(["user n", "topic read edgetune/n/#", *rules, ""])
    process = make_broker(users={"n": "secret"}, acl=acl).start()
    code, found = examine(process, protocol, 'username = "n"\npassword = "secret"')
    assert code == 1
    [access] = [each for each in found if each["check"] == "access"]
    assert access["level"] == "problem"
    named = access["seen"].replace(":", " ").replace(",", " ").split()
    assert [word for word in named if word.startswith("edgetune/")] == [f"edgetune/n/{topic}"]
    assert ("Not authorized" if protocol == "5" else "did not come back") in access["seen"]


def test_nothing_retained_is_risked_where_it_cannot_be_read(
    make_broker: Any, examine: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_checks, "ECHO_S", 5.0)
    readable = ["cmd/+", "+/cmd/+", "+/context", "resp/#", "+/resp/#"]
    rules = [f"topic read edgetune/n/{leaf}" for leaf in readable]
    acl = "\n".join(["user n", "topic write edgetune/n/#", *rules, "user plant", "topic readwrite #", ""])
    process = make_broker(users={"n": "secret", "plant": "secret"}, acl=acl).start()
    login = {"username": "plant", "password": "secret"}
    recorder(process, **login).publish("edgetune/n/press/fault", b"a fault", retain=True)
    code, _ = examine(process, "5", 'username = "n"\npassword = "secret"')
    assert code == 0
    assert kept(recorder, process, **login)["edgetune/n/press/fault"] == b"a fault"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("lacks", "named"),
    [
        (["retain_available false"], ["keeps no retained messages"]),
        (["max_qos 0"], ["maximum QoS is 0"]),
        (["retain_available false", "max_qos 0"], ["keeps no retained messages", "maximum QoS is 0"]),
    ],
)
def test_what_a_broker_lacks_is_a_warning_and_the_rest_is_tried(
    fresh_broker: Any, examine: Any, protocol: str, lacks: list[str], named: list[str]
) -> None:
    fresh_broker.stop()
    fresh_broker.more = lacks
    fresh_broker.start()
    code, found = examine(fresh_broker, protocol)
    assert code == 0
    warnings = [each["seen"] for each in found if each["level"] == "warning"]
    assert len(warnings) == len(named)
    assert all(words in seen for words, seen in zip(named, warnings, strict=True))
    assert [each["level"] for each in found if each["check"] == "access"] == ["ok"]


def test_a_broker_of_qos_1_is_no_warning(fresh_broker: Any, examine: Any) -> None:
    fresh_broker.stop()
    fresh_broker.more = ["max_qos 1"]
    fresh_broker.start()
    code, found = examine(fresh_broker, "5")
    assert (code, {each["level"] for each in found}) == (0, {"ok"})
    assert "QoS 1 at most" in found[0]["seen"]


@pytest.mark.slow
def test_a_broker_that_hangs_up_leaves_the_message_in_flight_as_the_culprit(aedes: Any, examine: Any) -> None:
    broker = aedes(denied="/(info|press/fault)$", denied_filter=r"n/cmd/\+$")
    code, found = examine(broker, "3.1.1")
    assert code == 1
    subscribed, published = [each["seen"] for each in found if each["check"] == "access"]
    assert subscribed.endswith("ends the connection whenever it is asked for edgetune/n/cmd/+")
    assert published.endswith("does not take edgetune/n/info, edgetune/n/press/fault: it ends the connection")


@pytest.mark.slow
def test_a_message_that_a_broker_hangs_up_on_is_named_and_given_up(aedes: Any, spawn: Any, recorder: Any) -> None:
    target = "--node", "n", "--asset", "press", "--protocol", "3.1.1"
    state = "edgetune/n/press/simulator/state"
    broker = aedes(denied=f"^{state}$")
    plant = recorder(broker, "edgetune/n/press/samples", protocol="3.1.1")
    machine = spawn("simulate", *target, "--broker", f"mqtt://{broker.host}:{broker.port}")
    for line in machine.stderr:
        if f"ends the connection whenever it gets {state}" in line:
            break
    before = len(plant.on("edgetune/n/press/samples"))
    plant.wait_for_count("edgetune/n/press/samples", before + 100)  # of 50 a second, without a pause
    assert machine.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_machine_is_simulated_on_a_broker_without_retain(
    fresh_broker: Any, cli: Any, recorder: Any, protocol: str
) -> None:
    fresh_broker.stop()
    fresh_broker.more = ["retain_available false"]
    fresh_broker.start()
    plant = recorder(fresh_broker, "edgetune/n/press/samples")
    url = f"mqtt://{fresh_broker.host}:{fresh_broker.port}"
    target = "--node", "n", "--asset", "press", "--broker", url, "--protocol", protocol
    assert cli("simulate", *target, "--seconds", "1").code == 0
    plant.wait_for_count("edgetune/n/press/samples", 1)
