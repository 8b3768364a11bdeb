"""What the demo prints at its end: faults or signs and how soon they were seen, the model, windows, seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.card import ModelCard
    from edgetune_node.demo.scada import SeenFault, SeenSign


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened; `as_json` gives what ``--json`` prints."""

    faults: list[SeenFault]
    signs: list[SeenSign]
    spans: list[tuple[float, str]]
    model: ModelCard
    announced: dict[str, Any]
    live_accuracy: float | None
    seconds: dict[str, float]
    windows: int
    lost_windows: int
    broker: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Every fault and sign that the SCADA saw is there; ``latency_s`` runs from the machine's last switch to the
        SCADA's sight of it, and ``machine`` or ``made`` is the condition it was in.
        """
        return {
            "faults": [
                {
                    "class": fault.class_,
                    "raised_ts": fault.raised_ts,
                    "cleared_ts": fault.cleared_ts,
                    "latency_s": round(fault.raised_at - switched, 3),
                    "machine": condition,
                }
                for fault in self.faults
                for switched, condition in [last_switch(self.spans, fault.raised_at)]
            ],
            "signs": [
                {
                    "class": sign.class_,
                    "first_class": sign.first_class,
                    "started_ts": sign.started_ts,
                    "ended_ts": sign.ended_ts,
                    "latency_s": round(sign.started_at - switched, 3),
                    "made": condition,
                }
                for sign in self.signs
                for switched, condition in [last_switch(self.spans, sign.started_at)]
            ],
            "model": self.model.model_dump(mode="json"),
            "announced": self.announced,
            "accuracy": self.model.metrics.accuracy,
            "live_accuracy": self.live_accuracy,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "windows": self.windows,
            "lost_windows": self.lost_windows,
            "broker": self.broker,
        }


def last_switch(spans: Sequence[tuple[float, str]], at: float) -> tuple[float, str]:
    """When the machine went into the condition it was in at ``at``, and which that was; ``spans`` are in order."""
    return next(span for span in reversed(spans) if span[0] <= at)
