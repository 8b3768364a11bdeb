"""``[home_assistant]`` and ``[metrics]``: what a plant's other systems get; each is off unless it is set."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgetune_node.config.host import read_host


class HomeAssistantSection(BaseModel):
    """``[home_assistant]``: ``prefix`` is the discovery prefix that Home Assistant listens to; None is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    prefix: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[^+#\x00-\x20\x7f$/][^+#\x00-\x20\x7f]*$")

    @field_validator("prefix")
    @classmethod
    def _levels(cls, prefix: str | None) -> str | None:
        if prefix is not None and "" in prefix.split("/"):
            raise ValueError("has an empty level; write it without a slash at the end and without double slashes")
        return prefix


class MetricsSection(BaseModel):
    """``[metrics]``: address and port at which metrics can be read; None is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    listen: str | None = None

    @field_validator("listen")
    @classmethod
    def _readable(cls, listen: str | None) -> str | None:
        if listen is not None:
            _split(listen)
        return listen

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen at; None where nothing listens."""
        return None if self.listen is None else _split(self.listen)


def _split(listen: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != listen or "@" in listen:
        raise ValueError(f'{listen!r} is no address with a port; write it as "127.0.0.1:9464" or "[::1]:9464"')
    return read_host(host), port
