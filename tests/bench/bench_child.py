"""One run of the search benchmark in a process of its own, so that its processor time and memory are its own."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_data import TASKS, Material, Part

from edgetune_nas.card import Budget
from edgetune_nas.errors import BudgetError, DataError
from edgetune_nas.usage import peak_rss_bytes
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network
    from edgetune_signal.datasets.load import Dataset

CALIBRATION_WINDOWS = 256


@dataclass(frozen=True)
class Spec:
    """One run: a row of a table, one split of it."""

    table: str
    task: str
    system: str
    ram_bytes: int | None = None
    split: int = 0
    amount: float | None = None
    library: bool = False
    seconds: float = 60.0


def main() -> None:
    """Run the spec given as JSON in the arguments and print what came of it as JSON."""
    spec = Spec(**json.loads(sys.argv[1]))
    folder = Path(sys.argv[2])
    began = time.monotonic()
    try:
        load = partial(TASKS[spec.task].load, folder, Part(spec.split, spec.amount, spec.library))
        found = SYSTEMS[spec.system](spec, load, began)
    except (BudgetError, DataError, RecordingError, _nothing_fits()) as error:
        found = {"refused": str(error), **usage(began)}
    sys.stdout.write("\n" + json.dumps({**asdict(spec), **found}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # everything is written; unloading torch would take another second


def usage(began: float) -> dict[str, float]:
    """What this process has used until now, its start and imports included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # the report is drawn by one
    return {
        "cpu_seconds": round(time.process_time() + children.ru_utime + children.ru_stime, 2),
        "wall_seconds": round(time.monotonic() - began, 2),
        "peak_rss_bytes": peak_rss_bytes(),
    }


# ---- systems -----------------------------------------------------------------------------------------------------


def ours(spec: Spec, load: Callable[[], Material], began: float) -> dict[str, Any]:
    """Search as `edgetune search` does, and score both files of the measured network through onnxruntime."""
    from bench_measured import leave_the_test_out

    from edgetune_nas.bundle.evaluation import evaluate
    from edgetune_nas.bundle.read import load_bundle
    from edgetune_nas.search.run import search

    leave_the_test_out()
    first: list[float] = []
    anytime: list[tuple[float, float, int]] = []

    def follow(event: Any) -> None:
        if event.best_accuracy is not None:
            first.append(time.monotonic() - began)
            anytime.append((round(time.process_time(), 2), event.best_accuracy, event.best_arena_bytes))

    given = load()
    windows = [given.library, given.data]
    del given  # as in the child of `edgetune search`, nobody but the search holds the windows
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as out:
        result = search(
            windows.pop(),
            task=TASKS[spec.task].kind,
            budget=Budget(ram_bytes=spec.ram_bytes, search_seconds=spec.seconds),
            out=Path(out),
            seed=spec.split,
            library=windows.pop(),
            on_event=follow,
            clock=time.process_time,  # so that a busy machine takes nothing from a search
            spent_seconds=time.process_time(),
        )
        used = usage(began)
        given = load()
        tests = {"": given.divided(spec.split)[2], "_elsewhere": given.elsewhere}
        accuracy = {
            f"{precision}{suffix}": evaluate(
                load_bundle(result.bundle, precision), test.x, test.label, test.classes
            ).accuracy
            for precision in ("int8", "float", "deployed")
            for suffix, test in tests.items()
            if test is not None
        }
    card = result.card
    return {
        **used,
        "accuracy": accuracy,
        **card.cost.model_dump(),
        "first_seconds": round(first[0], 2) if first else None,
        "anytime": anytime,
        "stopped_by": card.search.stopped_by,
        "size": f"{card.cost.parameters} parameters",
        "layers": card.layers,
        "evaluated": card.search.candidates - card.search.rejected,
        "trained": card.search.trained,
    }


def _searched(name: str) -> Callable[[Spec, Callable[[], Material], float], dict[str, Any]]:
    def run(spec: Spec, load: Callable[[], Material], began: float) -> dict[str, Any]:
        import bench_networks

        given = load()
        train, validation, test = given.divided(spec.split)
        problem = bench_networks.problem_of(TASKS[spec.task].kind, train, validation)
        network = getattr(bench_networks, name)(problem, spec.ram_bytes or sys.maxsize, spec.split)
        return _exported(network, train, {"": test, "_elsewhere": given.elsewhere}, began)

    return run


def _exported(network: Network, train: Dataset, tests: dict[str, Dataset | None], began: float) -> dict[str, Any]:
    from edgetune_nas.model.cost import plan
    from edgetune_nas.model.layers import describe
    from edgetune_nas.onnx_io.int8_head import head_for_int8
    from edgetune_nas.onnx_io.quantisation import quantise
    from edgetune_nas.onnx_io.runtime import Classifier, open_session
    from edgetune_nas.onnx_io.writer import write_onnx

    model = write_onnx(network)
    picked = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_WINDOWS)).astype(int)
    quantised, _ = quantise(model, train.x[picked], head_for_int8(network, train))
    files = {"float": model.SerializeToString(), "int8": quantised.SerializeToString()}
    used = usage(began)
    accuracy = {}
    for precision, data in files.items():
        classifier = Classifier(open_session(data))
        for suffix, test in tests.items():
            if test is not None:
                guess = classifier.probabilities(test.x).argmax(axis=1)
                accuracy[precision + suffix] = share_right(guess, train.classes, test)
    cost = plan(network.input_shape, network.layers)
    return {
        **used,
        "accuracy": accuracy,
        **cost.model_dump(),
        "size": f"{cost.parameters} parameters",
        "layers": [describe(layer) for layer in network.layers],
    }


def _classical(name: str) -> Callable[[Spec, Callable[[], Material], float], dict[str, Any]]:
    def run(spec: Spec, load: Callable[[], Material], began: float) -> dict[str, Any]:
        import bench_classical

        given = load()
        train, validation, test = given.divided(spec.split)
        both = _joined(train, validation)
        kind = TASKS[spec.task].kind
        if name == "forest":
            predict, size = bench_classical.forest(both, kind, spec.split)
        else:
            predict, size = bench_classical.minirocket(both, spec.split)
        used = usage(began)
        tests = {"": test, "_elsewhere": given.elsewhere}
        accuracy = {
            "float" + suffix: share_right(predict(each.x), both.classes, each)
            for suffix, each in tests.items()
            if each is not None
        }
        return {**used, "accuracy": accuracy, "size": size}

    return run


def _joined(train: Dataset, validation: Dataset) -> Dataset:
    from dataclasses import replace

    return replace(
        train, x=np.concatenate([train.x, validation.x]), label=np.concatenate([train.label, validation.label])
    )


def share_right(guess: NDArray[np.integer], classes: tuple[str, ...], test: Dataset) -> float:
    """Accuracy, classes matched by name."""
    names = np.array(classes)[guess]
    return float((names == np.array(test.classes)[test.label]).mean())


def executors(spec: Spec, load: Callable[[], Material], began: float) -> dict[str, Any]:
    """Search the same candidates in this process, in a pool of two and on a Dask cluster of two workers."""
    from bench_executors import compare

    return {**compare(spec, load()), **usage(began)}


SYSTEMS: dict[str, Callable[[Spec, Callable[[], Material], float], dict[str, Any]]] = {
    "edgetune": ours,
    "paper's family": _searched("paper_family"),
    "random search": _searched("random_search"),
    "TPE (Optuna)": _searched("tpe_search"),
    "MiniRocket + ridge": _classical("minirocket"),
    "features + forest": _classical("forest"),
    "executors": executors,
}


def _nothing_fits() -> type[Exception]:
    """Its class, without loading torch where nothing else needs it."""
    module = sys.modules.get("bench_networks")
    return module.NothingFitsError if module else BudgetError


if __name__ == "__main__":
    main()
