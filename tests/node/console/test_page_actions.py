"""What people do at the console's page beside the walk through it, before a node whose words are written here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from console_page import ConsoleServer, example

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.slow
ASSET = "#/asset/edge1/bearing1"


def test_what_others_send_stands_in_the_log_with_who_sent_it(told: tuple[ConsoleServer, Any], browser: Browser) -> None:
    server, node = told
    base = "plant/edge1/bearing1"
    browser.open(f"{server.url}#/log")
    browser.wait("document.querySelector('[data-broker=true]')")
    shelve = {"id": "c-7", "seconds": 3600, "by": "ben", "class": "inner"}
    node.publish(f"{base}/cmd/shelve", json.dumps(seal_of(shelve)).encode())
    browser.wait_text("no answer yet", "table.log")
    reply = {"id": "c-7", "command": "shelve", "status": "rejected", "reason": "no such class"}
    node.publish(f"{base}/resp/shelve", json.dumps(reply).encode())
    browser.wait_text("refused: no such class", "table.log")
    row = browser.text("table.log tbody tr")
    for said in ("edge1/bearing1", "shelve", "seconds 3600", "class inner", "ben, signed", "(after "):
        assert said in row
    node.publish("plant/edge1/cmd/ping", b'{"id": "c-8"}')
    browser.wait_text("ping", "table.log tbody tr")
    node.publish("plant/edge1/resp/ping", b'{"id": "c-8", "command": "ping", "status": "done"}')
    browser.wait_text("done", "table.log tbody tr")
    assert "unknown" in browser.text("table.log tbody tr")
    node.publish("plant/edge2/pump/cmd/cancel", b'{"id": "c-7"}')  # who counts commands has the same for many nodes
    browser.wait_text("edge2/pump", "table.log tbody tr")
    assert "no answer yet" in browser.text("table.log tbody tr")
    assert "seconds 3600" in browser.text("table.log tbody tr:nth-child(3)")


def seal_of(command: dict[str, Any]) -> dict[str, Any]:
    """A command in its envelope, as MQTT 3.1.1 has it."""
    return {"payload": json.dumps(command), "signature": "00"}


def test_another_network_of_the_search_is_chosen_on_the_page_of_models(
    told: tuple[ConsoleServer, Any], browser: Browser
) -> None:
    server, node = told
    names = ("point", "validation_accuracy", "arena_bytes", "flash_bytes", "macs", "trained")
    rows = ((0, 0.97, 2144, 4000, 90_000, True), (1, 0.8, 720, 900, 9_000, False), (2, 0.93, 832, 1900, 20_000, True))
    front = [dict(zip(names, row, strict=True)) for row in rows]
    model = {**example("model")[1], "front": front, "front_point": 0}
    node.publish("plant/edge1/bearing1/model", json.dumps(model).encode(), retain=True)
    browser.open(f"{server.url}#/models")
    browser.click(".front summary")
    browser.wait("document.querySelector('.front').querySelectorAll('circle').length === 3")
    accuracies = (
        "[...document.querySelector('.front').querySelectorAll('tbody th')].map((each) => each.innerText).join()"
    )
    assert browser.run(accuracies) == "80\u00a0%,93\u00a0%,97\u00a0%"  # by memory
    assert browser.text(".front tr.chosen").split()[-2:] == ["in", "use"]
    browser.press("Use this one")
    browser.wait_text("Put the network with 720\u00a0B of memory and 80\u00a0% accuracy into use?", "dialog")
    browser.click("dialog[open] .main")
    sent = node.wait_for(lambda message: message.topic == "plant/edge1/bearing1/cmd/deploy").json()
    assert (sent["model"], sent["point"]) == (model["id"], 1)
    answer = {"id": sent["id"], "command": "deploy", "status": "done", "detail": {"model": "other"}}
    node.publish("plant/edge1/bearing1/resp/deploy", json.dumps(answer).encode())
    after = {**model, "id": "other", "front_point": 1, "previous": model["id"]}
    node.publish("plant/edge1/bearing1/model", json.dumps(after).encode(), retain=True)
    browser.wait_text("Done.", ".model .told")
    browser.wait_text("80\u00a0%", ".front tr.chosen")
    browser.wait_text("Go back", ".model .row button")


def test_who_breaks_the_simulated_machine_is_told_where_nothing_comes_of_it(
    told: tuple[ConsoleServer, Any], browser: Browser
) -> None:
    server, node = told
    fault = {**example("fault")[1], "active": False, "class": "normal", "judged": True}
    played = {"condition": "normal", "conditions": ["normal", "inner_slight"], "asked": None, "sending": True}

    def say(leaf: str, content: dict[str, Any]) -> None:
        node.publish(f"plant/edge1/bearing1/{leaf}", json.dumps(content).encode(), retain=True)

    say("fault", fault)
    say("simulator/state", played)
    browser.open(f"{server.url}{ASSET}")
    browser.wait_text("It is now: normal", "#simulated")
    assert "has not noticed" not in browser.text("#simulated")
    say("simulator/state", {**played, "condition": "inner_slight"})
    browser.wait_text("the model has not noticed", "#simulated")
    say("simulator/state", {**played, "sending": False})
    browser.wait("!document.querySelector('#simulated')")
    calibration = {**example("calibration")[1], "phase": "waiting", "class": "inner", "remaining_s": None}
    say("calibration", {**calibration, "refusal": "a channel is constant (flat)"})
    browser.open(f"{server.url}#/recalibrate/edge1/bearing1")
    browser.wait_text("Put the machine into the state “inner”", "#collect")
    browser.wait_text("The take could not be used: a channel is constant (flat)", "#collect")
    say("simulator/state", {**played, "error": "there is no condition 'inner'", "asked": "inner"})
    browser.wait_text("there is no condition 'inner'", "#collect")
    browser.wait("document.querySelector('#collect #simulate-inner_slight')")
    say("simulator/state", {**played, "condition": "inner_slight", "asked": "inner", "error": None})
    browser.wait_text("has gone into the state “inner” by itself", "#collect")
    say("calibration", {**calibration, "phase": "countdown", "remaining_s": 7.2})
    browser.wait_text("Recording starts in 7\u00a0s", "#collect")


def test_an_answer_of_another_asset_under_the_same_id_ends_no_calibration(
    told: tuple[ConsoleServer, Any], browser: Browser
) -> None:
    server, node = told
    running = {**example("calibration")[1], "job": "c-1", "phase": "recording", "class": "inner", "take": 1, "takes": 2}
    node.publish("plant/edge1/bearing1/calibration", json.dumps(running).encode(), retain=True)
    browser.open(f"{server.url}#/recalibrate/edge1/bearing1")
    browser.wait_text("take 1 of 2", "#collect")
    ended = {"id": "c-1", "command": "recalibrate", "status": "failed", "reason": "no samples came"}
    node.publish("plant/edge1/armband1/resp/recalibrate", json.dumps(ended).encode())
    node.publish("plant/edge1/bearing1/calibration", json.dumps({**running, "take": 2}).encode(), retain=True)
    browser.wait_text("take 2 of 2", "#collect")
    node.publish("plant/edge1/bearing1/resp/recalibrate", json.dumps(ended).encode())
    browser.wait_text("no samples came", "main")
