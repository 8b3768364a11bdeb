"""Networks that cover every layer, and the tools that their C needs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bundles import write_network

from edgetune_nas.card import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.model.layers import Layer, Network, Shape


@pytest.fixture(scope="session")
def host_compiler() -> str:
    """Return the path of gcc; a test that needs it is skipped where it is absent."""
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("gcc is not here (apt install gcc libc6-dev)")
    return found


@pytest.fixture(scope="session")
def cpp_compiler() -> str:
    """Return the path of g++; a test that needs it is skipped where it is absent."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("g++ is not here (apt install g++)")
    return found


@pytest.fixture(scope="session")
def emulator() -> str:
    """Return the path of qemu; a test that needs it or the cross compiler is skipped where one is absent."""
    for tool, package in (
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
    ):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here (apt install {package})")
    return str(shutil.which("qemu-system-arm"))


@pytest.fixture
def write_bundle_of(make_network: Callable[..., Network], tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle of a network with random weights: ``(shape, layers, seed)``."""

    def write(shape: Shape, layers: tuple[Layer, ...], seed: int = 0, *, loud: float = 1.0) -> Path:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(48, *shape)) * loud * np.exp(rng.normal(size=(48, 1, 1)))
        network = make_network(shape, layers, seed)
        spec = InputSpec(channels=shape[0], length=shape[1], rate_hz=1000.0, unit="g")
        outputs = next(layer.outputs for layer in reversed(layers) if hasattr(layer, "outputs"))
        kinds = next((layer.kinds for layer in layers if hasattr(layer, "kinds")), None)
        count = outputs if kinds is None else len(kinds)
        card = write_network(
            tmp_path / "bundles",
            network,
            x.astype(np.float32),
            classes=[f"class {index}" for index in range(count)],
            input_spec=spec,
        )
        return tmp_path / "bundles" / f"model-{card.id}"

    return write
