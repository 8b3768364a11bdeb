"""Metrics: each is a field of a message, of a fitting type."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import AwareDatetime, BaseModel

from edgetune_node.contract.messages import MESSAGES, CalibrationStatus, Health
from edgetune_node.contract.spectrum import Spectrum
from edgetune_node.contract.topics import ASSET_COMMANDS
from edgetune_node.integrations.sparkplug.catalogue import (
    COMMANDS,
    FIELDS,
    PER_CHANNEL,
    WITHOUT_METRIC,
    node_metrics,
    read_metrics,
    to_ms,
)
from edgetune_node.integrations.sparkplug.payload import DataType

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
FITTING = {
    DataType.BOOLEAN: {bool},
    DataType.INT64: {int},
    DataType.DOUBLE: {float},
    DataType.DATETIME: {datetime, AwareDatetime},
    DataType.STRING: {str, list},
}


def types_of(annotation: Any) -> set[Any]:
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return set().union(*(types_of(each) for each in get_args(annotation)))
    if origin is Annotated:
        return types_of(get_args(annotation)[0])
    if origin is Literal:
        return {type(each) for each in get_args(annotation)}
    return {origin or annotation}


def field_type(model: type[BaseModel], path: str) -> Any:
    name, _, rest = path.partition("/")
    annotation = model.model_fields["class_" if name == "class" else name].annotation
    if rest and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return field_type(annotation, rest)
    return get_args(annotation)[1] if rest else annotation


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_metric_is_a_field_with_a_type_that_fits(kind: Any) -> None:
    for name, type_ in FIELDS[kind].items():
        assert types_of(field_type(kind, name)) - {NoneType} <= FITTING[type_], name
    for name in PER_CHANNEL.get(kind, ()):
        assert types_of(field_type(kind, name)) - {NoneType} == {list}, name


def test_every_message_has_metrics_but_the_spectrum_and_the_status() -> None:
    assert {kind.__name__ for kind in set(MESSAGES) - set(FIELDS)} == {"Status", Spectrum.__name__}


def test_every_command_is_a_metric_but_those_that_answer_with_data() -> None:
    assert set(COMMANDS) == set(ASSET_COMMANDS) - WITHOUT_METRIC


def test_nobodys_name_is_a_metric() -> None:
    assert not any("subject" in name for fields in FIELDS.values() for name in fields)


def test_values_are_plain() -> None:
    time = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)
    message = CalibrationStatus(phase="done", instruction="\ud800", percent=100, eta_s=float("inf"), ts=time)
    known = {"calibration/percent": DataType.DOUBLE, "calibration/eta_s": DataType.DOUBLE}
    known |= {"calibration/instruction": DataType.STRING, "calibration/suggested": DataType.STRING}
    read = {metric.name: (metric.value, metric.time_ms) for metric in read_metrics(message, known)}
    assert read == {
        "calibration/percent": (100.0, to_ms(time)),
        "calibration/eta_s": (None, to_ms(time)),
        "calibration/instruction": ("?", to_ms(time)),
        "calibration/suggested": ("", to_ms(time)),
    }
    assert read_metrics(message, node_metrics()) == []


def test_a_text_that_is_no_unicode_is_one_that_can_be_sent() -> None:
    file = "\udcff"  # as Python has a byte of a file name that is not UTF-8
    [said, *_] = json.loads((EXAMPLES / "health.json").read_text(encoding="utf-8"))
    health = Health.model_validate({**said["payload"], "problems": [f"{file} is damaged"]})
    [problems] = read_metrics(health, {"health/problems": DataType.STRING})
    assert problems.value == "? is damaged"
