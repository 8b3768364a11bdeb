from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.contract.commands import COMMANDS
from edgetune_node.contract.messages import MESSAGES
from edgetune_node.contract.topics import ASSET_COMMANDS, ASSET_LEAVES, NODE_COMMANDS, NODE_LEAVES, Topics

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOPICS = Topics("acme/plant1/line3", "edge1")


def test_topics_stand_below_namespace_node_and_asset() -> None:
    assert TOPICS.base == "acme/plant1/line3/edge1"
    assert TOPICS.node("status") == "acme/plant1/line3/edge1/status"
    assert TOPICS.asset("bearing1", "fault") == "acme/plant1/line3/edge1/bearing1/fault"


def test_every_message_has_a_last_level_that_no_answer_may_have() -> None:
    owners = {kind.topic: kind.owner for kind in MESSAGES if kind.topic != "resp/+"}
    assert owners == dict.fromkeys(NODE_LEAVES, "node") | dict.fromkeys(ASSET_LEAVES, "asset")


def test_every_command_belongs_to_the_node_or_to_an_asset() -> None:
    assert sorted(COMMANDS) == sorted(NODE_COMMANDS + ASSET_COMMANDS)


def test_only_assets_fed_over_mqtt_subscribe_to_samples() -> None:
    filters = dict(TOPICS.subscriptions(("bearing2",)))
    assert filters == {
        "acme/plant1/line3/edge1/cmd/+": 1,
        "acme/plant1/line3/edge1/+/cmd/+": 1,
        "acme/plant1/line3/edge1/+/context": 1,
        "acme/plant1/line3/edge1/bearing2/samples": 0,
    }


@pytest.mark.parametrize(
    "topic",
    [
        "acme/plant1/line3/edge1",
        "acme/plant1/line3/edge1/",
        "acme/plant1/line3/edge10/status",
        "other/edge1/status",
        "acme/plant1/line3/edge1/bearing1/cmd/recalibrate/now",
        "",
    ],
)
def test_a_topic_of_somebody_else_is_nobodys(topic: str) -> None:
    assert TOPICS.split(topic) in (None, (None, ""))


NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("cmd", "resp")
)


@UNTIMED
@given(NAME, NAME, st.sampled_from(["cmd", "resp"]))
def test_a_topic_is_split_into_what_it_was_made_of(asset: str, leaf: str, kind: str) -> None:
    assert TOPICS.split(TOPICS.node(leaf)) == (None, leaf)
    assert TOPICS.split(TOPICS.node(f"{kind}/{leaf}")) == (None, f"{kind}/{leaf}")
    assert TOPICS.split(TOPICS.asset(asset, leaf)) == (asset, leaf)
    assert TOPICS.split(TOPICS.asset(asset, f"{kind}/{leaf}")) == (asset, f"{kind}/{leaf}")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "reply/+",
        "#",
        "$SYS/x",
        "$share/g/x",
        TOPICS.base,
        TOPICS.asset("a", "fault"),
        TOPICS.asset("a", "cmd/record"),
        TOPICS.node("cmd/ping"),
        "x" * 257,
        "\u00e4" * 129,
        "a/" * 200 + "a",
        "a/" * 32 + "a",
        "reply/\ufeff",
        "reply/\0",
        "reply/\x1f",
        "reply/\x85",
        "reply/\ufffe",
        "reply/\ufdd0",
        "reply/\U0010ffff",
        "reply/\ud800",
        "reply/\u202e",
        "edgetune/other/cmd/ping",
        "acme/plant1/line3",
        "acme/plant1/line3/",
        "acme/plant1/line3/edge2/status",
        "acme/plant1/line3/edge2/a/fault",
        "acme/plant1/line3/edge2/resp/ping",
        "acme/plant1/line3/edge2/a/resp/record",
        "acme/plant1/line3/answers",
        TOPICS.node("resp"),
        TOPICS.node("cmd/resp"),
        TOPICS.node("a"),
        TOPICS.node("resp/cmd/record"),
        TOPICS.base + "/",
        "site/acme/plant1/line3/edge1/a/fault",
        "edgetune/other/status",
        "edgetune/other/a/classification",
        "edgetune/other/a/samples",
        "edgetune/other/a/context",
        "edgetune/other/a/resp/record/me",
        "edgetune/other/resp/ping",
    ],
)
def test_no_answer_goes_to_a_response_topic_that_some_broker_would_hang_up_on(topic: str) -> None:
    assert TOPICS.unusable(topic) is not None


@pytest.mark.parametrize(
    "topic",
    [
        "reply/x",
        "/reply//x",
        "reply/\u00e4 \u6c34",
        "acme/plant1/line30/answers",
        "acme/plant1/answers",
        "answers/status",
        "resp/me",
        TOPICS.asset("a", "resp/record"),
        TOPICS.asset("a", "resp/record/me"),
        TOPICS.node("resp/ping/me"),
        "a/" * 31 + "a",
        "x" * 256,
    ],
)
def test_answers_may_go_to_any_other_response_topic(topic: str) -> None:
    assert TOPICS.unusable(topic) is None
