"""The same search with candidates evaluated here, in a process pool, and on a Dask cluster; for the benchmark."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_data import TASKS

from edgetune_nas.card import Budget
from edgetune_nas.search.run import search

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from bench_child import Spec
    from bench_data import Material

CANDIDATES = 36
WORKERS = 2


def compare(spec: Spec, given: Material) -> dict[str, Any]:
    """Search three times; seconds of each, and whether all found the same."""
    found = {}
    for name, opened in (("here", nullcontext()), ("two processes", _pool()), ("two Dask workers", _dask())):
        with opened as executor, tempfile.TemporaryDirectory(prefix="edgetune-bench-") as out:
            began = time.monotonic()
            card = search(
                given.data,
                task=TASKS[spec.task].kind,
                budget=Budget(ram_bytes=spec.ram_bytes, search_seconds=600),
                out=Path(out),
                seed=spec.split,
                candidates=CANDIDATES,
                executor=executor,
            ).card
            found[name] = {
                "seconds": round(time.monotonic() - began, 1),
                "layers": card.layers,
                "accuracy": card.search.validation_accuracy,
            }
    return {"executors": found, "same": len({str((each["layers"], each["accuracy"])) for each in found.values()}) == 1}


@contextmanager
def _pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_load, range(WORKERS)))  # a gateway's workers are up already
        yield pool


@contextmanager
def _dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(_load)
        yield client.get_executor(pure=False)


def _load(_number: int = 0) -> None:
    pass
