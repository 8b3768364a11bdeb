"""How well a person's model knows which gestures it does not know. Run by ``make bench-people``.

Each gesture of each of six people (Myo recordings) is left out of a model in turn: it learns from the person's first
cycles, and the last cycle is played to it as a node hears it, every gesture between rest. So are signs of the Italian
alphabet, five of 26 left out, each a window of its own. Limits are set by what is learned from, nothing by what is
played.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from bench_measured import leave_the_test_out
from bench_people import LAST, REST, Takes, cut, cycles, signs
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.novelty.gestures import fit_sign_novelty
from edgetune_nas.search.run import search
from edgetune_node.config.signs import UNKNOWN_TIMES
from edgetune_node.contract.parts import UNKNOWN
from edgetune_signal.datasets.converters import MYO_WINDOW, convert_isl, read_myo

CANDIDATES = 3
"""Closed forms alone: 108 models are made."""
SPLITS, LEFT_OUT, HELD_OUT = 10, 5, 8


def outcome(label: str, told: list[str]) -> str:
    """What the signs that are told of one gesture come to."""
    if label in told:
        return "named"
    if UNKNOWN in told:
        return "unknown"
    return "another" if told else "nothing"


def people(takes: Takes, count: int, folder: Path, found: dict[str, Counter[str]], unknown: str) -> None:
    """Leave out each gesture of each person, and play them all."""
    for person, mine in takes.items():
        held_out = cycles(mine, LAST, LAST + 1)
        last = {take.recording.label: take.recording.samples for take in held_out}
        rest = last.pop(REST)
        for left_out in last:
            learned = [take for take in cycles(mine, 0, count) if take.recording.label != left_out]
            out = folder / f"{person}-{left_out}-{count}"
            data = cut(learned, held_out=[take for take in held_out if take.recording.label != left_out])
            made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=out, candidates=CANDIDATES)
            bundle = load_bundle(made.bundle)
            found.setdefault("rest", Counter())[outcome("", signs(bundle, rest, unknown=unknown))] += 1
            for label, samples in last.items():
                played = np.concatenate([rest, samples, rest], axis=1)
                row = "left out" if label == left_out else "known"
                for each, distant in ((row, True), (f"{row}, by the network alone", False)):
                    told = signs(bundle, played, distant=distant, unknown=unknown)
                    found.setdefault(each, Counter())[outcome(label, told)] += 1


def alphabet(path: Path) -> tuple[float, float]:
    """Share of known and of left out Italian signs that are unknown, by the distance to the nearest class."""
    data = convert_isl(path)
    shares = []
    for seed in range(SPLITS):
        random = np.random.default_rng(seed)
        left_out = np.isin(data.label, random.permutation(len(data.classes))[:LEFT_OUT])
        held_out = np.zeros(len(data), np.bool_)
        for label in range(len(data.classes)):
            held_out[random.permutation(np.flatnonzero(data.label == label))[:HELD_OUT]] = True
        known = ~held_out & ~left_out
        novelty = fit_sign_novelty(data.x[known], data.label[known], data.group[known])
        if novelty is None:
            raise AssertionError("26 signs are enough")
        shares.append([novelty.unknown(data.x[part]).mean() for part in (held_out & ~left_out, held_out & left_out)])
    false, right = np.mean(shares, axis=0)
    return float(false), float(right)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unknown", choices=UNKNOWN_TIMES, default="balanced", help="the setting of that name")
    parser.add_argument("--cycles", type=int, choices=range(1, LAST + 1), help="learn from so many cycles alone")
    wanted = parser.parse_args()
    leave_the_test_out()
    console = Console(width=110)
    files = sorted((DATA / "myo_gestures").glob("*.npz"))
    if not files:
        console.print(ABSENT)
        return 1
    takes = {path.stem: read_myo(path) for path in files}
    table = Table(title=f"the last cycle of {len(takes)} people, played to a model of windows of {MYO_WINDOW} samples")
    for name in ("learned from", "gesture", "of", "named", "unknown", "taken for another", "nothing told"):
        table.add_column(name, justify="right" if name == "of" else "left")
    with tempfile.TemporaryDirectory() as temporary:
        for count in range(1, LAST + 1) if wanted.cycles is None else (wanted.cycles,):
            found: dict[str, Counter[str]] = {}
            people(takes, count, Path(temporary), found, wanted.unknown)
            for row, told in sorted(found.items()):
                shares = [f"{told[each] / told.total():.1%}" for each in ("named", "unknown", "another", "nothing")]
                table.add_row(f"{count} cycle(s)", row, str(told.total()), *shares)
    console.print(table)
    false, right = alphabet(DATA / "isl_alphabet.npz")
    console.print(
        f"Italian signs, {SPLITS} divisions: {false:.1%} of the known and {right:.1%} of the left out are unknown"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
