"""A name is taken out of what is kept, and nothing else is."""

from __future__ import annotations

import json

import pytest

from edgetune_node.contract.erasure import message_without, without


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("anna has no model", "forgotten has no model"),
        ("models of anna.", "models of forgotten."),
        ("anna-rest-1.npz, joanna, annas, anna.b", "anna-rest-1.npz, joanna, annas, anna.b"),
        ('{"id": "1", "subject": "\\u0061nna"}', '{"id": "1", "subject": "forgotten"}'),
        ('{"subject": "anna", cut', '{"subject": "forgotten", cut'),
    ],
)
def test_only_the_whole_name_goes(text: str, left: str) -> None:
    assert without(text, "anna") == left


def test_values_inside_values_lose_the_name_and_keys_stay() -> None:
    assert without({"anna": ["anna", {"of": "anna"}], "takes": 2}, "anna") == {
        "anna": ["forgotten", {"of": "forgotten"}],
        "takes": 2,
    }


def test_a_message_keeps_its_own_words_even_where_somebody_is_called_so() -> None:
    answer = {"schema": "resp/1", "id": "done", "command": "profile", "status": "done", "detail": {"subject": "done"}}
    left = json.loads(message_without(json.dumps(answer).encode(), "done"))
    assert left == {**answer, "detail": {"subject": "forgotten"}}


@pytest.mark.parametrize("payload", [b"", b"anna", b'["anna"]', b'{"reason": "nobody"}'])
def test_what_is_no_message_or_names_nobody_stays(payload: bytes) -> None:
    assert message_without(payload, "anna") == payload
