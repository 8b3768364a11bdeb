"""Searches that run in a fresh process each, as every search of a node does.

What ran in a process before may change the last digits of sums: arrays then lie elsewhere in memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.card import Budget
from edgetune_nas.search.run import SearchResult, search
from edgetune_nas.worker.cluster import Cluster
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from edgetune_nas.search.progress import SearchProgress

CANDIDATES = 28
WORKERS = 2
SEARCH_SECONDS = 3600  # these searches end by their number of candidates, however slow the machine is


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


def _search(out: Path, executor: Executor | None = None, **options: Any) -> SearchResult:
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


@contextmanager
def _cluster() -> Iterator[tuple[Cluster, list[int]]]:
    """Two workers as a search uses them, with their process ids; what Dask deprecates is not ours to mend."""
    import distributed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                host="127.0.0.1",
            ) as started,
            distributed.Client(started) as client,
        ):
            cluster = Cluster(started.scheduler_address, print)
            try:
                yield cluster, list(client.run(os.getpid).values())
            finally:
                cluster.close()


def alone(out: Path) -> SearchResult:
    """Search in one process."""
    return _search(out)


def in_pool(out: Path) -> SearchResult:
    """Search with a pool of processes."""
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        return _search(out, pool)


def in_cluster(out: Path) -> SearchResult:
    """Search with a Dask cluster."""
    with _cluster() as (cluster, workers):
        if len(workers) != WORKERS:
            raise RuntimeError("a worker is missing")
        return _search(out, cluster)


def in_cluster_that_loses_a_worker(out: Path) -> SearchResult:
    """Search with a Dask cluster of which a worker is killed midway."""
    with _cluster() as (cluster, workers):
        killed: list[int] = []

        def kill_one(event: SearchProgress) -> None:
            if event.trained and not killed:
                killed.append(min(workers))
                os.kill(killed[0], signal.SIGKILL)

        result = _search(out, cluster, on_event=kill_one)
        if not killed:
            raise RuntimeError("no worker was killed")
        return result


def in_fresh_process(searching: Callable[[Path], SearchResult], out: Path) -> SearchResult:
    """Run one of the searches above in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(searching, out).result()
