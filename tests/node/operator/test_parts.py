"""Answers in parts, before those who write to a node's topics and are no node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from edgetune_node.errors import NodeError
from edgetune_node.operator import OperatorClient, PartedAnswer, recording_of, rows_of, wait_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = {"id": "c", "status": "done", "detail": {"parts": 1}}


class Heard:
    """What a client has heard."""

    def __init__(self, *payloads: Any) -> None:
        self._payloads = payloads

    def messages(self, _seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
        for payload in self._payloads:
            yield "edgetune/n/a/resp/history", payload


def answer(*payloads: Any) -> PartedAnswer:
    return wait_parts(cast("OperatorClient", Heard(*payloads)), "c", timeout=5)


def test_the_parts_of_an_answer_are_put_together_in_order() -> None:
    parts = [{"id": "c", "status": "progress", "detail": {"part": n, "rows": [[n]]}} for n in (1, 0)]
    assert rows_of(answer(*parts, {**DONE, "detail": {"parts": 2}})) == [[0], [1]]


@pytest.mark.parametrize(
    "payloads",
    [
        [{"id": "c", "status": "progress", "detail": {"part": "x"}}],
        [{"id": "c", "status": "progress", "detail": [1]}, {"id": "c", "status": "done", "detail": {"parts": []}}],
        [{"id": "c", "status": []}],
        [{"id": "c", "status": "done", "detail": {"parts": 1e999}}],
    ],
)
def test_an_answer_that_no_node_sends_is_told_as_such(payloads: list[dict[str, Any]]) -> None:
    with pytest.raises(NodeError, match="an answer came that no node sends"):
        answer(*payloads)


@pytest.mark.parametrize("part", [{}, {"rows": 1}, {"data": "x", "rows": None}])
def test_parts_that_no_node_sends_are_told_as_such(part: dict[str, Any]) -> None:
    found = PartedAnswer({"detail": {"channels": 0, "rate_hz": 1}}, {0: part})
    for read in (rows_of, recording_of):
        with pytest.raises(NodeError, match="an answer came that no node sends"):
            read(found)
