"""Progress of a search: its events, its clock, and what stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.search.engine import Engine

SearchPhase = Literal["loading", "closed_form", "training", "retraining", "exporting", "done"]
StoppedBy = Literal["converged", "time", "cancelled", "candidates"]

EVENT_SECONDS = 0.5
_SPAN: dict[SearchPhase, tuple[float, float]] = {
    "loading": (0.0, 0.02),
    "closed_form": (0.02, 0.1),
    "training": (0.1, 0.8),
    "retraining": (0.8, 0.95),
    "exporting": (0.95, 0.99),
    "done": (1.0, 1.0),
}
"""Start and end of each phase, as fractions of the search."""


class SearchProgress(BaseModel):
    """Progress of a search: ``fraction`` from 0 to 1, the best candidate's accuracy on validation windows."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    event: Literal["progress"] = "progress"
    phase: SearchPhase
    fraction: float = Field(ge=0, le=1)
    seconds_left: float = Field(ge=0)
    candidates: int = 0
    rejected: int = 0
    trained: int = 0
    best_accuracy: float | None = None
    best_arena_bytes: int | None = None


class Monitor:
    """Reports the progress of a search, and tells it when to stop.

    Parameters
    ----------
    seconds
        The time budget of the whole job.
    spent
        Seconds of it that were used before.
    clock
        Monotonic seconds.

    Attributes
    ----------
    seconds
        The time budget.
    reserve
        Seconds kept for what must follow the search: last training and export.
    """

    def __init__(
        self,
        seconds: float,
        *,
        spent: float,
        on_event: Callable[[SearchProgress], None],
        cancelled: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.seconds, self._on_event, self._cancelled, self._clock = seconds, on_event, cancelled, clock
        self._began = clock() - spent
        self._phase: SearchPhase = "loading"
        self._phase_began = self._emitted = float("-inf")
        self._fraction = 0.0
        self._engine: Engine | None = None
        self.reserve = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of the time budget that are used."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds of the time budget that remain."""
        return max(0.0, self.seconds - self.elapsed)

    def resume(self, elapsed: float) -> None:
        """Count ``elapsed`` seconds as used already, by the part of the search that a journal recorded."""
        self._began = min(self._began, self._clock() - elapsed)

    def follow(self, engine: Engine) -> None:
        """Report this engine's counts and best candidate from now on."""
        self._engine = engine

    def enter(self, phase: SearchPhase) -> None:
        """Begin a phase and say so."""
        self._phase, self._phase_began = phase, self._clock()
        self._emit()

    def stop_reason(self) -> Literal["cancelled", "time"] | None:
        """Return the reason why the search must stop now; None if it need not."""
        if self._cancelled():
            return "cancelled"
        return "time" if self.left <= self.reserve else None

    def pulse(self) -> bool:
        """Report progress now and then; True when the search must stop."""
        if self._clock() - self._emitted >= EVENT_SECONDS:
            self._emit()
        return self.stop_reason() is not None

    def _emit(self) -> None:
        self._emitted = self._clock()
        low, high = _SPAN[self._phase]
        planned = self.seconds - self.reserve if self._phase == "training" else self.seconds
        rest = max(1e-9, planned - (self._phase_began - self._began))
        share = min(1.0, max(0.0, (self._emitted - self._phase_began) / rest))
        self._fraction = max(self._fraction, low + share * (high - low))
        engine = self._engine
        best = None if engine is None else engine.best
        self._on_event(
            SearchProgress(
                phase=self._phase,
                fraction=round(self._fraction, 4),
                seconds_left=0.0 if self._phase == "done" else round(self.left, 1),
                candidates=0 if engine is None else engine.considered,
                rejected=0 if engine is None else engine.rejected,
                trained=0 if engine is None else engine.trained,
                best_accuracy=None if best is None else best.result.accuracy,
                best_arena_bytes=None if best is None else best.candidate.cost.arena_bytes,
            )
        )
