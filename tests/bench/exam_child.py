"""One run of the examination in a process of its own, so that its processor time and memory are its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_child import usage
from exam_protocols import BY_NAME as PROTOCOLS

from edgetune_nas.card import Budget
from edgetune_nas.errors import NasError
from edgetune_signal.datasets.load import merge_library
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_protocols import Protocol, Sheet
    from numpy.typing import NDArray

    from edgetune_signal.datasets.load import Dataset

SEARCH = "edgetune"


@dataclass(frozen=True)
class Run:
    """One method on one subject of a protocol; with ``ram_bytes``, under another budget than the protocol's."""

    protocol: str
    subject: str
    method: str
    seed: int
    seconds: float
    mains: bool = True
    ram_bytes: int | None = None


def main() -> None:
    """Do the run given as JSON in the arguments and print what came of it as JSON."""
    run = Run(**json.loads(sys.argv[1]))
    folder = Path(sys.argv[2])
    began = time.monotonic()
    protocol = PROTOCOLS[run.protocol]
    protocol = replace(protocol, ram_bytes=run.ram_bytes or protocol.ram_bytes)
    load = partial(protocol.load, folder, run.subject)
    try:
        found = _doing(run.method)(run, protocol, load, began)
    except (NasError, RecordingError) as error:
        found = {"refused": str(error), **usage(began)}
    sys.stdout.write("\n" + json.dumps({**asdict(run), **found}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # everything is written; unloading torch would take another second


def _doing(method: str) -> Callable[[Run, Protocol, Callable[[], Sheet], float], dict[str, Any]]:
    if method == SEARCH:
        return searched
    from exam_methods import BY_NAME as METHODS

    return plainly if method in METHODS else ablated


def searched(
    run: Run, protocol: Protocol, load: Callable[[], Sheet], began: float, candidates: int | None = None
) -> dict[str, Any]:
    """Search as `edgetune search` does, then ask the bundle as it is deployed, through onnxruntime."""
    from edgetune_nas.bundle.evaluation import evaluate
    from edgetune_nas.bundle.read import load_bundle
    from edgetune_nas.search.run import search

    sheet = load()
    windows = [sheet.library, sheet.learn]
    del sheet  # as in the child of `edgetune search`, nobody but the search holds the windows
    with tempfile.TemporaryDirectory(prefix="edgetune-exam-") as out:
        budget = Budget(ram_bytes=protocol.ram_bytes, search_seconds=run.seconds)
        result = search(
            windows.pop(),
            task=protocol.task,
            budget=budget,
            out=Path(out),
            seed=run.seed,
            library=windows.pop(),
            mains_hz=protocol.mains_hz if run.mains else None,
            candidates=candidates,
            clock=time.process_time,  # so that a busy machine takes nothing from a search
            spent_seconds=time.process_time(),
        )
        used = usage(began)
        bundle, eight_bits = load_bundle(result.bundle), load_bundle(result.bundle, "int8")
        tests = {}
        for name, test in load().tests.items():
            told = evaluate(bundle, test.x, test.label, test.classes)
            guess = bundle.classifier.probabilities(test.x).argmax(axis=1)
            tests[name] = scored(guess, tuple(bundle.card.classes), test) | {
                "unknown": told.unknown_rate,
                "int8": evaluate(eight_bits, test.x, test.label, test.classes).accuracy,
            }
    card = result.card
    said = card.metrics
    return {
        **used,
        "tests": tests,
        "card": {
            "accuracy": said.accuracy,
            "low": said.accuracy_low,
            "high": said.accuracy_high,
            "windows": said.windows,
            "left_out": card.accuracy_left_out,
        },
        "arena_bytes": card.cost.arena_bytes,
        "arena_bytes_deployed": card.cost.arena_bytes_deployed,
        "flash_bytes": card.cost.flash_bytes,
        "deployed": card.deployed,
        "layers": card.layers,
        "stopped_by": card.search.stopped_by,
        "trained": card.search.trained,
    }


def plainly(run: Run, protocol: Protocol, load: Callable[[], Sheet], began: float) -> dict[str, Any]:
    """Fit a plain method on everything that the search was given, library and all."""
    from exam_methods import BY_NAME as METHODS

    sheet = load()
    data = sheet.learn if sheet.library is None else merge_library(sheet.learn, sheet.library)
    predict, size = METHODS[run.method].fit(data, protocol.task, run.seed)
    used = usage(began)
    tests = {name: scored(predict(test.x), data.classes, test) for name, test in sheet.tests.items()}
    return {**used, "tests": tests, "flash_bytes": 4 * size}


def ablated(run: Run, protocol: Protocol, load: Callable[[], Sheet], began: float) -> dict[str, Any]:
    """Search with parts left out, or otherwise."""
    import exam_ablation

    if run.method in exam_ablation.PARTS:
        learn = load().learn
        seeds = exam_ablation.count_seeds(protocol.task, (learn.channels, learn.length))
        del learn
        exam_ablation.adapted(run.method, protocol.task)
        return searched(run, protocol, load, began, seeds if run.method == exam_ablation.SEEDS else None)
    sheet = load()
    found = exam_ablation.searched_otherwise(run.method, sheet, protocol, run.seed, run.seconds)
    guesses = found.pop("guesses")
    classes = sheet.learn.classes
    tests = {name: scored(guesses[name], classes, test) for name, test in sheet.tests.items()}
    return {**usage(began), **found, "tests": tests}


def scored(guess: NDArray[np.integer], classes: tuple[str, ...], test: Dataset) -> dict[str, Any]:
    """Accuracy over all windows and in the worst condition; classes are matched by name."""
    right = np.array(classes)[guess] == np.array(test.classes)[test.label]
    each = {test.conditions[at]: float(right[test.condition == at].mean()) for at in np.unique(test.condition)}
    return {"accuracy": float(right.mean()), "worst": min(each.values()), "windows": len(right)}


if __name__ == "__main__":
    main()
