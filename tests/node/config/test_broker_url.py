"""The broker as a URL: what it stands for, and what it may not contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from configuring import SMALL, load, problems_of

from edgetune_node.config import insecure
from edgetune_node.config.mqtt import MqttSection

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "transport", "host", "port", "tls", "path"),
    [
        ("mqtt://broker.lan", "tcp", "broker.lan", 1883, False, ""),
        ("mqtt://broker.lan:1884/", "tcp", "broker.lan", 1884, False, ""),
        ("MQTTS://Broker.lan", "tcp", "broker.lan", 8883, True, ""),
        ("mqtt://[fd00::1]:1884", "tcp", "fd00::1", 1884, False, ""),
        ("ws://broker.lan", "websockets", "broker.lan", 80, False, "/mqtt"),
        ("wss://broker.lan/a/b?token=1", "websockets", "broker.lan", 443, True, "/a/b?token=1"),
        ("wss://broker.lan/a b/é", "websockets", "broker.lan", 443, True, "/a%20b/%C3%A9"),
        ("mqtt://[fe80::1%25eth0]", "tcp", "fe80::1%eth0", 1883, False, ""),
        ("unix:///run/mosquitto.sock", "unix", "127.0.0.1", 1883, False, "/run/mosquitto.sock"),
        ("unix:///run/a%23b%3F%2520.sock", "unix", "127.0.0.1", 1883, False, "/run/a#b?%20.sock"),
    ],
)
def test_a_url_stands_for_host_port_tls_and_transport(
    url: str,
    transport: str,
    host: str,
    port: int,
    tls: bool,  # noqa: FBT001 - a parameter of the table
    path: str,
) -> None:
    mqtt = MqttSection(url=url)
    assert (mqtt.transport, mqtt.host, mqtt.port, mqtt.tls is not None, mqtt.path) == (transport, host, port, tls, path)
    assert MqttSection.model_validate(dict(mqtt)) == mqtt


@pytest.mark.parametrize(
    ("user", "username", "password"),
    [
        ("a%40b:p%3Aq%2Fr%3F%23%25", "a@b", "p:q/r?#%"),
        ("j%C3%BCrgen:%C3%A9", "jürgen", "é"),
        ("a:p@ss:word", "a", "p@ss:word"),
        ("a:", "a", ""),
        ("a", "a", None),
    ],
)
def test_a_login_may_have_any_character(user: str, username: str, password: str | None) -> None:
    mqtt = MqttSection(url=f"mqtt://{user}@broker.lan")
    assert mqtt.username == username
    assert (None if mqtt.password is None else mqtt.password.get_secret_value()) == password
    assert mqtt.host == "broker.lan"


def test_a_password_in_a_url_is_shown_nowhere(tmp_path: Path) -> None:
    settings = load(tmp_path, f'{SMALL}[mqtt]\nurl = "mqtt://a%40b:pa%2Fss@broker.lan"\n')
    assert settings.mqtt.url == "mqtt://a%40b@broker.lan:1883"
    assert "pa/ss" not in str(settings) + str(settings.redacted())
    assert "pa%2Fss" not in str(settings) + str(settings.redacted())


@pytest.mark.parametrize(
    ("settings", "both"),
    [
        ('host = "other.lan"', ("broker.lan", "other.lan")),
        ("port = 1885", ("1884", "1885")),
        ('username = "anna"', ("'bert'", "'anna'")),
        ("[mqtt.tls]", ("mqtt://bert@broker.lan:1884", "[mqtt.tls]")),
    ],
)
def test_what_contradicts_the_url_is_refused_with_both_values(
    tmp_path: Path, settings: str, both: tuple[str, str]
) -> None:
    [problem] = problems_of(tmp_path, f'{SMALL}[mqtt]\nurl = "mqtt://bert@broker.lan:1884"\n{settings}\n')
    assert problem.startswith("mqtt: url: ")
    assert all(each in problem for each in both)


def test_two_passwords_are_refused_and_not_shown(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, f'{SMALL}[mqtt]\nurl = "mqtt://a:first@broker.lan"\npassword = "second"\n')
    assert "another password" in problem
    assert "first" not in problem
    assert "second" not in problem


def test_what_agrees_with_the_url_may_be_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_MQTT__PORT", "1884")
    monkeypatch.setenv("EDGETUNE_MQTT__PASSWORD", "secret")
    mqtt = load(
        tmp_path,
        f'{SMALL}[mqtt]\nurl = "mqtts://a@Broker.lan:1884"\nhost = "broker.LAN"\nusername = "a"\n[mqtt.tls]\n',
    ).mqtt
    assert (mqtt.host, mqtt.port, mqtt.username) == ("broker.lan", 1884, "a")
    assert mqtt.password is not None
    assert mqtt.password.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://broker.lan", "must look like mqtt://"),
        ("broker.lan:1883", "must look like mqtt://"),
        ("mqtt://", "must look like mqtt://"),
        ("mqtt://broker.lan:0", "must look like mqtt://"),
        ("mqtt://broker.lan:99999", "a port from 1 to 65535"),
        ("mqtt://a:p/q@broker.lan", "write % as %25, / as %2F"),
        ("mqtt://a:p#q@broker.lan", "# as %23"),
        ("mqtt://broker.lan/path", "has no path"),
        ("mqtt://broker.lan?x=1", "must end with the port"),
        ("mqtt://%ff@broker.lan", "not UTF-8"),
        ("mqtt://a%00@broker.lan", "%00"),
        ("unix://run/mosquitto.sock", "unix:///run/mosquitto.sock"),
        ("unix:///", "unix:///run/mosquitto.sock"),
        ("unix:///" + "a" * 107, "at most 107 bytes"),
    ],
)
def test_what_is_no_url_of_a_broker_is_refused_with_the_right_form(tmp_path: Path, url: str, said: str) -> None:
    [problem] = problems_of(tmp_path, f'{SMALL}[mqtt]\nurl = "{url}"\n')
    assert problem.startswith("mqtt: url: ")
    assert said in problem


@pytest.mark.parametrize(
    ("url", "problems"), [("unix:///run/m.sock", 0), ("ws://broker.lan", 2), ("wss://broker.lan", 1), ("ws://[::1]", 0)]
)
def test_insecure_ways_are_named_whatever_the_form(url: str, problems: int) -> None:
    assert len(insecure.unasked(MqttSection(url=url))) == problems


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"url": "ws://broker.lan:9001/mqtt"}, "ws://broker.lan:9001/mqtt"),
        ({"url": "unix:///run/m.sock"}, "unix:///run/m.sock"),
        ({"url": "mqtt://[::1]"}, "[::1]:1883"),
        ({"host": "broker.lan"}, "broker.lan:1883"),
    ],
)
def test_a_broker_is_named_as_people_write_it(given: dict[str, Any], shown: str) -> None:
    assert MqttSection(**given).where == shown
