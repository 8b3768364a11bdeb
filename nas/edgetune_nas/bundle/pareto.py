"""Pareto front kept in a bundle: the files and figures of its points, any of which can be exported later.

Networks are stored, not retrained from their genotypes: a node that holds the bundle may no longer hold the data.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from edgetune_nas.bundle.files import CARD, MODEL_FILES, REPORT, digest, named, read_verified, write_folder
from edgetune_nas.bundle.learned import LEARNED
from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.bundle.write import choose_precision, cost_of, versions
from edgetune_nas.card import FORMAT, Cost, FrontNetwork, Metrics, ModelCard, Precision
from edgetune_nas.errors import BundleError
from edgetune_nas.novelty import NOVELTY, Novelty
from edgetune_nas.onnx_io import Classifier, check_network, measure, open_session
from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings import open_npz

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from edgetune_nas.model import Network
    from edgetune_nas.onnx_io import Adapt
    from edgetune_signal.datasets import Dataset

FRONT: Final = "front.npz"
CALIBRATION_WINDOWS: Final = 256
MEASURED_WINDOWS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class KeptPoint:
    """A point of the Pareto front with its network.

    ``measured`` is the one that test scores are of, where ``network`` has learned the test windows.
    """

    network: Network
    validation_accuracy: float
    trained: bool
    rows: tuple[int, ...] | None = None
    measured: Network | None = None


class _Point(BaseModel):
    """A stored point of the Pareto front: what is known without running it, in each precision."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layers: list[str]
    cost: dict[Precision, Cost]
    metrics: dict[Precision, Metrics]
    validation_accuracy: float
    trained: bool
    variant: str
    agreement: float
    validation_windows: int
    rows: list[int] | None = None
    distance_rows: list[int] | None = None
    distance_limit: float | None = None
    distance_bytes: int | None = None

    @model_validator(mode="after")
    def _both(self) -> _Point:
        if not set(MODEL_FILES) == self.cost.keys() == self.metrics.keys():
            raise ValueError(f"has {', '.join(self.cost)} where it must have {' and '.join(MODEL_FILES)}")
        return self

    @property
    def arena_bytes(self) -> int:
        """Int8 arena, by which points are picked."""
        return self.cost["int8"].arena_bytes


_DISTANCES: Final = ("distance_rows", "distance_limit", "distance_bytes")
_POINTS: Final = TypeAdapter(list[_Point])


def pack(
    points: Iterable[KeptPoint],
    *,
    train: Dataset,
    validation: NDArray[np.float32],
    test: Dataset,
    adapt: Callable[[Network], Adapt | None],
    spare: Callable[[], float],
    novelty: bytes | None = None,
) -> bytes | None:
    """Return the contents of a bundle's ``front.npz``: points in both precisions, scored on the test windows.

    Test scores are stored for the card of a point that is picked later; nothing is chosen by them.

    Parameters
    ----------
    points
        Taken one after the other while there is time; None is returned if there is none for the first.
    validation
        ``float32 (windows, channels, length)`` on which int8 must give float's label to be deployed.
    adapt
        Returns the argument of `edgetune_nas.onnx_io.quantisation.quantise` for a network.
    spare
        Seconds that may still be used; a point is begun only if the slowest before it would fit.
    novelty
        Novelty detector of a point that is picked and whose graph has no distance.
    """
    from edgetune_nas.bundle.scores import metrics
    from edgetune_nas.bundle.tested import recordings_of
    from edgetune_nas.model import describe
    from edgetune_nas.onnx_io import quantise, write_onnx

    picked = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_WINDOWS)).astype(int)
    condition = test.condition if len(np.unique(test.condition)) > 1 else None
    recording = recordings_of(test)
    arrays: dict[str, Any] = {}
    described: list[dict[str, Any]] = []
    before, slowest = spare(), 0.0
    waiting = iter(points)
    while before > slowest and (point := next(waiting, None)) is not None:
        index = len(described)
        network = point.network
        quantised, note = quantise(write_onnx(replace(network, distances=None)), train.x[picked], adapt(network))
        files: dict[Precision, bytes] = {
            "float": write_onnx(network).SerializeToString(),
            "int8": quantised.SerializeToString(),
        }
        run = {precision: Classifier(open_session(data), point.rows) for precision, data in files.items()}
        labels = {precision: each.probabilities(validation).argmax(axis=1) for precision, each in run.items()}
        if point.measured is not None:
            model = write_onnx(point.measured)
            quantised, _ = quantise(model, train.x[picked], adapt(point.measured))
            run = {
                "float": Classifier(open_session(model.SerializeToString()), point.rows),
                "int8": Classifier(open_session(quantised.SerializeToString()), point.rows),
            }
        scores = {
            precision: metrics(
                each.probabilities(test.x), test.label, test.classes, condition, test.conditions, recording
            )
            for precision, each in run.items()
        }
        described.append(
            _Point(
                layers=[describe(layer) for layer in network.layers],
                cost={each: cost_of(network, each) for each in files},
                metrics=scores,
                validation_accuracy=point.validation_accuracy,
                trained=point.trained,
                variant=note.variant,
                agreement=float((labels["float"] == labels["int8"]).mean()),
                validation_windows=len(validation),
                rows=None if point.rows is None else list(point.rows),
                **_distances(network),
            ).model_dump(mode="json")
        )
        arrays |= {f"{index}.{precision}": np.frombuffer(data, np.uint8) for precision, data in files.items()}
        now = spare()
        before, slowest = now, max(slowest, before - now)
    if not described:
        return None
    if novelty is not None:
        arrays[NOVELTY] = np.frombuffer(novelty, np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, points=np.array(json.dumps(described)), **arrays)
    return buffer.getvalue()


def pick(
    bundle: Path, *, out: Path, created: datetime, arena_bytes: int | None = None, number: int | None = None
) -> ModelCard:
    """Export a point of a bundle's Pareto front as a bundle of its own, which keeps the front too.

    Latencies and memory are measured again on this device, and decide which precision is deployed.

    Parameters
    ----------
    bundle
        Folder of the bundle that keeps the Pareto front.
    out
        Folder that the new bundle's folder is made in.
    created
        UTC time for the new card.
    arena_bytes
        The most accurate point within this arena is taken.
    number
        The point with this number in ``card.front`` is taken. Give one of both.

    Raises
    ------
    BundleError
        When the bundle is damaged, keeps no Pareto front, no point is that small or has that number, or ``out`` cannot
        be written.
    """
    from edgetune_nas.bundle.report import render_apart

    whole = load_bundle(bundle)
    base = whole.card
    kept = _read(bundle, base)
    points, models = read_points(kept, bundle / FRONT)
    index = _chosen(points, bundle.name, arena_bytes, number)
    point, files = points[index], models[index]
    for precision, data in files.items():
        said = base.model_copy(
            update={"cost": point.cost[precision], "rows": point.rows, "distance_rows": point.distance_rows}
        )
        check_network(data, said, f"{bundle / FRONT}, {index}.{precision}", distances=precision == "float")
    noise = np.random.default_rng(0).normal(size=(MEASURED_WINDOWS, base.input.channels, base.input.length))
    measured = {precision: measure(data, noise.astype(np.float32)) for precision, data in files.items()}
    deployed, because = choose_precision(
        point.agreement, point.validation_windows, measured, distances=point.distance_rows is not None
    )
    content = {MODEL_FILES[precision]: data for precision, data in files.items()} | {FRONT: kept}
    told: dict[str, Any] = {"distance": "graph", **point.model_dump(include=set(_DISTANCES))}
    if point.distance_rows is None:
        novelty = whole.novelty if isinstance(whole.novelty, Novelty) else _side_file(kept, bundle / FRONT, base)
        told["distance"] = "none"
        if novelty is not None:
            content[NOVELTY] = novelty.to_bytes()
            told |= {"distance": "side_file", "distance_limit": novelty.limit, "distance_bytes": len(content[NOVELTY])}
    if LEARNED in base.sha256:
        content |= read_verified(bundle, {LEARNED: base.sha256[LEARNED]}, {})
    card = base.model_copy(
        update={
            "format": FORMAT,
            "created": created,
            "rows": point.rows,
            "measured_rows": None,
            "measured_before_refit": False,
            "self_test_windows": None,
            **told,
            "layers": point.layers,
            "cost": point.cost[deployed],
            "measured": measured,
            "deployed": deployed,
            "deployed_because": because,
            "metrics": point.metrics[deployed],
            "replaced": None,
            "search": base.search.model_copy(update={"validation_accuracy": point.validation_accuracy}),
            "sha256": {name: digest(data) for name, data in content.items()},
            "versions": versions(),
            "notes": {
                **{name: note for name, note in base.notes.items() if name != "replaced"},
                "int8": {"variant": point.variant, "agreement": point.agreement},
                "picked_from": origin(base),
            },
            "front": _networks(points),
            "front_point": index,
        }
    )
    try:
        ModelCard.model_validate(card.model_dump())
    except ValidationError as error:
        reason = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'card'}: {each['msg']}" for each in error.errors())
        raise BundleError(f"{bundle / FRONT}, network {index}, makes no model card ({reason}); search again") from error
    card = named(card, out)
    content[REPORT] = render_apart(card, ()).encode()
    card = card.model_copy(update={"sha256": {name: digest(data) for name, data in content.items()}})
    content[CARD] = card.model_dump_json(indent=2).encode()
    write_folder(out, f"model-{card.id}", content)
    return card


def _distances(network: Network) -> dict[str, Any]:
    """Return the fields of a point, and of a card, that say which distances its graph gives."""
    found = network.distances
    return {} if found is None else dict(zip(_DISTANCES, (list(found.labels), found.limit, found.nbytes), strict=True))


def _side_file(data: bytes, path: Path, card: ModelCard) -> Novelty | None:
    """Return the novelty detector that a Pareto front keeps; None where it keeps none."""
    try:
        with open_npz(path, data) as npz:
            if NOVELTY not in npz.names:
                return None
            content = npz.array(NOVELTY, max_bytes=len(data)).tobytes()
    except RecordingError as error:
        raise BundleError(f"{path} is no Pareto front that this edgetune reads ({error}); search again") from error
    return Novelty.from_bytes(content, card.input.channels, card.input.length, len(card.classes))


def origin(card: ModelCard) -> str:
    """Return the id of the bundle that a search wrote, of which this one was picked; its own if it was not picked."""
    return str(card.notes.get("picked_from", card.id))


def kept_networks(front: bytes) -> list[FrontNetwork]:
    """Return what a card says of the networks in the contents of ``front.npz``."""
    return _networks(read_points(front, Path(FRONT))[0])


def _networks(points: Iterable[_Point]) -> list[FrontNetwork]:
    return [
        FrontNetwork(
            point=number,
            validation_accuracy=point.validation_accuracy,
            arena_bytes=point.arena_bytes,
            flash_bytes=point.cost["int8"].flash_bytes,
            macs=point.cost["int8"].macs,
            trained=point.trained,
        )
        for number, point in enumerate(points)
    ]


def _chosen(points: list[_Point], name: str, arena_bytes: int | None, number: int | None) -> int:
    """Return the place of the wanted point."""
    if number is not None:
        if number >= len(points):
            raise BundleError(f"{name} keeps no network number {number}; its numbers are 0 to {len(points) - 1}")
        return number
    fitting = [each for each, point in enumerate(points) if arena_bytes is None or point.arena_bytes <= arena_bytes]
    if not fitting:
        arenas = ", ".join(str(arena) for arena in sorted({point.arena_bytes for point in points}))
        raise BundleError(f"{name} keeps no network of at most {arena_bytes} B; it has arenas of {arenas} B")
    return max(fitting, key=lambda each: (points[each].validation_accuracy, -points[each].arena_bytes))


def _read(bundle: Path, card: ModelCard) -> bytes:
    if FRONT not in card.sha256:
        raise BundleError(
            f"{bundle.name} keeps no Pareto front to pick from (a search that was cancelled or ran out of time writes "
            "none); search again with more time"
        )
    return read_verified(bundle, {FRONT: card.sha256[FRONT]}, {})[FRONT]


def read_points(data: bytes, path: Path) -> tuple[list[_Point], list[dict[Precision, bytes]]]:
    """Read the points of a Pareto front and their networks; raise `BundleError` naming ``path`` if it is damaged."""
    try:
        with open_npz(path, data) as npz:
            npz.require("points")
            points = _POINTS.validate_json(str(npz.array("points", max_bytes=len(data))))
            models: list[dict[Precision, bytes]] = [
                {each: npz.array(f"{index}.{each}", max_bytes=len(data)).tobytes() for each in point.cost}
                for index, point in enumerate(points)
            ]
    except (RecordingError, ValueError) as error:
        raise BundleError(f"{path} is no Pareto front that this edgetune reads ({error}); search again") from error
    return points, models
