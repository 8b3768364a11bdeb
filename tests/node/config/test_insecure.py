"""Insecure ways to the broker: named where somebody may listen, quiet where they were asked for or nobody can."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edgetune_node.config import insecure
from edgetune_node.config.mqtt import MqttSection, TlsSection

CERTIFIED = TlsSection(certificate_file=Path("a.crt"), key_file=Path("a.key"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "localhost."])
def test_nothing_has_to_be_asked_for_where_the_broker_is_this_machine(host: str) -> None:
    mqtt = MqttSection(host=host)

    assert insecure.unasked(mqtt) == []
    assert insecure.described(mqtt) == ["mqtt: no TLS", "mqtt: no password"]


@pytest.mark.parametrize("host", ["192.168.7.2", "broker", "localhost.example.org", "10.0.0.1", "fe80::1", "0.0.0.0"])  # noqa: S104 - a host to connect to
def test_another_machine_is_told_with_the_danger_and_both_ways_out(host: str) -> None:
    plain, anonymous = insecure.unasked(MqttSection(host=host))

    assert plain.startswith(f"mqtt: no TLS for {host}: ")
    assert "set [mqtt.tls]" in plain
    assert 'mqtt.insecure = ["plaintext"]' in plain
    assert 'mqtt.insecure = ["anonymous"]' in anonymous


def test_what_was_asked_for_is_shown_and_no_problem() -> None:
    mqtt = MqttSection(host="broker", insecure=["plaintext"])

    assert insecure.described(mqtt) == ["mqtt: no TLS (asked for)", "mqtt: no password (not asked for)"]
    assert [problem.partition(":")[2][:12] for problem in insecure.unasked(mqtt)] == [" no password"]
    assert insecure.unasked(MqttSection(host="broker", insecure=["plaintext", "anonymous"])) == []


def test_tls_with_a_password_or_a_client_certificate_is_secure() -> None:
    for mqtt in (
        MqttSection(host="broker", tls=TlsSection(), username="n", password="p"),  # type: ignore[arg-type]
        MqttSection(host="broker", tls=CERTIFIED),
    ):
        assert insecure.described(mqtt) == []
        assert insecure.unasked(mqtt) == []


def test_a_mode_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'plaintext' or 'anonymous'"):
        MqttSection.model_validate({"insecure": ["unverified"]})
