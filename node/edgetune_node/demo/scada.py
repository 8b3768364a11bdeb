"""What a SCADA sees of one asset: faults raised and cleared, signs, the model, and windows counted by their numbers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edgetune_node.contract import (
    Classification,
    Fault,
    Message,
    Model,
    Sign,
    SignStart,
    State,
    Status,
    iso,
    problems,
)
from edgetune_node.demo.errors import DemoError
from edgetune_node.operator import model_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edgetune_node.contract import Topics
    from edgetune_node.operator import OperatorClient

LEAVES: dict[str, type[Message]] = {
    kind.topic: kind for kind in (Status, State, Classification, Fault, Sign, SignStart, Model)
}
LISTEN_S = 0.2


@dataclass(slots=True)
class SeenFault:
    """One event, from raised to cleared, with the class it had last.

    ``*_at`` are monotonic seconds of arrival, ``*_ts`` what the message says.
    """

    class_: str
    raised_ts: str
    raised_at: float
    cleared_ts: str | None = None
    cleared_at: float | None = None
    event: str | None = None


@dataclass(slots=True)
class SeenSign:
    """One sign, with the class at its start and at its end; ``started_at`` is in monotonic seconds of arrival."""

    event: str
    first_class: str
    started_ts: str
    started_at: float
    class_: str | None = None
    ended_ts: str | None = None


@dataclass(slots=True)
class ScadaView:
    """Everything seen so far; `see` takes one message and changes it."""

    status: str | None = None
    phase: str | None = None
    model: Model | None = None
    faults: list[SeenFault] = field(default_factory=list)
    signs: list[SeenSign] = field(default_factory=list)
    verdicts: list[tuple[float, str]] = field(default_factory=list)
    _windows: set[int] = field(default_factory=set)

    @property
    def windows(self) -> int:
        """Windows classified, each counted once."""
        return len(self._windows)

    @property
    def lost_windows(self) -> int:
        """Numbers missing between the first and the last window seen."""
        return max(self._windows) - min(self._windows) + 1 - len(self._windows) if self._windows else 0

    @property
    def open_fault(self) -> SeenFault | None:
        """The occurrence that is not cleared yet."""
        return self.faults[-1] if self.faults and self.faults[-1].cleared_ts is None else None

    @property
    def open_sign(self) -> SeenSign | None:
        """The sign that has not ended yet."""
        return self.signs[-1] if self.signs and self.signs[-1].ended_ts is None else None

    def see(self, leaf: str, payload: Mapping[str, Any], at: float) -> str | None:
        """Take one message of the topic that ends in ``leaf``; give a sentence where something changed.

        Raises
        ------
        DemoError
            Where the payload does not keep to its topic's schema.
        """
        kind = LEAVES.get(leaf)
        if kind is None:
            return None
        try:
            message = kind.model_validate(payload)
        except ValidationError as error:
            raise DemoError(f"the node keeps to the schema of {leaf}", "; ".join(problems(error))) from None
        match message:
            case Status() if message.status != self.status:
                self.status = message.status
                return f"node is {message.status}"
            case State() if message.phase != self.phase:
                self.phase = message.phase
                return f"asset is {message.phase}" + (f": {message.reason}" if message.reason else "")
            case Model() if message.id is not None and (self.model is None or message.id != self.model.id):
                self.model = message
                return _announce(message)
            case Classification():
                self._windows.add(message.window)
                self.verdicts.append((at, message.class_))
            case Fault():
                return self._see_fault(message, at)
            case SignStart():
                self.signs.append(SeenSign(message.event, message.class_, iso(message.start), at))
                return f"a sign begins: {message.class_} ({message.confidence:.2f})"
            case Sign():
                return self._see_end(message)
        return None

    def share_right(self, spans: Iterable[tuple[float, float, str]]) -> float | None:
        """Share of windows that arrived within ``(from, to, class)`` spans and say that class; None without any."""
        judged = [
            verdict == truth for start, end, truth in spans for at, verdict in self.verdicts if start <= at <= end
        ]
        return sum(judged) / len(judged) if judged else None

    def _see_end(self, message: Sign) -> str:
        for sign in self.signs:
            if sign.event == message.event:
                sign.class_, sign.ended_ts = message.class_, iso(message.end)
        return f"SIGN: {message.class_}, {(message.end - message.start).total_seconds():.1f} s long"

    def _see_fault(self, message: Fault, at: float) -> str | None:
        said = None
        opened = self.open_fault
        if opened is not None and (not message.active or message.event != opened.event):
            opened.cleared_ts = iso(message.cleared or message.ts)
            opened.cleared_at = at
            opened = None
            said = f"fault cleared: machine is {message.class_ or 'not judged'}"
        if not message.active or message.class_ is None:
            return said
        if opened is None:
            self.faults.append(SeenFault(message.class_, iso(message.ts), at, event=message.event))
            return f"FAULT RAISED: {message.class_} ({message.severity}, {message.votes} of {message.of} votes)"
        if message.class_ != opened.class_:
            said = f"fault is {message.class_} ({message.severity}), and not {opened.class_}"
            opened.class_ = message.class_
        return said


class Scada:
    """A subscriber of everything that one asset's node publishes.

    Parameters
    ----------
    client
        Its connection; closed by its owner.
    topics, asset
        What to listen to.
    say
        Takes a sentence whenever something changed.
    """

    def __init__(self, client: OperatorClient, topics: Topics, asset: str, say: Callable[[str], None]) -> None:
        self.view = ScadaView()
        self.error: DemoError | None = None
        self._client = client
        self._topics = topics
        self._asset = asset
        self._say = say
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scada", daemon=True)
        client.subscribe(
            *(topics.node(leaf) if LEAVES[leaf].owner == "node" else topics.asset(asset, leaf) for leaf in LEAVES)
        )
        self._thread.start()

    def wait_for(self, condition: Callable[[ScadaView], bool], seconds: float) -> bool:
        """Wait until the view meets ``condition``; give whether it does.

        Raises
        ------
        DemoError
            A message did not keep to its schema.
        """
        with self._changed:
            met = self._changed.wait_for(lambda: self.error is not None or condition(self.view), seconds)
            if self.error is not None:
                raise self.error
            return met

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for topic, payload in self._client.messages(LISTEN_S):
                _, leaf = self._topics.split(topic) or (None, topic)
                with self._changed:
                    try:
                        sentence = self.view.see(leaf, payload, time.monotonic())
                    except DemoError as error:
                        self.error = error
                        return
                    finally:
                        self._changed.notify_all()
                    if sentence:
                        self._say(sentence)  # before a waiting play goes on and says more about it


def _announce(model: Model) -> str:
    accuracy = "" if model.accuracy is None else f", accuracy {model_accuracy(model, model.accuracy)}"
    return (
        f"new model {model.id}: arena {model.arena_bytes} B (int8 plan), {model.arena_bytes_deployed} B as deployed, "
        f"flash {model.flash_bytes} B, {model.macs} MACs{accuracy}"
    )
