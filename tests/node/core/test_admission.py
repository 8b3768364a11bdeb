"""Which commands a node lets in, and how it answers them: read, signed, repeated, replayed, out of place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from deciding import Bench, only, said

from edgetune_nas.worker.events import SearchFailed
from edgetune_node.contract.signatures import seal, sign
from edgetune_node.errors import OutboxError
from edgetune_node.events.effects import (
    AckCommand,
    CancelSearch,
    FinishCommand,
    Install,
    KeepCommand,
    Publish,
    SaveRecording,
    StartSearch,
)
from edgetune_node.events.events import (
    CommandArrived,
    Event,
    ModelReady,
    NovelChanged,
    RecordingSaved,
    SearchReported,
)

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


def test_ping_is_answered_and_kept_before_it_is_acknowledged() -> None:
    effects = Bench().command("ping", asset=None, id="p1")
    assert [type(effect) for effect in effects] == [Publish, KeepCommand]
    assert only(effects, KeepCommand).final
    assert only(effects, KeepCommand).ack == 7
    answer = said(effects, "resp/ping")[0]
    assert (answer["id"], answer["status"]) == ("p1", "done")


@pytest.mark.parametrize(
    ("name", "asset", "fields", "named"),
    [
        ("recalibrate", "bearing", {"id": "x", "source": "stored", "colour": 1}, "colour"),
        ("recalibrate", "bearing", {"id": "x", "source": "live", "classes": ["a"], "seconds_per_take": 0}, "seconds"),
        ("recalibrate", "bearing", {"id": "x", "source": "stored"}, "no stored recordings"),
        ("recalibrate", "bearing", {"source": "stored"}, "id"),
        ("continue", "bearing", {"id": "x"}, "no job"),
        ("cancel", "bearing", {"id": "x"}, "no job"),
        ("acknowledge", "bearing", {"id": "x", "by": "me"}, "no fault"),
        ("label", "bearing", {"id": "x", "label": "a", "seconds": 1}, "0.00 s"),
        ("label", "bearing", {"id": "x", "label": "a", "seconds": 1e-9}, "shorter than one window"),
        ("label", "bearing", {"id": "x", "label": "a"}, "give either"),
        ("label", "bearing", {"id": "x", "label": "a", "event": "e9"}, "nothing is kept"),
        ("ping", "bearing", {"id": "x"}, "node"),
        ("rollback", "pump", {"id": "x"}, "no asset"),
        ("explode", "bearing", {"id": "x"}, "recalibrate"),
    ],
)
def test_a_command_that_cannot_be_is_rejected_by_name_and_starts_nothing(
    name: str, asset: str, fields: dict[str, Any], named: str
) -> None:
    effects = Bench().command(name, asset, **fields)
    answer = said(effects, f"resp/{name}")[0]
    assert answer["status"] == "rejected"
    assert named in answer["reason"]
    assert only(effects, AckCommand).ack == 7
    assert not [effect for effect in effects if isinstance(effect, KeepCommand | StartSearch | SaveRecording)]


def test_a_retained_command_is_rejected() -> None:
    effects = Bench().handle(CommandArrived("bearing", "rollback", b'{"id": "x"}', retained=True, ack=1))
    assert "retain" in said(effects, "resp/rollback")[0]["reason"]


def test_an_answer_also_goes_to_the_response_topic_with_its_correlation() -> None:
    event = CommandArrived(None, "ping", b'{"id": "x"}', response_topic="me/answers", correlation=b"42")
    answers = [effect for effect in Bench().handle(event) if isinstance(effect, Publish)]
    assert [answer.topic for answer in answers] == ["edgetune/n/resp/ping", "me/answers"]
    assert answers[1].correlation == b"42"


def test_a_response_topic_that_some_broker_would_hang_up_on_is_not_used_and_the_answer_says_so() -> None:
    event = CommandArrived(None, "ping", b'{"id": "x"}', response_topic="a/" * 200 + "a")
    [answer] = [effect for effect in Bench().handle(event) if isinstance(effect, Publish)]
    assert answer.topic == "edgetune/n/resp/ping"
    assert "not used: it must have 1 to 256 bytes" in answer.message.detail["response_topic"]


def test_a_repeated_id_gets_the_first_answer_and_starts_nothing(bundle: Bundle) -> None:
    bench = Bench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    first = bench.command("recalibrate", id="r", source="live", classes=["a", "b"], seconds_per_take=1)
    again = bench.command("recalibrate", id="r", source="live", classes=["a", "b"], seconds_per_take=1)
    answers = [said(effects, "resp/recalibrate")[0] for effects in (first, again)]
    assert [answer["status"] for answer in answers] == ["accepted", "accepted"]
    assert [type(effect) for effect in again] == [Publish, AckCommand]


def test_a_rejected_id_gets_its_rejection_again_also_under_another_command() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.command("record", id="r", label="a", seconds=1)
    rejected = said(bench.command("recalibrate", id="x", source="stored"), "resp/recalibrate")[0]
    assert "busy" in rejected["reason"]
    bench.command("cancel", id="c")
    again = bench.command("recalibrate", id="x", source="stored")
    assert said(again, "resp/recalibrate")[0]["reason"] == rejected["reason"]
    other = bench.command("rollback", id="x")
    assert said(other, "resp/rollback")[0]["command"] == "recalibrate"
    assert not [effect for effect in again + other if isinstance(effect, StartSearch | Install)]


def test_answers_leave_in_the_order_they_are_numbered() -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    effects = bench.command("recalibrate", id="r", source="stored")
    assert [(answer["seq"], answer["status"]) for answer in said(effects, "resp/recalibrate")] == [
        (0, "accepted"),
        (1, "progress"),
    ]


def test_a_defect_of_ours_is_answered_and_acknowledged() -> None:
    bench = Bench()
    event = CommandArrived("bearing", "rollback", b'{"id": "x"}', ack=3)
    effects = bench.node.broken(event, "ZeroDivisionError()")
    assert "ZeroDivisionError" in said(effects, "resp/rollback")[0]["reason"]
    assert only(effects, AckCommand).ack == 3


@pytest.mark.parametrize(
    "event",
    [
        SearchReported("bearing", "r", SearchFailed(error="X")),
        RecordingSaved("bearing", "r", None),
        NovelChanged("bearing", (), "r"),
        ModelReady("bearing", "r", None, None),
    ],
)
def test_a_job_that_a_defect_of_ours_broke_ends_and_the_next_may_begin(event: Event) -> None:
    bench = Bench()
    bench.world.recordings = {"bearing": {"a": 5.0, "b": 5.0}}
    bench.command("recalibrate", id="r", source="stored")
    effects = bench.node.broken(event, "ZeroDivisionError()")
    (answer,) = said(effects, "resp/recalibrate")
    assert (answer["id"], answer["status"]) == ("r", "failed")
    assert "ZeroDivisionError" in answer["reason"]
    assert only(effects, FinishCommand).command_id == "r"
    assert only(effects, CancelSearch).job == "r"
    assert bench.node.broken(event, "again") == []
    assert said(bench.command("recalibrate", id="next", source="stored"), "resp/recalibrate")[0]["status"] == "accepted"


def test_a_defect_at_the_end_of_a_search_does_not_hold_up_the_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(assets=("bearing", "motor"))
    bench.world.recordings = {name: {"a": 5.0, "b": 5.0} for name in ("bearing", "motor")}
    for name in ("bearing", "motor"):
        bench.command("recalibrate", name, id="r", source="stored")
    monkeypatch.setattr(bench.node.jobs["bearing"], "searched", lambda *_: 1 / 0)
    ended = SearchReported("bearing", "r", SearchFailed(error="X"))
    with pytest.raises(ZeroDivisionError):
        bench.handle(ended)
    assert only(bench.node.broken(ended, "ZeroDivisionError()"), StartSearch).asset == "motor"


KEY = "k" * 32
CANCEL = "edgetune/n/bearing/cmd/cancel"


def signed(bench: Bench, *, topic: str = CANCEL, key: str = KEY, seconds: float = 60, **fields: Any) -> CommandArrived:
    """Make a command for ``topic`` that is signed and has an expiry, and send it as `cancel` to the bearing."""
    expires = (bench.clock.utc() + timedelta(seconds=seconds)).isoformat()
    payload = json.dumps({"id": "c", "expires": expires, **fields}).encode()
    return CommandArrived("bearing", "cancel", payload, ack=7, signature=sign(key.encode(), topic, payload))


def reason(bench: Bench, event: CommandArrived) -> str:
    """Why the node refuses a command; it is acknowledged all the same, and nothing is kept of it."""
    effects = bench.handle(event)
    [answer] = said(effects, "resp/cancel")
    assert answer["status"] == "rejected"
    assert [effect for effect in effects if not isinstance(effect, Publish)] == [AckCommand(7)]
    return str(answer["reason"])


NOTHING_RUNS = "no job is running"


def test_a_signed_command_is_heard_by_property_and_by_envelope() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    assert reason(bench, signed(bench)) == NOTHING_RUNS
    event = signed(bench, id="d")
    sealed = replace(event, payload=seal(KEY.encode(), CANCEL, event.payload), signature=None)
    assert reason(bench, sealed) == NOTHING_RUNS
    effects = bench.handle(replace(sealed, payload=seal(KEY.encode(), CANCEL, b'{"id": "e", "id": "e"}')))
    assert "names a key twice" in said(effects, "resp/cancel")[0]["reason"]
    twice = b'{"signature": "0", ' + sealed.payload[1:]
    assert "names a key twice" in said(bench.handle(replace(sealed, payload=twice)), "resp/cancel")[0]["reason"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"signature": None}, "no signature"),
        ({"signature": ""}, "the signature is wrong"),
        ({"signature": "\u00e9\ud800"}, "the signature is wrong"),
        ({"name": "continue"}, "the signature is wrong"),
        ({"asset": "other"}, "the signature is wrong"),
    ],
)
def test_a_command_without_the_right_signature_is_refused(change: dict[str, Any], told: str) -> None:
    bench = Bench(mqtt={"command_key": KEY}, assets=("bearing", "other"))
    answers = [
        effect.message.model_dump()
        for effect in bench.handle(replace(signed(bench), **change))
        if isinstance(effect, Publish) and "/resp/" in effect.topic
    ]
    assert [(answer["id"], answer["status"]) for answer in answers] == [("c", "rejected")]
    assert told in answers[0]["reason"]
    assert bench.world.signatures == {}


def test_altered_stale_and_endless_commands_and_other_keys_are_refused() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    event = signed(bench)
    assert "altered" in reason(bench, replace(event, payload=event.payload.replace(b'"c"', b'"d"')))
    assert "altered" in reason(bench, replace(event, payload=event.payload + b" "))
    assert "another key" in reason(bench, signed(bench, key="x" * 32))
    assert "another topic" in reason(bench, signed(bench, topic="edgetune/m/bearing/cmd/cancel"))
    assert "must say when it expires" in reason(bench, signed(bench, expires=None))
    assert "more than 10 minutes ahead" in reason(bench, signed(bench, seconds=601))
    assert reason(bench, signed(bench, seconds=599)) == NOTHING_RUNS
    bench.clock.now += 61
    assert "expired" in reason(bench, event)


def test_a_replayed_command_is_refused_although_its_first_refusal_is_forgotten() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    event = signed(bench)
    assert reason(bench, event) == NOTHING_RUNS
    again = Bench(mqtt={"command_key": KEY})  # the process began anew; the world outside is the same
    again.world.signatures = bench.world.signatures
    assert "came before" in reason(again, event)


def test_an_accepted_command_that_comes_again_gets_its_answer_and_is_not_done_again() -> None:
    bench = Bench(mqtt={"command_key": KEY})
    payload = json.dumps(
        {"id": "p", "expires": bench.clock.utc().isoformat().replace("00:00:0", "00:01:0", 1)}
    ).encode()
    event = CommandArrived(None, "ping", payload, ack=7, signature=sign(KEY.encode(), "edgetune/n/cmd/ping", payload))
    [first] = said(bench.handle(event), "resp/ping")
    effects = bench.handle(event)
    [second] = said(effects, "resp/ping")
    assert (first["status"], second["status"], second["detail"]) == ("done", "done", first["detail"])
    assert only(effects, AckCommand).ack == 7


def test_a_signature_that_the_disk_cannot_remember_is_refused() -> None:
    bench = Bench(mqtt={"command_key": KEY})

    def full(signature: str, expires: datetime) -> bool:
        raise OutboxError(f"the disk is full for {signature[:0]}{expires.year}")

    bench.node._admission._first_use = full
    assert "cannot be remembered: the disk is full" in reason(bench, signed(bench))


def test_without_a_key_signatures_are_not_looked_at() -> None:
    bench = Bench()
    assert reason(bench, replace(signed(bench), signature="anything")) == NOTHING_RUNS


def test_a_command_expires_by_the_clock_as_it_is_now() -> None:
    bench = Bench()
    expires = (bench.clock.utc() + timedelta(minutes=5)).isoformat()
    bench.clock.ahead_s = 3600.0
    assert "expired" in said(bench.command("ping", None, id="p", expires=expires), "resp/ping")[0]["reason"]
    bench.clock.ahead_s = -3600.0
    assert said(bench.command("ping", None, id="p", expires=expires), "resp/ping")[0]["status"] == "done"
