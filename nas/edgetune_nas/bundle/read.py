"""Model bundles: a network exported with its card, verified when it is loaded, and evaluated."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from edgetune_nas.bundle.files import digest, read_file, read_verified, write_folder
from edgetune_nas.bundle.scores import check_indices, confusion, macro_f1, metrics
from edgetune_nas.card import FORMAT, Measured, ModelCard, Precision
from edgetune_nas.errors import BundleError
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import describe, shapes
from edgetune_nas.novelty.detector import NOVELTY, Novelty
from edgetune_nas.onnx_io.runtime import Classifier, latency_us, measure, open_session
from edgetune_nas.onnx_io.validate import check_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Budget, InputSpec, Metrics, SearchSummary, Task
    from edgetune_nas.model.layers import Network
    from edgetune_nas.onnx_io.quantisation import Adapt

CARD: Final = "card.json"
REPORT: Final = "report.html"
MODEL_FILES: Final[dict[Precision, str]] = {"float": "model.onnx", "int8": "model.int8.onnx"}
MAX_CARD_BYTES: Final = 4 * 2**20
MAX_CLASS_NAME: Final = 200
UNNAMED: Final = "unnamed"
ID_DIGITS: Final = 8
"""Hexadecimal digits of an id that tell bundles of one second apart."""
FIRST_YEAR, LAST_YEAR = 1970, 2200
MAX_CALIBRATION_WINDOWS: Final = 256
MIN_AGREEMENT: Final = 0.995


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle, ready to classify.

    Attributes
    ----------
    card
        What the bundle says about itself.
    path
        Its folder.
    precision
        Precision that ``classifier`` runs.
    classifier
        Class probabilities of raw windows, in the order of ``card.classes``.
    novelty
        Tells windows that are unlike everything known; None where the bundle has nothing to tell them by.
    """

    card: ModelCard
    path: Path
    precision: Precision
    classifier: Classifier
    novelty: Novelty | None = None

    def check_fits(self, *, channels: int, length: int, rate_hz: float, unit: str) -> None:
        """Raise `BundleError` naming every way in which windows so shaped do not fit the model."""
        wanted = self.card.input
        found = {"channels": channels, "length": length, "rate_hz": rate_hz, "unit": unit}
        wrong = [
            f"{name} is {value}, the model takes {getattr(wanted, name)}"
            for name, value in found.items()
            if value != getattr(wanted, name)
        ]
        if wrong:
            raise BundleError(f"{self.path.name} does not fit these windows: {'; '.join(wrong)}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a bundle does on windows it is given; ``confusion`` has true classes in rows, named by ``classes``.

    ``unknown`` has the windows of each class that a node would call unknown, ``unknown_rate`` is their share of all.
    """

    accuracy: float
    macro_f1: float
    windows: int
    unknown_rate: float
    unknown: list[int]
    confusion: list[list[int]]
    classes: list[str]
    precision_used: Precision
    latency_p50_us: float
    latency_p99_us: float


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

    Raises
    ------
    BundleError
        When the files cannot be written (disk full, no permission); nothing is left behind.
    ValueError
        When network, classes and input do not fit one another, or there are no windows to calibrate or validate on.
    DataError
        When the test windows do not fit.
    """
    from edgetune_nas.onnx_io.quantisation import quantise
    from edgetune_nas.onnx_io.writer import write_onnx

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
    measured = {precision: measure(data, validation) for precision, data in models.items()}
    deployed, because = choose_precision(agreement, len(validation), measured)
    files = {MODEL_FILES[precision]: data for precision, data in models.items()} | dict(extra or {})
    card = ModelCard(
        id=UNNAMED,
        created=created,
        task=task,
        classes=list(classes),
        input=input_spec,
        layers=[describe(layer) for layer in network.layers],
        cost=plan(network.input_shape, network.layers, precision_deployed=deployed),
        measured=measured,
        deployed=deployed,
        deployed_because=because,
        metrics=metrics(classifiers[deployed].probabilities(test_x), test_label, classes, test_condition, conditions),
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


def read_card(folder: Path) -> ModelCard:
    """Card of the bundle in ``folder``; `BundleError` when it is missing, damaged or of a newer format."""
    data = read_file(folder, CARD, MAX_CARD_BYTES)
    try:
        content = from_json(data)
    except ValueError as error:
        raise BundleError(f"{folder / CARD} is not JSON ({error}); restore the bundle or search again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(
            f"{folder.name} has format {found}, this edgetune reads up to {FORMAT}; upgrade edgetune to use it"
        )
    try:
        card = ModelCard.model_validate_json(data)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'card'}: {each['msg']}" for each in error.errors())
        raise BundleError(f"{folder / CARD} is no model card: {wrong}") from error
    if not FIRST_YEAR <= card.created.year <= LAST_YEAR:
        raise BundleError(f"{folder / CARD} is no model card: created: the year {card.created.year}")
    for name in card.classes:
        if not name or len(name) > MAX_CLASS_NAME or not name.isprintable():
            raise BundleError(f"{folder / CARD} is no model card: classes: {name[:MAX_CLASS_NAME]!r} can be no name")
    return card


def load_bundle(folder: Path, precision: Precision | Literal["deployed"] = "deployed") -> Bundle:
    """Verify every file of the bundle in ``folder``, check its networks before onnxruntime sees one, open and try it.

    Raises
    ------
    BundleError
        When the bundle is missing, damaged or of a newer format, lacks that precision, or a network has what edgetune
        does not write, or is not the card's (`edgetune_nas.onnx_io.validate`).
    """
    card = read_card(folder)
    chosen = card.deployed if precision == "deployed" else precision
    sizes = {MODEL_FILES[each]: measured.onnx_bytes for each, measured in card.measured.items()}
    files = read_verified(folder, card.sha256, sizes)
    for name in set(MODEL_FILES.values()) & files.keys():
        check_network(files[name], card, str(folder / name))
    model = files.get(MODEL_FILES[chosen])
    if model is None:
        raise BundleError(f"{folder.name} has no {chosen} network; it has {', '.join(files) or 'none'}")
    try:
        classifier = Classifier(open_session(model))
        tried = classifier.probabilities(np.zeros((1, card.input.channels, card.input.length), np.float32))
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise BundleError(f"onnxruntime cannot run {folder / MODEL_FILES[chosen]}: {error}") from error
    if not np.isfinite(tried).all():
        raise BundleError(f"{folder / MODEL_FILES[chosen]} gives probabilities that are not finite; restore the bundle")
    distance = files.get(NOVELTY)
    shape = (card.input.channels, card.input.length, len(card.classes))
    novelty = None if distance is None else Novelty.from_bytes(distance, *shape)
    return Bundle(card, folder, chosen, classifier, novelty)


def evaluate(bundle: Bundle, x: NDArray[np.float32], label: NDArray[np.integer], classes: Sequence[str]) -> Evaluation:
    """Score a bundle on labelled windows, by argmax over all of them; classes are matched by name.

    A window of a class that the model does not know counts as wrong. ``macro_f1`` is over the classes that occur. The
    distance to the training data alters neither; it is in ``unknown`` (0 of a bundle that has none); of signs
    a node takes the median distance of a gesture's windows.

    Parameters
    ----------
    x
        ``float32 (windows, channels, length)``.
    label
        ``(windows,)``, index into ``classes``.

    Raises
    ------
    BundleError
        When there is no window, or their shape is not the model's.
    DataError
        When the labels do not fit windows and classes.
    """
    spec = bundle.card.input
    if x.shape[1:] != (spec.channels, spec.length) or not len(x):
        raise BundleError(
            f"{bundle.path.name} takes windows of {spec.channels} channels and {spec.length} samples, at least one; "
            f"these have shape {x.shape}"
        )
    check_indices("label", label, len(x), len(classes))
    names = [*bundle.card.classes, *(name for name in dict.fromkeys(classes) if name not in bundle.card.classes)]
    truth = np.array([names.index(name) for name in classes])[label]
    guess = bundle.classifier.probabilities(x).argmax(axis=1)
    matrix = confusion(truth, guess, len(names))
    unknown = np.zeros(len(x), bool)
    if bundle.novelty is not None:
        unknown = bundle.novelty.unknown(x, guess)
    p50, p99 = latency_us(bundle.classifier, x[:MAX_CALIBRATION_WINDOWS])
    return Evaluation(
        accuracy=float((guess == truth).mean()),
        macro_f1=macro_f1(matrix),
        windows=len(x),
        unknown_rate=float(unknown.mean()),
        unknown=np.bincount(truth[unknown], minlength=len(names)).tolist(),
        confusion=matrix.tolist(),
        classes=names,
        precision_used=bundle.precision,
        latency_p50_us=p50,
        latency_p99_us=p99,
    )


def named(card: ModelCard, folder: Path) -> ModelCard:
    """Return ``card`` with the id of a new bundle in ``folder``: sortable by time, told apart by the whole card.

    Two bundles of the same networks and second differ in what was measured; so do their ids, wherever they are written.
    """
    content = card.model_copy(update={"id": UNNAMED}).model_dump_json().encode()
    for salt in count():
        name = f"{card.created.astimezone(UTC):%Y%m%dt%H%M%S}-{digest(content + bytes(salt))[:ID_DIGITS]}"
        if not (folder / f"model-{name}").exists():
            return card.model_copy(update={"id": name})
    raise AssertionError("count ended")


def versions() -> dict[str, str]:
    """Versions of what a bundle is made with, for its card."""
    packages = ["edgetune", "numpy", "onnx", "onnxruntime", *(["torch"] if "torch" in sys.modules else [])]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{package: version(package) for package in packages},
    }
