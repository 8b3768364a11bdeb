"""What class models call unknown, by a distance in their graph and by the side file, on machines of the examination.

Run by ``make bench-unknown``. ``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
Each class of faults in turn is left out of a search. Then its windows, and the test windows of known classes (another
load, speed or moment), are held against three distances:

- the side file's, of a window's spectra;
- the bundle's: in the float graph, of the levels that the network computes anyway, or the side file again;
- the same of the int8 graph's levels, whitened anew for them. No bundle has it: the figures are why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from exam_protocols import BY_NAME, WHOLE, Protocol
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.onnx_io.int8_head import dense_input
from edgetune_nas.search.graph_distance import MARGIN, QUANTILE, apart, distances_of
from edgetune_nas.search.run import search
from edgetune_nas.training.dataset_parts import divide
from edgetune_nas.training.task_profile import FAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgetune_signal.datasets.dataset import Dataset

    Distance = Callable[[NDArray[np.float32], NDArray[np.integer]], NDArray[np.float64]]

MACHINES = (
    *("cwru-later", "cwru-load", "cwru-load-parts", "hit-parts", "hit-faster", "hit-severities"),
    *("mfpt", "mfpt-outside", "uestc-faster", "uestc-slower", "gear", "motors"),
)
GROUPS = {
    "CWRU later": MACHINES[:1],
    "CWRU, another load": MACHINES[1:3],
    "HIT, a speed between": ("hit-parts", "hit-severities"),
    "HIT and UESTC, another speed": ("hit-faster", "uestc-faster", "uestc-slower"),
    "all": MACHINES,
}
"""Of which the table has means."""
MOST_CLASSES = 8
"""Of a machine with more classes none is left out: the others are severities of the same faults."""
NOTHING = "nothing"
HEALTHY = frozenset({"normal", "healthy"})
MOST_LEFT_OUT = 4
FLASH_BYTES = 32768


@dataclass(frozen=True)
class Told:
    """Shares of windows called unknown, and how well the distance separates them (area under the ROC curve).

    ``left_out_unknown`` and ``auroc`` are None where nothing is left out.
    """

    machine: str
    left_out: str
    way: str
    known_unknown: float
    left_out_unknown: float | None
    auroc: float | None
    bytes: int


def main() -> None:
    """Print the table; ``--out`` writes JSON beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="machines, separated by commas")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    options = parser.parse_args()
    if not (DATA / "foreign").is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    told = [each for name in (options.only or ",".join(MACHINES)).split(",") for each in _machine(BY_NAME[name], DATA)]
    Console(width=120).print(_table(told))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps([asdict(each) for each in told], indent=2) + "\n", encoding="utf-8")


def _machine(protocol: Protocol, data: Path) -> Iterator[Told]:
    sheet = protocol.load(data, "")
    test = sheet.tests[WHOLE]
    classes = sheet.learn.classes
    faults = [name for name in classes if name not in HEALTHY] if 2 < len(classes) <= MOST_CLASSES else []
    for left_out in (NOTHING, *faults[:MOST_LEFT_OUT]):
        kept = [name for name in sheet.learn.classes if name != left_out]
        having = [part for part in (sheet.learn, test) if left_out in part.classes]
        unknown = np.concatenate([test.x[:0], *(_only(part, [left_out]).x for part in having)])
        known = _only(test, kept)
        budget = Budget(ram_bytes=protocol.ram_bytes, flash_bytes=FLASH_BYTES, search_seconds=60)
        with tempfile.TemporaryDirectory() as out:
            yield from _ways(protocol.name, left_out, _only(sheet.learn, kept), known.x, unknown, budget, Path(out))


def _ways(
    machine: str,
    left_out: str,
    learn: Dataset,
    known: NDArray[np.float32],
    unknown: NDArray[np.float32],
    budget: Budget,
    out: Path,
) -> Iterator[Told]:
    found = search(learn, task="fault", budget=budget, out=out, candidates=10)
    bundle = load_bundle(found.bundle)
    parts = divide(learn, None, 0, FAULT.find_kinds)
    side = FAULT.fit_novelty(parts)
    assert side is not None
    asked = [(x, bundle.classifier.probabilities(x).argmax(axis=1)) for x in (known, unknown) if len(x)]
    held = parts.validation.x, parts.validation.label
    eight = onnx.load(found.bundle / "model.int8.onnx")
    train = parts.train
    levels = dense_input(eight, train.x).astype(np.float64)
    whitened = distances_of(levels, train.label, parts.kind[: parts.trained])

    def int8(x: NDArray[np.float32], said: NDArray[np.integer]) -> NDArray[np.float64]:
        return apart(whitened, dense_input(eight, x), said)

    ways: dict[str, tuple[Distance, float, int]] = {
        "side file": (side.distances, side.limit, len(side.to_bytes())),
        "int8 graph": (int8, MARGIN * float(np.quantile(int8(*held), QUANTILE)), whitened.nbytes // 4),
    }
    if bundle.novelty is not None:
        ways["the bundle's"] = (bundle.novelty.distances, bundle.novelty.limit, bundle.card.distance_bytes or 0)
    for way, (distance, limit, size) in ways.items():
        near, *far = (distance(x, said) for x, said in asked)
        found_share = float((far[0] > limit).mean()) if far else None
        separated = _auroc(near, far[0]) if far else None
        yield Told(machine, left_out, way, float((near > limit).mean()), found_share, separated, size)


def _only(data: Dataset, names: Sequence[str]) -> Dataset:
    """Return the windows of some classes."""
    kept = [name for name in data.classes if name in names]
    number = np.array([kept.index(name) if name in kept else -1 for name in data.classes])[data.label]
    chosen = np.flatnonzero(number >= 0)
    return replace(data.select(chosen), label=number[chosen], classes=tuple(kept))


def _auroc(near: NDArray[np.float64], far: NDArray[np.float64]) -> float:
    """Probability that a window of the left-out class is farther than one of a known class."""
    ordered = np.sort(near)
    below = np.searchsorted(ordered, far, "left") + np.searchsorted(ordered, far, "right")
    return float(below.mean() / (2 * len(near)))


def _table(told: list[Told]) -> Table:
    ways = list(dict.fromkeys(each.way for each in told))
    table = Table("machine", "left out", *ways, title="known called unknown, left out called unknown, AUROC")
    groups = {(each.machine, each.left_out): "" for each in told}
    for machine, left_out in groups:
        mine = {each.way: each for each in told if (each.machine, each.left_out) == (machine, left_out)}
        table.add_row(machine, left_out, *(_cell([mine[way]]) if way in mine else "-" for way in ways))
    for group, machines in GROUPS.items():
        for whole in (True, False):
            chosen = [each for each in told if each.machine in machines and (each.left_out == NOTHING) == whole]
            cells = [[each for each in chosen if each.way == way] for way in ways]
            named = f"mean: {group}", NOTHING if whole else "a class"
            table.add_row(*named, *(_cell(each) if each else "-" for each in cells))
    return table


def _cell(told: list[Told]) -> str:
    shares = [each.left_out_unknown for each in told if each.left_out_unknown is not None]
    areas = [each.auroc for each in told if each.auroc is not None]
    known = f"{np.mean([each.known_unknown for each in told]):6.1%}"
    return f"{known} {np.mean(shares):6.1%} {np.mean(areas):.3f}" if shares else known


if __name__ == "__main__":
    main()
