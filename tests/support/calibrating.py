"""A calibration, with a clock in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.card import Budget, ModelCard
from edgetune_nas.search.progress import SearchProgress
from edgetune_nas.worker.events import SearchDone
from edgetune_node.calibration import inputs as cal
from edgetune_node.calibration.job import Calibration
from edgetune_node.contract.commands import Recalibrate, Record
from edgetune_node.events.effects import CancelSearch, Install, StartSearch
from edgetune_node.events.events import ModelReady, RecordingSaved
from edgetune_signal import Chunk, StreamSpec

if TYPE_CHECKING:
    from edgetune_node.contract.messages import CalibrationStatus

SPEC = StreamSpec(channels=1, rate_hz=100.0, unit="g")
BUDGET = Budget(ram_bytes=4096, flash_bytes=32_768, macs=1_000_000, search_seconds=60.0)
NOISE = np.random.default_rng(1).standard_normal((1, 4096)).astype(np.float32)
LIVE = {"id": "j1", "source": "live", "classes": ["normal", "inner"], "seconds_per_take": 2.0}
RECORD = Record(id="r1", label="inner", seconds=2.0)
METRICS = {
    "accuracy": 0.95,
    "accuracy_low": 0.9,
    "accuracy_high": 0.98,
    "macro_f1": 0.95,
    "calibration_error": 0.02,
    "windows": 100,
    "confusion": [[48, 2], [3, 47]],
}


def card_json(accuracy: float = 0.95, replaced: float | None = None) -> dict[str, Any]:
    return {
        "id": "model-new",
        "created": "2026-01-31T12:00:00Z",
        "task": "fault",
        "classes": ["inner", "normal"],
        "input": {"channels": 1, "length": 64, "rate_hz": 100.0, "unit": "g"},
        "layers": ["conv"],
        "cost": {
            "arena_bytes": 720,
            "arena_bytes_deployed": 1440,
            "streamed_bytes": 300,
            "arena_rule": "tflm-greedy/1",
            "flash_bytes": 900,
            "macs": 12_000,
            "parameters": 500,
        },
        "measured": {
            "int8": {
                "ort_peak_bytes": 5000,
                "session_rss_bytes": 10**6,
                "latency_p50_us": 40.0,
                "latency_p99_us": 60.0,
                "onnx_bytes": 6000,
            }
        },
        "deployed": "int8",
        "deployed_because": "agrees",
        "metrics": {**METRICS, "accuracy": accuracy},
        "replaced": None if replaced is None else {**METRICS, "accuracy": replaced},
        "budget": {"ram_bytes": 4096},
        "search": {
            "seed": 0,
            "candidates": 10,
            "rejected": 2,
            "trained": 3,
            "seconds": 30.0,
            "cpu_seconds": 29.0,
            "peak_rss_bytes": 10**8,
            "stopped_by": "time",
            "validation_accuracy": 0.96,
        },
        "data_fingerprint": "f",
        "sha256": {},
        "versions": {},
    }


def card(accuracy: float = 0.95, replaced: float | None = None) -> ModelCard:
    return ModelCard.model_validate(card_json(accuracy, replaced))


def search_done(card: ModelCard, bundle: str = "/incoming/model-new") -> SearchDone:
    return SearchDone(bundle=Path(bundle), card=card, seconds=30.0, cpu_seconds=29.0, peak_rss_bytes=10**8)


DONE = search_done(card())
BETTER = search_done(card(0.95, replaced=0.90))
PROGRESS = SearchProgress(phase="training", fraction=0.5, seconds_left=25.0, candidates=7, rejected=2, trained=3)
INSTALL = Install("bearing1", "j1", "install", bundle=Path("/incoming/model-new"))
CANCEL_SEARCH = CancelSearch("bearing1", "j1")


def start_search(*classes: str, budget: Budget = BUDGET, collected: tuple[str, ...] = ()) -> StartSearch:
    return StartSearch("bearing1", "j1", classes, budget, collected=tuple(map(Path, collected)))


def saved(path: str = "/r.npz", *, error: str | None = None) -> RecordingSaved:
    return RecordingSaved("bearing1", "j1", None if error else Path(path), error)


def deployed(*, error: str | None = None) -> ModelReady:
    bundle: Any = None if error else SimpleNamespace(card=card())
    return ModelReady("bearing1", "j1", bundle, None, error)


@dataclass
class Job:
    """A calibration with a clock in hand, which notes what it wants."""

    calibration: Calibration
    now: float = 0.0
    wants: list[cal.Output] = field(default_factory=list)
    sequence: int = 0

    def tell(self, *inputs: cal.Input) -> list[cal.Output]:
        outputs = [output for item in inputs for output in self.calibration.handle(item, self.now)]
        self.wants += outputs
        return outputs

    def wait(self, seconds: float) -> list[cal.Output]:
        self.now += seconds
        return self.tell(cal.Ticked())

    def stream(self, seconds: float, **changes: Any) -> list[cal.Output]:
        """So many seconds of samples, in chunks of a tenth of a second."""
        outputs = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            outputs += self.tell(cal.Samples(self.chunk(**changes), shaft_rpm=1797.0))
        return outputs

    def chunk(
        self, *, value: float | None = None, gap: bool = False, channels: int = 1, loudness: float = 1.0
    ) -> Chunk:
        at = self.sequence * 10 % 4000
        samples = loudness * NOISE[:, at : at + 10].repeat(channels, axis=0)
        if value is not None:
            samples = np.full_like(samples, value)
        self.sequence += 1
        return Chunk(samples, 10**9 * self.sequence, 100.0, self.sequence, gap)

    def take(self) -> list[cal.Output]:
        """Continue, record and save one take."""
        self.tell(cal.ContinueRequested())
        self.stream(2.0)
        return self.tell(saved(f"/recordings/{self.sequence}.npz"))

    @property
    def phase(self) -> str:
        return self.calibration.phase

    @property
    def view(self) -> CalibrationStatus:
        return self.calibration.view(self.now)

    @property
    def finished(self) -> cal.Finished:
        (finished,) = [output for output in self.wants if isinstance(output, cal.Finished)]
        assert self.wants[-1] is finished
        return finished


def job(command: dict[str, Any] | Recalibrate | Record = LIVE, **changes: Any) -> Job:
    if isinstance(command, dict):
        command = Recalibrate.model_validate(command)
    given_: dict[str, Any] = {
        "asset": "bearing1",
        "task": "fault",
        "spec": SPEC,
        "window": 64,
        "default_budget": BUDGET,
        "stored": {},
        "current_model": None,
        "now": 0.0,
    }
    started = Job(Calibration(command.id, command, **{**given_, **changes}))
    started.tell(cal.Ticked())
    return started


def searching(**changes: Any) -> Job:
    running = job(stored_command(), stored={"normal": 10.0, "inner": 10.0}, **changes)
    running.tell(PROGRESS)
    return running


def stored_command(**changes: Any) -> dict[str, Any]:
    return {"id": "j1", "source": "stored", **changes}
