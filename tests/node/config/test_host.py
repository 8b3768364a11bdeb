from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.validation import problems


@pytest.mark.parametrize(
    ("host", "read"),
    [("broker.local", "broker.local"), ("[::1]", "::1"), ("::1", "::1"), ("fe80::1%eth0", "fe80::1%eth0")],
)
def test_a_host_is_a_name_or_an_address(host: str, read: str) -> None:
    mqtt = MqttSection(host=host)
    assert mqtt.host == read
    assert mqtt.where == (f"[{read}]:1883" if ":" in read else f"{read}:1883")


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("mqtt://broker", 'write host = "broker"'),
        ("mqtts://broker:8883", 'write host = "broker" and port = 8883 and the table [mqtt.tls]'),
        ("broker:1884", 'write host = "broker" and port = 1884'),
        ("[::1]:1884", 'write host = "::1" and port = 1884'),
        ("jo:hidden@broker", 'write host = "broker" and username, and the password in a secret file'),
        ("broker:x", 'for example host = "broker.example.org" and port = 1883'),
        ("[::1", 'for example host = "broker.example.org" and port = 1883'),
        ("two words", 'for example host = "broker.example.org" and port = 1883'),
        (" ", 'for example host = "broker.example.org" and port = 1883'),
        ("a..b", "is no host name"),
    ],
)
def test_what_is_no_host_is_named_with_its_right_form(host: str, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        MqttSection(host=host)
    [problem] = problems(error.value)
    assert problem.startswith("host: ")
    assert told in problem
    assert "hidden" not in problem
