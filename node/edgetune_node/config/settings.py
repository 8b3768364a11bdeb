"""The node's configuration: a TOML file, overridden by secret files and environment variables, checked all at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from edgetune_nas.card import Budget
from edgetune_node.config.alarm_votes import convert_votes, refuse_votes
from edgetune_node.config.duty import DutySection
from edgetune_node.config.integrations import HomeAssistantSection, MetricsSection
from edgetune_node.config.machine import MachineSection
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.config.search import SearchSection
from edgetune_node.config.secret_files import VARIABLES, secret_folders, unreadable_secrets
from edgetune_node.config.signs import UNKNOWN_TIMES, SignSection
from edgetune_node.config.small_files import read_small_file
from edgetune_node.config.sparkplug import SparkplugSection
from edgetune_node.contract import NODE_LEAVES, Severity, problems
from edgetune_node.errors import ConfigError
from edgetune_signal import StreamSpec

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
SECRET_WORDS = ("password", "secret", "token", "api_key")
HIDDEN = "**********"
LONGEST_WINDOW_S, LONGEST_HOP_S = 60, 3600
LONGEST_ALARM_S = 7 * 86_400.0
OTHER_VARIABLES = {
    f"{VARIABLES}{name}"
    for name in (
        "DATA",
        "CONFIG",
        "TARGET",
        "IMAGE",
        "NODE_MEMORY",
        "MQTT_BIND",
        "MQTTS_BIND",
        "TLS_NAMES",
        "TOPIC",
        "ASSET_ID",
    )
}
"""What tests and docker/compose.yaml read, and no node does."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeSection(_Section):
    """``[node]``: who the node is and where it keeps its files."""

    id: Name
    namespace: str = Field(
        "edgetune", min_length=1, max_length=200, pattern=r"^[^+#\x00-\x1f\x7f-\x9f/$][^+#\x00-\x1f\x7f-\x9f]*$"
    )
    data_dir: Path = Path("data")
    health_interval_s: float = Field(10.0, ge=1, le=3600)
    disk_reserve_bytes: int = Field(64 * 2**20, ge=0)

    @field_validator("namespace")
    @classmethod
    def _levels(cls, namespace: str) -> str:
        if "" in namespace.split("/"):
            raise ValueError("has an empty level; write it without a slash at the end and without double slashes")
        if namespace != namespace.strip():
            raise ValueError("begins or ends with a space, which no access list can say")
        return namespace


class WindowSection(_Section):
    """``[asset.window]``: samples a window has, and samples from one window's start to the next."""

    length: int = Field(512, ge=4, le=65_536)
    hop: int = Field(512, ge=1, le=1_000_000)


class SourceSection(BaseModel):
    """``[asset.source]``: ``type``, ``duty``, and the options of that source; the source checks those itself."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: str = "mqtt"
    duty: DutySection | None = None

    @property
    def options(self) -> dict[str, Any]:
        """All settings but ``type``."""
        return dict(self.model_extra or {})


class AlarmSection(_Section):
    """``[asset.alarm]``: a fault is raised that lasts ``raise_after_s``; it ends when away for ``clear_after_s``."""

    raise_after_s: float = Field(10.0, gt=0, le=LONGEST_ALARM_S)
    clear_after_s: float = Field(60.0, gt=0, le=LONGEST_ALARM_S)
    min_confidence: float = Field(0.5, ge=0, le=1)
    latch: bool = False
    heartbeat_s: float = Field(30.0, ge=1)
    severity: dict[str, Severity] = {}
    false_alarms_per_month: float = Field(0.1, gt=0, le=1e6)

    @model_validator(mode="before")
    @classmethod
    def _votes_of_old(cls, values: Any) -> Any:
        return refuse_votes(values)


class BudgetSection(Budget):
    """``[asset.budget]``: what a new network may need, where a command does not say otherwise."""

    ram_bytes: PositiveInt | None = 4096
    flash_bytes: PositiveInt | None = 32_768
    macs: PositiveInt | None = 1_000_000


class AssetSection(_Section):
    """``[[asset]]``: one machine or one person's armband."""

    id: Name
    task: Literal["fault", "sign"] = "fault"
    channels: int = Field(1, ge=1, le=64)
    rate_hz: float = Field(ge=2, le=1e6)
    unit: str = Field("g", max_length=16)
    clip_level: float | None = Field(None, gt=0)
    mains_hz: Literal[50, 60] = 50
    rest_class: str | None = None
    sensor: str = ""
    subject: str = ""
    condition: str = ""
    classification_hz: float | None = Field(None, gt=0)
    vibration_s: float = Field(1.0, ge=0.1, le=60)
    emg_s: float = Field(1.0, ge=0.1, le=60)
    recordings_max_bytes: int = Field(512 * 2**20, gt=0)
    novel_max_bytes: int = Field(32 * 2**20, ge=0)
    evidence_max_bytes: int = Field(32 * 2**20, ge=0)
    trend_max_bytes: int = Field(16 * 2**20, ge=0)
    window: WindowSection = WindowSection()
    source: SourceSection = SourceSection()
    machine: MachineSection = MachineSection()
    alarm: AlarmSection = AlarmSection()
    sign: SignSection = SignSection()
    budget: BudgetSection = BudgetSection()
    search_max_rss_bytes: int = Field(1024 * 2**20, ge=256 * 2**20)
    _replaced: str = PrivateAttr("")

    @model_validator(mode="wrap")
    @classmethod
    def _votes_of_old(cls, values: Any, handler: ModelWrapValidatorHandler[AssetSection]) -> AssetSection:
        values, told = convert_votes(values)
        asset = handler(values)
        if told:
            asset._replaced = told  # noqa: SLF001 - of this class
        return asset

    @field_validator("id")
    @classmethod
    def _not_a_leaf(cls, name: str) -> str:
        if name in (*NODE_LEAVES, "cmd", "resp"):
            raise ValueError(f"{name!r} is the name of one of the node's own topics; choose another")
        return name

    @model_validator(mode="after")
    def _in_time(self) -> AssetSection:
        for name, samples, longest_s in (
            ("length", self.window.length, LONGEST_WINDOW_S),
            ("hop", self.window.hop, LONGEST_HOP_S),
        ):
            if samples > longest_s * self.rate_hz:
                raise ValueError(
                    f"window.{name}: {samples} samples at {self.rate_hz:g} Hz are {samples / self.rate_hz:.0f} s, more "
                    f"than {longest_s} s; give {int(longest_s * self.rate_hz)} or less, or check rate_hz"
                )
        return self

    @property
    def spec(self) -> StreamSpec:
        """What the source must deliver."""
        return StreamSpec(channels=self.channels, rate_hz=self.rate_hz, unit=self.unit)

    @property
    def distance_times(self) -> float:
        """Times the model's limit of the distance at which a window is unknown."""
        return UNKNOWN_TIMES[self.sign.unknown] if self.task == "sign" else 1.0

    @property
    def replaced(self) -> str:
        """Which settings of an earlier version were converted, and to what; empty if none were."""
        return self._replaced

    @property
    def personal(self) -> bool:
        """Whether models and recordings are one person's, as those of signs are."""
        return self.task == "sign"

    @property
    def healthy_class(self) -> str:
        """The class that is no fault, or for signs the class that is no sign."""
        return self.rest_class or ("normal" if self.task == "fault" else "rest")


class Settings(BaseSettings):
    """Everything a node is told.

    A setting is looked up in environment variables (``EDGETUNE_MQTT__HOST``), then in secret files
    (``/run/secrets/edgetune_mqtt__password``, or a credential of systemd so called), then in the TOML file.
    """

    model_config = SettingsConfigDict(
        env_prefix="EDGETUNE_", env_nested_delimiter="__", secrets_nested_delimiter="__", frozen=True, extra="forbid"
    )
    node: NodeSection
    mqtt: MqttSection = MqttSection()
    search: SearchSection = SearchSection()
    sparkplug: SparkplugSection | None = None
    home_assistant: HomeAssistantSection = HomeAssistantSection()
    metrics: MetricsSection = MetricsSection()
    asset: list[AssetSection] = Field(min_length=1, max_length=100)
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The file that it was read from; None where it was made otherwise."""
        return self._file

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then secret files, then the file's content."""
        del settings_cls, dotenv_settings
        return env_settings, NestedSecretsSettingsSource(file_secret_settings), init_settings

    @field_validator("asset")
    @classmethod
    def _distinct(cls, assets: list[AssetSection]) -> list[AssetSection]:
        names = [asset.id for asset in assets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two assets are called {', '.join(twice)}; every id must be its own")
        return assets

    def redacted(self) -> dict[str, Any]:
        """Return the configuration as JSON values, secrets (a plug-in's options included) replaced by asterisks."""
        values = self.model_dump(mode="json", exclude_none=True)
        for asset in values["asset"]:
            asset["source"] = {
                name: HIDDEN if any(word in name.lower() for word in SECRET_WORDS) else value
                for name, value in asset["source"].items()
            }
        return values


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Naming every setting that is wrong.
    """
    try:
        content = tomllib.loads(read_small_file(path).removeprefix("\ufeff"))  # Windows' editors put a mark before it
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}; start from config.example.toml"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not TOML: {error}; save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from None
    strangers = _unknown_variables()
    secrets = secret_folders()
    unreadable = [problem for folder in secrets for problem in unreadable_secrets(folder)]
    if unreadable:
        raise ConfigError("secret files", unreadable)
    try:
        settings = Settings(_secrets_dir=secrets or None, **content)
    except ValidationError as error:
        raise ConfigError(str(path), problems(error, Settings) + strangers) from None
    except SettingsError as error:
        raise ConfigError(str(path), [f"{error} (environment variables or secret files)"]) from None
    if strangers:
        raise ConfigError(str(path), strangers)
    settings._file = path.absolute()  # noqa: SLF001 - ours
    return settings


def _unknown_variables() -> list[str]:
    """Find environment variables that look like settings and are none; what is below a table its model checks."""
    tables = {f"{VARIABLES}{name.upper()}" for name in Settings.model_fields}
    names = [f"NODE__{name.upper()}" for name in NodeSection.model_fields]
    names += [f"MQTT__{name.upper()}" for name in MqttSection.model_fields]
    found = []
    for name in sorted(os.environ):
        wanted = name.upper()
        if not wanted.startswith(VARIABLES) or wanted.partition("__")[0] in tables or wanted in OTHER_VARIABLES:
            continue
        near = difflib.get_close_matches(wanted.removeprefix(VARIABLES), names, n=1, cutoff=0.8)
        hint = f"is it {VARIABLES}{near[0]}?" if near else "unset it"
        found.append(f"{name}: is no setting; {hint} (environment variable)")
    return found
