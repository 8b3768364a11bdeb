"""Machines of which only health is known: false alarms, faults found, and lead before the end of runs to failure.

Run by ``make bench-health``. ``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
Every method sees the same windows and raises by the same rule. Nothing of what is asked was learned or chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from health_methods import Ratios, edgetune, others
from health_sets import FEMTO_SNAPSHOTS, HEALTHY, MACHINES, Asked, Machine, Run, healthy_part, machines, runs, windows
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.scores import interval
from edgetune_nas.health.limit import SHARE, VOTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard

OURS = "health model"
RAISE_SNAPSHOTS, CLEAR_SNAPSHOTS = 5, 6
"""Snapshots of a run that raise and clear: five judged ones, and a minute of them."""
CLEAR_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Told:
    """What a method said of a machine's recordings: alarmed of asked; bounds of the healthy share at 95 %."""

    machine: str
    method: str
    healthy: int
    healthy_alarmed: int
    low: float
    high: float
    faulty: int
    faulty_found: int
    windows_over: float


@dataclass(frozen=True, slots=True)
class Failure:
    """What a method said of a run to failure, in shares of its life.

    ``raised`` is when the event began that stays to the end, None where there is none.
    """

    run: str
    method: str
    events: int
    first: float | None
    raised: float | None
    lead: float


def main() -> None:
    """Print the tables; ``--out`` writes JSON beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    options = parser.parse_args()
    if not (DATA / "foreign").is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    console = Console(width=130)
    told: list[Told] = []
    cards: dict[str, tuple[ModelCard, float]] = {}
    for machine in machines(DATA):
        ours, card, seconds = edgetune(machine.learn)
        cards[machine.name] = card, seconds
        told += [_told(machine, name, ratios) for name, ratios in {OURS: ours, **others(machine.learn)}.items()]
    failures = [each for run in runs(DATA) for each in _failures(run)]
    console.print(_machines_table(told))
    if absent := [name for name in MACHINES if name not in cards]:
        console.print(f"not asked, because {DATA} has no healthy recording of them: {', '.join(absent)}")
    console.print(_cards_table(cards))
    console.print(_runs_table(failures))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(_as_json(told, cards, failures), indent=2) + "\n", encoding="utf-8")


def alarmed(ratios: NDArray[np.float64]) -> bool:
    """Whether windows of a recording raise an alarm: `SHARE` of any `VOTES` in a row."""
    votes = min(VOTES, len(ratios))
    over = np.convolve(ratios > 1, np.ones(votes), "valid")
    return bool((over >= SHARE * votes - 1e-9).any())


def events(over: NDArray[np.float64]) -> list[tuple[int, int | None]]:
    """Return the first and last snapshot of each event, None if it stays, from snapshots over the limit.

    `SHARE` of the last `RAISE_SNAPSHOTS` raises, at most `CLEAR_SHARE` of the last `CLEAR_SNAPSHOTS` clears.
    """
    found: list[tuple[int, int | None]] = []
    for at in range(RAISE_SNAPSHOTS - 1, len(over)):
        active = bool(found) and found[-1][1] is None
        if not active and over[at - RAISE_SNAPSHOTS + 1 : at + 1].mean() >= SHARE:
            found.append((at, None))
        elif active and over[max(0, at - CLEAR_SNAPSHOTS + 1) : at + 1].mean() <= CLEAR_SHARE:
            found[-1] = found[-1][0], at
    return found


def _told(machine: Machine, method: str, ratios: Ratios) -> Told:
    found: dict[bool, list[tuple[bool, float]]] = defaultdict(list)
    for asked in machine.asked:
        found[asked.label == HEALTHY].append(_asked(asked, ratios))
    healthy, faulty = ([raised for raised, _ in found[each]] for each in (True, False))
    low, high = interval(np.array(healthy, bool))
    return Told(
        machine.name,
        method,
        len(healthy),
        sum(healthy),
        low,
        high,
        len(faulty),
        sum(faulty),
        float(np.mean([share for _, share in found[True]])),
    )


def _asked(asked: Asked, ratios: Ratios) -> tuple[bool, float]:
    judged = ratios(windows(asked.samples))
    return alarmed(judged), float((judged > 1).mean())


def _failures(run: Run) -> Iterable[Failure]:
    learn = healthy_part(run)
    life = len(run.snapshots)
    for method, ratios in {OURS: edgetune(learn)[0], **others(learn)}.items():
        over = (ratios(run.snapshots[FEMTO_SNAPSHOTS:]) > 1).astype(np.float64)
        seen = [(FEMTO_SNAPSHOTS + first, last) for first, last in events(over)]
        staying = next((first for first, last in seen if last is None), None)
        yield Failure(
            run.name,
            method,
            len(seen),
            seen[0][0] / life if seen else None,
            None if staying is None else staying / life,
            0.0 if staying is None else 1 - staying / life,
        )


def _machines_table(told: list[Told]) -> Table:
    methods = list(dict.fromkeys(each.method for each in told))
    table = Table("machine", *methods, title="healthy recordings alarmed (95 % interval), faulty recordings found")
    for name in dict.fromkeys(each.machine for each in told):
        row = {each.method: each for each in told if each.machine == name}
        table.add_row(
            name,
            *(
                f"{each.healthy_alarmed}/{each.healthy} ({each.low:.0%}-{each.high:.0%}), "
                f"{each.faulty_found}/{each.faulty}"
                for each in row.values()
            ),
        )
    sums = [[each for each in told if each.method == method] for method in methods]
    table.add_row(
        "all",
        *(
            f"{sum(each.healthy_alarmed for each in own)}/{sum(each.healthy for each in own)}, "
            f"{sum(each.faulty_found for each in own)}/{sum(each.faulty for each in own)}"
            for own in sums
        ),
    )
    return table


def _cards_table(cards: dict[str, tuple[ModelCard, float]]) -> Table:
    table = Table(
        "machine",
        "shape",
        "health",
        "held out over",
        "supports a month",
        "arena",
        "flash",
        "CPU s",
        title="health models",
    )
    for name, (card, seconds) in cards.items():
        metrics = card.metrics
        table.add_row(
            name,
            card.notes["health"]["shape"],
            f"{metrics.healthy_seconds:.0f} s",
            f"{metrics.false_alarms:.2%}",
            f"{metrics.supported_per_month:,.0f}",
            f"{card.cost.arena_bytes:,} B",
            f"{card.cost.flash_bytes:,} B",
            f"{seconds:.1f}",
        )
    return table


def _runs_table(failures: list[Failure]) -> Table:
    methods = list(dict.fromkeys(each.method for each in failures))
    table = Table("run", *methods, title="runs to failure: events, and lead of the one that stays, share of life")
    names = dict.fromkeys(each.run for each in failures)
    for name in names:
        row = [each for each in failures if each.run == name]
        table.add_row(
            name, *(f"{each.events}, {'none' if each.raised is None else f'{each.lead:.0%}'}" for each in row)
        )
    medians = [float(np.median([each.lead for each in failures if each.method == method])) for method in methods]
    if names:
        table.add_row("median", *(f"{each:.0%}" for each in medians))
    return table


def _as_json(told: list[Told], cards: dict[str, tuple[ModelCard, float]], failures: list[Failure]) -> dict[str, Any]:
    return {
        "machines": [asdict(each) for each in told],
        "models": {
            name: {"metrics": card.metrics.model_dump(), "cost": card.cost.model_dump(), "cpu_seconds": seconds}
            for name, (card, seconds) in cards.items()
        },
        "runs": [asdict(each) for each in failures],
    }


if __name__ == "__main__":
    main()
