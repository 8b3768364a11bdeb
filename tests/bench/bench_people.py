"""Whose model knows whose gestures: six people of the Myo recordings. Run by ``make bench-people``.

Every person's last cycle (seven gestures of 5 s) is the test, whatever a model learned from; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_measured import leave_the_test_out
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.evaluation import evaluate
from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.settings import AssetSection
from edgetune_node.monitor.emg import EmgMonitor
from edgetune_node.monitor.gestures import SignEvent
from edgetune_node.monitor.inference import judge
from edgetune_signal import Window
from edgetune_signal.datasets.converters import MYO_WINDOW, MyoTake, read_myo
from edgetune_signal.datasets.load import Dataset, recordings_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.bundle.read import Bundle

HOP = MYO_WINDOW // 2
SIGN_HOP = MYO_WINDOW // 4
RATE = 200.0
REST = "neutral"
LAST = 3
RAM = 4096

Takes = dict[str, list[MyoTake]]


def cut(takes: Sequence[MyoTake], *, held_out: Sequence[MyoTake] = (), hop: int = HOP) -> Dataset:
    """Windows to learn from, and others that are held out for the test."""
    learned = [take.recording for take in takes]
    return recordings_dataset(
        [*learned, *(replace(take.recording, held_out_from=0) for take in held_out)], MYO_WINDOW, hop
    )


def cycles(takes: Sequence[MyoTake], first: int, end: int) -> list[MyoTake]:
    """Takes of cycles ``first`` to ``end - 1``."""
    return [take for take in takes if first <= take.cycle < end]


def levels(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the mean absolute value of each channel in both halves of each window."""
    halves = np.abs(x.astype(np.float64)).reshape(*x.shape[:2], 2, -1).mean(axis=3)
    return np.log(halves + 0.5).reshape(len(x), -1)


def discriminant(
    features: NDArray[np.float64], label: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias of Fisher's discriminant for classes of equal weight, its covariance drawn 5 % to a sphere."""
    means = np.array([features[label == at].mean(axis=0) for at in range(label.max() + 1)])
    spread = np.cov(features - means[label], rowvar=False)
    spread = 0.95 * spread + 0.05 * np.trace(spread) / len(spread) * np.eye(len(spread))
    weights = np.linalg.solve(spread, means.T).T
    return weights, -0.5 * (weights * means).sum(axis=1)


def signs(
    bundle: Bundle, samples: NDArray[np.float32], *, distant: bool = True, unknown: str = "balanced"
) -> list[str]:
    """Signs that a node tells of a stretch of signal.

    ``distant`` is whether it tells the unknown, ``unknown`` the setting that says how far that is.
    """
    settings = AssetSection(
        id="arm",
        task="sign",
        channels=len(samples),
        rate_hz=RATE,
        rest_class=REST,
        window={"length": MYO_WINDOW, "hop": SIGN_HOP},
        sign={"unknown": unknown},
    )
    watch = EmgMonitor(settings, lambda: "")
    cuts = np.lib.stride_tricks.sliding_window_view(samples, MYO_WINDOW, axis=1)[:, ::SIGN_HOP].transpose(1, 0, 2)
    found: list[object] = []
    for number, samples_of_window in enumerate(cuts.copy()):
        time_ns = round((number * SIGN_HOP + MYO_WINDOW) * 1e9 / RATE)
        window = Window(samples_of_window, time_ns, number)
        verdict = judge(window, bundle, rest_class=REST, distant=distant, times=settings.distance_times)
        found += watch.observe(verdict, window)
    return [sign.class_ for sign in [*found, watch.gap()] if isinstance(sign, SignEvent)]


class Bench:
    """Makes models and asks them about the last cycle of a person."""

    def __init__(self, people: Takes, folder: Path, seconds: float, console: Console) -> None:
        self.people = people
        self.accuracies: dict[str, list[float]] = {}
        self.took_s: list[float] = []
        self.signs: list[tuple[str, list[str]]] = []
        self._folder = folder
        self._seconds = seconds
        self._console = console
        self._tests = {name: cut(cycles(takes, LAST, LAST + 1), hop=MYO_WINDOW) for name, takes in people.items()}

    def model(self, data: Dataset, library: Dataset | None = None) -> Bundle:
        """Search a network on ``data``."""
        started = time.process_time()
        out = self._folder / f"search-{len(self.took_s)}"
        budget = Budget(ram_bytes=RAM, search_seconds=self._seconds)
        clock = time.process_time  # so that a busy machine takes nothing from a search
        found = search(data, task="sign", budget=budget, out=out, library=library, clock=clock)
        self.took_s.append(clock() - started)
        return load_bundle(found.bundle)

    def ask(self, row: str, bundle: Bundle, person: str) -> None:
        """Note the accuracy on a person's last cycle."""
        test = self._tests[person]
        accuracy = evaluate(bundle, test.x, test.label, test.classes).accuracy
        self.accuracies.setdefault(row, []).append(accuracy)
        self._console.print(f"{row}, {person}: {accuracy:.2%}", highlight=False)

    def plainly(self, row: str, data: Dataset, person: str) -> None:
        """Note the accuracy of the plainest method: logarithms of the envelope and a linear discriminant."""
        learned = np.ones(len(data), np.bool_) if data.held_out is None else ~data.held_out
        weights, bias = discriminant(levels(data.x[learned]), data.label[learned])
        test = self._tests[person]
        guess = (levels(test.x) @ weights.T + bias).argmax(axis=1)
        truth = np.array([data.classes.index(name) for name in test.classes])[test.label]
        self.accuracies.setdefault(row, []).append(float((guess == truth).mean()))

    def replay(self, bundle: Bundle, takes: Sequence[MyoTake]) -> None:
        """Note the signs of each gesture, played between rest, and of rest alone."""
        by_label = {take.recording.label: take.recording.samples for take in takes}
        rest = by_label[REST]
        for label, samples in by_label.items():
            played = rest if label == REST else np.concatenate([rest, samples, rest], axis=1)
            self.signs.append((label, signs(bundle, played)))

    def others(self, person: str) -> list[MyoTake]:
        """Every take of everybody else."""
        return [take for name, takes in self.people.items() if name != person for take in takes]

    def for_all(self) -> None:
        """One model that learned from everybody, and one for each person that learned from the others."""
        learned = [take for takes in self.people.values() for take in cycles(takes, 0, LAST)]
        last = [take for takes in self.people.values() for take in cycles(takes, LAST, LAST + 1)]
        bundle = self.model(cut(learned, held_out=last))
        for person, takes in self.people.items():
            self.ask("one for all, everybody's 3 cycles in it", bundle, person)
            held_out = cycles(takes, LAST, LAST + 1)
            self.ask("one made of all the others", self.model(cut(self.others(person), held_out=held_out)), person)

    def own(self) -> None:
        """Each person's own model after so many cycles, alone and with a library of the others; and about others."""
        for person, takes in self.people.items():
            library = cut(self.others(person), hop=MYO_WINDOW)
            held_out = cycles(takes, LAST, LAST + 1)
            for count in range(1, LAST + 1):
                data = cut(cycles(takes, 0, count), held_out=held_out)
                alone = self.model(data)
                self.ask(f"own, {count} cycle(s)", alone, person)
                self.plainly(f"own, {count} cycle(s), levels and discriminant", data, person)
                self.ask(f"own, {count} cycle(s), others as library", self.model(data, library), person)
            self.replay(alone, held_out)
            for other in self.people:
                if other != person:
                    self.ask("another person's (3 cycles)", alone, other)


def table(accuracies: Mapping[str, Sequence[float]]) -> Table:
    """Mean, spread and worst of each row."""
    shown = Table(title="accuracy on the last cycle of each person, windows of 260 ms")
    for name in ("model", "mean", "standard deviation", "worst", "of"):
        shown.add_column(name, justify="left" if name == "model" else "right")
    for row in sorted(accuracies):
        values = np.array(accuracies[row])
        shown.add_row(row, f"{values.mean():.1%}", f"{values.std(ddof=1):.1%}", f"{values.min():.1%}", str(len(values)))
    return shown


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="of processor, what each search may take")
    parser.add_argument("--people", type=int, default=6, help="so many of the six")
    wanted = parser.parse_args()
    leave_the_test_out()
    console = Console(width=110)
    folder = DATA / "myo_gestures"
    files = sorted(folder.glob("*.npz"))[: wanted.people]
    if not files:
        console.print(ABSENT)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        people = {path.stem: read_myo(path) for path in files}
        bench = Bench(people, Path(temporary), wanted.seconds, console)
        parts: tuple[Callable[[], None], ...] = (bench.own, bench.for_all)
        for part in parts:
            part()
    console.print(table(bench.accuracies))
    gestures = [(label, told) for label, told in bench.signs if label != REST]
    right = sum(told == [label] for label, told in gestures)
    resting = [len(told) for label, told in bench.signs if label == REST]
    console.print(
        f"own model of 3 cycles: {right} of {len(gestures)} gestures, held for 5 s between rest, are one sign, theirs;"
    )
    console.print(f"in rest alone {sum(resting)} signs, of {sum(count > 0 for count in resting)} people")
    took = np.array(bench.took_s)
    console.print(f"{len(took)} searches of {took.mean():.1f} s of processor on the mean, {took.max():.1f} s at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
