"""Settings from variables and secret files: which one wins, what is wrong with them, and that no secret is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from configuring import SMALL, load, problems_of

from edgetune_node.config import secret_files
from edgetune_node.errors import ConfigError


def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **files: str) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    monkeypatch.setattr(secret_files, "SECRETS_DIR", folder)


def test_a_variable_wins_over_a_secret_file_and_that_over_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALL + '[mqtt]\nhost = "file"\nusername = "file"\npassword = "file"\nport = 1884\n'
    secrets(monkeypatch, tmp_path, edgetune_mqtt__password="secret\n", edgetune_mqtt__username="secret")
    monkeypatch.setenv("EDGETUNE_MQTT__USERNAME", "variable")
    mqtt = load(tmp_path, text).mqtt
    assert mqtt.password is not None
    assert (mqtt.host, mqtt.port, mqtt.username) == ("file", 1884, "variable")
    assert mqtt.password.get_secret_value() == "secret"


def test_a_credential_of_systemd_is_a_secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(monkeypatch, tmp_path, edgetune_mqtt__password="other")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "edgetune_mqtt__password").write_text("credential\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    mqtt = load(tmp_path, SMALL + '[mqtt]\nusername = "n1"\n').mqtt
    assert mqtt.password is not None
    assert mqtt.password.get_secret_value() == "credential"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("folder", "Is a directory"),
        ("link", "No such file"),
        ("bytes", "no text"),
        ("mark", "byte order mark"),
        ("empty", "is empty"),
    ],
)
def test_a_secret_file_that_cannot_be_read_is_named_and_never_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: str
) -> None:
    secrets(monkeypatch, tmp_path)
    secret = tmp_path / "secrets" / "edgetune_mqtt__password"
    match kind:
        case "folder":
            secret.mkdir()
        case "link":
            secret.symlink_to("/nowhere")
        case "bytes":
            secret.write_bytes(b"\xff\xfe")
        case "mark":
            secret.write_bytes(b"\xef\xbb\xbfhidden")
        case _:
            secret.write_bytes(b"\n")
    [problem] = problems_of(tmp_path, SMALL)
    assert str(secret) in problem
    assert told in problem


def test_a_whole_configuration_can_come_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_NODE__ID", "edge2")
    monkeypatch.setenv("EDGETUNE_MQTT__TLS__CA_FILE", "ca.crt")
    monkeypatch.setenv("EDGETUNE_ASSET", '[{"id": "a", "rate_hz": 100, "alarm": {"raise_after_s": 9}}]')
    settings = load(tmp_path, "")
    assert (settings.node.id, settings.asset[0].rate_hz, settings.asset[0].alarm.raise_after_s) == ("edge2", 100.0, 9)
    assert settings.mqtt.tls is not None
    assert settings.mqtt.tls.ca_file == Path("ca.crt")


def test_a_wrong_variable_is_named_like_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_MQTT__PORT", "http")
    monkeypatch.setenv("EDGETUNE_MQTT__HOTS", "x")
    found = problems_of(tmp_path, SMALL)
    assert sorted(problem.split(": ")[0] for problem in found) == ["mqtt.hots", "mqtt.port"]


def test_a_variable_that_is_no_json_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_ASSET", "[{")
    assert "asset" in problems_of(tmp_path, SMALL)[0]


def test_a_variable_that_is_no_setting_is_named_beside_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETUNE_NODE_ID", "edge2")
    monkeypatch.setenv("EDGETUNE_FOO", "1")
    assert problems_of(tmp_path, SMALL) == [
        "EDGETUNE_FOO: is no setting; unset it (environment variable)",
        "EDGETUNE_NODE_ID: is no setting; is it EDGETUNE_NODE__ID? (environment variable)",
    ]
    found = problems_of(tmp_path, SMALL + "[mqtt]\nport = 0\n")
    assert [problem.split(": ")[0] for problem in found] == ["mqtt.port", "EDGETUNE_FOO", "EDGETUNE_NODE_ID"]


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_DATA", "/somewhere")
    assert load(tmp_path, SMALL).node.id == "edge1"


# ---- what is told ------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALL + '[asset.source]\ntype = "plug"\napi_token = "hunter2"\nPassword = "hunter2"\nport = 1\n'
    secrets(monkeypatch, tmp_path, edgetune_mqtt__password="hunter2", edgetune_mqtt__username="edge1")
    settings = load(tmp_path, text)
    told = settings.redacted()
    for shown in (
        str(told),
        repr(settings.mqtt),
        settings.model_dump_json()[: settings.model_dump_json().index("asset")],
    ):
        assert "hunter2" not in shown
    assert told["mqtt"]["password"] == "**********"
    assert told["asset"][0]["source"] == {
        "type": "plug",
        "api_token": "**********",
        "Password": "**********",
        "port": 1,
    }


def test_a_wrong_secret_is_not_told_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_MQTT__PASSWORD", '{"hunter2": 1}')
    monkeypatch.setenv("EDGETUNE_MQTT__PORT", "x")
    assert "hunter2" not in " ".join(problems_of(tmp_path, SMALL))


def test_a_secret_file_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgetune_mqtt__password").symlink_to("/dev/zero")
    monkeypatch.setattr(secret_files, "SECRETS_DIR", tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: File too large"):
        load(tmp_path, SMALL)
