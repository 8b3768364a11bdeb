"""Fixtures that every component's tests share."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from bundles import write_tiny
from durations import Durations
from hypothesis import HealthCheck, settings

from edgetune_nas.bundle.files import MODEL_FILES, digest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # no test fails by the clock
# what a script's background or nohup ignores, the processes of tests would too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # xdist's workers report to the one process that prints
        config.pluginmanager.register(Durations())


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what lives as long as the run is not looked through again and again


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """The folder of real recordings; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("EDGETUNE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder} (set EDGETUNE_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def tiny_bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Bundles that are written once; what asks for one does not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    return cache(lambda number, **options: write_tiny(folder / str(number), **options))


@pytest.fixture
def write_tiny_bundle(tiny_bundles: Callable[..., Path]) -> Callable[..., Path]:
    """Puts a real bundle of an untrained network into a folder: ``write_tiny``, and another one at every call."""
    calls = count()

    def put(folder: Path, **options: Any) -> Path:
        made = tiny_bundles(next(calls), **options)
        return Path(shutil.copytree(made, folder / made.name))

    return put


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
