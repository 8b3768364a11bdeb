"""Whole sessions of people through a node's own way to signs, beside LibEMG's way on the same windows.

Run by ``make bench-signs``. Eleven people (``foreign/myo41``) make each of seven gestures six times for five seconds,
with rest between, in three sessions. Both learn the first three takes of session 1 with their pauses and half a minute
of slight movements. The rest of session 1, and sessions 2 and 3 with nothing labelled, are then heard in order.
The first named sign of a gesture counts. Rest counts where no gesture is asked for. ``--latency`` measures the way
from a sample to a subscriber of ``classification`` with a real node and broker.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from exam_methods import htd, ledoit_wolf, ls4
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.clock import from_ns
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.config.signs import UNKNOWN_TIMES, SignSection
from edgetune_node.contract.parts import UNKNOWN
from edgetune_node.contract.topics import Topics
from edgetune_node.demo.broker import HOST, DemoBroker, find_mosquitto
from edgetune_node.monitor.gestures import SignDetector, SignStart
from edgetune_node.monitor.inference import Verdict, judge
from edgetune_node.operator.client import OperatorClient
from edgetune_node.storage.models import ModelStore
from edgetune_signal import (
    ArmbandSimulator,
    Block,
    Recording,
    StreamSpec,
    Window,
    encode_block,
    recordings_dataset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.bundle.read import Bundle

    Floats = NDArray[np.float32]

RATE, LENGTH, HOP = 200.0, 50, 10
HOP_S = HOP / RATE
REST = "rest"
LEARNED = 3
REACTION_S, LATE_S = 0.1, 0.2
"""A sign counts for a gesture from so long before its cue to so long after its end."""
VOTES, CONFIDENCE = 15, 0.9
"""Majority of so many decisions, decisions under 90 % rejected. With five, as in LibEMG's examples, the passage into a
gesture is told as another sign most of the time."""
FEATURES = {"HTD": htd, "LS4": ls4}
TOPICS, ASSET = Topics("bench", "node-1"), "arm"


@dataclass
class Found:
    """A sign as one system told it: windows at which it began and was told, class at once and at the end."""

    begin: int
    first: str
    last: str


@dataclass
class Score:
    """What whole sessions came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    false: int = 0
    rest_s: float = 0.0
    latency_s: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        """Return the table's cells."""
        asked = self.outcomes.total()
        told = self.outcomes["right"] + self.outcomes["wrong"]
        shares = [f"{100 * self.outcomes[name] / asked:.1f}" for name in ("right", "wrong", "missed", "unknown")]
        late = sorted(self.latency_s)
        p50, p90 = statistics.median(late), late[int(0.9 * len(late))]
        return [
            *shares,
            f"{100 * self.at_once / told:.0f}",
            f"{60 * self.false / self.rest_s:.2f}",
            f"{p50:.2f}",
            f"{p90:.2f}",
        ]


def parts(cue: NDArray[np.int8]) -> Iterator[tuple[int, int, bool]]:
    """Return first index, end, and whether a gesture is asked for, of each part of a recording."""
    borders = [0, *(np.flatnonzero(np.diff(cue)) + 1).tolist(), len(cue)]
    return ((begin, end, bool(cue[begin])) for begin, end in itertools.pairwise(borders))


def read(path: Path) -> tuple[str, Floats, NDArray[np.int8]]:
    """Return label, samples and cue of a file."""
    with np.load(path) as data:
        return str(data["label"]), data["samples"].astype(np.float32), data["cue"]


def calibration(folder: Path) -> tuple[list[Recording], dict[str, int]]:
    """Return what is learned of session 1, and of each file the sample from which it is heard."""
    learned, heard_from = [], {}
    for path in sorted(folder.glob("s1_g*.npz")):
        label, samples, cue = read(path)
        if not cue.any():
            half = samples.shape[1] // 2
            learned.append(Recording(samples[:, :half], RATE, REST, "counts", group=path.stem))
            heard_from[path.stem] = half
            continue
        take = 0
        for begin, end, asked in parts(cue):
            if take == LEARNED:
                break
            late = round((0.75 if asked else 1.0) * RATE) if begin else 0  # people react
            name = f"{path.stem} {begin}"
            part = samples[:, begin + late : end]
            learned.append(Recording(part, RATE, label if asked else REST, "counts", group=name))
            take += asked
            heard_from[path.stem] = end
    return learned, heard_from


def windows(samples: Floats) -> Floats:
    """Cut ``(windows, channels, length)``."""
    view = np.lib.stride_tricks.sliding_window_view(samples, LENGTH, axis=1)[:, ::HOP]
    return np.ascontiguousarray(view.transpose(1, 0, 2))


def verdicts(bundle: Bundle, samples: Floats) -> list[Verdict]:
    """Return what a model says of each window; distances are over the limit of its card."""
    return [
        judge(Window(each, 0, number), bundle, rest_class=REST, distant=True)
        for number, each in enumerate(windows(samples))
    ]


def of_node(said: Sequence[Verdict], settings: SignSection) -> list[Found]:
    """Return the signs that a node finds in what its model said."""
    numbers = itertools.count()
    signs = SignDetector(settings, REST, lambda: str(next(numbers)), HOP_S)
    times = UNKNOWN_TIMES[settings.unknown]
    found: dict[str, Found] = {}
    for number, verdict in enumerate(said):
        end = from_ns(round(number * HOP_S * 1e9))
        near = replace(verdict, distance=None if verdict.distance is None else verdict.distance / times)
        for told in signs.observe(near, end - timedelta(seconds=LENGTH / RATE), end):
            if isinstance(told, SignStart):
                found[told.event] = Found(number, told.class_, told.class_)
            else:
                found[told.event].last = told.class_
    return list(found.values())


def of_libemg(
    learned: Sequence[Recording], features: Callable[[Floats], NDArray[np.float64]]
) -> Callable[[Floats], list[Found]]:
    """Return how LibEMG's examples do it: features, LDA, rejection, majority vote; a sign is a run of one class."""
    x = [windows(each.samples) for each in learned]
    names = sorted({each.label for each in learned})
    y = np.concatenate([np.full(len(w), names.index(each.label)) for w, each in zip(x, learned, strict=True)])
    known = features(np.concatenate(x))
    mean, spread = known.mean(0), known.std(0) + 1e-9
    z = (known - mean) / spread
    middle = np.stack([z[y == k].mean(0) for k in range(len(names))])
    weights = np.linalg.solve(ledoit_wolf(z - middle[y]), middle.T)
    biases = -0.5 * (weights * middle.T).sum(0)

    def find(samples: Floats) -> list[Found]:
        scores = (features(windows(samples)) - mean) / spread @ weights + biases
        scores -= scores.max(1, keepdims=True)
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        decided = [
            names[best] if share >= CONFIDENCE else ""
            for best, share in zip(shares.argmax(1), shares.max(1), strict=True)
        ]
        found: list[Found] = []
        before = REST
        for number in range(len(decided)):
            last = [each for each in decided[max(0, number - VOTES + 1) : number + 1] if each]
            now = Counter(last).most_common(1)[0][0] if last else before
            if now not in {before, REST}:
                found.append(Found(number, now, now))
            before = now
        return found

    return find


def score(found: list[Found], label: str, samples: Floats, cue: NDArray[np.int8], heard_from: int, into: Score) -> None:
    """Count what signs in one file came to."""
    cut = windows(samples)
    level = np.abs(cut - cut.mean(2, keepdims=True)).mean((1, 2))
    at = [(number * HOP + LENGTH - 1) / RATE for number in range(len(cut))]
    mine: set[int] = set()
    for begin, end, asked in parts(cue):
        if begin < heard_from:
            mine |= {index for index, sign in enumerate(found) if at[sign.begin] * RATE < end}
            continue
        if not asked:
            into.rest_s += (end - begin) / RATE
            continue
        span = begin / RATE - REACTION_S, end / RATE + LATE_S
        told = [index for index, sign in enumerate(found) if span[0] <= at[sign.begin] < span[1]]
        mine |= set(told)
        named = [found[index] for index in told if found[index].last != UNKNOWN]
        if not named:
            into.outcomes["unknown" if told else "missed"] += 1
            continue
        into.outcomes["right" if named[0].last == label else "wrong"] += 1
        into.at_once += named[0].first == label
        first, last = (int(np.searchsorted(at, edge / RATE)) for edge in (begin, end))
        quiet, loud = np.median(level[max(0, first - 20) : first]), np.median(level[first + 20 : last])
        risen = np.flatnonzero(level[first:last] > quiet + 0.3 * (loud - quiet))
        into.latency_s.append((named[0].begin - first - (int(risen[0]) if len(risen) else 0) + 1) * HOP_S)
    into.false += sum(index not in mine for index in range(len(found)))


def sessions(folders: Sequence[Path], console: Console) -> None:
    """Print the table of whole sessions."""
    ways: dict[str, dict[str, Score]] = {}
    for folder in folders:
        learned, heard_from = calibration(folder)
        with tempfile.TemporaryDirectory() as temporary:
            data = recordings_dataset(learned, LENGTH, LENGTH // 4)
            made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=Path(temporary) / "out", candidates=3)
            bundle = load_bundle(made.bundle)
        settings = {f"edgetune, start_evidence {each:g}": SignSection(start_evidence=each) for each in (2, 4, 8)}
        settings |= {f"edgetune, unknown {each}": SignSection(unknown=each) for each in ("few", "many")}
        others = {f"{name} + LDA + vote + rejection": of_libemg(learned, of) for name, of in FEATURES.items()}
        for path in sorted(folder.glob("s*_g*.npz")):
            label, samples, cue = read(path)
            said = verdicts(bundle, samples)
            found = {name: of_node(said, section) for name, section in settings.items()}
            found |= {name: find(samples) for name, find in others.items()}
            for name, signs in found.items():
                into = ways.setdefault(name, {}).setdefault(path.stem[:2], Score())
                score(signs, label, samples, cue, heard_from.get(path.stem, 0), into)
    table = Table(title=f"{len(folders)} people, whole sessions in order; model within 4 KiB; shares in %, times in s")
    for name in (
        "session",
        "system",
        "right",
        "wrong",
        "missed",
        "unknown",
        "at once",
        "false/min rest",
        "latency",
        "p90",
    ):
        table.add_column(name, justify="left" if name in {"session", "system"} else "right")
    for session, title in (("s1", "same"), ("s2", "second"), ("s3", "third")):
        for name, scores in ways.items():
            table.add_row(title, name, *scores[session].row())
    console.print(table)


def latency(seconds: float, console: Console) -> None:
    """Print the time from a sample to a subscriber, with a node and a broker, at 20 windows a second."""
    takes = []
    for number, gesture in enumerate(("rest", "fist", "open_hand")):
        armband = ArmbandSimulator(subject="1", gesture=gesture, seed=number)
        takes.append(Recording(armband.generate(2000), RATE, gesture, "counts", group=gesture))
    with (
        tempfile.TemporaryDirectory(prefix="edgetune-bench-") as name,
        DemoBroker(Path(name), find_mosquitto()) as broker,
    ):
        folder = Path(name)
        data = recordings_dataset(takes, LENGTH, HOP)
        made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=folder / "out", candidates=3)
        models = folder / "data" / "assets" / ASSET / "models"
        ModelStore(models, StreamSpec(8, RATE, "counts"), LENGTH, "sign").install(made.bundle)
        config = folder / "config.toml"
        config.write_text(
            f"""
[node]
id = "{TOPICS.node_id}"
namespace = "{TOPICS.namespace}"
data_dir = '{folder / "data"}'
[mqtt]
host = "{HOST}"
port = {broker.port}
[[asset]]
id = "{ASSET}"
task = "sign"
channels = 8
rate_hz = {RATE}
unit = "counts"
window = {{ length = {LENGTH}, hop = {HOP} }}
""",
            encoding="utf-8",
        )
        late = _listen(config, broker.port, seconds)
    p50, p99 = np.percentile(late, (50, 99))
    console.print(
        f"last sample to subscriber, {len(late)} windows at {1 / HOP_S:g} Hz: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


def _listen(config: Path, port: int, seconds: float) -> list[float]:
    """Run the node and a sender; return milliseconds from each window's last sample to its arrival."""
    client = OperatorClient(MqttSection(host=HOST, port=port), TOPICS, ASSET)
    client.subscribe(TOPICS.asset(ASSET, "classification"))
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(port, stop))
    late: list[float] = []
    with (config.parent / "node.log").open("wb") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)], stdout=log, stderr=log
        )
        sender.start()
        until = time.monotonic() + seconds + 10
        try:
            while len(late) < seconds / HOP_S + 50 and time.monotonic() < until + 30:
                for _, payload in client.messages(0.5):
                    late.append(1e3 * (time.time() - datetime.fromisoformat(payload["ts"]).timestamp()))
        finally:
            stop.set()
            sender.join()
            node.terminate()
            node.wait(10)
            client.close()
    return late[50:]


def _send(port: int, stop: threading.Event) -> None:
    """Send each block the moment its last sample is due, stamped so that the window's time is true."""
    client = OperatorClient(MqttSection(host=HOST, port=port), TOPICS, ASSET)
    armband = ArmbandSimulator(subject="1", gesture="fist", seed=7)
    due = time.monotonic()
    for sequence in itertools.count():
        due += HOP_S
        samples = armband.generate(HOP)
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        first = time.time_ns() - round((HOP - 1) / RATE * 1e9)
        client.publish(
            TOPICS.asset(ASSET, "samples"), encode_block(Block(samples, sequence, first, RATE, "counts")), qos=0
        )
    client.close()


def main() -> int:
    """Print what was asked for."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=11, help="how many of them")
    parser.add_argument("--latency", action="store_true", help="measure the way to a subscriber instead")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long that is measured")
    given = parser.parse_args()
    console = Console(width=150)
    if given.latency:
        latency(given.seconds, console)
        return 0
    folder = Path(os.environ.get("EDGETUNE_DATA", "data")) / "foreign" / "myo41"
    people = sorted(folder.iterdir())[: given.people] if folder.is_dir() else []
    if not people:
        console.print(f"no recordings in {folder}; set EDGETUNE_DATA to the folder of real recordings")
        return 1
    sessions(people, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
