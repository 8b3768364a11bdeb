"""Passwords, access rules and certificates: what the broker refuses is said, and nothing falls back to less."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from edgetune_node.config.mqtt import TlsSection
from edgetune_node.contract.topics import Topics
from edgetune_node.errors import ConfigError
from edgetune_node.mqtt import client_id_conflict
from edgetune_node.mqtt.tls import own_certificate, tls_context

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = Topics("acme/plant", "n1")
STATE, FAULT = TOPICS.asset("a", "state"), TOPICS.asset("a", "fault")


def test_a_wrong_password_is_reported_and_a_right_one_works(make_broker: Any, bench: Any, protocol: str) -> None:
    broker = make_broker(users={"node": "secret"}).start()
    wrong = bench(broker, protocol=protocol, username="node", password="guess")
    wrong.link.start()
    wrong.until(lambda: wrong.reasons() != [])
    assert "refused" in wrong.reasons()[0]
    assert "authori" in wrong.reasons()[0].lower()
    assert not wrong.link.connected
    bench(broker, protocol=protocol, username="node", password="secret").start()


def test_a_topic_refused_by_the_brokers_rules_is_counted_and_not_tried_for_ever(
    make_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    rules = f"user node\ntopic read {TOPICS.base}/#\ntopic write {STATE}\nuser scada\ntopic readwrite #\n"
    broker = make_broker(users={"node": "n", "scada": "s"}, acl=rules).start()
    scada = recorder(broker, "acme/#", username="scada", password="s")
    node = bench(broker, username="node", password="n").start()
    with structlog.testing.capture_logs() as logs:
        for seq in range(3):
            node.link.publish(say.fault(seq))
        node.link.publish(say.state(3))
        node.delivered()
    assert scada.wait_for(lambda seen: seen.topic == STATE).json()["seq"] == 3
    assert scada.on(FAULT) == []
    assert node.link.refused == 3
    refusals = [log for log in logs if log["event"] == "mqtt_publish_refused"]
    assert [log["topic"] for log in refusals] == [FAULT]
    assert "Not authorized" in refusals[0]["reason"]
    assert node.link.refusal == f"{FAULT}: Not authorized"


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a throw-away CA, a broker's certificate for 127.0.0.1, and a node's, plus an encrypted key."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not there to make certificates with")
    folder = tmp_path_factory.mktemp("ca")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def sign(name: str, extension: str, days: int = 2) -> None:
        (folder / f"{name}.ext").write_text(extension)
        openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", str(days), "-extfile", f"{name}.ext",
        )  # fmt: skip

    for name in ("ca", "other"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
    sign("broker", "subjectAltName=IP:127.0.0.1")
    sign("expired", "subjectAltName=IP:127.0.0.1", days=-1)
    sign("node", "extendedKeyUsage=clientAuth")
    sign("old-node", "extendedKeyUsage=clientAuth", days=-1)
    openssl("ec", "-aes256", "-passout", "pass:secret", "-in", "node.key", "-out", "locked.key")
    return folder


@pytest.fixture
def tls_broker(make_broker: Any, authority: Path) -> Any:
    return make_broker(tls=(authority / "ca.pem", authority / "broker.pem", authority / "broker.key")).start()


def waits_longer(node: Any) -> bool:
    """Whether the node has tried three times at least, and waits longer than before the second."""
    waits_s: float | None = node.connection._client._reconnect_delay
    return waits_s is not None and waits_s >= 4 * client_id_conflict.MIN_RECONNECT_S


def test_a_broker_with_a_known_certificate_is_trusted(
    tls_broker: Any, authority: Path, bench: Any, say: Any, recorder: Any, protocol: str
) -> None:
    scada = recorder(tls_broker, "acme/#", tls_ca=authority / "ca.pem")
    files = {"certificate_file": authority / "node.pem", "key_file": authority / "node.key"}
    node = bench(tls_broker, protocol=protocol, tls={"ca_file": authority / "ca.pem", **files}).start()
    for seq in range(50):
        node.link.publish(say.state(seq))
    assert [seen.json()["seq"] for seen in scada.wait_for_count(STATE, 50)] == list(range(50))


def test_a_broker_that_wants_certificates_lets_in_only_who_has_one(
    make_broker: Any, authority: Path, bench: Any, protocol: str
) -> None:
    broker = make_broker(tls=(authority / "ca.pem", authority / "broker.pem", authority / "broker.key"))
    broker.more = ["require_certificate true"]
    broker.start()
    ca = {"ca_file": authority / "ca.pem"}
    stranger = bench(broker, protocol=protocol, tls=ca)
    stranger.link.start()
    stranger.until(lambda: any("does it want a client certificate?" in reason for reason in stranger.reasons()))
    assert not stranger.link.connected
    pair = {"certificate_file": authority / "node.pem", "key_file": authority / "node.key"}
    bench(broker, protocol=protocol, tls={**ca, **pair}).start()
    assert not stranger.link.connected


def test_a_broker_with_an_unknown_certificate_is_not_trusted(tls_broker: Any, authority: Path, bench: Any) -> None:
    node = bench(tls_broker, tls={"ca_file": authority / "other.pem"})
    node.link.start()
    node.until(lambda: waits_longer(node))
    assert "its certificate is not trusted; give the file of the authority" in node.reasons()[0]
    assert not node.link.connected


def test_a_certificate_for_another_host_is_not_trusted(tls_broker: Any, authority: Path, bench: Any) -> None:
    node = bench(tls_broker, host="localhost", tls={"ca_file": authority / "ca.pem"})
    node.link.start()
    node.until(lambda: waits_longer(node))
    assert "its certificate is for another host" in node.reasons()[0]
    assert "localhost" in node.reasons()[0]
    assert not node.link.connected


def test_an_expired_certificate_is_not_trusted_and_said_to_be_one(
    make_broker: Any, authority: Path, bench: Any, protocol: str
) -> None:
    files = authority / "ca.pem", authority / "expired.pem", authority / "expired.key"
    node = bench(make_broker(tls=files).start(), protocol=protocol, tls={"ca_file": authority / "ca.pem"})
    node.link.start()
    node.until(lambda: waits_longer(node))
    assert "its certificate has expired; renew it there" in node.reasons()[0]
    assert not node.link.connected


def test_a_node_whose_own_certificate_has_expired_is_told_which(
    make_broker: Any, authority: Path, bench: Any, protocol: str
) -> None:
    broker = make_broker(tls=(authority / "ca.pem", authority / "broker.pem", authority / "broker.key"))
    broker.more = ["require_certificate true"]
    broker.start()
    pair = {"certificate_file": authority / "old-node.pem", "key_file": authority / "old-node.key"}
    node = bench(broker, protocol=protocol, tls={"ca_file": authority / "ca.pem", **pair})
    node.link.start()
    node.until(lambda: waits_longer(node))
    told = f"the node's own certificate, {authority}/old-node.pem, has expired; renew it, or set the clock here"
    node.until(lambda: any(told in reason for reason in node.reasons()))
    assert not node.link.connected


def test_speaking_plainly_to_a_tls_broker_is_explained(tls_broker: Any, bench: Any) -> None:
    node = bench(tls_broker)
    node.link.start()
    node.until(lambda: waits_longer(node))
    assert "does it expect TLS?" in node.reasons()[0]
    assert not node.link.connected


@pytest.mark.parametrize(
    ("name", "told"),
    [("node", "may not trust the node's certificate"), ("old-node", "has expired"), (None, "want a client")],
)
def test_what_may_be_wrong_with_the_nodes_own_certificate_is_found_out(
    authority: Path, name: str | None, told: str
) -> None:
    pair = (
        {} if name is None else {"certificate_file": authority / f"{name}.pem", "key_file": authority / f"{name}.key"}
    )
    assert told in own_certificate(TlsSection(**pair))


def test_a_certificate_that_is_gone_since_the_start_is_told(authority: Path, tmp_path: Path) -> None:
    pair = {"certificate_file": tmp_path / "gone.pem", "key_file": authority / "node.key"}
    assert "cannot be used any more" in own_certificate(TlsSection(**pair))


def test_speaking_tls_to_a_plain_broker_fails_and_is_not_made_plain(
    fresh_broker: Any, authority: Path, bench: Any
) -> None:
    node = bench(fresh_broker, tls={"ca_file": authority / "ca.pem"})
    node.link.start()
    node.until(lambda: waits_longer(node))
    assert not node.link.connected


def test_tls_is_1_2_or_newer_and_checks_the_name(authority: Path) -> None:
    context = tls_context(TlsSection(ca_file=authority / "ca.pem"))
    assert context.minimum_version.name == "TLSv1_2"
    assert context.check_hostname
    assert tls_context(TlsSection()).verify_mode.name == "CERT_REQUIRED"


def test_every_file_that_cannot_be_used_is_named(authority: Path, tmp_path: Path) -> None:
    absent, empty = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigError) as caught:
        tls_context(TlsSection(ca_file=empty, certificate_file=absent, key_file=tmp_path))
    problems = caught.value.problems
    assert [problem.split()[:2] for problem in problems] == [
        ["ca_file", str(empty)],
        ["certificate_file", str(absent)],
        ["key_file", str(tmp_path)],
    ]
    pair = {"certificate_file": authority / "node.pem", "key_file": authority / "broker.key"}
    with pytest.raises(ConfigError, match="do not fit"):
        tls_context(TlsSection(**pair))
    with pytest.raises(ConfigError, match="encrypted"):
        tls_context(TlsSection(**{**pair, "key_file": authority / "locked.key"}))
