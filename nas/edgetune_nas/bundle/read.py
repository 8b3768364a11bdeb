"""Model bundles: a network exported with its card, verified when it is loaded, and evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from edgetune_nas.bundle.files import CARD, MEASURED, MODEL_FILES, read_file, read_verified
from edgetune_nas.card import FORMAT, ModelCard, Precision
from edgetune_nas.errors import BundleError
from edgetune_nas.novelty import NOVELTY, Novelty
from edgetune_nas.onnx_io import ClassDistance, Classifier, HealthDistance, check_network, open_session, outputs

if TYPE_CHECKING:
    from pathlib import Path

    from onnxruntime import InferenceSession


MAX_CARD_BYTES: Final = 4 * 2**20
MAX_CLASS_NAME: Final = 200
FIRST_YEAR, LAST_YEAR = 1970, 2200


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
        Precision that ``network`` runs.
    network
        What runs: class probabilities, or a health model's distance.
    novelty
        Tells windows that are unlike everything known; None where the bundle has nothing to tell them by. Of a health
        model it is the network; of one whose float graph has distances, `ClassDistance`, and None in int8.
    """

    card: ModelCard
    path: Path
    precision: Precision
    network: Classifier | HealthDistance
    novelty: Novelty | HealthDistance | ClassDistance | None = None

    @property
    def classifier(self) -> Classifier:
        """Class probabilities of raw windows, in the order of ``card.classes``; `BundleError` of a health model."""
        if isinstance(self.network, HealthDistance):
            raise BundleError(f"{self.path.name} is a health model: it gives a distance from health, and no classes")
        return self.network

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
        When the bundle is missing, damaged or of a newer format, or lacks that precision. Also when a network is not
        the card's, or has what edgetune does not write (`edgetune_nas.onnx_io.validate`).
    """
    card = read_card(folder)
    if card.kind == "health" and (card.outputs, card.distance, card.distance_limit is None) != (1, "graph", False):
        raise BundleError(
            f"{folder / CARD} is no card of a health model: it needs one class and a limit of the distance"
        )
    chosen = card.deployed if precision == "deployed" else precision
    sizes = {MODEL_FILES[each]: measured.onnx_bytes for each, measured in card.measured.items()}
    files = read_verified(folder, card.sha256, sizes)
    for name in {MEASURED, *MODEL_FILES.values()} & files.keys():
        own = {"measured": name == MEASURED, "distances": name == MODEL_FILES["float"]}
        check_network(files[name], card, str(folder / name), **own)
    model = files.get(MODEL_FILES[chosen])
    if model is None:
        raise BundleError(f"{folder.name} has no {chosen} network; it has {', '.join(files) or 'none'}")
    try:
        session = open_session(model)
        network = _network(session, card)
        silence = np.zeros((1, card.input.channels, card.input.length), np.float32)
        tried = outputs(session, silence)
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise BundleError(f"onnxruntime cannot run {folder / MODEL_FILES[chosen]}: {error}") from error
    for name, values in tried.items():
        if not np.isfinite(values).all():
            raise BundleError(f"{folder / MODEL_FILES[chosen]} gives {name} that are not finite; restore the bundle")
    if isinstance(network, HealthDistance):
        return Bundle(card, folder, chosen, network, network)
    if card.distance_rows is not None and chosen == "float":
        in_graph = ClassDistance(session, network, card.distance_rows, card.distance_limit or 0.0)
        return Bundle(card, folder, chosen, network, in_graph)
    distance = files.get(NOVELTY)
    shape = (card.input.channels, card.input.length, len(card.classes))
    novelty = None if distance is None else Novelty.from_bytes(distance, *shape)
    return Bundle(card, folder, chosen, network, novelty)


def _network(session: InferenceSession, card: ModelCard) -> Classifier | HealthDistance:
    if card.kind == "classes":
        return Classifier(session, card.rows)
    return HealthDistance(session, card.distance_limit or 0.0)


def measured_classifier(bundle: Bundle) -> Classifier:
    """Open the network that the card's figures come from: ``model.measured.onnx`` where there is one.

    It has not learned what it was measured on, so that a later network can be compared with it on such recordings.

    Raises
    ------
    BundleError
        When the file has been damaged since the bundle was loaded, or onnxruntime cannot run it.
    """
    card = bundle.card
    if MEASURED not in card.sha256:
        return bundle.classifier
    data = read_verified(bundle.path, {MEASURED: card.sha256[MEASURED]}, {})[MEASURED]
    try:
        return Classifier(open_session(data), card.rows if card.measured_rows is None else card.measured_rows)
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise BundleError(f"onnxruntime cannot run {bundle.path / MEASURED}: {error}") from error
