"""The demo's play: a node without a model learns a machine or a person, then two faults or signs come and go."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgetune_nas.bundle import read_card
from edgetune_nas.card import Budget
from edgetune_node.config import MqttSection
from edgetune_node.contract import Topics
from edgetune_node.demo.broker import HOST, DemoBroker, wait_until
from edgetune_node.demo.errors import DemoError
from edgetune_node.demo.machine import DemoMachine
from edgetune_node.demo.operator import COUNTDOWN_S, Operator
from edgetune_node.demo.processes import ChildProcess
from edgetune_node.demo.scada import Scada, ScadaView
from edgetune_node.demo.summary import Summary
from edgetune_node.operator import OperatorClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.card import ModelCard
    from edgetune_node.demo.scenes import Scene
    from edgetune_node.demo.screen import Screen

TOPICS = Topics("demo", "edge-1")
RAM_BYTES, FLASH_BYTES, MACS = 4096, 32_768, 1_000_000
NODE_UP_S = 120.0
FAULT_S = 60.0
CALM_S = 60.0
"""By then it has come, also on a machine that does other things; a demo that waits longer is broken."""
SETTLED_WINDOWS = 24
SHOW_S = 3.0
SETTLE_S = 0.5
SPARE_S = 60.0
WAIT_SLICE_S = 0.25

_CONFIG = """\
[node]
id = "{topics.node_id}"
namespace = "{topics.namespace}"
data_dir = '{data_dir}'

[mqtt]
host = "{host}"
port = {port}

[[asset]]
id = "{scene.asset}"
task = "{scene.task}"
channels = {spec.channels}
rate_hz = {spec.rate_hz}
unit = "{spec.unit}"
window = {{ length = {scene.window}, hop = {scene.hop} }}
source = {{ type = "mqtt" }}
machine = {scene.machine}
alarm = {{ raise_after_s = 0.4, clear_after_s = 0.4 }}  # a machine in a plant is given more time
"""


def perform(
    scene: Scene,
    *,
    seconds_per_take: float,
    search_seconds: float,
    screen: Screen,
    mosquitto: str | None,
    page: str | None = None,
) -> Summary:
    """Play the whole demo; whatever happens, no process and no file of it is left.

    Parameters
    ----------
    scene
        The machine's samples and the classes it can be in.
    seconds_per_take
        How long each class is recorded.
    search_seconds
        The search's time budget.
    screen
        Where it is told.
    mosquitto
        Path of mosquitto; None takes the broker of a package.
    page
        Address at which the console shows it; once it is told, all goes on until Ctrl-C. None does without.

    Raises
    ------
    DemoError
        A step did not happen; names the step and ends with the node's last log lines.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetune-demo-")))
        stage = _Stage(scene, folder, screen, stack)
        try:
            return stage.play(mosquitto, seconds_per_take, search_seconds, page)
        except DemoError as error:
            raise DemoError(error.step, error.reason, error.log_tail or stage.node_log()) from error


class _Stage:
    def __init__(self, scene: Scene, folder: Path, screen: Screen, stack: ExitStack) -> None:
        self._scene = scene
        self._folder = folder
        self._screen = screen
        self._stack = stack
        self._node: ChildProcess | None = None
        self._seconds: dict[str, float] = {}

    def node_log(self) -> str:
        return self._node.log_tail() if self._node else ""

    def play(self, mosquitto: str | None, seconds_per_take: float, search_seconds: float, page: str | None) -> Summary:
        started = time.monotonic()
        self._screen.chapter("1  A node without a model")
        broker = self._open(mosquitto)
        if page is not None:
            self._show_page(broker, page)
        self._seconds["start"] = time.monotonic() - started
        self._screen.chapter("2  The operator asks for a network that fits an arena of 4 KiB")
        self._recalibrate(seconds_per_take, search_seconds)
        signs = self._scene.task == "sign"
        self._screen.chapter("3  The person makes two signs" if signs else "3  The machine breaks, twice")
        since = time.monotonic()
        for class_ in self._scene.shown:
            if signs:
                self._make_sign(class_)
            else:
                self._break_and_repair(class_)
        self._seconds["signs" if signs else "faults"] = time.monotonic() - since
        if page is not None:
            self._wait_for_the_audience()
        self._screen.chapter("4  Everybody goes home")
        view = self._scada.view
        model, announced = self._card(), view.model
        live = view.share_right(self._machine.closed_spans(SETTLE_S))
        windows, lost = view.windows, view.lost_windows
        self._machine.stop()
        self._say_goodbye()
        self._seconds["total"] = time.monotonic() - started
        return Summary(
            faults=view.faults,
            signs=view.signs,
            spans=self._machine.spans,
            model=model,
            announced=announced.model_dump(mode="json", by_alias=True) if announced else {},
            live_accuracy=live,
            seconds=self._seconds,
            windows=windows,
            lost_windows=lost,
            broker=broker.name,
        )

    def _open(self, mosquitto: str | None) -> DemoBroker:
        """Broker first, then who listens, then who talks, so that nobody misses a word."""
        screen, scene = self._screen, self._scene
        broker = self._stack.enter_context(DemoBroker(self._folder, mosquitto))
        screen.say("BROKER", f"{broker.name} listens on {HOST}:{broker.port}")
        mqtt = MqttSection(host=HOST, port=broker.port)
        self._scada = Scada(self._connect(mqtt), TOPICS, scene.asset, lambda text: screen.say("SCADA", text))
        self._stack.callback(self._scada.stop)
        self._operator = Operator(self._connect(mqtt), TOPICS, scene.asset, screen)
        self._machine = DemoMachine(
            scene.source,
            scene.conditions,
            self._connect(mqtt),
            TOPICS,
            scene.asset,
            say=lambda text: screen.say("MACHINE" if scene.task == "fault" else "PERSON", text),
        )
        self._stack.callback(self._machine.stop)
        config = self._folder / "config.toml"
        config.write_text(
            _CONFIG.format(
                topics=TOPICS,
                data_dir=self._folder / "data",
                host=HOST,
                port=broker.port,
                scene=scene,
                spec=scene.source.spec,
            ),
            encoding="utf-8",
        )
        node = self._node = ChildProcess(
            [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)],
            self._folder / "node.log",
            _own_environment(),
        )
        self._stack.callback(node.stop)
        screen.say("NODE", f"starts as process {node.pid}")
        self._machine.start(scene.healthy)
        self._wait("the node comes online", NODE_UP_S, lambda view: view.status == "online")
        self._wait("the node reports uncalibrated", NODE_UP_S, lambda view: view.phase == "uncalibrated")
        return broker

    def _show_page(self, broker: DemoBroker, listen: str) -> None:
        url, namespace = f"mqtt://{HOST}:{broker.port}", TOPICS.namespace
        command = [sys.executable, "-m", "edgetune_node", "console", "--broker", url, "--namespace", namespace]
        log = self._folder / "console.log"
        console = ChildProcess([*command, "--shared", "--listen", listen], log, _own_environment())
        self._stack.callback(console.stop)
        if not wait_until(lambda: console.code is not None or "the page is at" in console.log_tail(), NODE_UP_S):
            raise DemoError("the page opens", f"the console does not start within {NODE_UP_S:g} s", console.log_tail())
        if console.code is not None:
            raise DemoError("the page opens", "the console does not start", console.log_tail())
        self._screen.say("PAGE", console.log_tail())

    def _wait_for_the_audience(self) -> None:
        """Go on until Ctrl-C; the page recalibrates the machine, breaks it and repairs it."""
        self._screen.say("PAGE", "the plant goes on; try it yourself at the page, and end it with Ctrl-C")
        try:
            while True:
                self._check()
                time.sleep(WAIT_SLICE_S)
        except KeyboardInterrupt:
            return

    def _connect(self, mqtt: MqttSection) -> OperatorClient:
        return self._stack.enter_context(OperatorClient(mqtt, TOPICS, self._scene.asset))

    def _recalibrate(self, seconds_per_take: float, search_seconds: float) -> None:
        classes = [self._scene.healthy, *(name for name in self._scene.conditions if name != self._scene.healthy)]
        budget = Budget(ram_bytes=RAM_BYTES, flash_bytes=FLASH_BYTES, macs=MACS, search_seconds=search_seconds)
        self._screen.say(
            "OPERATOR",
            f"recalibrate: {len(classes)} classes, {seconds_per_take:g} s each ({', '.join(classes)}); "
            f"then at most {search_seconds:g} s of search, {RAM_BYTES} B of arena",
        )
        signs = self._scene.task == "sign"
        collecting = (len(classes) + signs) * (seconds_per_take + COUNTDOWN_S)
        self._seconds |= self._operator.recalibrate(
            classes,
            seconds_per_take,
            budget,
            rest_seconds=seconds_per_take if signs else None,
            patience_s=2 * collecting + 2 * search_seconds + SPARE_S,
            check=self._check,
        )
        self._machine.switch(self._scene.healthy, "rests" if signs else "goes back to work")
        self._wait("the new model is announced", FAULT_S, lambda view: view.model is not None)
        self._wait("the asset is monitored", FAULT_S, lambda view: view.phase == "monitoring")

    def _break_and_repair(self, class_: str) -> None:
        """Break the machine, see the fault raised, repair it, see it cleared."""
        before = self._scada.view.windows
        self._wait(
            "the healthy machine is classified",
            CALM_S,
            lambda view: view.windows >= before + SETTLED_WINDOWS and view.open_fault is None,
        )
        switched = self._machine.switch(class_, "breaks")
        self._wait(f"the fault {class_} is raised", FAULT_S, lambda view: _is_open(view, class_))
        fault = self._scada.view.faults[-1]
        self._screen.say("SCADA", f"{fault.raised_at - switched:.2f} s after the machine broke")
        self._wait_while_it_lasts()
        self._machine.switch(self._scene.healthy, "is repaired")
        self._wait(f"the fault {class_} is cleared", FAULT_S, lambda view: view.open_fault is None)

    def _make_sign(self, class_: str) -> None:
        """Make a sign out of rest, see it begin, let go, see it told."""
        before, told = self._scada.view.windows, len(self._scada.view.signs)
        self._wait(
            "rest is classified",
            CALM_S,
            lambda view: view.windows >= before + SETTLED_WINDOWS and view.open_sign is None,
        )
        switched = self._machine.switch(class_, "makes a sign")
        self._wait(f"the sign {class_} begins", FAULT_S, lambda view: len(view.signs) > told)
        sign = self._scada.view.signs[-1]
        self._screen.say("SCADA", f"{sign.started_at - switched:.2f} s after the sign was begun")
        self._wait_while_it_lasts()
        self._machine.switch(self._scene.healthy, "lets go")
        self._wait(f"the sign {class_} is told", FAULT_S, lambda view: view.signs[-1].class_ == class_)

    def _wait_while_it_lasts(self) -> None:
        """Let the audience see the fault or sign for a moment."""
        enough = self._scada.view.windows + round(SHOW_S * self._scene.source.spec.rate_hz / self._scene.hop)
        self._wait("its windows are classified", FAULT_S, lambda view: view.windows >= enough)

    def _say_goodbye(self) -> None:
        if self._node is not None:
            code = self._node.stop()
            if code != 0:
                raise DemoError("the node stops", f"it ended with code {code}", self.node_log())
        self._wait("the node says that it stopped", FAULT_S, lambda view: view.status == "stopped", alive=False)

    def _wait(self, step: str, seconds: float, condition: Callable[[ScadaView], bool], *, alive: bool = True) -> None:
        deadline = time.monotonic() + seconds
        while not self._scada.wait_for(condition, WAIT_SLICE_S):
            if alive:
                self._check(step)
            if time.monotonic() >= deadline:
                raise DemoError(step, f"that did not happen within {seconds:g} s")

    def _check(self, step: str = "the cast stays alive") -> None:
        if self._node is not None and self._node.code is not None:
            raise DemoError(step, f"the node ended with code {self._node.code}", self.node_log())
        if self._machine.error is not None:
            raise DemoError(step, f"the machine stopped: {self._machine.error}")

    def _card(self) -> ModelCard:
        found = sorted((self._folder / "data").rglob("current/card.json"))
        if not found:
            raise DemoError("the node keeps its model", f"there is no current model under {self._folder / 'data'}")
        return read_card(found[0].parent)


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("EDGETUNE_")}


def _is_open(view: ScadaView, class_: str) -> bool:
    return view.open_fault is not None and view.open_fault.class_ == class_
