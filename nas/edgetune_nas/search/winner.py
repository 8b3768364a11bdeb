"""Turns a search's winner into a bundle: test windows, the model it replaces, report, card."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas import library
from edgetune_nas.card import FrontPoint, InputSpec, LibraryUse
from edgetune_nas.errors import BundleError
from edgetune_nas.model import Dense, describe, expand, is_closed_form
from edgetune_nas.novelty import NOVELTY
from edgetune_nas.search.graph_distance import with_distances
from edgetune_nas.usage import give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.bundle import KeptPoint
    from edgetune_nas.card import Budget, Metrics, ModelCard, SearchSummary
    from edgetune_nas.model import Network
    from edgetune_nas.onnx_io import Adapt
    from edgetune_nas.search.engine import Engine
    from edgetune_nas.training import EvaluatedCandidate, Parts, Problem, TaskProfile
    from edgetune_signal.datasets import Dataset


def pareto_points(engine: Engine, problem: Problem) -> tuple[FrontPoint, ...]:
    """Return the Pareto front (accuracy, RAM) of everything that was evaluated, smallest arena first."""
    return tuple(
        FrontPoint(
            scored.candidate.cost.arena_bytes,
            scored.result.accuracy,
            bool(scored.candidate.steps),
            tuple(
                describe(layer)
                for layer in expand(scored.candidate.genotype, problem.input_shape, problem.classes, problem.kinds)
            ),
        )
        for scored in engine.pareto_front
    )


def export(
    measured: EvaluatedCandidate,
    deployed: EvaluatedCandidate,
    parts: Parts,
    *,
    profile: TaskProfile,
    budget: Budget,
    out: Path,
    summary: SearchSummary,
    front: tuple[FrontPoint, ...],
    shifted: NDArray[np.float32] | None,
    replaced: Path | None,
    notes: dict[str, Any],
    left_out: Mapping[str, float],
    kept: Iterable[KeptPoint] = (),
    spare: Callable[[], float] = lambda: math.inf,
    in_graph: bool = True,
) -> ModelCard:
    """Write the bundle, with as many networks of the Pareto front as ``spare()`` seconds allow.

    This is the only place where anything is measured on the test windows. The network ``deployed`` may have learned
    them, and the one ``measured`` has not. Int8 must agree with float on the ``shifted`` windows as well. ``in_graph``:
    the float network also gives the distance to what is known, if the budget holds both.

    Raises
    ------
    BundleError
        When the bundle cannot be written.
    """
    from edgetune_nas.bundle import (
        FRONT,
        classes_in_parts,
        kept_networks,
        kind_of_test,
        pack,
        recordings_of,
        render_apart,
        write_bundle,
    )
    from edgetune_nas.onnx_io import head_for_int8

    train, validation, test, learned = parts.train, parts.validation, parts.test, parts.learned
    metrics, note = (None, None) if replaced is None else _replaced_metrics(replaced, test)
    windows = {"train": len(train), "validation": len(validation), "test": len(test)}
    said = {**notes, "windows": windows, "front": [{**asdict(point), "layers": list(point.layers)} for point in front]}
    if note is not None:
        said["replaced"] = note
    novelty = profile.fit_novelty(parts)
    side_file = None if novelty is None else novelty.to_bytes()
    whole = None
    if novelty is not None and in_graph and profile.distance_in_graph:
        whole = with_distances(deployed.network, parts, budget, novelty)
    extra = {} if side_file is None or whole is not None else {NOVELTY: side_file}
    looked_at = validation.x if shifted is None else np.concatenate([validation.x, shifted])

    def adapt(network: Network) -> Adapt | None:
        refitted = network in (deployed.network, whole) and deployed is not measured
        data = parts.everything if refitted else learned
        return head_for_int8(replace(network, distances=None), data, parts.kind, by_recording=profile.across_conditions)

    told = learned if deployed is measured else parts.everything
    give_back()
    if whole is not None:
        kept = (replace(each, network=whole) if each.network is deployed.network else each for each in kept)
    kept_front = pack(kept, train=train, validation=looked_at, test=test, adapt=adapt, spare=spare, novelty=side_file)
    give_back()
    return write_bundle(
        out,
        task=profile.task,
        classes=train.classes,
        input_spec=InputSpec(channels=train.channels, length=train.length, rate_hz=train.rate_hz, unit=train.unit),
        network=whole or deployed.network,
        measured=None if deployed is measured else measured.network,
        measured_adapt=adapt(measured.network),
        calibration=train.x,
        validation=looked_at,
        test_x=test.x,
        test_label=test.label,
        test_condition=test.condition if len(np.unique(test.condition)) > 1 else None,
        conditions=train.conditions,
        budget=budget,
        search=summary,
        data_fingerprint=parts.fingerprint,
        report=lambda card: render_apart(card, deployed.curve),
        created=datetime.now(UTC),
        replaced=metrics,
        notes=said,
        adapt=adapt(deployed.network),
        extra=extra if kept_front is None else {**extra, FRONT: kept_front},
        test_recording=recordings_of(test),
        tested_on=kind_of_test(parts.learned, test),
        tested_in_parts=classes_in_parts(parts.learned, test),
        left_out=left_out,
        learned=told.x,
        learned_recording=recordings_of(told),
        library=_library_use(deployed.network, told, recordings_of(told)),
        front=() if kept_front is None else kept_networks(kept_front),
    )


def _library_use(network: Network, told: Dataset, recording: NDArray[np.integer] | None) -> LibraryUse | None:
    """Return what the card says of the library among the windows that ``network`` has learned."""
    if told.library is None or not told.library.any():
        return None
    windows = int(told.library.sum())
    recordings = None if recording is None else len(np.unique(recording[told.library]))
    if not is_closed_form(network):
        return LibraryUse(recordings=recordings, windows=windows, role="trained_first", weight=library.STEPS_SHARE)
    features = next(
        weights["weight"].shape[1]
        for layer, weights in zip(network.layers, network.weights, strict=True)
        if isinstance(layer, Dense)
    )
    share = library.spread_share(len(told) - windows, features)
    return LibraryUse(
        recordings=recordings,
        windows=windows,
        role="means_and_spread",
        weight=library.MEAN_SHARE,
        spread_weight=round(1 - share, 3),
    )


def _replaced_metrics(folder: Path, test: Dataset) -> tuple[Metrics | None, str | None]:
    """Metrics of the bundle in use on the same test windows, or why there are none."""
    from edgetune_nas.bundle import load_bundle, measured_classifier, metrics, recordings_of

    try:
        bundle = load_bundle(folder)
        bundle.check_fits(channels=test.channels, length=test.length, rate_hz=test.rate_hz, unit=test.unit)
        classifier = measured_classifier(bundle)
    except BundleError as error:
        return None, f"not compared: {error}"
    known = bundle.card.classes
    names = [*test.classes, *(name for name in known if name not in test.classes)]
    probabilities = np.zeros((len(test), len(names)), np.float32)
    probabilities[:, [names.index(name) for name in known]] = classifier.probabilities(test.x)
    several = len(np.unique(test.condition)) > 1
    condition = test.condition if several else None
    return metrics(probabilities, test.label, names, condition, test.conditions, recordings_of(test)), None
