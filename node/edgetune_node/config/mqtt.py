"""``[mqtt]`` and ``[mqtt.tls]``: the broker, how to log in there, and what waits while it is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from edgetune_node.config.broker_url import BrokerUrl, Transport, read_url, spread
from edgetune_node.config.host import read_host, where

Insecure = Literal["plaintext", "anonymous"]


class TlsSection(BaseModel):
    """``[mqtt.tls]``: present means TLS; ``ca_file`` defaults to the system's authorities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> TlsSection:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both or neither")
        return self


class MqttSection(BaseModel):
    """``[mqtt]``: the broker, by ``host`` and ``port``, or by ``url``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    url: str | None = None
    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(1883, ge=1, le=65535)
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: str | None = Field(None, min_length=1, max_length=64)
    username: str | None = None
    password: SecretStr | None = None
    command_key: SecretStr | None = Field(None, min_length=32)
    retain: Literal["auto", "never"] = "auto"
    keepalive_s: int = Field(30, ge=5, le=3600)
    session_expiry_s: int = Field(86_400, ge=0, le=2**32 - 1)
    tls: TlsSection | None = None
    insecure: list[Insecure] = []
    outbox_max_bytes: int = Field(16 * 2**20, ge=64 * 1024)
    outbox_max_age_s: float = Field(7 * 86_400.0, gt=0)
    replay_per_second: float = Field(50.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, values: Any) -> Any:
        return spread(values)

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        return read_host(host)

    @field_validator("command_key", mode="before")
    @classmethod
    def _stripped(cls, key: Any) -> Any:
        return key.strip() if isinstance(key, str) else key

    @field_validator("password")
    @classmethod
    def _whose(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and "username" in info.data and info.data["username"] is None:
            raise ValueError("whose is it? give mqtt.username too")
        return password

    @property
    def where(self) -> str:
        """The broker as people write it."""
        return where(self.host, self.port) if self._read is None else self._read.where

    @property
    def transport(self) -> Transport:
        """What carries MQTT's packets."""
        return "tcp" if self._read is None else self._read.transport

    @property
    def path(self) -> str:
        """Where websockets are on the server, or the file of a unix socket; else empty."""
        return "" if self._read is None else self._read.path

    @property
    def _read(self) -> BrokerUrl | None:
        return None if self.url is None else read_url(self.url)
