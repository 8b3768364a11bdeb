"""How well a model knows what it does not know, on CWRU. Run by ``make bench``; EDGETUNE_DATA names the recordings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.novelty.detector import fit_novelty
from edgetune_signal.datasets.load import load_dataset
from edgetune_signal.datasets.splits import split_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets.dataset import Dataset

WINDOW, HOP = 512, 256
KNOWN = {
    "healthy only": ("normal",),
    "and inner": ("normal", "inner_007", "inner_014", "inner_021"),
    "and ball": ("normal", "ball_007", "ball_014", "ball_021"),
    "and outer": ("normal", "outer_centered_007", "outer_opposite_007", "outer_orthogonal_007"),
}
POOLED = (
    ("normal", "inner"),
    ("normal", "ball"),
    ("normal", "outer"),
    ("normal", "ball", "inner"),
    ("normal", "ball", "outer"),
    ("normal", "inner", "outer"),
)


def main() -> None:
    """Print the table, or that there are no recordings."""
    console = Console(width=110)
    if not (DATA / "cwru_de_1797rpm").is_dir():
        console.print(f"novelty: {ABSENT}")
        return
    data = load_dataset(DATA / "cwru_de_1797rpm", window=WINDOW, hop=HOP, unit="g")
    slower = load_dataset(DATA / "cwru_de_1772rpm", window=WINDOW, hop=WINDOW, unit="g")
    split = split_dataset(data, seed=0)
    train, validation, test = (data.select(part) for part in (split.train, split.validation, split.test))
    table = Table(title="share of windows called unknown: known classes at 1797 rpm, test windows")
    for name in ("trained on", "known (price)", "known, 1772 rpm", "others, mean", "others, worst", "us a window"):
        table.add_column(name, justify="left" if name == "trained on" else "right")
    all_but_one = {
        f"all but {left_out}": tuple(each for each in data.classes if each != left_out) for left_out in data.classes
    }
    left_out_found = []
    for name, known in {**KNOWN, **all_but_one}.items():
        mine = [np.isin(part.label, [data.classes.index(each) for each in known]) for part in (train, validation, test)]
        novelty = fit_novelty(train.x[mine[0]], train.label[mine[0]], validation.x[mine[1]])
        others = [novelty.unknown(test.x[test.label == at]).mean() for at in set(test.label[~mine[2]].tolist())]
        if name in all_but_one:
            left_out_found.append(others[0])
        there = [slower.classes.index(each) for each in known if each in slower.classes]
        elsewhere = slower.x[np.isin(slower.label, there)]
        started = time.perf_counter()
        for window in test.x[:500]:
            novelty.unknown(window[np.newaxis])
        took = (time.perf_counter() - started) / len(test.x[:500])
        table.add_row(
            name,
            f"{novelty.unknown(test.x[mine[2]]).mean():.1%}",
            f"{novelty.unknown(elsewhere).mean():.1%}" if len(elsewhere) else "no recording",
            f"{np.mean(others):.1%}",
            f"{min(others):.1%}",
            f"{1e6 * took:.0f}",
        )
    console.print(table)
    console.print(f"a class that was left out is unknown to {np.mean(left_out_found):.1%} on the mean")
    console.print(_pooled(train, validation, test, slower))


def _pooled(train: Dataset, validation: Dataset, test: Dataset, slower: Dataset) -> Table:
    """Severities under the name of their part, of which some are known: one centre a part, and one a severity."""
    table = Table(title="severities under one name; unknown windows with one centre a class -> one a kind")
    for name in ("trained on", "known (price)", "known, 1772 rpm", "others, mean", "others, worst"):
        table.add_column(name, justify="left" if name == "trained on" else "right")
    for known in POOLED:
        mine = [np.isin(_parts(each), known) for each in (train, validation, test, slower)]
        label = np.unique(_parts(train)[mine[0]], return_inverse=True)[1].reshape(-1)
        kind = 100 * label + train.label[mine[0]]
        figures = []
        for kinds in (None, kind):
            novelty = fit_novelty(train.x[mine[0]], label, validation.x[mine[1]], kinds)
            others = [novelty.unknown(test.x[test.label == at]).mean() for at in set(test.label[~mine[2]].tolist())]
            asked = (test.x[mine[2]], slower.x[mine[3]])
            figures.append([*(float(novelty.unknown(x).mean()) for x in asked), float(np.mean(others)), min(others)])
        table.add_row(" ".join(known), *(f"{one:.1%} -> {each:.1%}" for one, each in zip(*figures, strict=True)))
    return table


def _parts(data: Dataset) -> NDArray[np.str_]:
    """Name of each window's part, without the size of its fault."""
    return np.array([data.classes[at].split("_")[0] for at in data.label.tolist()])


if __name__ == "__main__":
    main()
