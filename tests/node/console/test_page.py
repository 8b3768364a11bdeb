"""The console's page in a real browser, before a real plant."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import DESK, PHONE, Browser
from console_page import ConsoleServer, example, play
from web_modules import WEB, modules

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PICTURES = os.environ.get("CONSOLE_PICTURES")
"""A folder that takes the pictures of the documentation."""
NODE = """
[node]
id = "edge1"
namespace = "plant"
health_interval_s = 1
data_dir = "{folder}/data"
[mqtt]
port = {port}
[[asset]]
id = "bearing1"
rate_hz = 12000
unit = "g"
[asset.machine]
group = 2
bearing = "6205-2RS"
shaft_rpm = 1797
[asset.alarm]
raise_after_s = 1.0
clear_after_s = 2.0
[asset.budget]
ram_bytes = 4096
search_seconds = 10
"""
ASSET = "#/asset/edge1/bearing1"
PAGES = ("#/", ASSET, "#/recalibrate/edge1/bearing1", "#/models", "#/people", "#/health", "#/log")


@pytest.fixture
def plant(fresh_broker: Any, tmp_path: Path) -> Iterator[ConsoleServer]:
    """A node that listens to a simulated machine, and a console; nobody has calibrated anything."""
    config = tmp_path / "node.toml"
    config.write_text(NODE.format(folder=tmp_path, port=fresh_broker.port), encoding="utf-8")
    program = [sys.executable, "-m", "edgetune_node"]
    with ExitStack() as stack, (tmp_path / "plant.log").open("wb") as log:
        for words in (["run"], ["simulate", "--follow"]):
            process = subprocess.Popen(
                [*program, *words, "--config", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        options = ("--namespace", "plant", "--shared")
        yield stack.enter_context(ConsoleServer(tmp_path, fresh_broker, *options))


def keep(browser: Browser, name: str, tmp_path: Path) -> None:
    """Keep a picture: for the documentation where it is asked for."""
    browser.picture(Path(PICTURES or tmp_path) / f"console-{name}.png")


def test_a_machine_is_calibrated_breaks_is_acknowledged_and_repaired(
    plant: ConsoleServer, browser: Browser, fresh_broker: Any, recorder: Any, tmp_path: Path
) -> None:
    def condition(name: str) -> None:
        machine.publish("plant/edge1/bearing1/simulator", name.encode())

    machine = recorder(fresh_broker)
    browser.size((1280, 800))
    browser.open(plant.url)
    browser.wait_text("Open it to make its first model", ".tile")
    browser.wait_text("1 without a model")
    browser.click(".tile a")
    browser.wait_text("Live", "#level .pill")
    browser.wait_text("Recalibrate first", "#simulated")
    calibrate(browser, tmp_path)
    condition("normal")
    browser.click("#decide a.button")
    browser.wait_text("Healthy", "#state .word")
    assert browser.run("document.querySelectorAll('#state .s-ok').length")
    condition("inner_severe")
    see_why(browser, tmp_path)
    browser.click("#acknowledge")
    browser.fill("dialog input", "bearing ordered")
    browser.key("Enter")
    browser.wait_text("seen by operator", "#state")
    assert "bearing ordered" in browser.text("#state")
    condition("normal")
    browser.wait_text("Healthy", "#state .word")
    browser.wait("!document.querySelector('#event')")
    browser.open(f"{plant.url}#/log")
    browser.wait_text("acknowledge", "table.log")
    browser.wait_text("comment bearing ordered", "table.log")
    browser.wait_text("operator, this console", "table.log")
    browser.wait_text("done", "table.log")
    browser.open(f"{plant.url}{ASSET}")
    fresh_broker.stop()
    browser.wait_text("The broker is away", "[role=alert]")
    browser.wait_text("as of", "#level .pill")
    browser.wait("document.querySelector('#state.stale')")
    assert "Live" not in browser.text("#level .pill")
    fresh_broker.start()
    browser.wait_text("Live", "#level .pill")
    browser.wait("!document.querySelector('[role=alert]') && !document.querySelector('#state.stale')")
    browser.size(PHONE)
    browser.open(f"{plant.url}#/")
    browser.wait_text("Healthy", ".tile")
    keep(browser, "phone", tmp_path)


def calibrate(browser: Browser, tmp_path: Path) -> None:
    """Go through the whole wizard."""
    browser.click("#recalibrate")
    browser.fill("input[name=classes]", "normal, inner_severe")
    browser.fill("input[name=seconds]", "20")  # for all that is waited for while it records
    browser.click("#start")
    for name in ("normal", "inner_severe"):
        browser.wait_text(f"has gone into the state “{name}” by itself", "#collect")
        browser.wait("document.querySelectorAll('#collect .spark polyline').length")
        browser.wait_text("Signal quality: good", "#collect")
        if name == "inner_severe":
            keep(browser, "wizard", tmp_path)
        browser.click("#continue")
        browser.wait_text(f"Recording “{name}”", "#collect")
        browser.wait(r"/: \d+\s+s left/.test(document.querySelector('#collect').innerText)")
    browser.wait_text("Best accuracy so far", "#search")
    browser.wait_text("The new model is ready", "#decide")
    browser.wait_text("Memory (arena)", "#decide")
    assert "as deployed" in browser.text("#decide")
    keep(browser, "decide", tmp_path)
    browser.click("#use")
    browser.wait_text("The new model is in use", "#decide")


def see_why(browser: Browser, tmp_path: Path) -> None:
    """See that the machine is broken, and why it is called so."""
    browser.wait_text("inner severe", "#state")
    browser.wait_text("nobody has acknowledged it", "#state")
    assert browser.text("#state .word") in {"Warning", "Alarm", "Danger"}
    browser.wait_text("What to do", "#event")
    browser.wait_text("inner race", "#event")
    browser.wait_text("Envelope spectrum", "#spectrum")
    browser.click("#wave")
    browser.wait("document.querySelector('#event .plot canvas')")
    browser.run("window.scrollTo(0, 0)")
    browser.size((1280, 1500))
    browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    keep(browser, "event", tmp_path)
    browser.size((1280, 800))


def test_nothing_old_is_shown_as_live(told: tuple[ConsoleServer, Any], browser: Browser) -> None:
    server, node = told
    browser.open(f"{server.url}{ASSET}")
    browser.wait_text("Alarm", "#state .word")
    browser.wait_text("as of", "#level .pill")  # of what is retained nobody knows how old it is
    node.publish("plant/edge1/status", json.dumps({**example("status")[1], "status": "offline"}).encode(), retain=True)
    browser.wait("document.querySelector('#state.stale')")
    browser.open(f"{server.url}#/")
    browser.wait_text("node away", ".tile")
    node.publish("plant/edge1/status", json.dumps(example("status")[1]).encode(), retain=True)
    browser.wait("!document.querySelector('.tile.stale')")
    server.stop()
    browser.wait_text("The console does not answer", "[role=alert]")
    server.start()
    browser.wait("!document.querySelector('[role=alert]')")
    browser.wait_text("Alarm", ".tile")


def test_the_worst_comes_first_and_is_found_by_its_name(told: tuple[ConsoleServer, Any], browser: Browser) -> None:
    server, node = told
    fault = example("fault")[1]
    calm = {**fault, "active": False, "class": "normal", "severity": "none", "severity_level": 0}
    bad = {**fault, "severity": "danger", "severity_level": 4, "acknowledged": False}
    node.publish("plant/edge1/a-calm/fault", json.dumps(calm).encode(), retain=True)
    node.publish("plant/edge1/z-bad/fault", json.dumps(bad).encode(), retain=True)
    browser.open(server.url)
    browser.wait("document.querySelectorAll('.tile').length === 4")
    names = browser.run("[...document.querySelectorAll('.tile strong')].map((each) => each.textContent)")
    assert names == ["z-bad", "bearing1", "armband1", "a-calm"]
    assert browser.text(".tile b") == "Danger"
    browser.fill("input[type=search]", "calm")
    browser.wait("document.querySelectorAll('.tile').length === 1")
    node.publish("plant/edge1/z-bad/fault", b"", retain=True)
    browser.fill("input[type=search]", "z-bad")
    browser.wait("!document.querySelector('.tile .t-danger')")


HOSTILE = "<img src=x onerror=hacked=1>" + "A" * 300 + "\u202e"
SENSELESS: dict[str, list[bytes]] = {
    "info": [b'{"assets":5}', b'{"assets":[null,{"id":{}}]}'],
    "health": [b'{"problems":{"length":1},"assets":[null]}'],
    "evil/fault": [b'{"active":true,"class":{},"severity":"constructor","shelves":7,"evidence":{"note":5}}'],
    "evil/state": [b'{"phase":5,"since":{}}'],
    "evil/vibration": [b'{"rms":3,"quality":null}'],
    "evil/spectrum": [b'{"frequency_hz":1,"amplitude":{}}'],
    "evil/model": [b'{"id":"x","classes":3}'],
    "evil/classification": [b'{"smoothed":{},"distance":[]}'],
    "person/emg": [b'{"envelope":{"length":2},"quality":3}'],
    "evil/calibration": [b'{"suggested":{"length":1}}', b'{"phase":"recording","remaining_s":{},"refusal":{}}'],
    "evil/simulator/state": [b'{"sending":true,"conditions":5}', b'{"sending":true,"conditions":[{}],"error":{}}'],
    "front/model": [b'{"id":"x","classes":[],"front":[{},{"arena_bytes":{}}]}'],
    "evil/cmd/cancel": [b'{"id":"y","by":{}}', b'{"id":"z","client":{},"by":"x"}'],
    "evil/resp/capture": [b'{"command":{},"id":[],"status":"x","errors":5}'],
}


@pytest.mark.parametrize("senseless", [False, True])
def test_what_anybody_publishes_neither_runs_nor_stops_the_page(
    *, senseless: bool, told: tuple[ConsoleServer, Any], browser: Browser
) -> None:
    server, node = told
    fault = {**example("fault")[1], "class": HOSTILE, "acknowledged": True, "acknowledged_by": HOSTILE}
    names = {"info": example("info")[1], "evil/fault": {**fault, "comment": HOSTILE, "evidence": {"action": HOSTILE}}}
    names["evil/state"] = {**example("state")[1], "reason": HOSTILE}
    names[f"{HOSTILE[:40].replace('/', '')}%/fault"] = fault
    messages = SENSELESS if senseless else {key: [json.dumps(each).encode()] for key, each in names.items()}
    browser.open(server.url)
    browser.wait_text("bearing1", ".tile")
    for leaf, payloads in messages.items():
        for payload in payloads:
            node.publish(f"plant/edge1/{leaf}", payload, retain=True)
    node.publish("plant/edge1/last/fault", json.dumps(fault).encode(), retain=True)
    browser.size(PHONE)
    for page in (*PAGES, "#/asset/edge1/evil", "#/asset/edge1/person", "#/recalibrate/edge1/evil", "#/%"):
        browser.run(f"location.hash = {json.dumps(page)}")
        browser.wait(f"location.hash === {json.dumps(page)}")
        second = browser.text("footer")
        browser.wait(f"document.querySelector('footer').innerText !== {json.dumps(second)}")  # it is drawn once more
        wide = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{page} is too wide by {wide} px"
        assert not browser.run("'hacked' in window || document.querySelector('main img')")
        assert browser.text("main").strip(), page
    browser.run("location.hash = '#/'")
    browser.wait("[...document.querySelectorAll('.tile strong')].some((each) => each.textContent === 'last')")
    browser.wait_text("bearing1")
    node.publish("plant/edge1/last/fault", json.dumps({**fault, "active": False, "judged": True}).encode(), retain=True)
    browser.wait(
        "[...document.querySelectorAll('.tile')].find((each) => each.innerText.includes('last'))"
        ".innerText.includes('Healthy')"
    )


def test_who_acts_signs_in_first(make_broker: Any, tmp_path: Path, recorder: Any, browser: Browser) -> None:
    broker = make_broker(users={"anna": "secret", "node": "n"}, acl="user anna\ntopic readwrite #\nuser node\ntopic #")
    node = recorder(broker.start(), "plant/#", username="node", password="n")
    play(node, "plant")
    password = tmp_path / "password"
    password.write_text("n")
    server = ConsoleServer(tmp_path, broker, "--namespace", "plant", "--password-file", str(password))
    server._command[5] = f"mqtt://node@{broker.host}:{broker.port}"
    fault = {**example("fault")[1], "acknowledged": False}
    node.publish("plant/edge1/bearing1/fault", json.dumps(fault).encode(), retain=True)
    with server:
        browser.open(f"{server.url}{ASSET}")
        browser.click("#acknowledge")
        browser.fill("dialog input[name=user]", "anna")
        browser.fill("dialog input[name=password]", "wrong")
        browser.key("Enter")
        browser.wait_text("refuses user 'anna'", "dialog")
        browser.fill("dialog input[name=password]", "secret")
        browser.key("Enter")
        browser.wait_text("Signed in as anna", ".who")
        browser.click("#acknowledge")
        browser.wait("document.querySelector('dialog[open] input[name=comment]')")
        browser.key("Enter")
        sent = node.wait_for(lambda message: message.topic.endswith("/cmd/acknowledge"))
        assert sent.json()["by"] == "anna"
        kept = browser.run("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert kept == '[{},{},""]'


def test_every_page_is_for_everybody(
    told: tuple[ConsoleServer, Any], browser: Browser, pytestconfig: pytest.Config
) -> None:
    server, _ = told
    axe = (modules(pytestconfig) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    browser.open(server.url)
    browser.wait_text("bearing1")
    browser.run(f"{axe}; undefined")
    for size, dark in ((DESK, False), (PHONE, True)):
        browser.size(size)
        browser.dark(wanted=dark)
        for page in PAGES:
            browser.run(f"location.hash = {json.dumps(page)}")
            browser.wait(f"location.hash === {json.dumps(page)} && document.querySelector('main h1')")
            browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            browser.run("document.querySelectorAll('details').forEach((each) => (each.open = true))")
            found = browser.run("axe.run().then((seen) => JSON.stringify(seen.violations))")
            serious = [
                (each["id"], each["help"], [node["target"] for node in each["nodes"]], each["nodes"][0]["any"])
                for each in json.loads(found)
                if each["impact"] in {"serious", "critical"}
            ]
            assert serious == [], f"{page} at {size}"
            wide = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{page} at {size} is too wide by {wide} px"


def test_the_keyboard_alone_is_enough(told: tuple[ConsoleServer, Any], browser: Browser) -> None:
    server, _ = told
    browser.open(server.url)
    browser.wait_text("bearing1", ".tile")
    reached = []
    for _ in range(30):
        browser.key("Tab")
        reached.append(browser.run("document.activeElement.getAttribute('href') ?? document.activeElement.type ?? ''"))
        if reached[-1] == ASSET:
            break
    assert reached[0] == "#main"
    assert "search" in reached
    assert reached[-1] == ASSET
    browser.key("Enter")
    browser.wait_text("bearing1", "main h1")
    assert browser.run("document.activeElement.id") == "main"
    times = browser.run("[...document.querySelectorAll('main time')].every((each) => each.title.endsWith('UTC'))")
    assert times


def test_the_page_is_small_and_takes_nothing_from_elsewhere(told: tuple[ConsoleServer, Any], browser: Browser) -> None:
    server, _ = told
    browser.open(server.url)
    browser.wait_text("bearing1", ".tile")
    loaded = browser.run(
        "performance.getEntries().filter((each) => each.transferSize !== undefined).map((each) =>"
        " [each.name, each.transferSize])"
    )
    assert {name for name, _ in loaded} >= {f"{server.url}app.js", f"{server.url}app.css"}
    assert all(name.startswith(server.url) for name, _ in loaded)
    assert sum(size for _, size in loaded) < 200 * 1024
    first = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    browser.wait(first)
    print(f"first paint after {browser.run(first):.0f} ms")  # noqa: T201 - other programs' load would fail a limit


def test_the_committed_page_is_what_its_sources_build(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules(pytestconfig))
    built = tmp_path / "page"
    subprocess.run([str(shutil.which("node")), "build.mjs", str(built)], cwd=copy, check=True)
    committed = WEB.parent / "edgetune_node" / "console" / "page"
    assert sorted(each.name for each in built.iterdir()) == sorted(each.name for each in committed.iterdir())
    for file in built.iterdir():
        assert file.read_bytes() == (committed / file.name).read_bytes(), f"{file.name} differs: make web"
