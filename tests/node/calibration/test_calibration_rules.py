"""Which calibrations are not even begun, and why."""

from __future__ import annotations

from typing import Any

import pytest
from calibrating import LIVE, METRICS, SPEC, card_json, job, stored_command
from pydantic import ValidationError

from edgetune_nas.card import ModelCard
from edgetune_node.calibration.rules import chance_warning, decide_deployment, reasons_against, rest_seconds
from edgetune_node.contract.commands import Recalibrate, Record
from edgetune_node.events.effects import SaveRecording, StartSearch
from edgetune_signal import StreamSpec


def reasons(command: dict[str, Any], stored: dict[str, float] | None = None) -> list[str]:
    return reasons_against(
        Recalibrate.model_validate(command), stored or {}, spec=SPEC, window=64, healthy_class="normal"
    )


def rest_of(command: dict[str, Any], stored: dict[str, float] | None = None) -> float:
    return rest_seconds(Recalibrate.model_validate(command), stored or {}, "rest")


def test_a_healthy_baseline_alone_will_do_and_a_fault_alone_is_refused() -> None:
    assert reasons({**LIVE, "classes": ["normal"]}) == []
    (reason,) = reasons({**LIVE, "classes": ["inner"]})
    assert "'inner' alone" in reason
    assert reason.endswith("a network needs two classes, and a health model 'normal', so collect another one too")


def test_one_sign_alone_is_refused_for_signs_have_no_health() -> None:
    command = Recalibrate.model_validate({**LIVE, "classes": ["rest"]})
    (reason,) = reasons_against(command, {}, spec=SPEC, window=64)
    assert reason.endswith("a network needs two classes, so collect another one too")


def test_one_sign_and_the_rest_after_it_are_two_classes() -> None:
    command = Recalibrate.model_validate({**LIVE, "classes": ["fist"], "rest_seconds": 5.0})
    assert reasons_against(command, {}, spec=SPEC, window=64, rest_class="rest") == []
    command = Recalibrate.model_validate({**LIVE, "classes": ["rest"], "rest_seconds": 5.0})
    (reason,) = reasons_against(command, {}, spec=SPEC, window=64, rest_class="rest")
    assert reason.startswith("classes: 'rest' alone cannot be told")


def test_a_live_class_may_be_new_where_another_is_stored() -> None:
    assert reasons({**LIVE, "classes": ["outer"]}, {"inner": 4.0}) == []
    assert reasons({**LIVE, "classes": ["outer"]}, {"inner": 0.0}) != []


def test_stored_needs_recordings_of_two_classes_or_of_health() -> None:
    assert "no stored recordings" in reasons(stored_command())[0]
    assert "only 'inner'" in reasons(stored_command(), {"inner": 3.0})[0]
    assert reasons(stored_command(), {"normal": 3.0}) == []
    assert reasons(stored_command(), {"normal": 3.0, "inner": 3.0}) == []


def test_half_a_minute_of_rest_is_asked_for_where_rest_is_collected_and_not_stored_yet() -> None:
    signs = {**LIVE, "classes": ["rest", "fist"]}
    assert rest_of(signs) == rest_of(signs, {"rest": 29.0}) == 30.0
    assert rest_of(signs, {"rest": 30.0}) == 0.0
    assert rest_of({**LIVE, "classes": ["fist", "pinch"]}) == 0.0
    assert rest_of(stored_command(), {"rest": 4.0}) == 0.0


def test_a_command_says_how_long_the_rest_is() -> None:
    signs = {**LIVE, "classes": ["rest", "fist"]}
    assert rest_of({**signs, "rest_seconds": 0}) == 0.0
    assert rest_of({**signs, "rest_seconds": 8.0}, {"rest": 60.0}) == 8.0


def test_rest_that_cannot_be_recorded_is_refused() -> None:
    (reason,) = reasons({**LIVE, "rest_seconds": 5.0})
    assert reason == "rest_seconds: only a person rests, and this asset has task fault; leave rest_seconds out"
    assert reasons({**LIVE, "rest_seconds": 0.0}) == []
    command = Recalibrate.model_validate({**LIVE, "classes": ["rest", "fist"], "rest_seconds": 0.1})
    (reason,) = reasons_against(command, {}, spec=SPEC, window=64, rest_class="rest")
    assert reason == "rest_seconds: 0.1 s are fewer samples than one window has; take 0.64 s or more"
    with pytest.raises(ValidationError, match="source stored records nothing"):
        Recalibrate.model_validate(stored_command(rest_seconds=5.0))


@pytest.mark.parametrize(
    ("kind", "classes", "before", "installed"),
    [
        ("health", ["normal"], ["normal"], True),
        ("health", ["normal"], ["inner", "normal"], False),
        ("classes", ["inner", "normal"], ["normal"], True),
        ("classes", ["inner", "outer"], ["normal"], False),
    ],
)
def test_a_health_model_gives_way_to_one_that_names_faults_and_never_replaces_it(
    kind: str,
    classes: list[str],
    before: list[str],
    installed: bool,  # noqa: FBT001 - a parameter
) -> None:
    said = {**card_json(), "kind": kind, "classes": classes}
    if kind == "health":
        none = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error"))
        said |= {"distance": "graph", "distance_limit": 2.5, "metrics": {**METRICS, **none, "false_alarms": 0.0}}
    card = ModelCard.model_validate(said)
    assert decide_deployment("if_better", card, "model-old", before)[0] is installed
    assert decide_deployment("if_better", card, None)[0] is True
    assert decide_deployment("always", card, "model-old", before)[0] is True


def test_a_take_must_hold_a_window_and_fit_in_memory() -> None:
    (reason,) = reasons({**LIVE, "seconds_per_take": 0.63})
    assert reason.startswith("seconds_per_take: 0.63 s are fewer samples than one window")
    assert reasons({**LIVE, "seconds_per_take": 0.64}) == []
    fast = StreamSpec(channels=3, rate_hz=100_000.0, unit="g")
    (reason,) = reasons_against(Record(id="r", label="x", seconds=3600.0), {}, spec=fast, window=64)
    assert reason == "seconds: 3600 s do not fit in memory at 100000 Hz; take 56 s or less"


def test_a_job_that_should_not_have_been_accepted_fails_at_once() -> None:
    running = job({**LIVE, "classes": ["inner"]})
    assert running.finished.status == "failed"
    assert not any(isinstance(output, StartSearch | SaveRecording) for output in running.wants)


def with_metrics(**changed: Any) -> ModelCard:
    return ModelCard.model_validate({**card_json(), "metrics": {**METRICS, **changed}})


def test_a_first_model_no_better_than_chance_stays_out_of_use() -> None:
    guess = with_metrics(accuracy=0.7, accuracy_low=0.5, confusion=[[70, 0], [30, 0]])
    install, reason = decide_deployment("if_better", guess, None)
    assert not install
    assert reason.startswith("no better than chance: accuracy 70.0%, and always naming the most frequent class")
    assert decide_deployment("always", guess, None)[0]
    assert decide_deployment("if_better", with_metrics(accuracy=0.71, confusion=[[70, 0], [29, 1]]), None)[0]


def test_a_first_model_that_finds_rare_faults_is_above_chance_where_naming_none_is_right_more_often() -> None:
    rare = with_metrics(accuracy=0.94, accuracy_low=0.88, confusion=[[89, 6], [0, 5]])
    assert rare.metrics.chance == 0.95
    assert decide_deployment("if_better", rare, None)[0]
    assert chance_warning(rare) is not None


def test_of_one_held_out_class_nobody_can_tell_chance() -> None:
    perfect = with_metrics(accuracy=1.0, accuracy_low=0.9, confusion=[[30, 0], [0, 0]])
    assert perfect.metrics.above_chance is None
    assert decide_deployment("if_better", perfect, None)[0]
    assert chance_warning(perfect) is not None


def test_a_model_whose_interval_includes_chance_has_a_warning() -> None:
    assert chance_warning(with_metrics()) is None
    told = chance_warning(with_metrics(accuracy=0.6, accuracy_low=0.4))
    assert told is not None
    assert told.startswith("the model is not proven better than chance: accuracy 60.0%, at least 40.0%")
