"""Writing a bundle: a folder with both ONNX files, the card and the report, put in place as a whole."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.bundle.files import CARD, MEASURED, MODEL_FILES, REPORT, UNNAMED, digest, named, write_folder
from edgetune_nas.bundle.learned import LEARNED, SELF_TEST, pack_learned, pack_self_test, pick_self_test
from edgetune_nas.bundle.scores import metrics
from edgetune_nas.card import LibraryUse, Measured, ModelCard, Precision
from edgetune_nas.errors import BundleError
from edgetune_nas.model import card_cost, describe, plan, shapes
from edgetune_nas.novelty import NOVELTY, Novelty
from edgetune_nas.onnx_io import Classifier, measure, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import (
        Budget,
        Cost,
        Distance,
        FrontNetwork,
        InputSpec,
        Metrics,
        SearchSummary,
        Task,
        TestedOn,
    )
    from edgetune_nas.model import Network
    from edgetune_nas.onnx_io import Adapt


MIN_AGREEMENT: Final = 0.995


def write_bundle(
    folder: Path,
    *,
    task: Task,
    classes: Sequence[str],
    input_spec: InputSpec,
    network: Network,
    calibration: NDArray[np.float32],
    validation: NDArray[np.float32],
    test_x: NDArray[np.float32],
    test_label: NDArray[np.integer],
    budget: Budget,
    search: SearchSummary,
    data_fingerprint: str,
    report: Callable[[ModelCard], str] | str,
    created: datetime,
    test_condition: NDArray[np.integer] | None = None,
    conditions: Sequence[str] = (),
    replaced: Metrics | None = None,
    notes: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
    adapt: Adapt | None = None,
    rows: Sequence[int] | None = None,
    measured: Network | None = None,
    measured_rows: Sequence[int] | None = None,
    measured_adapt: Adapt | None = None,
    test_recording: NDArray[np.integer] | None = None,
    tested_on: TestedOn | None = None,
    tested_in_parts: Sequence[str] = (),
    left_out: Mapping[str, float] | None = None,
    learned: NDArray[np.float32] | None = None,
    learned_recording: NDArray[np.integer] | None = None,
    library: LibraryUse | None = None,
    front: Sequence[FrontNetwork] = (),
) -> ModelCard:
    """Export a network as ``folder/model-<id>/`` in both precisions, with its card and report.

    Everything is made and measured in memory; then the files are written under a temporary name, synced, and renamed.

    Parameters
    ----------
    folder
        Where the bundle's folder goes; made if it is not there.
    calibration
        ``float32 (windows, channels, length)`` for the ranges of int8; 256 of them, evenly spaced, are used.
    validation
        ``float32 (windows, channels, length)`` on which int8 must give float's label to be deployed.
    test_x, test_label, test_condition, conditions
        Windows that no choice was made on, for the metrics of the deployed precision; see `edgetune_nas.bundle.scores`.
    report
        ``report.html``, or what makes it of the card (which then has no hash of the report yet).
    created
        UTC time; with eight digits of a hash of the card it makes the id.
    notes
        Goes into the card beside the note on int8.
    extra
        Further files of the bundle, by their plain names; they are hashed and verified like the others.
    adapt
        As `edgetune_nas.onnx_io.quantisation.quantise` takes it.
    rows
        Class of each row of the network's output; None where row and class are the same.
    measured, measured_rows, measured_adapt
        The network before it learned the test windows too: the metrics are its, and it is kept as
        ``model.measured.onnx``. None where ``network`` has not learned them. Rows as those of ``network`` if None.
    test_recording
        ``(windows,)``, number of each test window's recording, for the interval; None where they are not known.
    tested_on
        What kind of test the test windows are.
    tested_in_parts
        Classes tested on parts of recordings whose other parts were learned; empty where all or none are.
    left_out
        Accuracy in each condition when it was left out of training.
    learned, learned_recording
        All windows that ``network`` has learned, and the number of each one's recording, to know them again.
    library
        What of them was a library, and its weight.
    front
        What is kept of the Pareto front in ``extra``; ``network`` is the first of it.

    Raises
    ------
    BundleError
        When the files cannot be written (disk full, no permission); nothing is left behind.
    ValueError
        When network, classes and input do not fit one another, or there are no windows to calibrate or validate on.
    DataError
        When the test windows do not fit.
    """
    from edgetune_nas.onnx_io import quantise, write_onnx

    wanted = (input_spec.channels, input_spec.length), len(classes) if rows is None else len(rows)
    _check_shapes("network", network, wanted, classes)
    if measured is not None:
        measured_rows = rows if measured_rows is None else measured_rows
        wanted = wanted[0], len(classes) if measured_rows is None else len(measured_rows)
        _check_shapes("measured network", measured, wanted, classes)
    if not len(calibration) or not len(validation):
        raise ValueError(f"{len(calibration)} calibration and {len(validation)} validation windows; give some of each")
    model = write_onnx(replace(network, distances=None))
    calibration = calibration[_spread(len(calibration))]
    quantised, note = quantise(model, calibration, adapt)
    distances = network.distances
    whole = model if distances is None else write_onnx(network)
    models: dict[Precision, bytes] = {"float": whole.SerializeToString(), "int8": quantised.SerializeToString()}
    classifiers = {precision: Classifier(open_session(data), rows) for precision, data in models.items()}
    guesses = {precision: each.probabilities(validation).argmax(axis=1) for precision, each in classifiers.items()}
    agreement = float((guesses["float"] == guesses["int8"]).mean())
    costs = {precision: measure(data, validation) for precision, data in models.items()}
    deployed, because = choose_precision(agreement, len(validation), costs, distances=distances is not None)
    tried = pick_self_test(validation)
    files = {MODEL_FILES[precision]: data for precision, data in models.items()} | dict(extra or {})
    files[SELF_TEST] = pack_self_test(tried, classifiers["float"].probabilities(tried))
    tested = classifiers[deployed]
    if measured is not None:
        full = write_onnx(measured)
        files[MEASURED] = (
            full if deployed == "float" else quantise(full, calibration, measured_adapt)[0]
        ).SerializeToString()
        tested = Classifier(open_session(files[MEASURED]), measured_rows)
    remembered = None
    if learned is not None:
        files[LEARNED], remembered = pack_learned(learned, learned_recording)
    distance: Distance = "side_file" if NOVELTY in files else "none"
    limit = _limit(files.get(NOVELTY), input_spec, len(classes))
    if distances is not None:
        distance, limit = "graph", distances.limit
    card = ModelCard(
        id=UNNAMED,
        created=created,
        task=task,
        classes=list(classes),
        input=input_spec,
        layers=[describe(layer) for layer in network.layers],
        cost=cost_of(network, deployed),
        measured=costs,
        deployed=deployed,
        deployed_because=because,
        metrics=metrics(tested.probabilities(test_x), test_label, classes, test_condition, conditions, test_recording),
        replaced=replaced,
        budget=budget,
        search=search,
        data_fingerprint=data_fingerprint,
        sha256={name: digest(data) for name, data in files.items()},
        versions=versions(),
        notes={**(notes or {}), "int8": asdict(note)},
        distance=distance,
        distance_limit=limit,
        distance_rows=None if distances is None else list(distances.labels),
        distance_bytes=len(files.get(NOVELTY, b"")) or None if distances is None else distances.nbytes,
        rows=None if rows is None else list(rows),
        measured_rows=None if measured is None or measured_rows is None else list(measured_rows),
        tested_on=tested_on,
        tested_in_parts=list(tested_in_parts),
        measured_before_refit=measured is not None,
        accuracy_left_out=dict(left_out or {}),
        learned=remembered,
        library=library,
        self_test_windows=len(tried),
        front=list(front),
        front_point=0 if front else None,
    )
    return finish(folder, card, files, report)


def finish(
    folder: Path, card: ModelCard, files: dict[str, bytes], report: Callable[[ModelCard], str] | str
) -> ModelCard:
    """Name the card, add report and card to the ``files`` of a bundle, and write them; return the card as written."""
    card = named(card, folder)
    files[REPORT] = (report if isinstance(report, str) else report(card)).encode()
    card = card.model_copy(update={"sha256": {name: digest(data) for name, data in files.items()}})
    files[CARD] = card.model_dump_json(indent=2).encode()
    write_folder(folder, f"model-{card.id}", files)
    return card


def choose_precision(
    agreement: float, windows: int, measured: Mapping[Precision, Measured], *, distances: bool = False
) -> tuple[Precision, str]:
    """Precision to deploy, and why: int8 where it says what float says and is no slower, else float.

    With ``distances`` float: it alone gives them.
    """
    share = f"int8 gives float's label on {agreement:.1%} of {windows} validation windows"
    int8, full = measured["int8"].latency_p50_us, measured["float"].latency_p50_us
    times = f"{int8:g} us a window against {full:g} us in float"
    if distances:
        return "float", f"float gives the distance to what is known, too; {share}"
    if agreement < MIN_AGREEMENT:
        return "float", f"{share}, fewer than the {MIN_AGREEMENT:.1%} it must"
    if int8 > full:
        return "float", f"{share}, but takes {times}"
    return "int8", f"{share} and takes {times}"


def versions() -> dict[str, str]:
    """Versions of what a bundle is made with, for its card."""
    packages = ["edgetune", "numpy", "onnx", "onnxruntime", *(["torch"] if "torch" in sys.modules else [])]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{package: version(package) for package in packages},
    }


def _check_shapes(name: str, network: Network, wanted: tuple[tuple[int, int], int], classes: Sequence[str]) -> None:
    found = network.input_shape, shapes(network.input_shape, network.layers)[-1][0]
    if found != wanted:
        raise ValueError(
            f"the {name} takes {found[0]} and gives {found[1]} rows; the card would say {wanted[0]} and {wanted[1]} "
            f"rows for {len(classes)} classes"
        )


def cost_of(network: Network, deployed: Precision) -> Cost:
    """Plan a network alone; the arena as it is deployed holds the distances, too."""
    cost = card_cost(network.input_shape, network.layers, precision_deployed=deployed)
    if network.distances is None or deployed == "int8":
        return cost
    centres = len(network.distances.labels)
    both = plan(network.input_shape, network.layers, precision_deployed=deployed, centres=centres)
    return cost.model_copy(update={"arena_bytes_deployed": both.arena_bytes_deployed})


def _limit(distance: bytes | None, spec: InputSpec, classes: int) -> float | None:
    """Read the limit of a side file's distance; None where there is none, or it is not edgetune's own."""
    if distance is None:
        return None
    try:
        return Novelty.from_bytes(distance, spec.channels, spec.length, classes).limit
    except BundleError:
        return None


def _spread(windows: int) -> NDArray[np.int64]:
    return np.linspace(0, windows - 1, min(windows, MAX_CALIBRATION_WINDOWS)).astype(np.int64)


MAX_CALIBRATION_WINDOWS: Final = 256
