"""What a library, the deployed model and trained filter banks bring to a search. Run by ``make bench-tried``.

Every network is asked about windows that neither it nor the deployed model has seen. Networks are scored as torch
computes them, before export.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from bench_data import TASKS, Part
from bench_people import LAST, cut, cycles
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table
from torch import nn

from edgetune_nas.card import Budget
from edgetune_nas.model import search_space as space
from edgetune_nas.model.frontend import filter_bank, fit_frontend, frontend_features, split_frontend
from edgetune_nas.model.layers import Conv
from edgetune_nas.model.search_space import Bank, ConvBlock, Envelope, Genotype, Stem, expand
from edgetune_nas.model.torch_net import LayerNet
from edgetune_nas.search.run import JOURNAL, search
from edgetune_nas.training import task_profile
from edgetune_nas.training.estimator import TrainingSet
from edgetune_nas.training.task_profile import PROFILES
from edgetune_nas.training.trainer import TrainedNetwork, _Batches, _class_weights, _course, steps_per_epoch
from edgetune_signal.datasets.converters import read_myo
from edgetune_signal.datasets.load import merge_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_signal.datasets.load import Dataset


STEM = Genotype(None, Stem(12, 128, 32), (ConvBlock("full", 16, 5),), "both")
SIGNS = Genotype(Envelope(40, 20), None, (ConvBlock("full", 24, 3), ConvBlock("full", 32, 3)), "both")
MYO = Genotype(Envelope(13, 6), None, (ConvBlock("full", 32, 3), ConvBlock("full", 32, 3)), "both")
BANKS = (
    Genotype(Bank(12, 64, 16, frame=2), None, (ConvBlock("linear", 12, 9),), "average"),
    Genotype(Bank(16, 128, 32, frame=3), None, (ConvBlock("separable", 6, 5, pool=2),), "both"),
    Genotype(Bank(24, 128, 64, frame=1), None, (ConvBlock("linear", 32, 3, pool=2),), "flat"),
)
SIGN_BANK = Genotype(Bank(8, 32, 16, frame=6, hop=3), None, (ConvBlock("full", 24, 3),), "both")
MOST_EPOCHS = 120
STEPS = (30, 120, 270)


class Taps(nn.Module):
    """A bank's taps, the fixed ones plus ``pace`` times what is trained, so that they learn so much slower."""

    def __init__(self, layer: Conv, pace: float) -> None:
        super().__init__()
        self.layer, self.pace = layer, pace
        self.fixed = torch.from_numpy(filter_bank(layer))
        self.change = nn.Parameter(torch.zeros_like(self.fixed))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve windows ``(windows, length, channels)``."""
        taps = self.fixed + self.pace * self.change
        out = nn.functional.conv1d(x.transpose(1, 2), taps, stride=self.layer.stride, groups=self.layer.groups)
        return out.transpose(1, 2)


class Net:
    """A network in training: ``taps`` says how fast its bank learns, None leaves it out of the training."""

    def __init__(self, genotype: Genotype, x: NDArray[np.float32], classes: int, task: Task, seed: int) -> None:
        self._frontend, rest = split_frontend(expand(genotype, x.shape[1:], classes))
        self._frontend, features = fit_frontend(self._frontend, x)
        self._task, self._classes, self._seed = task, classes, seed
        torch.manual_seed(seed)
        self.net = LayerNet(rest, features.shape[1:])

    def train_taps(self, pace: float, shape: tuple[int, int]) -> None:
        """Make the frontend a part of what is trained, on raw windows."""
        whole = LayerNet((*self._frontend, *self.net.layers), shape)
        for at, step in enumerate(self.net.steps):
            whole.steps[len(self._frontend) + at] = step
        bank = self._frontend[0]
        if isinstance(bank, Conv):
            whole.steps[0] = Taps(bank, pace)
            whole.steps[0].change.requires_grad_(pace > 0)
        self._frontend, self.net = (), whole

    def learn(self, x: NDArray[np.float32], y: NDArray[np.int64], steps: int, share: float = 1.0) -> float:
        """Train for about so many steps, at a ``share`` of the usual rate; the processor's seconds."""
        began = time.process_time()
        recipe = PROFILES[self._task].recipe
        features = torch.from_numpy(np.ascontiguousarray(frontend_features(self._frontend, x)))
        source = _Batches(features, torch.from_numpy(y), recipe, self._seed)
        epochs = min(MOST_EPOCHS, max(1, round(steps / steps_per_epoch(len(y), recipe))))
        slower = replace(recipe, learning_rate=share * recipe.learning_rate)
        _course(self.net.train(), source, _class_weights(y, self._classes), slower, epochs, lambda: False)
        source.settle_norms(self.net)
        return time.process_time() - began

    def accuracy(self, test: Dataset, names: Sequence[str]) -> float:
        """Share of windows that it gets right."""
        with torch.inference_mode():
            features = torch.from_numpy(np.ascontiguousarray(frontend_features(self._frontend, test.x)))
            guess = torch.cat([self.net.eval()(part) for part in features.split(512)]).argmax(1).numpy()
        truth = np.array([names.index(name) for name in test.classes])[test.label]
        return float((guess == truth).mean())


def parts(data: Dataset) -> tuple[Dataset, Dataset]:
    """What may be learned from, and what is held out."""
    assert data.held_out is not None
    return data.select(np.flatnonzero(~data.held_out)), data.select(np.flatnonzero(data.held_out))


def library(folder: Path, seeds: int, say: Callable[..., None]) -> None:
    """Few windows of a new condition, and many of others: alone, together, and one after the other."""
    for seconds in (0.25, 1.0, 5.0):
        given = TASKS["new load"].load(folder, Part(0, seconds, library=True))
        for seed in range(seeds):
            _with_library(given.data, given.library, STEM, "fault", 270, seed, partial(say, f"{seconds:g} s, new load"))
    people = {path.stem: read_myo(path) for path in sorted((DATA / "myo_gestures").glob("*.npz"))}
    for person, takes in people.items():
        others = cut([take for name, each in people.items() if name != person for take in each], hop=52)
        own = cut(cycles(takes, 0, LAST), held_out=cycles(takes, LAST, LAST + 1))
        _with_library(own, others, MYO, "sign", 240, 0, partial(say, "3 cycles, new person"))


def _with_library(
    data: Dataset,
    old: Dataset | None,
    genotype: Genotype,
    task: Task,
    steps: int,
    seed: int,
    say: Callable[..., None],
) -> None:
    own, test = parts(data)
    assert old is not None
    both = merge_library(own, old)
    assert both.library is not None
    new = ~both.library
    origin = np.where(both.library, both.condition + 1, 0)
    truth = np.array([both.classes.index(name) for name in test.classes])[test.label]
    for row, x, y, of in (
        ("new windows alone", both.x[new], both.label[new], None),
        ("together", both.x, both.label, None),
        ("together, then new windows alone", both.x, both.label, origin),
    ):
        layers = expand(genotype, (both.channels, both.length), len(both.classes))
        estimator = TrainedNetwork(layers, PROFILES[task].recipe, steps, seed)
        network = estimator.fit(TrainingSet(x, y, len(both.classes), of)).network
        say(row, float((estimator.logits(network, test.x).argmax(axis=1) == truth).mean()))


def deployed(folder: Path, seeds: int, say: Callable[..., None]) -> None:
    """Weights of the deployed model as a start: trained at another load; or on less of the same."""
    old = TASKS["other load"].load(folder, Part(0, None, library=False)).data
    new, test = parts(TASKS["new load"].load(folder, Part(0, 1.0, library=False)).data)
    for seed in range(seeds):
        _with_weights(STEM, "fault", old, new, test, STEPS, seed, partial(say, "another load, 1 s"))
    for seed in range(seeds):
        learned, test = parts(TASKS["isl"].load(folder, Part(seed, None, library=False)).data)
        rng = np.random.default_rng(seed)
        few = [rng.permutation(np.flatnonzero(learned.label == label))[:8] for label in range(len(learned.classes))]
        before = learned.select(np.sort(np.concatenate(few)))
        _with_weights(SIGNS, "sign", before, learned, test, STEPS, seed, partial(say, "8, now 19 of each sign"))


def _with_weights(
    genotype: Genotype,
    task: Task,
    before: Dataset,
    now: Dataset,
    test: Dataset,
    counts: Iterable[int],
    seed: int,
    say: Callable[..., None],
) -> None:
    names = [*before.classes, *(name for name in now.classes if name not in before.classes)]
    label = np.array([names.index(name) for name in now.classes])[now.label]
    first = Net(genotype, before.x, len(names), task, seed + 100)
    first.learn(before.x, before.label, 1500)
    for steps in counts:
        for row in ("from nothing", "from its weights"):
            net = Net(genotype, now.x, len(names), task, seed)
            if row == "from its weights":
                net.net.load_state_dict(first.net.state_dict())
            took = net.learn(now.x, label, steps)
            say(f"{row}, {steps} steps", net.accuracy(test, names))
            say(f"{row}, {steps} steps", took, "s")


def genotype(folder: Path, seeds: int, say: Callable[..., None]) -> None:
    """Whole searches whose first bracket has the deployed model's genotype, or not."""
    for task, ram, each in (("cwru", 720, 60), ("isl", 3584, 9)):
        for seed in range(seeds):
            data = TASKS[task].load(folder, Part(seed, None, library=False)).data
            assert data.held_out is not None
            learned = np.flatnonzero(~data.held_out)
            few = [learned[data.label[learned] == label][::2][:each] for label in range(len(data.classes))]
            before = data.select(np.sort(np.concatenate([*few, np.flatnonzero(data.held_out)])))
            _, found = _searched(before, TASKS[task].kind, ram, seed + 50, None)
            known = found in PROFILES[TASKS[task].kind].prior.seed_architectures((data.channels, data.length))
            for row, start in (("cold", None), ("with its genotype", found)):
                told, _ = _searched(data, TASKS[task].kind, ram, seed, start)
                for unit, value in told.items():
                    say(f"{TASKS[task].title}, {ram} B", row, value, unit)
                say(f"{TASKS[task].title}, {ram} B", row, known, "seed architecture")


def _searched(
    data: Dataset, task: Task, ram: int, seed: int, start: Genotype | None
) -> tuple[dict[str, float], Genotype | None]:
    profile = PROFILES[task]
    seeds = profile.prior.seed_architectures
    first = () if start is None else (start,)
    prior = replace(profile.prior, seed_architectures=lambda shape: tuple(dict.fromkeys((*first, *seeds(shape)))))
    began = time.process_time()
    with (
        tempfile.TemporaryDirectory(prefix="edgetune-bench-") as out,
        patch.dict(task_profile.PROFILES, {task: replace(profile, prior=prior)}),
    ):
        card = search(data, task=task, budget=Budget(ram_bytes=ram, search_seconds=900), out=Path(out), seed=seed).card
        lines = (Path(out) / JOURNAL).read_text(encoding="utf-8").splitlines()[1:]
    records: list[dict[str, Any]] = [record for line in lines if (record := json.loads(line))["steps"]]
    best = max(records, key=lambda record: (record["steps"], record["score"]), default=None)
    told = {
        "": card.metrics.accuracy,
        "trained": card.search.trained,
        "s": time.process_time() - began,
    }
    return told, None if best is None else space.from_json(best["genotype"])


def banks(folder: Path, seeds: int, say: Callable[..., None]) -> None:
    """Filter banks whose taps are trained as well."""
    for name, genotypes, steps in (("cwru", BANKS, 600), ("other load", BANKS, 600), ("isl", (SIGN_BANK,), 240)):
        for seed in range(seeds):
            given = TASKS[name].load(folder, Part(seed, None, library=False))
            training, validation, test = given.divided(seed)
            x, y = np.concatenate([training.x, validation.x]), np.concatenate([training.label, validation.label])
            names = list(training.classes)
            for each in genotypes:
                for row, pace in (("fixed", None), ("fixed, raw windows shifted", 0.0), ("trained", 0.1)):
                    net = Net(each, x, len(names), TASKS[name].kind, seed)
                    if pace is not None:
                        net.train_taps(pace, x.shape[1:])
                    took = net.learn(x, y, steps)
                    asked = test if given.elsewhere is None else given.elsewhere
                    say(TASKS[name].title, row, net.accuracy(asked, names))
                    say(TASKS[name].title, row, took, "s")


def table(title: str, found: dict[str, dict[str, dict[str, list[float]]]]) -> Table:
    """Mean and worst of each row's accuracies, and the mean of what else was told."""
    shown = Table(title=title)
    for name in ("", *found):
        shown.add_column(name, justify="right" if name else "left")
    for row in next(iter(found.values())):
        cells = []
        for rows in found.values():
            said = rows[row]
            accuracy = f"{np.mean(said['']):.2%}, worst {min(said['']):.1%}"
            cells.append(", ".join([accuracy, *(f"{np.mean(said[unit]):.1f} {unit}" for unit in said if unit)]))
        shown.add_row(row, *cells)
    return shown


TRIALS = {trial.__name__: trial for trial in (library, deployed, genotype, banks)}


def main() -> int:
    """Print a table for each trial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of {', '.join(TRIALS)}; all if none is named")
    parser.add_argument("--seeds", type=int, default=2)
    wanted = parser.parse_args()
    console = Console(width=150)
    if not (DATA / "myo_gestures").is_dir():
        console.print(ABSENT)
        return 1
    torch.set_num_threads(1)
    for name in wanted.trials or TRIALS:
        found: dict[str, dict[str, dict[str, list[float]]]] = {}

        def say(column: str, row: str, value: float, unit: str = "", found: dict[str, Any] = found) -> None:
            found.setdefault(column, {}).setdefault(row, {}).setdefault(unit, []).append(value)

        TRIALS[name](DATA, wanted.seeds, say)
        console.print(table(f"{name}: {TRIALS[name].__doc__}", found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
