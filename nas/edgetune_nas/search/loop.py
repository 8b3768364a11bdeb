"""The part of a search that asks, evaluates and tells, writing each result into the journal."""

from __future__ import annotations

import math
import time
from concurrent.futures import wait
from dataclasses import asdict, fields
from importlib import import_module
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from edgetune_nas.errors import JournalError
from edgetune_nas.model import search_space as space
from edgetune_nas.training import Candidate, EvaluatedCandidate, Interrupted, Problem, Result, evaluate_candidate, never

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from edgetune_nas.search.engine import Engine
    from edgetune_nas.search.journal import Journal
    from edgetune_nas.search.progress import Monitor, StoppedBy

FINAL_SHARE = 0.4
"""Highest share of the time budget that is kept back for the winner's last training."""
EXPORT_SECONDS, EXPORT_SHARE = 3.0, 0.5
"""Seconds kept for writing and measuring the bundle on an idle processor, and the highest share of the budget."""
SLOWEST, MEASURABLE_SECONDS = 4.0, 0.1
"""Highest slowdown by other load that is planned with, and the processor seconds from which on it can be measured."""
LOADING_POLL_SECONDS = 0.1
SOLVE_SECONDS = 2.0
"""Seconds that closed forms have even where the budget is shorter: all of them take less, unless windows are huge."""
TORCH_SECONDS = 8.0
"""Seconds left to train in below which torch is not loaded: loading it would leave none."""
ROOM = 1.2
"""Ratio of the time that is advised to the time that would just have sufficed."""


def load_libraries(stop: Callable[[], bool]) -> None:
    """Import what the export needs, then torch, which takes longest; candidates are then not charged for it."""
    for module in ("edgetune_nas.onnx_io.quantisation", "edgetune_nas.onnx_io.writer", "edgetune_nas.training.trainer"):
        if not stop():
            import_module(module)


class Exploration:
    """Drives an engine until it is done or the monitor says stop.

    Parameters
    ----------
    executor
        Where candidates are evaluated; this process, one after the other and interruptible, if None.
    evaluate, load
        How one candidate is evaluated, and what is done once before the first is trained; tests replace both.

    Attributes
    ----------
    found
        What this process (not the journal) evaluated, by candidate number.
    """

    def __init__(
        self,
        engine: Engine,
        problem: Problem,
        journal: Journal,
        monitor: Monitor,
        executor: Executor | None = None,
        evaluate: Callable[..., EvaluatedCandidate] = evaluate_candidate,
        load: Callable[[Callable[[], bool]], None] = load_libraries,
    ) -> None:
        self._engine, self._problem, self._journal = engine, problem, journal
        self._monitor, self._executor, self._evaluate = monitor, executor, evaluate
        self._load = load
        self._trains = False
        self._began = self._began_cpu = 0.0
        self.found: dict[int, EvaluatedCandidate] = {}

    def run(self) -> StoppedBy:
        """Explore and return what stopped it. Results in the journal are told again before anything is evaluated."""
        engine, monitor = self._engine, self._monitor
        if self._journal.records:
            monitor.resume(float(self._journal.records[-1]["elapsed"]))
        self._began, self._began_cpu = monitor.elapsed, time.process_time()
        monitor.reserve = self.export_seconds
        recorded = iter(self._journal.records)
        monitor.enter("closed_form")
        while batch := list(iter(engine.ask, None)):
            left = list(batch)
            for candidate, record in zip(batch, recorded, strict=False):
                _replay(engine, candidate, record)
                left.remove(candidate)
            if left and left[0].steps and not self._may_train():
                return monitor.stop_reason() or "time"
            try:
                for evaluation in self._evaluations(left):
                    self._record(evaluation)
            except Interrupted:
                pass
            if left and (reason := monitor.stop_reason()):
                return reason
        return engine.stopped_by or "converged"

    def too_short(self) -> str:
        """Return why a search that time has stopped trained no network, and which budget would do here."""
        enough = ROOM * (self._monitor.elapsed + EXPORT_SECONDS * self._slowness + TORCH_SECONDS)
        return (
            f"no network was trained: {self._monitor.seconds:g} s are too short, for loading torch may take "
            f"{TORCH_SECONDS:g} s here, and writing the bundle {EXPORT_SECONDS * self._slowness:.0f} s; "
            f"allow {math.ceil(enough)} s or more"
        )

    @property
    def export_seconds(self) -> float:
        """Time to keep for writing and measuring the bundle: more where other processes take their share."""
        return min(EXPORT_SECONDS * self._slowness, EXPORT_SHARE * self._monitor.seconds)

    @property
    def _slowness(self) -> float:
        """Seconds that a second of this process takes here; 1 where others evaluate, for whom it then waits."""
        used = time.process_time() - self._began_cpu
        if self._executor is not None or used < MEASURABLE_SECONDS:
            return 1.0
        return min(SLOWEST, max(1.0, self._took / used))

    @property
    def _took(self) -> float:
        """Seconds since the exploration began."""
        return self._monitor.elapsed - self._began

    def _may_train(self) -> bool:
        if self._trains:
            return True
        if self._monitor.stop_reason() or self._monitor.left - self._monitor.reserve < TORCH_SECONDS:
            return False
        self._monitor.enter("training")
        self._trains = self._load_libraries()
        return self._trains

    def _load_libraries(self) -> bool:
        """Load torch and what the export needs in a thread, so that even these seconds can be interrupted."""
        stop = Event()
        loader = Thread(target=self._load, args=(stop.is_set,), daemon=True)
        loader.start()
        while loader.is_alive():
            loader.join(LOADING_POLL_SECONDS)
            if self._monitor.pulse():
                stop.set()
                return False
        return True

    def _evaluations(self, batch: list[Candidate]) -> Iterable[EvaluatedCandidate]:
        if self._executor is not None:
            return self._elsewhere(self._executor, batch)
        # a closed form is not interrupted: it takes a moment, and without one there is nothing to deploy
        return (
            self._evaluate(self._problem, candidate, self._monitor.pulse if candidate.steps else never)
            for candidate in batch
        )

    def _elsewhere(self, executor: Executor, batch: list[Candidate]) -> Iterator[EvaluatedCandidate]:
        """Yield evaluations of other processes in the batch's order, and look at the clock while they run."""
        futures = [executor.submit(self._evaluate, self._problem, candidate) for candidate in batch]
        try:
            for candidate, future in zip(batch, futures, strict=True):
                while not wait([future], timeout=LOADING_POLL_SECONDS).done:
                    if self._monitor.pulse() and (candidate.steps or self._monitor.stop_reason() == "cancelled"):
                        raise Interrupted
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def _record(self, evaluation: EvaluatedCandidate) -> None:
        engine, monitor = self._engine, self._monitor
        result = evaluation.result
        engine.tell(result)
        self.found[result.number] = evaluation
        candidate = engine.scored[-1].candidate
        self._journal.append(
            {
                **asdict(result),
                "genotype": space.to_json(candidate.genotype),
                "steps": candidate.steps,
                "elapsed": round(monitor.elapsed, 3),
                "rng": engine.rng_state(),
            }
        )
        best = engine.best
        monitor.reserve = self.export_seconds
        if best is not None and best.candidate.steps:
            final = self._problem.profile.final_steps * best.result.seconds / best.candidate.steps
            monitor.reserve += min(final, FINAL_SHARE * monitor.seconds)
        stop = monitor.pulse()
        if stop and (candidate.steps or monitor.stop_reason() == "cancelled" or self._took > SOLVE_SECONDS):
            raise Interrupted


def _replay(engine: Engine, candidate: Candidate, record: dict[str, Any]) -> None:
    """Pass the journal's result of a candidate to the engine, which asks for it again."""
    try:
        known = record["number"], space.from_json(record["genotype"]), record["steps"]
        values = {field.name: record[field.name] for field in fields(Result)}
        result = Result(**values | {"right": tuple(values["right"])})
        state = record["rng"]
    except (KeyError, TypeError) as error:
        raise JournalError(f"the journal's record of candidate {candidate.number} is damaged; move it away") from error
    if known != (candidate.number, candidate.genotype, candidate.steps):
        raise JournalError(
            f"candidate {candidate.number} of this search is not the journal's: another version of edgetune wrote it; "
            "move the journal away to search anew"
        )
    engine.tell(result)
    if state != engine.rng_state():
        raise JournalError(f"the journal's random state differs after candidate {candidate.number}; move it away")
