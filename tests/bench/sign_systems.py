"""Two ways from windows to signs, a node's own and LibEMG's, and what they come to against what was asked for."""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from exam_methods import htd, ledoit_wolf, ls4
from sign_sets import REST

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.clock import from_ns
from edgetune_node.config.signs import UNKNOWN_TIMES, SignSection
from edgetune_node.contract.parts import UNKNOWN
from edgetune_node.monitor.armband import ArmbandWatch, Placement
from edgetune_node.monitor.gestures import SignDetector, SignStart
from edgetune_node.monitor.inference import Verdict, judge
from edgetune_signal import Window, recordings_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sign_sets import Floats, Person, Play

    from edgetune_nas.bundle.read import Bundle

WINDOW_S, HOP_S = 0.25, 0.05
REACTION_S, LATE_S = 0.1, 0.2
"""A sign counts for a gesture from so long before its cue to so long after its end, where rest is before and after."""
SETTLED_S = 1.0
"""Seconds after a cue in which people react; their windows count neither for the active error nor for instability."""
VOTES, CONFIDENCE = 15, 0.9
"""Majority of so many decisions, decisions under 90 % rejected. With five, as in LibEMG's examples, the passage into a
gesture is told as another sign most of the time."""
FEATURES: Final = {"HTD": htd, "LS4": ls4}


@dataclass
class Found:
    """A sign as one system told it: windows at which it began and was told, class at once and at the end."""

    begin: int
    first: str
    last: str


@dataclass
class Heard:
    """What a system made of a stream: its signs, and the class that it gives out at each window."""

    signs: list[Found]
    decided: list[str]


@dataclass
class Score:
    """What whole sessions came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    false: int = 0
    rest_s: float = 0.0
    latency_s: list[float] = field(default_factory=list)
    active: int = 0
    active_wrong: int = 0
    windows: int = 0
    changes: int = 0

    def row(self) -> list[str]:
        """Return the table's cells."""
        asked = self.outcomes.total()
        told = self.outcomes["right"] + self.outcomes["wrong"]
        shares = [f"{100 * self.outcomes[name] / asked:.1f}" for name in ("right", "wrong", "missed", "unknown")]
        late = sorted(self.latency_s) or [float("nan")]
        p50, p90 = statistics.median(late), late[int(0.9 * len(late))]
        return [
            *shares,
            f"{100 * self.at_once / max(told, 1):.0f}",
            f"{60 * self.false / self.rest_s:.2f}",
            f"{p50:.2f}",
            f"{p90:.2f}",
            f"{100 * self.active_wrong / max(self.active, 1):.1f}",
            f"{100 * self.changes / self.windows:.1f}",
        ]


COLUMNS: Final = (
    "right",
    "wrong",
    "missed",
    "unknown",
    "at once",
    "false/min rest",
    "latency",
    "p90",
    "active error",
    "instability",
)


def windows(samples: Floats, rate_hz: float) -> Floats:
    """Cut ``(windows, channels, length)``."""
    length, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
    view = np.lib.stride_tricks.sliding_window_view(samples, length, axis=1)[:, ::hop]
    return np.ascontiguousarray(view.transpose(1, 0, 2))


def model_of(person: Person) -> Bundle:
    """Search a network within 4 KiB on what is learned of a person."""
    with tempfile.TemporaryDirectory() as temporary:
        length = round(WINDOW_S * person.rate_hz)
        data = recordings_dataset(list(person.learned), length, length // 4)
        made = search(data, task="sign", budget=Budget(ram_bytes=4096), out=Path(temporary) / "out", candidates=3)
        return load_bundle(made.bundle)


def _judge(bundle: Bundle, window: Floats, number: int) -> Verdict:
    return judge(Window(window, 0, number), bundle, rest_class=REST, distant=True)


def verdicts(bundle: Bundle, samples: Floats, rate_hz: float) -> list[Verdict]:
    """Return what a model says of each window; distances are over the limit of its card."""
    return [_judge(bundle, each, number) for number, each in enumerate(windows(samples, rate_hz))]


class Node:
    """A node's own way from verdicts to signs."""

    def __init__(self, settings: SignSection) -> None:
        numbers = itertools.count()
        self._signs = SignDetector(settings, REST, lambda: str(next(numbers)), HOP_S)
        self._times = UNKNOWN_TIMES[settings.unknown]
        self._found: dict[str, Found] = {}
        self._decided: list[str] = []

    def hear(self, verdict: Verdict) -> bool:
        """Count a window; return whether a sign is running."""
        number = len(self._decided)
        end = from_ns(round(number * HOP_S * 1e9))
        near = replace(verdict, distance=None if verdict.distance is None else verdict.distance / self._times)
        for told in self._signs.observe(near, end - timedelta(seconds=WINDOW_S), end):
            if isinstance(told, SignStart):
                self._found[told.event] = Found(number, told.class_, told.class_)
            else:
                self._found[told.event].last = told.class_
        self._decided.append(self._signs.running or REST)
        return self._signs.running is not None

    @property
    def heard(self) -> Heard:
        """What it found until now."""
        return Heard(list(self._found.values()), self._decided)


def of_node(said: Sequence[Verdict], settings: SignSection) -> Heard:
    """Return the signs that a node finds in what its model said."""
    node = Node(settings)
    for verdict in said:
        node.hear(verdict)
    return node.heard


@dataclass
class Turned:
    """What a node with ``armband = "ring"`` heard, and for each window its verdict and how the armband was worn."""

    heard: Heard
    placements: list[Placement]
    verdicts: list[Verdict]
    last: Placement


def of_ring(bundle: Bundle, samples: Floats, rate_hz: float, settings: SignSection) -> Turned:
    """Return what a node does that turns a turned armband's channels back, as it hears signs."""
    channels = samples.shape[0]
    watch, node, turned = ArmbandWatch(channels, REST), Node(settings), Placement()
    watch.use(bundle)
    said, placements = [], []
    for number, window in enumerate(windows(samples, rate_hz)):
        placed = window[turned.order(channels)]
        said.append(_judge(bundle, placed, number))
        placements.append(turned)
        if watch.hear(placed, running=node.hear(said[-1])):
            turned = turned.then(watch.placement, channels)
            watch.forget()
    return Turned(node.heard, placements, said, turned)


def of_libemg(
    learned: Sequence[Floats], labels: Sequence[str], rate_hz: float, features: Callable[[Floats], NDArray[np.float64]]
) -> Callable[[Floats], Heard]:
    """Return how LibEMG's examples do it: features, LDA, rejection, majority vote; a sign is a run of one class."""
    x = [windows(each, rate_hz) for each in learned]
    names = sorted(set(labels))
    y = np.concatenate([np.full(len(w), names.index(label)) for w, label in zip(x, labels, strict=True)])
    known = features(np.concatenate(x))
    mean, spread = known.mean(0), known.std(0) + 1e-9
    z = (known - mean) / spread
    middle = np.stack([z[y == k].mean(0) for k in range(len(names))])
    weights = np.linalg.solve(ledoit_wolf(z - middle[y]), middle.T)
    biases = -0.5 * (weights * middle.T).sum(0)

    def find(samples: Floats) -> Heard:
        scores = (features(windows(samples, rate_hz)) - mean) / spread @ weights + biases
        scores -= scores.max(1, keepdims=True)
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        decided = [
            names[best] if share >= CONFIDENCE else ""
            for best, share in zip(shares.argmax(1), shares.max(1), strict=True)
        ]
        heard = Heard([], [])
        before = REST
        for number in range(len(decided)):
            last = [each for each in decided[max(0, number - VOTES + 1) : number + 1] if each]
            now = Counter(last).most_common(1)[0][0] if last else before
            if now not in {before, REST}:
                heard.signs.append(Found(number, now, now))
            before = now
            heard.decided.append(now)
        return heard

    return find


def score(heard: Heard, play: Play, rate_hz: float, into: Score) -> None:
    """Count what one system made of a stream."""
    cut = windows(play.samples, rate_hz)
    level = np.abs(cut - cut.mean(2, keepdims=True)).mean((1, 2))
    at = (round(HOP_S * rate_hz) * np.arange(len(cut)) + cut.shape[2] - 1) / rate_hz
    counted: set[int] = set()
    for span in play.spans:
        begin_s, end_s = span.begin / rate_hz, span.end / rate_hz
        first, last = (int(np.searchsorted(at, edge)) for edge in (begin_s, end_s))
        _count_windows(heard.decided[first + round(SETTLED_S / HOP_S) : last], span.label, into)
        if span.label == REST:
            into.rest_s += end_s - begin_s
            continue
        rested = not any(other.end == span.begin and other.label != REST for other in play.spans)
        rests = not any(other.begin == span.end and other.label != REST for other in play.spans)
        earliest, latest = begin_s - REACTION_S * rested, end_s + LATE_S * rests
        told = [number for number, sign in enumerate(heard.signs) if earliest <= at[sign.begin] < latest]
        counted |= set(told)
        named = [heard.signs[number] for number in told if heard.signs[number].last != UNKNOWN]
        if not named:
            into.outcomes["unknown" if told else "missed"] += 1
            continue
        into.outcomes["right" if named[0].last == span.label else "wrong"] += 1
        into.at_once += named[0].first == span.label
        onset = first
        if rested and first:
            quiet, loud = np.median(level[max(0, first - 20) : first]), np.median(level[first + 20 : last])
            risen = np.flatnonzero(level[first:last] > quiet + 0.3 * (loud - quiet))
            onset += int(risen[0]) if len(risen) else 0
        into.latency_s.append((named[0].begin - onset + 1) * HOP_S)
    rest = [span for span in play.spans if span.label == REST]
    for number, sign in enumerate(heard.signs):
        if number not in counted:
            into.false += any(span.begin / rate_hz <= at[sign.begin] < span.end / rate_hz for span in rest)


def _count_windows(decided: Sequence[str], label: str, into: Score) -> None:
    """Count decisions in a span: wrong ones of those that are active, and changes from one to the next."""
    active = [each for each in decided if each not in {REST, UNKNOWN}]
    into.active += len(active)
    into.active_wrong += sum(each != label for each in active)
    into.windows += len(decided)
    into.changes += sum(one != other for one, other in itertools.pairwise(decided))
