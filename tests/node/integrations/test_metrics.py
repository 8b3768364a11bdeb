"""Metrics, read by Prometheus' own parser."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from brokers import free_port, wait_until
from configuring import SMALL, load, problems_of
from prometheus_client.parser import text_string_to_metric_families

from edgetune_node.contract import MESSAGES, Topics
from edgetune_node.errors import ConfigError
from edgetune_node.events import Durability, Publish
from edgetune_node.integrations import metrics_server
from edgetune_node.integrations.exposition import Family, exposition
from edgetune_node.integrations.figures import Figures
from edgetune_node.integrations.metrics_server import MAX_CLIENTS, MetricsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
TOPICS = Topics("acme/plant1/press-shop/line3", "edge1")
UNITS = ("_seconds", "_bytes", "_ratio", "_celsius", "_meters_per_second", "_info", "_total")
COUNTED = ("_active", "_connected", "_events", "_judged", "_level", "_messages", "_phase", "_problems")
PURE = ("_crest_factor", "_kurtosis", "_rms")
"""Endings of names: a base unit, something that is counted, or a figure without one unit."""


@pytest.fixture
def figures() -> Figures:
    """Figures of a node that has said every example once."""
    made = Figures(TOPICS, ["bearing1", "armband1"])
    for kind in MESSAGES:
        [said, *_] = json.loads((EXAMPLES / f"{kind.topic.split('/')[0]}.json").read_text(encoding="utf-8"))
        made.heard(Publish(said["topic"], kind.model_validate(said["payload"]), Durability.TELEMETRY))
    return made


@pytest.fixture
def server(figures: Figures) -> Iterator[int]:
    port = free_port()
    made = MetricsServer(("127.0.0.1", port), figures.families)
    yield port
    made.close()


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    kind: str | None
    length: int
    body: str


def ask(port: int, path: str, *, host: str = "127.0.0.1", method: str = "GET") -> Page:
    connection = HTTPConnection(host, port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    length = int(answer.headers["Content-Length"])
    page = Page(answer.status, answer.headers["Content-Type"], length, answer.read().decode())
    connection.close()
    return page


def read(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Any], family: str, sample: str = "", **labels: str) -> float:
    [found] = [
        each.value
        for each in families[family].samples
        if each.name == (sample or family) and labels.items() <= each.labels.items()
    ]
    return float(found)


def test_prometheus_reads_what_the_node_says(figures: Figures) -> None:
    families = read(exposition(figures.families()).decode())
    fault = json.loads((EXAMPLES / "fault.json").read_text(encoding="utf-8"))[0]["payload"]
    health = json.loads((EXAMPLES / "health.json").read_text(encoding="utf-8"))[0]["payload"]
    [bearing] = [each for each in health["assets"] if each["id"] == "bearing1"]
    assert value(families, "edgetune_fault_active", asset="bearing1") == fault["active"]
    assert value(families, "edgetune_fault_severity_level", asset="bearing1") == fault["severity_level"]
    assert value(families, "edgetune_fault_info", asset="bearing1", **{"class": fault["class"]}) == 1
    assert value(families, "edgetune_samples", "edgetune_samples_total", asset="bearing1") == bearing["samples"]
    slow = value(families, "edgetune_inference_seconds", asset="bearing1", quantile="0.99")
    assert slow == pytest.approx(bearing["inference_p99_us"] / 1e6)
    phases = [sample for sample in families["edgetune_phase"].samples if sample.value == 1]
    assert len({sample.labels["asset"] for sample in phases}) == len(phases)
    assert value(families, "edgetune_signs", "edgetune_signs_total", asset="armband1") == 1


def test_names_follow_the_conventions(figures: Figures) -> None:
    families = figures.families()
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith(("edgetune_", "process_"))
        assert family.name.endswith((*UNITS, *COUNTED, *PURE)), family.name
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.help


def test_nothing_is_invented_before_it_is_known() -> None:
    families = read(exposition(Figures(TOPICS, ["bearing1"]).families()).decode())
    assert {name for name in families if name.startswith("edgetune")} == {
        "edgetune_build_info",
        "edgetune_broker_connected",
    }
    assert value(families, "process_resident_memory_bytes") > 10 * 2**20


def test_odd_characters_in_labels_arrive_as_they_are() -> None:
    family = Family("odd_total", "counter", "Odd.")
    odd = 'a"b\\c\nd é'
    family.add(2, name=odd)
    assert value(read(exposition([family]).decode()), "odd", "odd_total", name=odd) == 2


def test_it_is_served(server: int) -> None:
    answer = ask(server, "/metrics")
    assert answer.kind == "text/plain; version=0.0.4; charset=utf-8"
    assert "edgetune_fault_active" in read(answer.body)
    head = ask(server, "/metrics", method="HEAD")
    assert (head.status, head.body, head.length > 0) == (200, "", True)
    assert "/metrics" in ask(server, "/").body
    assert ask(server, "/secrets").status == 404


def test_clients_that_ask_for_nothing_are_bounded(server: int) -> None:
    address = ("127.0.0.1", server)
    idle = [socket.create_connection(address) for _ in range(MAX_CLIENTS)]
    one_more = socket.create_connection(address, timeout=30)
    assert one_more.recv(1) == b""
    for client in (*idle, one_more):
        client.close()

    def answers() -> bool:
        try:
            return ask(server, "/metrics").status == 200
        except (OSError, HTTPException):
            return False

    wait_until(answers, what="there is room again")


def test_clients_that_never_finish_asking_are_hung_up_on(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[socket.socket] = []

    def ask_slowly() -> None:
        slow.extend(socket.create_connection(("127.0.0.1", server)) for _ in range(MAX_CLIENTS))

    def close() -> None:
        for client in slow:
            client.close()
        slow.clear()

    def answers() -> bool:
        for client in slow:  # what they say begins the time-out of a read again
            with suppress(OSError):
                client.sendall(b"X")
        try:
            return ask(server, "/metrics").status == 200
        except (OSError, HTTPException):
            return False

    monkeypatch.setattr(metrics_server, "CLIENT_S", 600.0)
    ask_slowly()
    assert not answers()
    close()
    wait_until(answers, what="they have gone")
    monkeypatch.setattr(metrics_server, "CLIENT_S", 0.5)
    ask_slowly()
    wait_until(answers, what="they have made room")
    close()


def test_it_listens_at_ipv6(figures: Figures) -> None:
    port = free_port()
    try:
        made = MetricsServer(("::1", port), figures.families)
    except ConfigError as error:
        pytest.skip(str(error))
    assert ask(port, "/metrics", host="::1").status == 200
    made.close()


def test_a_port_that_is_taken_is_named(server: int, figures: Figures) -> None:
    with pytest.raises(ConfigError, match=rf"metrics.listen(.|\n)*127.0.0.1 port {server}(.|\n)*choose another"):
        MetricsServer(("127.0.0.1", server), figures.families)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::]:1", ("::", 1)), ("host.lan:80", ("host.lan", 80))],
)
def test_an_address_is_read(tmp_path: Path, text: str, address: tuple[str, int]) -> None:
    assert load(tmp_path, f'{SMALL}[metrics]\nlisten = "{text}"\n').metrics.address == address
    assert load(tmp_path, SMALL).metrics.address is None


@pytest.mark.parametrize(
    "text", ["9464", ":9464", "127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:0", "a:99999", "::1:9464", "u@h:1"]
)
def test_what_is_no_address_is_refused_with_the_right_form(tmp_path: Path, text: str) -> None:
    [problem] = problems_of(tmp_path, f'{SMALL}[metrics]\nlisten = "{text}"\n')
    assert problem.startswith("metrics.listen")
