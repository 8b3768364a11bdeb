"""When an exploration stops: closed forms too, where their time has come, and sooner on a busy machine."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.card import Budget
from edgetune_nas.model.layers import Network
from edgetune_nas.search import loop as exploration
from edgetune_nas.search.engine import Engine
from edgetune_nas.search.journal import Journal
from edgetune_nas.search.loop import EXPORT_SECONDS, SLOWEST, Exploration
from edgetune_nas.search.progress import Monitor
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.evaluation import EvaluatedCandidate, Problem
from edgetune_nas.training.task_profile import FAULT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING = Network((1, 512), (), ())


class Run:
    """An exploration of closed forms on a clock of its own, where each takes ``each`` seconds.

    ``share`` of them are this process's: the rest of the processor is others'.
    """

    def __init__(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, *, each: float, seconds: float, share: float = 1.0
    ) -> None:
        self.now = 0.0
        self.cancel_after: int | None = None
        monkeypatch.setattr(exploration.time, "process_time", lambda: share * self.now)
        self.engine = Engine((1, 512), 2, Budget(), profile=FAULT, seed=0, trains=False)
        monitor = Monitor(
            seconds,
            spent=0,
            on_event=lambda _: None,
            cancelled=lambda: len(self.engine.scored) == self.cancel_after,
            clock=lambda: self.now,
        )
        self._each, self._path = each, path
        x, y = np.zeros((8, 1, 512), np.float32), np.arange(8) % 2
        self._parts = Problem(FAULT, 2, x, y, 4, y[4:]), monitor

    def go(self) -> tuple[str, Exploration]:
        """Explore; say what stopped it."""
        problem, monitor = self._parts
        with Journal(self._path, {}) as journal:
            found = Exploration(self.engine, problem, journal, monitor, evaluate=self._evaluate)
            return found.run(), found

    def _evaluate(self, _problem: Problem, candidate: Candidate, _stop: Callable[[], bool]) -> EvaluatedCandidate:
        self.now += self._each
        return EvaluatedCandidate(Result(candidate.number, 0.5, 0.5, 1.0, self._each), NOTHING)


def test_quick_closed_forms_are_all_asked_however_short_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "journal", monkeypatch, each=0.01, seconds=0.01)
    assert run.go()[0] == "time"
    assert len(run.engine.scored) == run.engine.considered > 3


def test_slow_closed_forms_stop_when_the_time_for_the_export_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "journal", monkeypatch, each=2.0, seconds=10.0)
    assert run.go()[0] == "time"
    assert run.now == 8.0
    costs = [scored.candidate.cost.macs for scored in run.engine.scored]
    assert all(before <= after for before, after in pairwise(costs))


def test_a_cancelled_search_does_not_wait_for_the_next_closed_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "journal", monkeypatch, each=0.01, seconds=60.0)
    run.cancel_after = 3
    assert run.go()[0] == "cancelled"
    assert len(run.engine.scored) == 3


@pytest.mark.parametrize(("share", "slowness"), [(1.0, 1.0), (0.5, 2.0), (0.01, SLOWEST)])
def test_more_time_is_kept_for_the_export_where_others_use_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, slowness: float
) -> None:
    run = Run(tmp_path / "journal", monkeypatch, each=2.0, seconds=600.0, share=share)
    _, found = run.go()
    assert found.export_seconds == pytest.approx(slowness * EXPORT_SECONDS)
