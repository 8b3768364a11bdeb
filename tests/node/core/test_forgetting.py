"""A person is forgotten by command: at once nothing recognises them, and what was erased is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from deciding import RATE, Bench, only, said

from edgetune_node.core.resumption import InterruptedCommand
from edgetune_node.events.effects import FinishCommand, ForgetPerson, KeepCommand
from edgetune_node.events.events import LinkChanged, ModelReady, PersonForgotten
from edgetune_node.events.evidence import KeepEvidence

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle

ERASED = {"recordings": 3, "models": 1, "messages": 0}


@pytest.fixture
def bench(bundle: Bundle) -> Bench:
    """An armband of Ann, that Ben wears now."""
    bench = Bench(task="sign", subject="ann")
    bench.handle(LinkChanged(connected=True))
    bench.handle(ModelReady("bearing", "", bundle, None, subject="ben"))
    assert bench.node.assets["bearing"].subject == "ben"
    return bench


def test_the_wearer_is_not_recognised_any_more_and_the_configured_person_follows(bench: Bench, bundle: Bundle) -> None:
    effects = bench.command("forget", id="f", subject="ben")
    assert [type(effect) for effect in effects].index(KeepCommand) == 0  # a kill from here on is made good
    wanted = only(effects, ForgetPerson)
    assert wanted == ForgetPerson("bearing", "f", "ben")
    assert said(effects, "state")[-1]["subject"] == "ann"
    assert said(effects, "model")[-1]["id"] is None
    assert not said(bench.samples(640), "classification")
    answered = said(bench.command("record", id="r", label="a", seconds=1), "resp/record")[0]
    assert "busy: forget" in answered["reason"]
    now = ModelReady("bearing", "", bundle, None, subject="ann")
    effects = bench.handle(PersonForgotten("bearing", "f", ERASED, ("look",), model=now))
    answer = said(effects, "resp/forget")[-1]
    assert (answer["status"], answer["reason"]) == ("done", "erased: recordings 3, models 1")
    assert answer["detail"] == {"erased": ERASED, "warnings": ["look"]}
    assert "ben" not in json.dumps(answer)
    assert said(effects, "model")[-1]["subject"] == "ann"
    assert said(effects, "info")[-1]["assets"][0]["subject"] == "ann"
    assert said(bench.samples(64), "classification")


def test_another_person_goes_without_disturbing_the_wearer(bench: Bench) -> None:
    effects = bench.command("forget", id="f", subject="carl")
    assert only(effects, ForgetPerson).subject == "carl"
    assert not said(effects, "model")
    assert said(bench.samples(64), "classification")
    answer = said(bench.handle(PersonForgotten("bearing", "f", dict.fromkeys(ERASED, 0))), "resp/forget")[-1]
    assert answer["reason"] == "nothing was kept of this person"


def test_what_could_not_be_erased_is_said(bench: Bench) -> None:
    bench.command("forget", id="f", subject="ben")
    effects = bench.handle(PersonForgotten("bearing", "f", error="not everything is erased: disk"))
    assert said(effects, "resp/forget")[-1]["status"] == "failed"
    assert only(effects, FinishCommand).command_id == "f"


def test_a_restart_goes_on_with_it(bench: Bench) -> None:
    payload = json.dumps({"id": "f", "subject": "ben"}).encode()
    effects: Any = bench.node.start([InterruptedCommand("bearing", "forget", "f", payload)])
    assert said(effects, "resp/forget")[-1]["reason"] == "resumed after a restart"
    assert only(effects, ForgetPerson) == ForgetPerson("bearing", "f", "ben")
    assert said(bench.handle(PersonForgotten("bearing", "f", ERASED)), "resp/forget")[-1]["status"] == "done"


def test_a_machine_is_no_person() -> None:
    answer = said(Bench().command("forget", id="f", subject="ben"), "resp/forget")[0]
    assert (answer["status"], answer["reason"]) == (
        "rejected",
        "bearing has task fault: only signs are a person's",
    )


def captured(bench: Bench) -> list[KeepEvidence]:
    """Let eight seconds pass, and return the signals that were complete."""
    return [each for _ in range(20) for each in bench.samples(400) if isinstance(each, KeepEvidence)]


@pytest.mark.parametrize("worn", ["ben", "ann"])
def test_a_signal_that_is_captured_while_its_person_is_forgotten_is_not_kept(
    bench: Bench, bundle: Bundle, worn: str
) -> None:
    bench.handle(ModelReady("bearing", "", bundle, None, subject=worn))
    bench.samples(400)
    bench.command("capture", id="c", now=True, before_s=1, after_s=5)
    effects = bench.command("forget", id="f", subject=worn)
    [told] = said(effects, "resp/capture")
    assert (told["id"], told["status"]) == ("c", "failed")
    assert "forgotten" in told["reason"]
    assert worn not in told["reason"]
    bench.handle(PersonForgotten("bearing", "f", ERASED, model=ModelReady("bearing", "", None, None, subject="ann")))
    assert captured(bench) == []


def test_a_signal_that_is_captured_ends_where_another_person_puts_the_armband_on(bench: Bench, bundle: Bundle) -> None:
    bench.samples(400)
    bench.command("capture", id="c", now=True, before_s=0.25, after_s=5)
    bench.handle(ModelReady("bearing", "", bundle, None, subject="carl"))
    [kept] = captured(bench)
    assert (kept.subject, kept.samples) == ("ben", round(0.25 * RATE))
    bench.command("capture", id="d", now=True, before_s=0, after_s=1)
    assert not said(bench.command("forget", id="f", subject="ben"), "resp/capture")
    assert [each.subject for each in captured(bench)] == ["carl"]
