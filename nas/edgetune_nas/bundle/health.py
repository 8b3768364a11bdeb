"""Writing the bundle of a health model: its graph gives a distance, and its card no accuracy but false alarms."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.bundle.files import MODEL_FILES, UNNAMED, digest
from edgetune_nas.bundle.learned import LEARNED, SELF_TEST, pack_learned, pack_self_test, pick_self_test
from edgetune_nas.bundle.report import render
from edgetune_nas.bundle.scores import interval
from edgetune_nas.bundle.write import MAX_CALIBRATION_WINDOWS, finish, versions
from edgetune_nas.card import Metrics, ModelCard
from edgetune_nas.model import card_cost, describe
from edgetune_nas.onnx_io import DISTANCE, HealthDistance, measure, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Budget, InputSpec, Precision, SearchSummary, TestedOn
    from edgetune_nas.model import Network
    from edgetune_nas.onnx_io import Adapt
    from edgetune_signal.datasets import Dataset


def write_health_bundle(
    folder: Path,
    *,
    network: Network,
    adapt: Adapt,
    changed: NDArray[np.float32],
    limit: float,
    known: Dataset,
    recording: NDArray[np.integer] | None,
    input_spec: InputSpec,
    metrics: Metrics,
    tested_on: TestedOn,
    budget: Budget,
    search: SearchSummary,
    data_fingerprint: str,
    created: datetime,
    notes: Mapping[str, Any],
) -> ModelCard:
    """Export a health model as ``folder/model-<id>/``.

    Parameters
    ----------
    network
        Ends in a norm.
    adapt
        Gives, for a quantised model, a float model whose dense layer suits its rounding.
    changed
        Windows with imitated changes ``(windows, channels, length)``: int8 has ranges for these, too.
    limit
        Distance beyond which a window is unlike health.
    known, recording
        Healthy windows that it has learned, of one class, and the number of each one's recording.
    metrics
        From `health_metrics`.

    Raises
    ------
    BundleError
        When the files cannot be written; nothing is left behind.
    """
    from edgetune_nas.onnx_io import quantise, write_onnx

    model = write_onnx(network)
    spread = np.linspace(0, len(known) - 1, min(len(known), MAX_CALIBRATION_WINDOWS)).astype(np.int64)
    calibration = np.concatenate([known.x[spread], changed])
    quantised, note = quantise(model, calibration, adapt, limit=limit)
    models: dict[Precision, bytes] = {"float": model.SerializeToString(), "int8": quantised.SerializeToString()}
    tried = pick_self_test(known.x)
    said = HealthDistance(open_session(models["float"]), limit).distances(tried)
    learned, remembered = pack_learned(known.x, recording)
    files = {MODEL_FILES[precision]: data for precision, data in models.items()} | {
        SELF_TEST: pack_self_test(tried, said[:, None].astype(np.float32), DISTANCE),
        LEARNED: learned,
    }
    card = ModelCard(
        id=UNNAMED,
        created=created,
        task="fault",
        kind="health",
        classes=list(known.classes),
        input=input_spec,
        layers=[describe(layer) for layer in network.layers],
        cost=card_cost(network.input_shape, network.layers, precision_deployed="float"),
        measured={precision: measure(data, tried, health=True) for precision, data in models.items()},
        deployed="float",
        deployed_because=(
            f"the figures are those of float; int8 says what float says on {note.agreement:.1%} of {len(calibration)} "
            "windows, of health and of imitated changes"
        ),
        metrics=metrics,
        budget=budget,
        search=search,
        data_fingerprint=data_fingerprint,
        sha256={name: digest(data) for name, data in files.items()},
        versions=versions(),
        notes={**notes, "int8": asdict(note)},
        distance="graph",
        distance_limit=limit,
        tested_on=tested_on,
        learned=remembered,
        self_test_windows=len(tried),
    )
    return finish(folder, card, files, lambda card: render(card, (), ()))


def health_metrics(
    over: NDArray[np.bool_], recording: NDArray[np.integer] | None, seconds: float, supported_per_month: float
) -> Metrics:
    """Return the figures of a health model.

    Parameters
    ----------
    over, recording
        Whether each held-out healthy window is over the limit ``(windows,)``, and the number of its recording.
    seconds
        Healthy time heard.
    supported_per_month
        Most false alarms a month that this time leaves possible.
    """
    low, high = interval(over, recording)
    return Metrics(
        accuracy=None,
        accuracy_low=None,
        accuracy_high=None,
        macro_f1=None,
        calibration_error=None,
        windows=len(over),
        confusion=[],
        recordings=None if recording is None else len(np.unique(recording)),
        false_alarms=float(over.mean()),
        false_alarms_low=low,
        false_alarms_high=high,
        healthy_seconds=round(seconds, 3),
        supported_per_month=float(f"{supported_per_month:.3g}"),
    )
