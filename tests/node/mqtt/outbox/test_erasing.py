"""A person is erased from what waits for the broker and from kept answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from keeping import open_outbox

from edgetune_node.mqtt.outbox_rows import Lane

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.mqtt.outbox import Outbox


def put(outbox: Outbox, topic: str, lane: Lane = Lane.ORDERED, **fields: object) -> bytes:
    payload = json.dumps(fields).encode()
    outbox.put(topic, payload, qos=1, retain=False, correlation=None, boot="b", lane=lane)
    return payload


def test_messages_about_a_person_go_and_others_lose_the_name(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, "e/n/arm/sign", subject="anna")
    stay = [put(outbox, "e/n/arm/sign", subject="joanna"), put(outbox, "e/n/other/sign", subject="anna")]
    put(outbox, "e/n/arm/resp/profile", status="done", detail={"subject": "anna"})
    put(outbox, "app/answers", Lane.REPLY, status="done", reason="anna has no model")
    outbox.commands.finish("arm", "profile", "c", b'{"status":"done","detail":{"subject":"anna"}}')
    outbox.commands.keep("arm", "forget", "f", b'{"subject": "anna"}', b"{}")
    before = outbox.depth, outbox.size_bytes
    assert outbox.erase("e/n/arm/", "arm", "anna") == 1
    assert outbox.erase("e/n/arm/", "arm", "anna") == 0
    assert outbox.depth == before[0] - 1
    assert outbox.size_bytes < before[1]
    assert outbox.dropped == 0
    waiting = outbox.pending()
    assert [entry.payload for entry in waiting[:2]] == stay
    assert json.loads(waiting[2].payload) == {"status": "done", "detail": {"subject": "forgotten"}}
    [reply] = outbox.pending(lane=Lane.REPLY)
    assert json.loads(reply.payload)["reason"] == "forgotten has no model"
    assert outbox.commands.answer_of("arm", "c") == b'{"status":"done","detail":{"subject":"forgotten"}}'
    [running] = outbox.commands.interrupted()
    assert running.payload == b'{"subject": "anna"}'  # what a restart goes on with
    outbox.commands.finish("arm", "forget", "f", b"{}")
    outbox.close()
    for part in path.parent.glob(f"{path.name}*"):
        assert b'"anna has' not in part.read_bytes()
        assert part.read_bytes().count(b'"anna"') == 1  # that of the other asset
