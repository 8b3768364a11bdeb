"""Real bundles of untrained networks, and what a card says of a search that was none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.bundle.write import write_bundle
from edgetune_nas.card import Budget, InputSpec, Metrics, ModelCard, SearchSummary
from edgetune_nas.model.cost import plan
from edgetune_nas.model.frontend import frontend_weights, split_frontend
from edgetune_nas.model.layers import Conv, Dense, Flatten, LpPool, Network, Softmax, output_shape, shapes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Layer, Shape


def search_summary(**changes: Any) -> SearchSummary:
    """Return what a card says of a search of one candidate."""
    values: dict[str, Any] = {
        "seed": 1,
        "candidates": 1,
        "rejected": 0,
        "trained": 0,
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_rss_bytes": 1,
        "stopped_by": "converged",
        "validation_accuracy": 1.0,
    }
    return SearchSummary(**{**values, **changes})


def card_of(network: Network) -> ModelCard:
    """Return a card that a network is checked against; its figures are made up."""
    channels, length = network.input_shape
    classes = shapes(network.input_shape, network.layers)[-1][0]
    measured = {"ort_peak_bytes": 1, "session_rss_bytes": 1, "latency_p50_us": 1, "latency_p99_us": 1, "onnx_bytes": 1}
    metrics = Metrics(
        accuracy=1,
        accuracy_low=1,
        accuracy_high=1,
        macro_f1=1,
        calibration_error=0,
        windows=1,
        confusion=[[1]],
    )
    return ModelCard.model_validate(
        {
            "id": "20260301t101500-0000",
            "created": "2026-03-01T10:15:00Z",
            "task": "fault",
            "classes": [f"class {index}" for index in range(classes)],
            "input": InputSpec(channels=channels, length=length, rate_hz=1, unit="g"),
            "layers": [],
            "cost": plan(network.input_shape, network.layers),
            "measured": {"float": measured},
            "deployed": "float",
            "deployed_because": "test",
            "metrics": metrics,
            "budget": Budget(),
            "search": search_summary(),
            "data_fingerprint": "",
            "sha256": {},
            "versions": {},
        }
    )


def write_network(folder: Path, network: Network, windows: NDArray[np.float32], **changes: Any) -> ModelCard:
    """Write a bundle of the network, which calibrates, validates and tests it on the same windows."""
    channels, length = network.input_shape
    options: dict[str, Any] = {
        "task": "fault",
        "input_spec": InputSpec(channels=channels, length=length, rate_hz=1000.0, unit="g"),
        "network": network,
        "calibration": windows,
        "validation": windows,
        "test_x": windows,
        "budget": Budget(),
        "search": search_summary(),
        "data_fingerprint": "none",
        "report": "<p>none</p>",
        "created": datetime.now(UTC),
        **changes,
    }
    options.setdefault("test_label", np.arange(len(windows)) % len(options["classes"]))
    return write_bundle(folder, **options)


def write_tiny(
    folder: Path,
    *,
    classes: tuple[str, ...] = ("normal", "inner"),
    channels: int = 1,
    length: int = 64,
    rate_hz: float = 1000.0,
    unit: str = "g",
    seed: int = 0,
    favourite: int | None = None,
    task: str = "fault",
) -> Path:
    """Write a bundle of a network of random weights, which calls everything its favourite class, if it has one."""
    random = np.random.default_rng(seed)
    bias = np.zeros(len(classes), np.float32)
    if favourite is not None:
        bias[favourite] = 20.0
    weight = random.normal(0, 0.1, (len(classes), channels * length // 8)).astype(np.float32)
    network = Network(
        input_shape=(channels, length),
        layers=(LpPool(kernel=8, stride=8), Flatten(), Dense(len(classes)), Softmax()),
        weights=({}, {}, {"weight": weight, "bias": bias}, {}),
    )
    windows = random.normal(0, 1, (32, channels, length)).astype(np.float32)
    card = write_network(
        folder,
        network,
        windows,
        task=task,
        classes=classes,
        input_spec=InputSpec(channels=channels, length=length, rate_hz=rate_hz, unit=unit),
        search=search_summary(seed=seed),
    )
    return folder / f"model-{card.id}"


def write_random(folder: Path, shape: Shape, layers: tuple[Layer, ...]) -> tuple[Path, NDArray[np.float32]]:
    """Write a bundle of a network with random weights; return its folder, and the windows that it was quantised on."""
    rng = np.random.default_rng(0)
    frontend, rest = split_frontend(layers)
    weights = list(frontend_weights(frontend))
    before = shape
    for layer in layers:
        inputs, before = before[0], output_shape(layer, before)
        if layer in rest and len(weights) < len(layers):
            own = {}
            if isinstance(layer, Conv | Dense):
                taps = (inputs // layer.groups, layer.kernel) if isinstance(layer, Conv) else (inputs,)
                own["weight"] = (rng.normal(size=(before[0], *taps)) * np.prod(taps) ** -0.5).astype(np.float32)
                own["bias"] = rng.normal(size=before[0]).astype(np.float32)
            weights.append(own)
    x = (rng.normal(size=(64, *shape)) * np.exp(rng.normal(size=(64, 1, 1)))).astype(np.float32)
    classes = [f"class {index}" for index in range(before[0])]
    card = write_network(folder, Network(shape, layers, tuple(weights)), x, classes=classes)
    return folder / f"model-{card.id}", x
