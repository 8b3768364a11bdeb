"""Whole sessions of people through a node's own way to signs, beside LibEMG's way on the same windows.

Run by ``make bench-signs``. Of each set both learn the first takes of the first session and then hear the rest of it,
and later sessions with nothing labelled, in order. The first named sign of a gesture counts. False signs are those that
begin where rest is asked for. Active error is the share of wrong windows among those in which a sign is given out,
instability the share of windows whose output differs from the one before; both leave out a second after each cue. Of
shift21 it also says what a turned armband costs that a node turns back by itself. ``--latency`` measures the way from
a sample to a subscriber of ``classification`` with a real node and broker.

``--library`` and ``--one-take`` play the later sessions of myo41 to models that had more to learn from, made as a node
makes them from what it has stored. With ``--library`` everybody else's recordings are the library of a person's first
takes: theirs, and the first take of each sign of their later sessions. With ``--one-take`` the person gives the first
take of each sign of the session that is played, with the rest before it, and the takes of the first session are the
library; what follows is scored. With both, the others are in that library too.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
from typing import TYPE_CHECKING

from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table
from sign_latency import latency
from sign_learning import after_one_take, with_library
from sign_sets import REST, SETS
from sign_systems import (
    COLUMNS,
    FEATURES,
    HOP_S,
    WINDOW_S,
    Score,
    model_of,
    of_libemg,
    of_node,
    of_ring,
    score,
    verdicts,
)

from edgetune_node.config.signs import SignSection

if TYPE_CHECKING:
    from pathlib import Path

    from sign_sets import Person, Play
    from sign_systems import Heard, Turned, Verdict

    from edgetune_nas.bundle.read import Bundle

SETTINGS = {f"edgetune, start_evidence {each:g}": SignSection(start_evidence=each) for each in (2, 4, 8)} | {
    f"edgetune, unknown {each}": SignSection(unknown=each) for each in ("few", "many")
}
LATER = ("myo41",)
"""Sets that have later sessions with takes and rest."""
RING = "edgetune, armband ring"


def what_models_say(person: Person) -> tuple[Bundle, list[list[Verdict]]]:
    """Search a person's model; return it, and what it says of each window of each play."""
    bundle = model_of(person)
    return bundle, [verdicts(bundle, play.samples, person.rate_hz) for play in person.plays]


class Sessions:
    """Scores of all systems in all sessions of a set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.people = 0
        self._ways: dict[str, dict[str, Score]] = {}
        self._worn = Worn()

    def hear(self, person: Person) -> None:
        """Play a person's sessions to every system."""
        bundle, said = what_models_say(person)
        self.people += 1
        parts, labels = [each.samples for each in person.learned], [each.label for each in person.learned]
        others = {
            f"{name} + LDA + vote + rejection": of_libemg(parts, labels, person.rate_hz, features)
            for name, features in FEATURES.items()
        }
        for play, verdicts_ in zip(person.plays, said, strict=True):
            heard = {name: of_node(verdicts_, section) for name, section in SETTINGS.items()}
            if self.name == "shift21":
                heard[RING] = self._worn.hear(bundle, person, play, verdicts_)
            heard |= {name: find(play.samples) for name, find in others.items()}
            for name, signs in heard.items():
                into = self._ways.setdefault(name, {}).setdefault(play.session, Score())
                score(signs, play, person.rate_hz, into)

    def show(self, console: Console) -> None:
        """Print the table, and what else the set shows."""
        of = SETS[self.name]
        title = f"{self.name}: {self.people} people; models within 4 KiB; shares in %, times in s"
        console.print(table_of(f"{title}\n{of.note}" if of.note else title, of.sessions, self._ways))
        self._worn.show(console)


def table_of(title: str, sessions: dict[str, str], ways: dict[str, dict[str, Score]]) -> Table:
    """Return the scores of each way in each session as a table."""
    table = Table(title=title)
    for column in ("session", "system", *COLUMNS):
        table.add_column(column, justify="left" if column in {"session", "system"} else "right")
    for session, words in sessions.items():
        for way, scores in ways.items():
            if session in scores:
                table.add_row(words, way, *scores[session].row())
    return table


def later_sessions(name: str, folder: Path, console: Console, given: argparse.Namespace) -> None:
    """Print what signs of later sessions come to with a library, after one new take, or both."""
    people = list(SETS[name].people(folder))
    heard, ways = people[: given.people], dict[str, dict[str, Score]]()
    for person in heard:
        shared = with_library(person, people) if not given.one_take else None
        for session in person.later:
            bundle = shared or after_one_take(person, session, people if given.library else ())
            for play in (each for each in person.plays if each.session == session):
                said = verdicts(bundle, play.samples, person.rate_hz)
                for way, section in SETTINGS.items():
                    into = ways.setdefault(way, {}).setdefault(session, Score())
                    counted = play.after_take() if given.one_take else play
                    score(of_node(said, section), counted, person.rate_hz, into)
    learned = [*["one new take of each sign"] * given.one_take, *["others as library"] * given.library]
    console.print(table_of(f"{name}: {len(heard)} people; {', '.join(learned)}", SETS[name].sessions, ways))


class Worn:
    """What turned armbands cost, and how often they are recognised."""

    def __init__(self) -> None:
        self._windows = 0
        self._right = {"as it comes": 0, "turned back": 0, "turned back, after it was recognised": 0}
        self._after = 0
        self._trials = {"same": 0, "moved": 0}
        self._turned = {"same": 0, "moved": 0}

    def hear(self, bundle: Bundle, person: Person, play: Play, as_worn: list[Verdict]) -> Heard:
        """Play a session to a node that turns channels back, and each of its rounds to one that is new."""
        section = SignSection(armband="ring")
        whole = of_ring(bundle, play.samples, person.rate_hz, section)
        if play.session == "moved":
            self._count(person, play, as_worn, whole)
        for begin, end in rounds(play):
            trial = of_ring(bundle, play.samples[:, begin:end], person.rate_hz, section)
            self._trials[play.session] += 1
            self._turned[play.session] += not trial.last.as_before
        return whole.heard

    def _count(self, person: Person, play: Play, as_worn: list[Verdict], ring: Turned) -> None:
        for span in play.spans:
            if span.label == REST:
                continue
            for number in range(
                math.ceil(span.begin / person.rate_hz / HOP_S),
                math.floor((span.end / person.rate_hz - WINDOW_S) / HOP_S) + 1,
            ):
                turned = ring.verdicts[number].class_ == span.label
                self._windows += 1
                self._right["as it comes"] += as_worn[number].class_ == span.label
                self._right["turned back"] += turned
                if not ring.placements[number].as_before:
                    self._after += 1
                    self._right["turned back, after it was recognised"] += turned

    def show(self, console: Console) -> None:
        """Print what was counted, if anything was."""
        if not self._windows:
            return
        shares = [
            f"{100 * count / (self._after if 'after' in name else self._windows):.1f} % {name}"
            for name, count in self._right.items()
        ]
        console.print(f"windows right after the armband was moved: {', '.join(shares)}")
        for session, what in (("moved", "moved armbands recognised"), ("same", "armbands not moved, but taken for it")):
            console.print(f"{what}: {self._turned[session]} of {self._trials[session]} rounds of four signs")


def rounds(play: Play) -> list[tuple[int, int]]:
    """Return first sample and end of each round, which begins where rest counts."""
    begins = [span.begin for span in play.spans if span.label == REST]
    return list(itertools.pairwise([*begins, play.samples.shape[1]]))


def main() -> int:
    """Print what was asked for."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", choices=SETS, help="which set, all by default; may be repeated")
    parser.add_argument("--people", type=int, help="how many of each set at most")
    parser.add_argument("--library", action="store_true", help="play later sessions, with others as library")
    parser.add_argument("--one-take", action="store_true", help="play later sessions, after one new take of each sign")
    parser.add_argument("--latency", action="store_true", help="measure the way to a subscriber instead")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long that is measured")
    given = parser.parse_args()
    again = given.library or given.one_take
    if again and not {*(given.set or LATER)} <= {*LATER}:
        parser.error(f"--library and --one-take need later sessions with rest, as {', '.join(LATER)} has")
    console = Console(width=170)
    if given.latency:
        latency(given.seconds, console)
        return 0
    found = False
    for name in given.set or (LATER if again else SETS):
        folder = DATA / SETS[name].folder
        if not folder.is_dir():
            console.print(f"{name}: {ABSENT}")
            continue
        found = True
        if again:
            later_sessions(name, folder, console, given)
            continue
        sessions = Sessions(name)
        for person in itertools.islice(SETS[name].people(folder), given.people):
            sessions.hear(person)
        sessions.show(console)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
