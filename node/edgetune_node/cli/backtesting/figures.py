"""What a backtest prints as JSON, with the rate of false alarms and its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edgetune_node.cli.backtesting.run import Backtest, Event, PlayedRecording

MONTH_S: Final = 30.44 * 86_400
TAIL: Final = 0.025
"""Of a 95 % interval, on either side."""


def figures_of(backtest: Backtest, healthy_class: str, elapsed_seconds: float) -> dict[str, Any]:
    """Return what happened as a JSON object."""
    return {
        "recordings": [_recording(each) for each in backtest.recordings],
        "events": [_event(each) for each in backtest.events],
        "signal_seconds": round(backtest.signal_seconds, 4),
        "elapsed_seconds": round(elapsed_seconds, 3),
        **false_alarms(backtest, healthy_class),
        **_signs(backtest),
    }


def false_alarms(backtest: Backtest, healthy_class: str) -> dict[str, Any]:
    """Return how often faults were raised in recordings of the healthy class, a month, with a 95 % interval.

    The interval is that of a Poisson count (F. Garwood, Biometrika 28 (1936) 437).
    """
    healthy = [each for each in backtest.recordings if each.label == healthy_class]
    seconds = sum(each.seconds for each in healthy)
    names = "false_alarms_per_month", "false_alarms_per_month_low", "false_alarms_per_month_high"
    if not seconds:
        return {**dict.fromkeys(names), "healthy_seconds": 0.0}
    count = sum(each.raises for each in healthy)
    rates = (MONTH_S / seconds * value for value in (count, *poisson_interval(count)))
    return {**{name: float(f"{rate:.4g}") for name, rate in zip(names, rates, strict=True)}, "healthy_seconds": seconds}


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of a Poisson count."""
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, TAIL)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - TAIL))


def _recording(each: PlayedRecording) -> dict[str, Any]:
    return {
        "name": each.name,
        "label": each.label,
        "seconds": round(each.seconds, 4),
        "alarmed": each.alarmed,
        "raised_s": _rounded(each.raised_s),
        "classes": each.classes,
    }


def _event(each: Event) -> dict[str, Any]:
    return {
        "event": each.event,
        "class": each.class_,
        "severity": each.severity,
        "raised_ts": each.raised_ts,
        "cleared_ts": each.cleared_ts,
        "raised_s": _rounded(each.raised_s),
        "cleared_s": _rounded(each.cleared_s),
        "recording": each.recording,
    }


def _signs(backtest: Backtest) -> dict[str, Any]:
    if not backtest.for_signs:
        return {}
    log = backtest.signs
    counts = {**log.counts, "false_per_minute_of_rest": log.false_per_minute_of_rest} if log.counted else {}
    return {"signs": [sign.fields() for sign in log.signs], **counts}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
