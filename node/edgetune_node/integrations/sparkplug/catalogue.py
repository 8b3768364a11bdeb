"""Which metrics there are, and how they are read from messages: ``fault/class`` is ``class`` of ``fault``."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from edgetune_node.contract import (
    ASSET_COMMANDS,
    CalibrationStatus,
    Classification,
    Emg,
    Fault,
    Health,
    Info,
    Message,
    Model,
    Response,
    Sign,
    SignStart,
    State,
    Vibration,
)
from edgetune_node.integrations.sparkplug.names import COMMAND
from edgetune_node.integrations.sparkplug.payload import DataType, Metric, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_node.config import AssetSection

_INT, _REAL, _FLAG, _TEXT, _TIME = (
    DataType.INT64,
    DataType.DOUBLE,
    DataType.BOOLEAN,
    DataType.STRING,
    DataType.DATETIME,
)
_PREFIX: Final[Mapping[type[Message], str]] = {Response: "answer"}
WITHOUT_METRIC: Final = frozenset({"capture", "history"})
"""Commands whose answer is a signal or a table, which no metric holds."""
COMMANDS: Final = tuple(name for name in ASSET_COMMANDS if name not in WITHOUT_METRIC)

FIELDS: Final[Mapping[type[Message], Mapping[str, DataType]]] = {
    Info: {"versions/edgetune": _TEXT},
    Health: {
        "uptime_s": _REAL,
        "rss_bytes": _INT,
        "cpu_percent": _REAL,
        "temperature_c": _REAL,
        "queue_depth": _INT,
        "dropped_chunks": _INT,
        "reconnects": _INT,
        "outbox_depth": _INT,
        "outbox_dropped": _INT,
        "disk_free_bytes": _INT,
        "clock_synced": _FLAG,
        "problems": _TEXT,
    },
    State: {"phase": _TEXT, "reason": _TEXT, "since": _TIME, "job": _TEXT, "model": _TEXT, "classifying": _FLAG},
    Fault: {
        "judged": _FLAG,
        "reason": _TEXT,
        "active": _FLAG,
        "event": _TEXT,
        "class": _TEXT,
        "class_since": _TIME,
        "kind": _TEXT,
        "mode": _TEXT,
        "severity": _TEXT,
        "severity_level": _INT,
        "first_seen": _TIME,
        "last_seen": _TIME,
        "cleared": _TIME,
        "votes": _INT,
        "of": _INT,
        "confidence": _REAL,
        "model": _TEXT,
        "latched": _FLAG,
        "acknowledged": _FLAG,
        "acknowledged_by": _TEXT,
        "acknowledged_at": _TIME,
        "comment": _TEXT,
        "shelved": _FLAG,
        "evidence/velocity_rms_mm_s": _REAL,
        "evidence/velocity_trend": _TEXT,
        "evidence/zone": _TEXT,
        "evidence/defect": _TEXT,
        "evidence/defect_hz": _REAL,
        "evidence/shaft_rpm": _REAL,
        "evidence/physics": _TEXT,
        "evidence/note": _TEXT,
        "evidence/action": _TEXT,
    },
    Classification: {"class": _TEXT, "confidence": _REAL, "distance": _REAL, "model": _TEXT, "quality": _TEXT},
    Vibration: {
        "unit": _TEXT,
        "zone": _TEXT,
        "velocity_trend": _TEXT,
        "velocity_trend_mm_s_per_h": _REAL,
        "shaft_rpm": _REAL,
        "defect": _TEXT,
        "defect_hz": _REAL,
        "defect_amplitude": _REAL,
        "quality": _TEXT,
    },
    SignStart: {"event": _TEXT, "class": _TEXT, "confidence": _REAL, "start": _TIME},
    Sign: {
        "event": _TEXT,
        "class": _TEXT,
        "confidence": _REAL,
        "start": _TIME,
        "end": _TIME,
        "windows": _INT,
        "distance": _REAL,
        "model": _TEXT,
    },
    Emg: {"unit": _TEXT, "quality": _TEXT},
    Model: {
        "id": _TEXT,
        "kind": _TEXT,
        "created": _TIME,
        "classes": _TEXT,
        "precision": _TEXT,
        "accuracy": _REAL,
        "accuracy_low": _REAL,
        "accuracy_high": _REAL,
        "false_alarms": _REAL,
        "arena_bytes": _INT,
        "arena_bytes_deployed": _INT,
        "streamed_bytes": _INT,
        "flash_bytes": _INT,
        "macs": _INT,
        "parameters": _INT,
        "latency_p50_us": _REAL,
        "latency_p99_us": _REAL,
        "previous": _TEXT,
    },
    CalibrationStatus: {
        "job": _TEXT,
        "phase": _TEXT,
        "instruction": _TEXT,
        "percent": _REAL,
        "eta_s": _REAL,
        "class": _TEXT,
        "take": _INT,
        "takes": _INT,
        "best_accuracy": _REAL,
        "best_arena_bytes": _INT,
        "suggested": _TEXT,
    },
    Response: {"id": _TEXT, "command": _TEXT, "status": _TEXT, "reason": _TEXT},
}
"""Fields that are metrics, with their data types; a list is one text. Nobody's name (``subject``) is among them."""
PER_CHANNEL: Final[Mapping[type[Message], tuple[str, ...]]] = {
    Vibration: ("rms", "peak", "crest_factor", "kurtosis", "velocity_rms_mm_s"),
    Emg: ("rms", "mean_absolute", "envelope", "waveform_length", "zero_crossings", "median_frequency_hz"),
}
"""Fields with a value for each channel: ``vibration/rms/1`` is that of the first."""
_OF_THE_NODE: Final[tuple[type[Message], ...]] = (Info, Health)
_OF_ALL: Final[tuple[type[Message], ...]] = (State, Classification, Model, CalibrationStatus, Response)
_OF_A_TASK: Final[Mapping[str, tuple[type[Message], ...]]] = {
    "fault": (Fault, Vibration),
    "sign": (SignStart, Sign, Emg),
}


def node_metrics() -> dict[str, DataType]:
    """Return every metric of the edge node but those of its session, by name."""
    return {name: type_ for kind in _OF_THE_NODE for name, type_ in _metrics(kind, 0).items()}


def device_metrics(section: AssetSection) -> dict[str, DataType]:
    """Return every metric of an asset, by name."""
    kinds = (*_OF_ALL, *_OF_A_TASK[section.task])
    metrics = {name: type_ for kind in kinds for name, type_ in _metrics(kind, section.channels).items()}
    return metrics | {f"{COMMAND}{name}": _TEXT for name in COMMANDS}


def read_metrics(message: Message, known: Mapping[str, DataType]) -> list[Metric]:
    """Return the metrics of a message that are ``known``; none where it is of a kind without metrics."""
    kind = type(message)
    if kind not in FIELDS:
        return []
    time_ms = to_ms(message.ts)
    read = []
    for field, type_ in FIELDS[kind].items():
        read.append((f"{_prefix(kind)}/{field}", type_, _field(message, field)))
    for field in PER_CHANNEL.get(kind, ()):
        values = _field(message, field) or []
        read += [(f"{_prefix(kind)}/{field}/{number}", _REAL, value) for number, value in enumerate(values, 1)]
    return [Metric(name, type_, _plain(value, type_), time_ms) for name, type_, value in read if name in known]


def to_ms(time: datetime) -> int:
    """Return milliseconds since 1970, UTC."""
    return round(time.timestamp() * 1000)


def now_ms() -> int:
    """Return milliseconds since 1970, UTC, of now."""
    return time.time_ns() // 1_000_000


def _metrics(kind: type[Message], channels: int) -> dict[str, DataType]:
    metrics = {f"{_prefix(kind)}/{field}": type_ for field, type_ in FIELDS[kind].items()}
    for field in PER_CHANNEL.get(kind, ()):
        metrics |= {f"{_prefix(kind)}/{field}/{number}": _REAL for number in range(1, channels + 1)}
    return metrics


def _prefix(kind: type[Message]) -> str:
    return _PREFIX.get(kind, kind.topic)


def _field(message: Message, path: str) -> Any:
    value: Any = message
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, dict) else getattr(value, "class_" if name == "class" else name)
    return value


def _plain(value: Any, type_: DataType) -> Value:
    match value:
        case None:
            return None
        case datetime():
            return to_ms(value)
        case list() | tuple():
            return "; ".join(map(str, value)).encode("utf-8", "replace").decode()
        case float() if not math.isfinite(value):
            return None
        case str():
            return value.encode("utf-8", "replace").decode()
        case int() if type_ is _REAL:
            return float(value)
    plain: Value = value
    return plain
