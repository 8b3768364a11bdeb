"""A node without threads, broker or clock, driven by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from manual_clock import START_NS, ManualClock

from edgetune_nas.novelty.detector import fit_novelty
from edgetune_node.config.settings import Settings
from edgetune_node.contract.topics import Topics
from edgetune_node.core.node import Node
from edgetune_node.events.effects import Effect, FinishCommand, KeepCommand, Publish, SaveRecording
from edgetune_node.events.events import (
    ChunkArrived,
    CommandArrived,
    ContextArrived,
    LinkChanged,
    RecordingSaved,
    SearchReported,
    Tick,
)
from edgetune_node.events.publisher import Publisher
from edgetune_node.events.records import HealthFigures, LostSamples, Stored
from edgetune_node.monitor.restoring import restored
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from edgetune_nas.bundle.read import Bundle
    from edgetune_nas.worker import SearchEvent
    from edgetune_node.monitor.heard import Heard


RATE = 1000.0


class World:
    def __init__(self) -> None:
        self.answers: dict[tuple[str | None, str], bytes] = {}
        self.recordings: dict[str, dict[str, float]] = {}
        self.passed_over: tuple[str, ...] = ()
        self.files: tuple[Path, ...] = ()
        self.doubts: tuple[str, ...] = ()
        self.signatures: dict[str, datetime] = {}

    def vitals(self) -> HealthFigures:
        return {
            "rss_bytes": 1,
            "cpu_percent": 0.0,
            "temperature_c": None,
            "disk_free_bytes": 1,
            "queue_depth": 0,
            "reconnects": 0,
            "outbox_depth": 0,
            "outbox_dropped": 0,
        }

    def missed(self, asset: str) -> LostSamples:
        del asset
        return LostSamples(2, 3)

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        return self.answers.get((asset, command_id))

    def first_use(self, signature: str, expires: datetime) -> bool:
        first = signature not in self.signatures
        self.signatures[signature] = expires
        return first

    def stored(self, asset: str) -> Stored:
        return Stored(self.recordings.get(asset, {}), self.passed_over, self.files, self.doubts)


class Bench:
    """A node with a clock, a world and a signal generator that a test drives by hand."""

    def __init__(
        self,
        *,
        task: str = "fault",
        assets: tuple[str, ...] = ("bearing",),
        mqtt: dict[str, Any] | None = None,
        last: Mapping[str, bytes] | None = None,
        kept: tuple[Heard | None, str | None] = (None, None),
        **asset: Any,
    ) -> None:
        self.clock = ManualClock()
        self.world = World()
        section = {
            "rate_hz": RATE,
            "task": task,
            "window": {"length": 64, "hop": 64},
            "alarm": {"raise_after_s": 0.3, "clear_after_s": 0.3},
            **asset,
        }
        settings = Settings(node={"id": "n"}, mqtt=mqtt or {}, asset=[{"id": name, **section} for name in assets])
        numbers = iter(range(1000))
        self.node = Node(
            settings,
            publisher=Publisher(Topics("edgetune", "n"), "boot", self.clock),
            new_id=lambda: f"e{next(numbers)}",
            environment=self.world,
            first_use=self.world.first_use,
            restored={name: restored(name, (last or {}).get, kept) for name in assets},
            capabilities=[],
        )
        self.random = np.random.default_rng(0)
        self.loudness = 1.0
        self.sequence: Counter[str] = Counter()
        self.handle(Tick())

    def handle(self, event: Any) -> list[Effect]:
        effects = self.node.handle(event)
        for effect in effects:
            if isinstance(effect, KeepCommand | FinishCommand):
                self.world.answers[effect.asset, effect.command_id] = effect.answer
        return effects

    def command(self, name: str, asset: str | None = "bearing", **fields: Any) -> list[Effect]:
        payload = json.dumps(fields).encode()
        return self.handle(CommandArrived(asset, name, payload, ack=7))

    def samples(self, n: int = 64, asset: str = "bearing", value: float | None = None) -> list[Effect]:
        samples = self.random.normal(0, self.loudness, (1, n)).astype(np.float32)
        if value is not None:
            samples[:] = value
        number = self.sequence[asset]
        self.sequence[asset] += 1
        self.clock.now += n / RATE
        time_ns = START_NS + round((self.clock.now + self.clock.ahead_s) * 1e9)
        return self.handle(ChunkArrived(asset, Chunk(samples, time_ns, RATE, number)))


def said(effects: list[Effect], leaf: str) -> list[dict[str, Any]]:
    """Payloads published to topics that end in ``leaf``, as a subscriber reads them."""
    return [
        json.loads(effect.message.json_bytes())
        for effect in effects
        if isinstance(effect, Publish) and effect.topic.endswith("/" + leaf)
    ]


def only(effects: list[Effect], kind: type[Any]) -> Any:
    found = [effect for effect in effects if isinstance(effect, kind)]
    assert len(found) == 1, effects
    return found[0]


def record_guided(bench: Bench, job: str = "r1", classes: tuple[str, ...] = ("normal", "inner")) -> list[Effect]:
    """Take a calibration through its collection; give what followed the last take."""
    effects = bench.command(
        "recalibrate", id=job, source="live", classes=list(classes), seconds_per_take=0.2, budget={"ram_bytes": 2048}
    )
    assert said(effects, "resp/recalibrate")[0]["status"] == "accepted"
    for number, label in enumerate(classes):
        effects = bench.command("continue", id=f"{job}-c{number}")
        assert said(effects, "resp/continue")[0]["status"] == "done"
        while not (saved := [effect for effect in effects if isinstance(effect, SaveRecording)]):
            effects = bench.samples()
        assert saved[0].recording.label == label
        assert saved[0].recording.samples.shape == (1, 200)
        effects = bench.handle(RecordingSaved("bearing", job, path=Path(f"{label}.npz")))
    return effects


def report(bench: Bench, job: str, event: SearchEvent, asset: str = "bearing") -> list[Effect]:
    return bench.handle(SearchReported(asset, job, event))


def context(bench: Bench, **said_of_it: Any) -> list[Effect]:
    return bench.handle(ContextArrived("bearing", json.dumps(said_of_it).encode()))


def health_problems(bench: Bench) -> list[str]:
    problems: list[str] = said(bench.handle(LinkChanged(connected=True)), "health")[0]["problems"]
    return problems


def with_novelty(bundle: Bundle) -> Bundle:
    known = np.random.default_rng(1).normal(0, 1, (300, 1, 64)).astype(np.float32)
    return replace(bundle, novelty=fit_novelty(known[:200], np.zeros(200, int), known[200:]))
