"""Fixtures that every component's tests share."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from durations import Durations
from hypothesis import HealthCheck, settings

from edgetune_nas.bundle.files import MODEL_FILES, digest
from edgetune_nas.bundle.write import write_bundle
from edgetune_nas.card import Budget, InputSpec, SearchSummary
from edgetune_nas.model.layers import Dense, Flatten, LpPool, Network, Softmax

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # no test fails by the clock
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background; the processes of tests would too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # xdist's workers report to the one process that prints
        config.pluginmanager.register(Durations())


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """The folder of real recordings; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("EDGETUNE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder} (set EDGETUNE_DATA to their folder)")
    return folder


@pytest.fixture
def write_tiny_bundle() -> Callable[..., Path]:
    """Writes a real bundle of an untrained network; its classes, input and seed are the caller's."""

    def write(
        folder: Path,
        *,
        classes: tuple[str, ...] = ("normal", "inner"),
        channels: int = 1,
        length: int = 64,
        rate_hz: float = 1000.0,
        unit: str = "g",
        seed: int = 0,
        favourite: int | None = None,
    ) -> Path:
        random = np.random.default_rng(seed)
        bias = np.zeros(len(classes), np.float32)
        if favourite is not None:
            bias[favourite] = 20.0
        network = Network(
            input_shape=(channels, length),
            layers=(LpPool(kernel=8, stride=8), Flatten(), Dense(len(classes)), Softmax()),
            weights=(
                {},
                {},
                {
                    "weight": random.normal(0, 0.1, (len(classes), channels * length // 8)).astype(np.float32),
                    "bias": bias,
                },
                {},
            ),
        )
        windows = random.normal(0, 1, (32, channels, length)).astype(np.float32)
        label = np.arange(32) % len(classes)
        card = write_bundle(
            folder,
            task="fault",
            classes=classes,
            input_spec=InputSpec(channels=channels, length=length, rate_hz=rate_hz, unit=unit),
            network=network,
            calibration=windows,
            validation=windows,
            test_x=windows,
            test_label=label,
            budget=Budget(),
            search=SearchSummary(
                seed=seed,
                candidates=1,
                rejected=0,
                trained=0,
                seconds=0.1,
                cpu_seconds=0.1,
                peak_rss_bytes=1,
                stopped_by="converged",
                validation_accuracy=1.0,
            ),
            data_fingerprint="none",
            report="<p>none</p>",
            created=datetime.now(UTC),
        )
        return folder / f"model-{card.id}"

    return write


@pytest.fixture
def put_foreign_network() -> Callable[[Path], None]:
    """Gives a bundle networks with an operation that edgetune does not write, and a card that agrees with them."""

    def put(bundle: Path) -> None:
        card = json.loads((bundle / "card.json").read_bytes())
        for precision, name in MODEL_FILES.items():
            model = onnx.load(bundle / name)
            last = model.graph.node.pop()
            model.graph.node.append(onnx.helper.make_node("Identity", [last.input[0]], ["extra"], name="extra"))
            last.input[0] = "extra"
            model.graph.node.append(last)
            data = model.SerializeToString()
            (bundle / name).write_bytes(data)
            card["sha256"][name] = digest(data)
            card["measured"][precision]["onnx_bytes"] = len(data)
        (bundle / "card.json").write_text(json.dumps(card))

    return put
