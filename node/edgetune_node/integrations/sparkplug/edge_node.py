"""The node as a Sparkplug edge node: a thread that takes what the node publishes, and says it to the hosts.

Nothing here waits for anything but this thread's own queue, and nothing that fails here reaches the node. A fault or a
sign that no host may have got is on disk until the broker is known to have handled it.
"""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from edgetune_node.clock import SystemClock
from edgetune_node.contract import Fault, Sign, State, Status
from edgetune_node.errors import PayloadError
from edgetune_node.events import CommandArrived, Durability, Publish
from edgetune_node.integrations.sparkplug.catalogue import device_metrics, node_metrics, now_ms, read_metrics
from edgetune_node.integrations.sparkplug.commands import commands_of, listed
from edgetune_node.integrations.sparkplug.complaint import Complaint
from edgetune_node.integrations.sparkplug.connection import Connection, Down, Fenced, Heard, Signal, Up, client_id
from edgetune_node.integrations.sparkplug.echo import BirthEcho
from edgetune_node.integrations.sparkplug.host_state import PrimaryHost
from edgetune_node.integrations.sparkplug.names import REBIRTH, SparkplugNames, state_topic
from edgetune_node.integrations.sparkplug.payload import decode, encode
from edgetune_node.integrations.sparkplug.session import Outgoing, Session
from edgetune_node.integrations.sparkplug.store import EventStore, elapsing
from edgetune_node.mqtt import ClientIdConflicts, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgetune_node.config import Settings
    from edgetune_node.contract import Topics
    from edgetune_node.integrations.sparkplug.received import Received

FLUSH_S: Final = 1.0
"""Telemetry that has changed is said once in so long; an event at once."""
REBIRTH_S: Final = 5.0
"""Shortest time between two births that hosts ask for; requests in between get one birth together."""
KNOWN_S: Final = 5.0
"""The first birth waits until the node has said all it knows, at most so long."""
STEP_S: Final = 0.5
BUSY_S: Final = 0.05
MOST_WAITING: Final = 1000
"""Messages that wait for this thread; telemetry beyond is left out, since newer follows."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """A message that the node published; ``key`` is that under which it is kept."""

    effect: Publish
    key: int | None


@dataclass(frozen=True, slots=True)
class _From:
    """A signal, and the number of the connection that it comes from."""

    number: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class _Stop:
    by_s: float


_Work: TypeAlias = _Told | _From | _Stop


class SparkplugEdgeNode:
    """One edge node, with a device for each asset.

    Parameters
    ----------
    settings
        The configuration, with ``[sparkplug]``.
    topics
        Names of the node's own topics.
    path
        File of what must survive a restart.
    post
        Takes commands for the node's inbox; must not wait.

    Raises
    ------
    ConfigError
        If a file of the TLS settings cannot be used.
    """

    def __init__(
        self, settings: Settings, topics: Topics, path: Path, *, post: Callable[[CommandArrived], bool | None]
    ) -> None:
        section, mqtt = settings.sparkplug, settings.mqtt
        assert section is not None  # noqa: S101 - for mypy
        self._mqtt, self._topics, self._post = mqtt, topics, post
        self._signed = mqtt.command_key is not None
        self._names = SparkplugNames(section.group, settings.node.id)
        devices = {asset.id: device_metrics(asset) for asset in settings.asset}
        self._session = Session(self._names, node_metrics(), devices)
        self._host_id = section.primary_host
        self._host = PrimaryHost(SystemClock())
        self._store = EventStore(
            path, max_bytes=mqtt.outbox_max_bytes, max_age_s=mqtt.outbox_max_age_s, now_s=elapsing()
        )
        self.copy_events = self._store.copy_to
        self._filters = self._names.subscriptions(devices, self._host_id)
        self._tls = None if mqtt.tls is None else tls_context(mqtt.tls)
        self._conflicts = ClientIdConflicts()
        self._jitter_s = random.random()  # noqa: S311 - no secret
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sparkplug", daemon=True)
        self._numbers, self._number = itertools.count(1), 0
        self._connection = self._connect()
        self._up: Up | None = None
        self._known_by_s = time.monotonic() + KNOWN_S
        self._flush_s = self._born_s = self._next_event_s = 0.0
        self._rebirth_wanted = False
        self._fences: dict[int, list[int]] = {}
        self._cursor, self._backlog_end, self._echo = 0, 0, BirthEcho()
        self._complaint = Complaint()
        self._down: str | None = None

    # ---- the node's side -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; the broker may be down."""
        self._connection.start()
        self._thread.start()

    def published(self, effect: Publish) -> None:
        """Take what the node publishes; an event is on disk when this returns."""
        try:
            self._take_over(effect)
        except Exception:  # noqa: BLE001 - what fails here is not to keep the node from anything
            _log.exception("sparkplug failed", topic=effect.topic)

    def stop(self, timeout_s: float) -> None:
        """Begin to end: publish the death and disconnect; `join` waits for it."""
        self._work.put(_Stop(time.monotonic() + timeout_s))

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, and close the file."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._store.close()

    @property
    def problems(self) -> list[str]:
        """What is wrong, for ``health``."""
        now_s, name, up = time.monotonic(), f"{self._names.group}/{self._names.node}", self._up
        found = [self._store.problem, self._store.notice, self._host.problem, self._connection.problem]
        found.append(self._complaint.problem)
        if takeovers := self._conflicts.seen(now_s):
            found.append(
                f"sparkplug: the broker ended {takeovers} connections in a row: does another node use group"
                f" {self._names.group} and id {self._names.node}, or the client id {client_id(self._names)}?"
                " Or does the broker not permit what it publishes (edgetune doctor --acl)?"
            )
        elif self._down is not None:
            found.append(f"sparkplug: {self._down}")
        if self._echo.other(now_s):
            found.append(f"sparkplug: another edge node is called {name}; give one of them another group or node.id")
        if up is not None and up.refused:
            found.append(f"sparkplug: the broker refuses the subscriptions {', '.join(up.refused)}; give read access")
        if self._echo.unheard:
            found.append(
                f"sparkplug: the broker does not pass on {self._names.topic('NBIRTH')}; give write and read access"
                " (edgetune doctor --acl)"
            )
        if up is not None and self._host_id is not None and not self._host.online:
            found.append(f"sparkplug: waits for the primary host {self._host_id}: {len(self._store)} events are kept")
        return [each for each in found if each is not None]

    def _take_over(self, effect: Publish) -> None:
        device, leaf = self._topics.split(effect.topic) or (None, "")
        if not leaf or (device is None and leaf.startswith("resp/")):  # an answer elsewhere, or to a ping
            return
        message, key = effect.message, None
        fault = isinstance(message, Fault) and effect.durability is Durability.RARE
        if device is not None and (fault or (isinstance(message, Sign) and not self._session.born)):
            metrics = read_metrics(message, self._session.metrics_of(device))
            key = self._store.keep(device, encode(metrics, time_ms=0, seq=None), lasting=fault)
        elif effect.durability is Durability.TELEMETRY and self._work.qsize() > MOST_WAITING:
            return
        self._work.put(_Told(effect, key))

    # ---- in its own thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                match self._next_work():
                    case _Told() as told:
                        self._told(told)
                    case _From(number, signal) if number == self._number:
                        self._signal(signal)
                    case _Stop(by_s):
                        self._close(by_s)
                        return
                self._advance(time.monotonic())
            except Exception:  # noqa: BLE001 - a mistake over one message must not silence the edge node
                _log.exception("sparkplug failed")

    def _next_work(self) -> _Work | None:
        backlog = self._session.born and self._cursor < self._backlog_end
        due_s = max(BUSY_S * self._connection.busy, self._next_event_s - time.monotonic())
        wait_s = min(STEP_S, due_s) if backlog else STEP_S
        try:
            return self._work.get(timeout=wait_s) if wait_s > 0 else self._work.get_nowait()
        except queue.Empty:
            return None

    def _told(self, told: _Told) -> None:
        message, (device, _) = told.effect.message, self._topics.split(told.effect.topic) or (None, "")
        metrics = read_metrics(message, self._session.metrics_of(device))
        self._session.take(device, metrics, whole=told.effect.durability is not Durability.TELEMETRY)
        if isinstance(message, Status):
            self._known_by_s = 0.0
        if isinstance(message, State) and device is not None:
            self._look_at(device, connected=message.phase != "failed")
        if told.effect.durability is not Durability.TELEMETRY:
            self._flush()
            if told.key is not None and self._session.born and device in self._session.alive:
                self._fence([told.key])

    def _look_at(self, device: str, *, connected: bool) -> None:
        """Publish the death of a device whose samples fail, or its birth when it is back; its events wait meanwhile."""
        if connected and device not in self._session.alive:
            self._publish(self._session.device_returned(device, now_ms()))
            self._begin_backlog()
        elif not connected and device in self._session.alive:
            self._publish(self._session.device_died(device, now_ms()))

    def _signal(self, signal: Signal) -> None:
        match signal:
            case Up():
                self._up, self._down = signal, None
                self._session.connected(signal.bdseq)
                _log.info("sparkplug connected", bdseq=signal.bdseq)
            case Down(reason):
                if reason != self._down:
                    _log.warning("sparkplug", problem=reason)
                self._up, self._down = None, reason
                self._lost()
            case Fenced(fence):
                self._store.drop(self._fences.pop(fence, []))
            case Heard(topic) if (received := self._connection.take(topic)) is not None:
                self._heard(topic, received)

    def _heard(self, topic: str, received: Received) -> None:
        if self._host_id is not None and topic == state_topic(self._host_id):
            self._host.heard(received.payload)
        elif topic == self._names.topic("NBIRTH"):
            self._echo.heard(received.payload, time.monotonic(), retained=received.retained)
        else:
            try:
                self._ordered(topic, received.payload, retained=received.retained)
            except PayloadError as error:
                self._complaint.make(f"a message on {topic} {error}")

    def _ordered(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a command: of the edge node only the rebirth, of a device those that are metrics."""
        orders = decode(payload)
        device = topic.removeprefix(self._names.topic("DCMD", ""))
        if topic == self._names.topic("NCMD"):
            if any(metric.name == REBIRTH and metric.value is True for metric in orders.metrics) and not retained:
                self._rebirth_wanted = True
            strangers = [metric.name for metric in orders.metrics if metric.name != REBIRTH]
            if strangers:
                self._complaint.make(f"{listed(strangers)} was written to the edge node, and cannot be")
            return
        commands, strangers = commands_of(device, orders, retained=retained, signed=self._signed)
        for command in commands:
            self._post(command)
        if strangers:
            self._complaint.make(f"{listed(strangers)} of {device} was written, and cannot be")

    def _advance(self, now_s: float) -> None:
        """Do what is due: a birth, a rebirth, changed telemetry, the next event of before."""
        self._store.look()
        if self._up is None:
            return
        if self._host_id is not None and not self._host.online:
            if self._session.born:
                self._leave()
            return
        if not self._session.born:
            if now_s >= self._known_by_s:
                self._give_birth(now_s)
            return
        self._echo.check(now_s)
        if self._rebirth_wanted and now_s >= self._born_s + REBIRTH_S:
            self._give_birth(now_s)
        if now_s >= self._flush_s and not self._connection.busy:
            self._flush()
        if self._cursor < self._backlog_end and now_s >= self._next_event_s and not self._connection.busy:
            self._send_kept(now_s)

    def _give_birth(self, now_s: float) -> None:
        first = not self._session.born
        births = self._session.births(now_ms())
        if self._up is not None and self._up.echo:
            self._echo.sent(births[0].payload, now_s)
        self._rebirth_wanted = False
        if not first:
            self._born_s = time.monotonic()
        self._publish(births)
        if first:
            self._begin_backlog()

    def _begin_backlog(self) -> None:
        self._cursor, self._backlog_end = 0, self._store.newest()

    def _send_kept(self, now_s: float) -> None:
        """Send the next event that was kept, as historical data; it stays on disk until the broker has handled it."""
        kept = self._store.after(self._cursor, sorted(self._session.alive))
        if kept is None or kept[0] > self._backlog_end:
            self._cursor = self._backlog_end
            return
        self._cursor, device, payload = kept
        self._next_event_s = max(self._next_event_s, now_s - STEP_S) + 1 / self._mqtt.replay_per_second
        try:
            message = self._session.historical(device, payload, now_ms())
        except PayloadError as error:  # the file was changed by somebody
            _log.warning("sparkplug event is damaged", reason=str(error))
        else:
            self._publish([] if message is None else [message])
        self._fence([self._cursor])

    def _flush(self) -> None:
        self._flush_s = time.monotonic() + FLUSH_S
        self._publish(self._session.data(now_ms()))

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            self._connection.publish(message)

    def _fence(self, keys: list[int]) -> None:
        if (fence := self._connection.fence()) is not None:
            self._fences[fence] = keys

    # ---- ends and beginnings of connections ----------------------------------------------------------------------

    def _connect(self) -> Connection:
        self._number = number = next(self._numbers)
        return Connection(
            self._mqtt,
            self._names,
            self._filters,
            echo=self._names.topic("NBIRTH"),
            will=self._will,
            tls=self._tls,
            jitter_s=self._jitter_s,
            tell=lambda signal: self._work.put(_From(number, signal)),
            conflicts=self._conflicts,
        )

    def _will(self) -> tuple[int, Outgoing]:
        bdseq = self._store.next_birth()
        return bdseq, self._session.will(bdseq, now_ms())

    def _leave(self) -> None:
        """Die, since the primary host is not there any more, and come back to wait for it."""
        _log.warning("sparkplug", problem=f"the primary host {self._host_id} went away")
        self._connection.close(self._session.death(now_ms()), STEP_S)
        self._up = None
        self._lost()
        self._connection = self._connect()
        self._connection.start()

    def _lost(self) -> None:
        """Forget what holds for one connection; a host may tell that it is there before the next one is up."""
        self._session.born = False
        self._echo.lost()
        self._host.lost()
        self._fences.clear()

    def _close(self, by_s: float) -> None:
        if self._session.born:
            self._flush()
        death = self._session.death(now_ms()) if self._session.born else None
        self._connection.close(death, max(0.2, by_s - time.monotonic()))
