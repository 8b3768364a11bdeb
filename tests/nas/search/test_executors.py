"""Where candidates are evaluated changes nothing: here, in a pool of processes, on a cluster that loses a worker."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.card import Budget
from edgetune_nas.search.run import SearchResult, search
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from edgetune_nas.search.progress import SearchProgress

CANDIDATES = 28
WORKERS = 2
SEARCH_SECONDS = 3600  # these searches end by their number of candidates, however slow the machine is

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]


def _dataset() -> Dataset:
    """Tones in noise that closed forms do not tell apart for certain."""
    rng = np.random.default_rng(0)
    label = np.arange(160) % 4
    tone = np.sin((0.2 + 0.1 * label[:, None]) * np.arange(256) + rng.uniform(0, 6.28, (160, 1)))
    return Dataset(
        x=(rng.normal(size=(160, 1, 256)) * 1.5 + tone[:, None]).astype(np.float32),
        label=label.astype(np.int64),
        classes=("a", "b", "c", "d"),
        rate_hz=1000.0,
        unit="g",
        group=np.arange(160),
        start=np.full(160, INDEPENDENT),
        condition=np.zeros(160, np.int64),
        conditions=("",),
    )


def _search(out: Path, executor: Executor | None, **options: Any) -> SearchResult:
    return search(
        _dataset(),
        task="fault",
        budget=Budget(ram_bytes=4096, search_seconds=SEARCH_SECONDS),
        out=out,
        seed=5,
        candidates=CANDIDATES,
        executor=executor,
        **options,
    )


def _essence(result: SearchResult) -> tuple[Any, ...]:
    """Return a search's outcome without what was measured.

    The metrics are those of the precision that ran faster, so they may differ; the networks of both may not.
    """
    card = result.card
    files = {name: value for name, value in card.sha256.items() if name != "report.html"}
    assert {"model.onnx", "model.int8.onnx"} <= files.keys()
    assert card.distance == "graph" or "novelty.npz" in files
    return card.layers, card.cost.arena_bytes, files, card.search.validation_accuracy, result.front


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What the search finds in one process: a fresh one, as every search runs in."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        result = alone.submit(
            search,
            _dataset(),
            task="fault",
            budget=Budget(ram_bytes=4096, search_seconds=SEARCH_SECONDS),
            out=tmp_path_factory.mktemp("here"),
            seed=5,
            candidates=CANDIDATES,
        ).result()
    assert result.card.search.trained > 0
    return _essence(result)


@contextmanager
def _cluster() -> Iterator[Any]:
    """Two workers, each a process of its own; what Dask's own libraries deprecate is not this project's to mend."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed (edgetune[cluster])")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                host="127.0.0.1",
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


def test_a_pool_of_processes_finds_the_same(tmp_path: Path, here: tuple[Any, ...]) -> None:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        assert _essence(_search(tmp_path, pool)) == here


def test_a_dask_cluster_finds_the_same(tmp_path: Path, here: tuple[Any, ...]) -> None:
    with _cluster() as client:
        assert len(client.scheduler_info()["workers"]) == WORKERS
        assert _essence(_search(tmp_path, client.get_executor())) == here


def test_a_dask_cluster_that_loses_a_worker_midway_finds_the_same(tmp_path: Path, here: tuple[Any, ...]) -> None:
    with _cluster() as client:
        processes = client.run(os.getpid)
        killed: list[int] = []

        def kill_one(event: SearchProgress) -> None:
            if event.trained and not killed:
                killed.append(min(processes.values()))
                os.kill(killed[0], signal.SIGKILL)

        result = _search(tmp_path, client.get_executor(), on_event=kill_one)
        assert killed
    assert _essence(result) == here
    assert result.card.search.stopped_by == "candidates"
