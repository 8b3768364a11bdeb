from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.mqtt import MqttSection, TlsSection
from edgetune_node.contract.topics import Topics
from edgetune_node.operator.broker_errors import BrokerError
from edgetune_node.operator.client import NoReplyError, OperatorClient, object_or_none

if TYPE_CHECKING:
    from pathlib import Path


def section(broker: Any, **fields: Any) -> MqttSection:
    return MqttSection(host=broker.host, port=broker.port, **fields)


def test_what_came_before_a_reply_is_not_lost(broker: Any, scripted_node: Any) -> None:
    node = scripted_node(broker)
    node.online()
    with OperatorClient(section(broker), Topics("edgetune", node.id), "press") as client:
        client.subscribe(f"{node.base}/press/state")
        command = client.send("rollback")
        job = node.command("rollback")
        assert job == {"id": command}
        node.reply(job, "rollback", "accepted")
        node.state("deploying")
        node.state("monitoring")
        node.reply(job, "rollback", "done", detail={"model": "m-1"})
        assert client.wait_reply(command, timeout=60)["detail"] == {"model": "m-1"}
        heard = [payload for _, payload in client.messages(0)]
    assert [item.get("status") or item["phase"] for item in heard] == ["accepted", "deploying", "monitoring"]


def test_a_command_to_the_node_itself_needs_no_asset(broker: Any, scripted_node: Any) -> None:
    node = scripted_node(broker)
    with OperatorClient(section(broker), Topics("edgetune", node.id)) as client:
        with pytest.raises(ValueError, match="needs a node and an asset"):
            client.send("record", label="a", seconds=1)
        command = client.send("ping")
        assert node.seen.wait_for(lambda message: message.topic == f"{node.base}/cmd/ping").json() == {"id": command}
        with pytest.raises(NoReplyError, match="did not answer"):
            client.wait_reply(command, timeout=0.1, final=False)


HEARS = """
import sys
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.operator import OperatorClient
with OperatorClient(MqttSection(host=sys.argv[1], port=int(sys.argv[2]))) as client:
    client.subscribe("edgetune/#")
    print(next(client.messages(60))[0], client.connections)
"""


def test_a_retained_command_with_a_text_that_paho_takes_for_malformed_keeps_no_client_off_line(
    fresh_broker: Any, recorder: Any
) -> None:
    """In a process of its own, in which nothing else has mended paho."""
    recorder(fresh_broker).publish(
        "edgetune/n/a/cmd/record", b'{"id": "1"}', retain=True, response_topic="reply/\ufeff"
    )
    command = [sys.executable, "-c", HEARS, fresh_broker.host, str(fresh_broker.port)]
    heard = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert heard.stdout.split() == ["edgetune/n/a/cmd/record", "1"], heard.stderr


def test_it_listens_again_after_the_broker_was_away(fresh_broker: Any, scripted_node: Any, until: Any) -> None:
    node = scripted_node(fresh_broker)
    with OperatorClient(section(fresh_broker)) as client:
        client.subscribe(f"{node.base}/press/state")
        assert client.connections == 1
        fresh_broker.stop()
        until(lambda: not client.connected)
        fresh_broker.start()
        until(lambda: client.connections == 2 and node.seen._client.is_connected())
        node.state("monitoring")
        topic, payload = next(client.messages(60))
    assert (topic, payload["phase"]) == (f"{node.base}/press/state", "monitoring")


def test_a_publication_that_the_acl_refuses_is_an_error(make_broker: Any) -> None:
    process = make_broker(users={"op": "secret"}, acl="user op\ntopic read edgetune/#\n").start()
    with (
        OperatorClient(section(process, username="op", password="secret"), Topics("edgetune", "n"), "press") as client,
        pytest.raises(BrokerError, match="refuses to take edgetune/n/press/cmd/cancel"),
    ):
        client.send("cancel")


def test_what_is_no_json_object_is_passed_over(broker: Any, scripted_node: Any) -> None:
    node = scripted_node(broker)
    with OperatorClient(section(broker)) as client:
        client.subscribe(f"{node.base}/#")
        for payload in (b"\xff", b"[1]", b"", b'{"a": ', b"[" * 100_000, b'{"a": 1}'):
            node.seen.publish(f"{node.base}/x", payload)
        assert next(client.messages(60)) == (f"{node.base}/x", {"a": 1})
    assert object_or_none(b"null") is None


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path, Path]:
    """An authority that signed a certificate for the broker's address."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on PATH")
    ca, certificate, key, request = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem", "request.pem"))
    ca_key, names = tmp_path / "ca-key.pem", tmp_path / "names"
    names.write_text("subjectAltName=IP:127.0.0.1")
    for arguments in (
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", ca_key, "-out", ca, "-subj", "/CN=authority"],
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=broker"],
        [
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            ca,
            "-CAkey",
            ca_key,
            "-CAcreateserial",
            "-out",
            certificate,
            "-extfile",
            names,
        ],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    return ca, certificate, key


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the socket to be collected
def test_tls_is_checked_against_the_authority(
    make_broker: Any, cli: Any, certificates: tuple[Path, Path, Path]
) -> None:
    process = make_broker(tls=certificates).start()
    with OperatorClient(section(process, tls=TlsSection(ca_file=certificates[0]))) as client:
        assert client.connected
    with pytest.raises(BrokerError, match=r"not trusted.*--ca"):
        OperatorClient(section(process, tls=TlsSection()))
    gc.collect()
    url = f"mqtts://{process.host}:{process.port}"
    assert cli("watch", "--seconds", "0.1", "--broker", url, "--ca", certificates[0]).code == 0
    absent = cli("watch", "--seconds", "0.1", "--broker", url, "--ca", "absent.pem")
    assert absent.code == 2
    assert "absent.pem" in absent.err


def test_a_broker_that_hangs_up_for_want_of_a_certificate_is_explained(
    make_broker: Any, certificates: tuple[Path, Path, Path]
) -> None:
    process = make_broker(tls=certificates)
    process.more = ["require_certificate true"]
    process.start()
    with pytest.raises(BrokerError) as caught:
        OperatorClient(section(process, tls=TlsSection(ca_file=certificates[0])))
    assert "does it want a client certificate? give certificate_file and key_file" in caught.value.seen


def test_a_tls_port_asked_in_plain_is_explained(make_broker: Any, certificates: tuple[Path, Path, Path]) -> None:
    process = make_broker(tls=certificates).start()
    with pytest.raises(BrokerError, match=r"mqtts:// \(TLS\) right for this port"):
        OperatorClient(section(process))
