"""Writing a bundle: a folder with both ONNX files, the card and the report, put in place as a whole."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.bundle.files import CARD, MODEL_FILES, REPORT, UNNAMED, digest, named, write_folder
from edgetune_nas.bundle.scores import metrics
from edgetune_nas.card import Measured, ModelCard, Precision
from edgetune_nas.model import describe, plan, shapes
from edgetune_nas.onnx_io import Classifier, measure, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Budget, InputSpec, Metrics, SearchSummary, Task
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
    measured: Network | None = None,
    adapt_measured: Adapt | None = None,
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
    measured, adapt_measured
        Network of the same layers that the metrics are measured on, where ``network`` has learned the test windows.

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

    takes, gives = network.input_shape, shapes(network.input_shape, network.layers)[-1][0]
    if takes != (input_spec.channels, input_spec.length) or gives != len(classes):
        raise ValueError(
            f"the network takes {takes} and gives {gives} classes; the card would say "
            f"{(input_spec.channels, input_spec.length)} and {len(classes)}"
        )
    if not len(calibration) or not len(validation):
        raise ValueError(f"{len(calibration)} calibration and {len(validation)} validation windows; give some of each")
    model = write_onnx(network)
    picked = np.linspace(0, len(calibration) - 1, min(len(calibration), MAX_CALIBRATION_WINDOWS)).astype(int)
    quantised, note = quantise(model, calibration[picked], adapt)
    models: dict[Precision, bytes] = {"float": model.SerializeToString(), "int8": quantised.SerializeToString()}
    classifiers = {precision: Classifier(open_session(data)) for precision, data in models.items()}
    guesses = {precision: each.probabilities(validation).argmax(axis=1) for precision, each in classifiers.items()}
    agreement = float((guesses["float"] == guesses["int8"]).mean())
    cost = {precision: measure(data, validation) for precision, data in models.items()}
    deployed, because = choose_precision(agreement, len(validation), cost)
    tested = classifiers[deployed]
    if measured is not None:
        before = write_onnx(measured)
        if deployed == "int8":
            before, _ = quantise(before, calibration[picked], adapt_measured)
        tested = Classifier(open_session(before.SerializeToString()))
    files = {MODEL_FILES[precision]: data for precision, data in models.items()} | dict(extra or {})
    card = ModelCard(
        id=UNNAMED,
        created=created,
        task=task,
        classes=list(classes),
        input=input_spec,
        layers=[describe(layer) for layer in network.layers],
        cost=plan(network.input_shape, network.layers, precision_deployed=deployed),
        measured=cost,
        deployed=deployed,
        deployed_because=because,
        metrics=metrics(tested.probabilities(test_x), test_label, classes, test_condition, conditions),
        replaced=replaced,
        budget=budget,
        search=search,
        data_fingerprint=data_fingerprint,
        sha256={name: digest(data) for name, data in files.items()},
        versions=versions(),
        notes={**(notes or {}), "int8": asdict(note)},
    )
    card = named(card, folder)
    files[REPORT] = (report if isinstance(report, str) else report(card)).encode()
    card = card.model_copy(update={"sha256": {name: digest(data) for name, data in files.items()}})
    files[CARD] = card.model_dump_json(indent=2).encode()
    write_folder(folder, f"model-{card.id}", files)
    return card


def choose_precision(agreement: float, windows: int, measured: Mapping[Precision, Measured]) -> tuple[Precision, str]:
    """Precision to deploy, and why: int8 where it says what float says and is no slower, else float."""
    share = f"int8 gives float's label on {agreement:.1%} of {windows} validation windows"
    int8, full = measured["int8"].latency_p50_us, measured["float"].latency_p50_us
    times = f"{int8:g} us a window against {full:g} us in float"
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


MAX_CALIBRATION_WINDOWS: Final = 256
